"""Settling and sending in one step: consume, transform, produce, without a gap in which either could be lost.

The commit of one partition and an append to another one, which may belong to another stream, go through together or not
at all. A repetition is recognised by the number of the commit, so nothing is sent twice. Both slots must live where one
command can reach them: on one server.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from segmenter.core.command import Command, Crossing, Gone, PartitionSlot
from segmenter.core.log import Log, Records
from segmenter.core.partition import Commit, Committed, Fenced, PartitionState, RolledBack, Truncated
from segmenter.core.retention import Full, Moved, Overflow, Sealed, full, with_room

__all__ = ["Forward", "ForwardReply", "Forwarded", "Outgoing"]


@frozen
class Outgoing:
    """A message that is to be sent in the place of another, or of several."""

    there: PartitionSlot
    records: Records
    capacity: int
    layout: int = 0
    overflow: Overflow = "refuse"
    waits: bool = False  # for room, where there is none
    place: object = None  # the server, by identity

    def joined(self, others: Sequence[Outgoing]) -> Outgoing:
        """Return it with others of the same destination behind it."""
        return evolve(self, records=Records.joined([each.records for each in (self, *others)]))

    def goes_with(self, other: Outgoing) -> bool:
        """Whether both can be sent by one command."""
        return evolve(self, records=other.records) == other


Pair = tuple[PartitionState | None, PartitionState | None]


@frozen
class Forwarded:
    """It is settled here, and stands there. A repetition is told the same."""


ForwardReply = Forwarded | Fenced | RolledBack | Truncated | Moved | Sealed | Full | Gone


@frozen
class Forward(Command[Pair, ForwardReply]):
    """Store progress in one partition and add a batch to another, both or neither."""

    slot: Crossing  # from the partition of the commit to that of the records
    commit: Commit
    records: Records
    capacity: int  # entries that the other partition keeps
    layout: int = 0
    overflow: Overflow = "refuse"

    def apply(self, state: Pair | None, now_us: int) -> tuple[Pair | None, ForwardReply]:
        here, there = state or (None, None)
        lane = here.lanes.get(self.commit.group) if here else None
        known = lane is not None and self.commit.number <= lane.number
        settled, reply = self.commit.apply(here, now_us)
        if isinstance(reply, Fenced | Gone) or known:
            return state, Forwarded() if isinstance(reply, Committed) else reply
        if there is None:
            return state, Gone()
        log = with_room(there, len(self.records), self.capacity, self.overflow)
        refusal = self._closed(there) or (full(there) if log is None else None)
        if refusal is not None or log is None:
            return state, refusal or full(there)
        if not isinstance(reply, Committed):
            return state, reply
        return self._sent(settled, there, log, now_us), Forwarded()

    def _closed(self, there: PartitionState) -> Moved | Sealed | None:
        if there.layout != self.layout:
            return Moved(there.layout)
        if there.sealed is not None:
            return Sealed(there.sealed)
        return None

    def _sent(self, here: PartitionState | None, there: PartitionState, log: Log, now_us: int) -> Pair:
        log = log.append((record.fields for record in self.records), now_us)
        if self.slot.within:
            after = evolve(here, log=log) if here is not None else None
            return after, after
        return here, evolve(there, log=log)
