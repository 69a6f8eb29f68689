"""The document of a group: who is a member, and which member each partition is meant for.

There is no leader. Any member reads the document, asks ``GroupState.on`` what follows from an event, and writes the
result by compare-and-set on the version; who loses the race reads again. The document is advice: it tells members
what to claim and what to give up. Whether a claim holds is decided by the partition (``partition.py``).

``Joined`` changes only the membership, unless a partition has nobody: the assignment follows as ``Balanced`` when
membership has been quiet for a moment, so that ten consumers starting together cause one rebalance. Departures are
followed at once, but for a member with a seat: while that is away, what was meant for it stays so, until a member takes
the seat again or the seat is ``Vacated``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import evolve, field, frozen

from segmenter.core.assignor import assign, is_balanced
from segmenter.core.command import Command, GroupSlot
from segmenter.core.creation import Dropped
from segmenter.core.events import Announcement, Changed, limited
from segmenter.core.log import Log
from segmenter.core.membership import (
    CONTESTED_US,
    LIMIT_DISPLACEMENTS,
    Away,
    Balanced,
    CaughtUp,
    Displacement,
    Expired,
    GroupEvent,
    How,
    Joined,
    Leaving,
    Left,
    Membership,
    Paused,
    ProcessInfo,
    Readied,
    Removed,
    Removing,
    Resumed,
    SessionChanged,
    Vacated,
)

__all__ = [
    "LIMIT_GONE",
    "Announce",
    "Announced",
    "Away",
    "Balanced",
    "CaughtUp",
    "Displacement",
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
    "ProcessInfo",
    "Readied",
    "Removed",
    "Removing",
    "Resumed",
    "SessionChanged",
    "StillAlive",
    "UpdateGroup",
    "Vacated",
]

LIMIT_SEATS = 256  # whose displacements are remembered
LIMIT_GONE = 256  # former members remembered; the owner of a lane that is forgotten is waited for instead

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
    assignment: tuple[str | None, ...] = ()  # members, and those that are away
    away: Mapping[str, Away] = field(factory=dict[str, Away])  # by seat
    displaced: Mapping[str, tuple[Displacement, ...]] = field(factory=dict[str, tuple[Displacement, ...]])  # by seat

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
    def returning(self) -> list[str]:
        """Those that keep what is meant for them, and get no more: they are away, or about to be."""
        if self.state == "paused":
            return []
        leaving = [name for name, member in self.members.items() if member.returning]
        return sorted([*leaving, *(away.member for away in self.away.values())])

    @property
    def balanced(self) -> bool:
        """Whether every partition has somebody and no eligible member has two fewer than another."""
        return is_balanced(self.eligible, self.assignment, self.returning)

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

    def away_for_us(self, away: Away) -> int:
        """How long a seat was away at least when this document was written, in the server's microseconds."""
        return self.generation - (away.since or self.generation)

    def contests(self, seat: str | None, now_us: int) -> tuple[Displacement, ...]:
        """The latest displacements of a seat that was displaced so often lately that two processes must be at it."""
        known = self.displaced.get(seat, ()) if seat is not None else ()
        recent = tuple(each for each in known if 0 <= now_us - (each.at or self.generation) <= CONTESTED_US)
        return recent if len(recent) >= LIMIT_DISPLACEMENTS else ()

    def sitting_in(self, seat: str | None) -> str | None:
        """The member of that seat."""
        return next((name for name, member in self.members.items() if seat and member.seat == seat), None)

    def displacer_of(self, member: str, seat: str | None) -> ProcessInfo | None:
        """The process that took the seat of a former member, if that is still known."""
        records = [each.by for each in self.displaced.get(seat or "", ()) if each.member == member]
        heir = self.sitting_in(seat)
        return records[0] if records else self.members[heir].process if heir is not None else None

    def on(self, event: GroupEvent) -> GroupState:
        """Return the document after an event, or this very document if the event changes nothing."""
        after = self._on(event)
        return after if after is self else after._dated_by(self)

    def _on(self, event: GroupEvent) -> GroupState:  # noqa: C901, PLR0912 - one case for each event
        match event:
            case Joined():
                return self._joined(event)
            case Leaving():
                return self._leaving(event)
            case Left(member):
                return self._left(member)
            case Vacated(members):
                return self._vacated(members)
            case Expired(members):
                return self._without(members, "expired")
            case Balanced():
                return self if self.balanced else self._rebalanced()
            case CaughtUp(generation):
                return evolve(self, generation=generation) if generation > self.generation else self
            case SessionChanged(session_ms):
                same = bool(self.members) or session_ms == self.session_ms
                return self if same else evolve(self, session_ms=session_ms)
            case Readied():
                return evolve(self, state="ready") if self.state == "creating" else self
            case Paused():
                return evolve(self, state="paused", away={})._rebalanced() if self.state == "ready" else self
            case Resumed():
                return evolve(self, state="ready")._rebalanced() if self.state == "paused" else self
            case Removing():
                return evolve(self, state="removing") if self.state != "removed" else self
            case Removed():
                return GroupState(self.partitions, self.session_ms, self.version, self.generation, "removed")

    def _joined(self, event: Joined) -> GroupState:
        if event.member in self.members:
            return self
        members = {**self.members, event.member: Membership(event.seat, process=event.process)}
        gone, away, displaced = dict(self.gone), dict(self.away), self.displaced
        former: set[str] = set()
        if (sitting := self.sitting_in(event.seat)) is not None:
            del members[sitting]
            gone[sitting] = "left" if event.immediate else "displaced"
            displaced = self._displaced(event, sitting)
            former.add(sitting)
        if event.seat in away:
            former.add(away.pop(event.seat).member)
        assignment = tuple(event.member if name in former else name for name in self.assignment)
        changes: dict[str, Any] = {"members": members, "gone": _latest(gone), "away": away, "displaced": displaced}
        joined = evolve(self, **changes, assignment=assignment)
        unserved = not self.eligible and event.member not in assignment
        return joined._rebalanced() if None in assignment or unserved else joined

    def _displaced(self, event: Joined, member: str) -> dict[str, tuple[Displacement, ...]]:
        """The displacements that count, with one more."""
        assert event.seat is not None  # noqa: S101 - somebody sat there
        known = {
            seat: tuple(each for each in records if self.generation - (each.at or self.generation) <= CONTESTED_US)
            for seat, records in self.displaced.items()
        }
        its = (*known.pop(event.seat, ()), Displacement(member, event.process))[-LIMIT_DISPLACEMENTS:]
        return {seat: records for seat, records in list(known.items())[-LIMIT_SEATS:] if records} | {event.seat: its}

    def _leaving(self, event: Leaving) -> GroupState:
        it = self.members.get(event.member)
        if it is None or it.leaving:
            return self
        returning = it.seat is not None and not event.forever and bool(self.assigned_to(event.member))
        members = {**self.members, event.member: evolve(it, leaving=True, returning=returning)}
        after = evolve(self, members=members)
        return after if returning else after._rebalanced()

    def _left(self, member: str) -> GroupState:
        it = self.members.get(member)
        if it is None or not it.returning or not it.seat or not self.assigned_to(member):
            return self._without([member], "left")
        members = {name: other for name, other in self.members.items() if name != member}
        gone, away = _latest({**self.gone, member: "left"}), {**self.away, it.seat: Away(member)}
        return evolve(self, members=members, gone=gone, away=away)

    def _vacated(self, members: Iterable[str]) -> GroupState:
        away = {seat: it for seat, it in self.away.items() if it.member not in members}
        return self if len(away) == len(self.away) else evolve(self, away=away)._rebalanced()

    def _without(self, departed: Iterable[str], how: How) -> GroupState:
        departed = [name for name in departed if name in self.members]
        if not departed:
            return self
        members = {name: member for name, member in self.members.items() if name not in departed}
        gone = _latest({**self.gone, **dict.fromkeys(departed, how)})
        return evolve(self, members=members, gone=gone)._rebalanced()

    def _rebalanced(self) -> GroupState:
        return evolve(self, assignment=assign(self.eligible, self.assignment, self.returning))

    def _dated_by(self, before: GroupState) -> GroupState:
        """Say of what the latest write made when that was: its generation was not known before."""
        away = {
            seat: evolve(it, since=before.generation) if it == before.away.get(seat) and not it.since else it
            for seat, it in self.away.items()
        }
        displaced = {
            seat: tuple(
                evolve(it, at=before.generation) if it in before.displaced.get(seat, ()) and not it.at else it
                for it in records
            )
            for seat, records in self.displaced.items()
        }
        return evolve(self, away=away, displaced=displaced) if away or displaced else self


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
    now_us: int = field(default=0, eq=False)  # the server's clock


@frozen
class LoadGroup(Command[GroupData, GroupLoaded]):
    """Look at a group's document."""

    slot: GroupSlot

    def apply(self, state: GroupData | None, now_us: int) -> tuple[GroupData | None, GroupLoaded]:
        loaded = GroupLoaded(state.document, state.events.last, now_us) if state else GroupLoaded(None, now_us=now_us)
        return state, loaded


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
