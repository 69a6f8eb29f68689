"""What the server or one process does in one go, worked out once: the same few moves come again in many states.

A value goes by its number on the shelf, here and in ``State``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from attrs import evolve

from segmenter.core import signals as sig
from segmenter.core.aside import Moves as Set
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.events import announcement_of
from segmenter.core.group import GroupData, LoadGroup
from segmenter.core.invariants import Violation, check_group, check_lane
from segmenter.core.letters import ListLetters, Redrive
from segmenter.core.log import Log
from segmenter.core.partition import Commit, Committed, PartitionState, Probe
from segmenter.core.transitions import State as HoldState
from tests.exploration.bounds import Bounds
from tests.exploration.checks import check_moved, check_stored
from tests.exploration.habits import Habits
from tests.exploration.holds import GROUP, Held
from tests.exploration.names import aged
from tests.exploration.process import NOW, Answer, Process, SlowBeat
from tests.exploration.shelf import Shelf
from tests.exploration.turning import Turning
from tests.exploration.words import told

__all__ = ["Executed", "Look", "LookAtHold", "Moves"]

LATER_US = 1_000  # what the server's clock says: later than every epoch and generation that is left in a state
OWNING = (HoldState.OWNED, HoldState.DRAINING)


class Executed(NamedTuple):
    """What a command has done."""

    slot: int  # what became of the slot
    answer: int
    events: tuple[int, ...]  # what was announced
    told: str


class Turned(NamedTuple):
    """What a process has done."""

    process: int
    given_up: tuple[int, ...]  # requests that nobody waits for any more
    discarded: tuple[tuple[int, int], ...]  # partitions and ordinals
    value: Any


class LookAtHold(NamedTuple):
    """What can be seen of a partition in somebody's hands."""

    partition: int
    running: tuple[int, ...]
    may_start: bool
    may: tuple[str, ...]  # what else may be done, as a verb of ``Turning``
    draining: bool
    moves: tuple[Set, ...]  # what it has set aside and taken back that is not known to be stored


class Look(NamedTuple):
    """What can be seen of a process."""

    letter: str
    me: str | None
    runs: bool
    asleep: bool
    leaving: bool
    leased: bool
    request: int  # the oldest one under way, or -1
    unanswered: int  # the news that there is no answer to it
    told: str  # what is asked
    waits_for: str  # what it will learn of a request later
    may_fail: bool  # or it will not
    beat_due: bool
    beats: bool
    holds: tuple[LookAtHold, ...]
    owns: tuple[int, ...]  # by its own account, under a valid lease


class Moves:
    """Everything is asked for by numbers, and remembered."""

    def __init__(self, shelf: Shelf, bounds: Bounds, habits: Habits) -> None:
        self.shelf = shelf
        self._bounds = bounds
        self._habits = habits
        self._executed: dict[tuple[int, int], Executed] = {}
        self._beaten: dict[tuple[int, int], Executed] = {}
        self._turned: dict[Hashable, Turned] = {}
        self._aged: dict[tuple[int, float], int] = {}
        self._looks: dict[int, Look] = {}
        self._sound: set[tuple[int, int]] = set()

    # --- the server -------------------------------------------------------------------------------------------------

    def execute(self, command: int, slot: int) -> Executed:
        """A command is executed."""
        done = self._executed.get((command, slot))
        if done is None:
            asked = self.shelf[command]
            done = self._execute(asked, slot, lambda reply: Answer(asked, reply))
            self._executed[command, slot] = done
        return done

    def beat(self, process: int, group: int) -> Executed:
        """The beat of a process is executed."""
        done = self._beaten.get((process, group))
        if done is None:
            beat = self.shelf[process].next_beat()
            done = self._execute(beat, group, lambda reply: SlowBeat(NOW, beat.silent_below, reply))
            self._beaten[process, group] = done
        return done

    def probe(self, partition: int, slot: int) -> Any:
        """What a look at a lane shows."""
        probe = Probe(PartitionSlot(GROUP.stream, partition), GROUP.group)
        return self._habits.apply(probe, self.shelf[slot], LATER_US)[1]

    def _execute(self, command: Command[Any, Any], slot: int, answer: Callable[[Any], Any]) -> Executed:
        before = self.shelf[slot]
        behind = self._bounds.clock_behind and isinstance(command.slot, PartitionSlot)
        after, reply = self._habits.apply(command, before, 0 if behind else LATER_US)
        _check(command, before, after, reply)
        events: tuple[int, ...] = ()
        if isinstance(after, GroupData) and after.events.entries:
            news = [announcement_of(entry) for entry in after.events.entries]
            events = tuple([self.shelf.put(sig.Heard(event)) for event in news if event is not None])
            after = evolve(after, events=Log())
        where = command.slot.partition if isinstance(command.slot, PartitionSlot) else -1
        changed = self.shelf.put(after, where) if after != before else slot
        return Executed(changed, self.shelf.put(answer(reply)), events, told(reply))

    def is_spent(self, command: int, slot: int) -> bool:
        """Whether a request does nothing any more: once it changes nothing, it never will, as epochs only rise.

        What an operator asks for names no epoch.
        """
        if isinstance(self.shelf[command], Redrive):
            return False
        try:
            done = self.execute(command, slot)
        except Violation:
            return False
        return done.slot == slot and not done.events

    def place_of(self, command: int) -> int:
        """The part of a state that a command is executed on."""
        slot = self.shelf[command].slot
        return 1 + slot.partition if isinstance(slot, PartitionSlot) else 0

    def check_stored(self, partition: int, slot: int, settled: int) -> None:
        """What must hold of what a lane stores; ``settled`` is a set of bits."""
        if (slot, settled) not in self._sound:
            check_stored(self.shelf[slot].lanes[GROUP.group], settled, self._bounds.logs[partition])
            self._sound.add((slot, settled))

    # --- processes --------------------------------------------------------------------------------------------------

    def turn(self, process: int, verb: str, *arguments: Hashable, what: int = -1) -> Turned:
        """Something happens to a process (see ``Turning``); ``what`` is a value that comes in."""
        key = (process, verb, arguments, what)
        done = self._turned.get(key)
        if done is None:
            done = self._turned[key] = self._turn(process, verb, *arguments, *([self.shelf[what]] if what >= 0 else []))
        return done

    def _turn(self, process: int, verb: str, *arguments: Any) -> Turned:
        turning = Turning(self.shelf[process], self._bounds, self._habits)
        value = getattr(turning, verb)(*arguments)
        given_up = [command for command in turning.given_up if not isinstance(command, LoadGroup | ListLetters)]
        return Turned(self.shelf.put(turning.process), tuple(map(self.shelf.put, given_up)), turning.discarded, value)

    def aged(self, process: int, seconds: float) -> int:
        """A process when time has passed."""
        done = self._aged.get((process, seconds))
        if done is None:
            done = self._aged[process, seconds] = self.shelf.put(aged(self.shelf[process], seconds))
        return done

    def look(self, process: int) -> Look:
        """What can be seen of a process."""
        look = self._looks.get(process)
        if look is None:
            look = self._looks[process] = self._look(self.shelf[process])
        return look

    def _look(self, process: Process) -> Look:
        request = process.requests[0] if process.requests else None
        holds = process.member.holds if process.member is not None and process.leased else ()
        acts = process.member is not None and not process.asleep and (process.leased or not self._habits.heeds_lease)
        return Look(
            letter=process.letter,
            me=process.member.me if process.member is not None else None,
            runs=process.member is not None,
            asleep=process.asleep,
            leaving=process.leaving,
            leased=process.leased,
            request=self.shelf.put(request) if request is not None else -1,
            unanswered=self.shelf.put(sig.Unanswered(request)) if request is not None else -1,
            told=told(request),
            waits_for=_awaited(process.slow),
            may_fail=isinstance(process.slow, Answer),
            beat_due=process.beat is not None,
            beats=not process.asleep and process.next_beat() is not None,
            holds=tuple([self._look_at_hold(held, acts) for held in process.holds]),
            owns=tuple([number for number, hold in enumerate(holds) if hold.state in OWNING]),
        )

    def _look_at_hold(self, held: Held, acts: bool) -> LookAtHold:
        return LookAtHold(
            held.partition,
            held.running,
            acts and held.startable and len(held.running) < self._bounds.in_flight,
            tuple([verb for verb, may in self._may(held) if may]) if acts else (),
            held.draining,
            held.moves,
        )

    def _may(self, held: Held) -> list[tuple[str, bool]]:
        return [
            ("send_progress", held.may_commit),
            ("read", held.may_read),
            ("wait", held.waits),
            ("seek", held.may_seek),
            ("cancel", self._bounds.cancels and held.draining and bool(held.running)),
        ]


def _awaited(what: Answer | sig.Unanswered | None) -> str:
    match what:
        case None:
            return ""
        case Answer(command, reply):
            return f"the slow answer to {told(command)} -> {told(reply)}"
        case sig.Unanswered(command):
            return f"no answer to {told(command)}"


def _check(command: Command[Any, Any], before: Any, after: Any, reply: Any) -> None:
    """INV-1, INV-2, INV-3, INV-8 and INV-11 over one command."""
    if isinstance(after, GroupData):
        check_group(before.document, after.document)
        return
    assert isinstance(before, PartitionState)
    check_lane(before, after, GROUP.group)
    check_moved(before.lanes[GROUP.group].aside, after.lanes[GROUP.group].aside)
    if isinstance(command, Commit) and isinstance(reply, Committed):
        lane = before.lanes[GROUP.group]
        if (lane.owner, lane.epoch) != (command.member, command.epoch):
            raise Violation(f"INV-1 only the owner commits: {command.member} did, and {lane.owner} owns")
