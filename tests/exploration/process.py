"""A process, as a value: all that it knows, and what it has under way."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from segmenter.core import signals as sig
from segmenter.core.beats import Beat, Pulse
from segmenter.core.command import Command
from segmenter.core.letters import ListLetters
from segmenter.core.member import Member
from tests.exploration.holds import GROUP, Held

__all__ = ["NOW", "SESSION_S", "Answer", "FetchLetters", "Process", "SlowBeat"]

SESSION_S = 2.0  # two ticks: a member that misses a beat is past its lease at the next but one
NOW = 0.0  # always: times are relative


@frozen
class Answer:
    """A command and what was answered."""

    command: Command[Any, Any]
    reply: Any


@frozen
class FetchLetters(ListLetters):
    """A look at what is parked, and for which hold it is: a page that comes after that is of no use."""

    epoch: int = 0


@frozen
class SlowBeat:
    """A beat that was answered; the answer may be on its way for longer than others."""

    sent_at: float
    below: int
    reply: Any


@frozen
class Process:
    """All that is in the memory of a process, and what it has under way."""

    letter: str
    seat: str | None = None
    member: Member | None = None  # None: it does not run
    leaving: bool = False
    pulse: Pulse | None = None
    joining: str = ""  # the version that was last asked for in order to join ...
    joining_since: float = NOW  # ... and when
    asleep: bool = False
    inbox: tuple[Any, ...] = ()  # what came while it was asleep
    requests: tuple[Command[Any, Any], ...] = ()  # under way, in their order
    slow: Answer | sig.Unanswered | None = None  # what it will learn of a request later
    beat: SlowBeat | None = None
    holds: tuple[Held, ...] = ()
    tenures: tuple[
        int, ...
    ] = ()  # the latest epoch granted to this member, of each partition; where one may come again

    @property
    def leased(self) -> bool:
        """Whether it may act as a member."""
        return self.pulse is not None and self.pulse.lease_until > NOW

    def held(self, partition: int) -> Held | None:
        """What it holds of a partition."""
        return next((held for held in self.holds if held.partition == partition), None)

    def next_beat(self) -> Beat | None:
        """The beat to send, if it beats and waits for no answer to one."""
        if self.member is None or self.pulse is None or self.beat is not None:
            return None
        return Beat(GROUP, self.member.me, self.member.document.version, self.pulse.silent_below(NOW))
