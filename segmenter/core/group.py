"""The document of a group: who is a member, and which member each partition is meant for.

There is no leader. Any member reads the document, asks ``GroupState.on`` what follows from an event, and writes the
result by compare-and-set on the version; who loses the race reads again. The document is advice: it tells members
what to claim and what to give up. Whether a claim holds is decided by the partition (``partition.py``).

``Joined`` changes only the membership, unless a partition has nobody: the assignment follows as ``Balanced`` when
membership has been quiet for a moment, so that ten consumers starting together cause one rebalance. Departures are
followed at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from attrs import evolve, field, frozen

from segmenter.core.assignor import assign, is_balanced
from segmenter.core.command import Command, GroupSlot
from segmenter.core.creation import Dropped
from segmenter.core.events import Announcement, Changed, limited
from segmenter.core.log import Log

__all__ = [
    "LIMIT_GONE",
    "Announce",
    "Announced",
    "Balanced",
    "CaughtUp",
    "DropGroup",
    "Expired",
    "GroupConflict",
    "GroupData",
    "GroupEvent",
    "GroupLoaded",
    "GroupState",
    "GroupUpdated",
    "How",
    "Joined",
    "Leaving",
    "Left",
    "LoadGroup",
    "Membership",
    "Paused",
    "Readied",
    "Removed",
    "Removing",
    "Resumed",
    "StillAlive",
    "UpdateGroup",
]

LIMIT_GONE = 256  # former members remembered; the owner of a lane that is forgotten is waited for instead

How = Literal["left", "expired", "displaced"]


@frozen
class Membership:
    """A member as the document knows it."""

    seat: str | None = None  # a name that outlives the process, so that a restart takes its partitions up again
    leaving: bool = False


# --- what may happen to a group -------------------------------------------------------------------------------------


@frozen
class Joined:
    """A member with a fresh id came; with a ``seat`` that is taken, it displaces the member that sat there."""

    member: str
    seat: str | None = None
    immediate: bool = False  # do not wait for the displaced member to fall silent


@frozen
class Leaving:
    """A member drains: it stays, but nothing is assigned to it."""

    member: str


@frozen
class Left:
    """A member is gone of its own will and owns nothing."""

    member: str


@frozen
class Expired:
    """Members were silent for a session."""

    members: tuple[str, ...]


@frozen
class CaughtUp:
    """A lane has seen a generation that the document, rolled back, is behind."""

    generation: int


@frozen
class Balanced:
    """Membership has been quiet: even the assignment out."""


@frozen
class Readied:
    """Every partition has a lane for the group."""


@frozen
class Paused:
    """An operator wants nothing processed: the members stay, and hand every partition back."""


@frozen
class Resumed:
    """They may go on."""


@frozen
class Removing:
    """The group is being removed; its members stop."""


@frozen
class Removed:
    """The lanes are gone; the document stays as a tombstone, so that members do not create the group anew."""


GroupEvent = Joined | Leaving | Left | Expired | CaughtUp | Balanced | Readied | Paused | Resumed | Removing | Removed


# --- the document ---------------------------------------------------------------------------------------------------


@frozen
class GroupState:
    """The document of a group. ``on`` is its only way to change."""

    partitions: int
    session_ms: int  # silence after which a member counts as dead; the same for all members
    version: str = ""  # a fresh token at each write
    generation: int = 0  # rises with each write
    state: Literal["creating", "ready", "paused", "removing", "removed"] = "creating"
    members: Mapping[str, Membership] = field(factory=dict[str, Membership])
    gone: Mapping[str, How] = field(factory=dict[str, How])
    assignment: tuple[str | None, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not self.assignment:
            object.__setattr__(self, "assignment", (None,) * self.partitions)

    @property
    def eligible(self) -> list[str]:
        """The members that partitions may be assigned to; nobody in a paused group."""
        if self.state == "paused":
            return []
        return sorted(name for name, member in self.members.items() if not member.leaving)

    @property
    def balanced(self) -> bool:
        """Whether every partition has an eligible member and none has two more than another."""
        return is_balanced(self.eligible, self.assignment)

    def assigned_to(self, member: str) -> frozenset[int]:
        """The partitions that are meant for a member."""
        return frozenset(p for p, name in enumerate(self.assignment) if name == member)

    def concerned(self, after: GroupState) -> tuple[str, ...]:
        """The members that gain or lose a partition from this document to another."""
        pairs = zip(self.assignment, after.assignment, strict=True)
        names = {name for old, new in pairs if old != new for name in (old, new)}
        return tuple(sorted(name for name in names if name is not None))

    def may_be_evicted(self, owner: str) -> bool:
        """Whether the document vouches that ``owner`` cannot come back: it left, or fell silent for a session."""
        return self.gone.get(owner) in ("left", "expired")

    def on(self, event: GroupEvent) -> GroupState:  # noqa: C901 - one case for each event
        """Return the document after an event, or this very document if the event changes nothing."""
        match event:
            case Joined():
                return self._joined(event)
            case Leaving(member):
                return self._leaving(member)
            case Left(member):
                return self._without([member], "left")
            case Expired(members):
                return self._without(members, "expired")
            case Balanced():
                return self if self.balanced else self._rebalanced()
            case CaughtUp(generation):
                return evolve(self, generation=generation) if generation > self.generation else self
            case Readied():
                return evolve(self, state="ready") if self.state == "creating" else self
            case Paused():
                return evolve(self, state="paused")._rebalanced() if self.state == "ready" else self
            case Resumed():
                return evolve(self, state="ready")._rebalanced() if self.state == "paused" else self
            case Removing():
                return evolve(self, state="removing") if self.state != "removed" else self
            case Removed():
                return GroupState(self.partitions, self.session_ms, self.version, self.generation, "removed")

    def _joined(self, event: Joined) -> GroupState:
        if event.member in self.members:
            return self
        how: How = "left" if event.immediate else "displaced"
        seated = [name for name, member in self.members.items() if event.seat and member.seat == event.seat]
        members = {**self.members, event.member: Membership(event.seat)}
        gone = dict(self.gone)
        for name in seated:
            del members[name]
            gone[name] = how
        assignment = tuple(event.member if name in seated else name for name in self.assignment)
        joined = evolve(self, members=members, gone=_latest(gone), assignment=assignment)
        return joined._rebalanced() if None in assignment else joined

    def _leaving(self, member: str) -> GroupState:
        if member not in self.members or self.members[member].leaving:
            return self
        members = {**self.members, member: evolve(self.members[member], leaving=True)}
        return evolve(self, members=members)._rebalanced()

    def _without(self, departed: Iterable[str], how: How) -> GroupState:
        departed = [name for name in departed if name in self.members]
        if not departed:
            return self
        members = {name: member for name, member in self.members.items() if name not in departed}
        gone = _latest({**self.gone, **dict.fromkeys(departed, how)})
        return evolve(self, members=members, gone=gone)._rebalanced()

    def _rebalanced(self) -> GroupState:
        return evolve(self, assignment=assign(self.eligible, self.assignment))


def _latest(gone: Mapping[str, How]) -> dict[str, How]:
    return dict(list(gone.items())[-LIMIT_GONE:])


# --- the slot and its commands --------------------------------------------------------------------------------------


@frozen
class GroupData:
    """All that a group's slot holds."""

    document: GroupState | None = None
    scores: Mapping[str, int] = field(factory=dict[str, int])  # member -> number of its last beat
    beats: int = 0  # the group's own count of beats
    events: Log = Log()


@frozen
class GroupLoaded:
    """The document as it stands, and where its event log ends; ``None`` if there is no such group."""

    document: GroupState | None
    end: tuple[int, int] = (0, 0)


@frozen
class LoadGroup(Command[GroupData, GroupLoaded]):
    """Look at a group's document."""

    slot: GroupSlot

    def apply(self, state: GroupData | None, now_us: int) -> tuple[GroupData | None, GroupLoaded]:
        return state, GroupLoaded(state.document, state.events.last) if state else GroupLoaded(None)


@frozen
class GroupUpdated:
    """Written, under this generation."""

    generation: int


@frozen
class GroupConflict:
    """Somebody else has written meanwhile; this is what stands there."""

    document: GroupState | None


@frozen
class StillAlive:
    """A member that was to be expired has beaten meanwhile; nothing was written."""

    member: str


@frozen
class UpdateGroup(Command[GroupData, GroupUpdated | GroupConflict | StillAlive]):
    """Replace a group's document if it is still the one that was read, and announce the change.

    Members and beats change together: who enters the document gets a beat of its own in the same step, who leaves it
    loses his, so a late beat revives nobody.
    """

    slot: GroupSlot
    expect: str | None  # version read before; None: there was none
    document: GroupState  # its generation is a floor: the stored one rises above it and above what stood there
    event: Changed
    silent: tuple[str, ...] = ()  # members that this write expires ...
    silent_below: int = 0  # ... provided that their last beats are below this number

    def apply(
        self, state: GroupData | None, now_us: int
    ) -> tuple[GroupData | None, GroupUpdated | GroupConflict | StillAlive]:
        state = state or GroupData()
        stored = state.document
        if stored and stored.version == self.document.version:  # repeated: it went through the first time
            return state, GroupUpdated(stored.generation)
        if (stored.version if stored else None) != self.expect:
            return state, GroupConflict(stored)
        for member in self.silent:
            # Beats below the number that was answered to the writer have been rolled back: no evidence of silence.
            if state.beats < self.silent_below or state.scores.get(member, 0) >= self.silent_below:
                return state, StillAlive(member)
        return self._written(state, now_us)

    def _written(self, state: GroupData, now_us: int) -> tuple[GroupData, GroupUpdated]:
        before = state.document.generation if state.document else 0
        document = evolve(self.document, generation=max(before + 1, self.document.generation + 1, now_us))
        beats = state.beats
        scores: dict[str, int] = {}
        for member in sorted(document.members):
            if member not in state.scores:
                beats += 1
            scores[member] = state.scores.get(member, beats)
        events = limited(state.events.append([self.event.fields(document.generation)], now_us))
        return GroupData(document, scores, beats, events), GroupUpdated(document.generation)


@frozen
class DropGroup(Command[GroupData, Dropped]):
    """Remove a group's document, beats and events without a tombstone: its stream is removed too."""

    slot: GroupSlot

    def apply(self, state: GroupData | None, now_us: int) -> tuple[GroupData | None, Dropped]:
        return None, Dropped()


@frozen
class Announced:
    """The members will hear of it."""


@frozen
class Announce(Command[GroupData, Announced]):
    """Add an announcement to the group's event log, waking every member that listens."""

    slot: GroupSlot
    event: Announcement

    def apply(self, state: GroupData | None, now_us: int) -> tuple[GroupData | None, Announced]:
        state = state or GroupData()
        events = limited(state.events.append([self.event.fields()], now_us))
        return evolve(state, events=events), Announced()
