"""A history as a story: a line for each event, in the words of the protocol, with a legend."""

from __future__ import annotations

from typing import Any

from segmenter.core.aside import Letter, Moves, Request
from segmenter.core.command import Command
from segmenter.core.group import UpdateGroup
from segmenter.core.letters import Purge, Redrive, Replay
from segmenter.core.partition import NOT_TRYING, Claim, Commit, Release
from segmenter.core.retention import Append, Trim
from segmenter.testing.simulation.history import (
    Answered,
    Began,
    Ended,
    Event,
    Executed,
    Happened,
    History,
    Replied,
    RolledBack,
    Told,
)

__all__ = ["story_of"]

LEGEND = """\
seconds  |what
         |!    a fault, or its end             =    the server executed a command, in this order
         |>    a handler started               <    a handler ended
         |+    a send was answered             .    a consumer observed something
         |k/n  message n of key k             p@e  partition p under epoch e (counted from 1)
         |#n   commit n of an epoch           numbers after "trying" and "takes back" are ordinals"""


def story_of(history: History) -> str:
    """Return the plan, a legend, and a line for each event that tells something."""
    teller = _Teller()
    lines = [line for event in history.events if (line := teller.line(event))]
    return "\n".join([f"plan: {history.plan}", LEGEND, *lines])


class _Teller:
    """Gives epochs small numbers, and deliveries their messages."""

    def __init__(self) -> None:
        self._epochs: dict[int, dict[int, int]] = {}
        self._deliveries: dict[int, str] = {}

    def line(self, event: Event) -> str:
        """The event in words; nothing for what is only kept for the checks."""
        words = self._words(event)
        return f"{event.at:8.3f} |{words}" if words else ""

    def _words(self, event: Event) -> str:
        match event:
            case Happened(_, what):
                return f"! {what}"
            case RolledBack(_, slot):
                return f"! {slot} was rolled back"
            case Answered(_, key, number, outcome, place):
                return f"+ {key}/{number} {outcome} {place}".rstrip()
            case Told(_, process, observation):
                return f". {process} {observation}"
            case Began():
                what = f"{event.process} {event.key}/{event.number} {self._fence(event.partition, event.epoch)}"
                self._deliveries[event.delivery] = what
                return f"> {what}" + (f" attempt {event.attempt}" if event.attempt > 1 else "")
            case Ended():
                return f"< {self._deliveries[event.delivery]} {event.outcome}"
            case Executed():
                return self._executed(event)
            case Replied():
                return ""

    def _executed(self, event: Executed) -> str:
        what = self._command(event.command)
        return f"= {what}: {type(event.reply).__name__}{self._granted(event)}" if what else ""

    def _granted(self, event: Executed) -> str:
        epoch = getattr(event.reply, "epoch", None)
        if epoch is None or not hasattr(event.command.slot, "partition"):
            return ""
        return f" {self._fence(event.command.slot.partition, epoch)}"

    def _command(self, command: Command[Any, Any]) -> str:
        match command:
            case UpdateGroup():
                members = " ".join(command.document.members)
                owners = " ".join(str(name) for name in command.document.assignment)
                return f"document: {command.event.cause} {command.event.member}; members {members}; meant for {owners}"
            case Claim():
                return f"{command.member} claims {self._fence(command.slot.partition, command.if_epoch)}"
            case Release():
                fence = self._fence(command.slot.partition, command.epoch)
                return f"{command.member} releases {fence}{_moves(command.moves)}"
            case Commit():
                fence = self._fence(command.slot.partition, command.epoch)
                mark = f", trying {command.progress.trying}" if command.progress.trying != NOT_TRYING else ""
                done = f"#{command.number} up to {command.progress.read}{mark}"
                return f"{command.member} commits {fence} {done}{_moves(command.moves)}"
            case Append():
                return f"append #{command.first} of epoch {command.epoch} to {command.slot.partition}"
            case Trim():
                return f"trim {command.slot.partition}"
            case Redrive(request=request):
                return f"an operator asks {command.slot.partition} to {_asked(request)}"
            case Replay():
                return f"an operator replays {_names(command.letters)} in {command.slot.partition}"
            case Purge():
                return f"an operator purges {command.slot.partition}"
            case _:
                return ""

    def _fence(self, partition: int, epoch: int) -> str:
        known = self._epochs.setdefault(partition, {0: 0})
        return f"{partition}@{known.setdefault(epoch, len(known))}"


def _moves(moves: Moves) -> str:
    """What a commit sets aside and takes back."""
    told = [f"parks {_names(moves.park)}"] if moves.park else []
    told += [f"buries {_names(moves.bury)}"] if moves.bury else []
    told += [f"takes back {', '.join(str(ordinal) for ordinal, _ in moves.unpark)}"] if moves.unpark else []
    told += [f"has done: {_asked(request)}" for request in moves.heeded]
    return "".join(f"; {each}" for each in told)


def _names(letters: tuple[Letter, ...]) -> str:
    return " ".join(f"{letter.key.decode()}/{letter.data.decode()}" for letter in letters)


def _asked(request: Request) -> str:
    return f"{request.what} {'everything' if request.key is None else request.key.decode()}"
