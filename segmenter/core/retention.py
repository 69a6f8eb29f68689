"""The law of appending and trimming: what may enter a full partition, and what may leave it.

Nothing that a registered group has yet to settle is trimmed, however long that group is silent; a group counts until
it is removed. So a full partition pushes back on its producers and says whom it waits for, unless the producer chose
to lose the oldest messages.
"""

from __future__ import annotations

from typing import Literal

from attrs import evolve, field, frozen

from segmenter.config import Durability
from segmenter.core.command import Command, Gone, PartitionSlot
from segmenter.core.log import Log, Producer, Records, forget_producers, format_position, in_columns
from segmenter.core.partition import PartitionState

__all__ = [
    "Append",
    "AppendReply",
    "Appended",
    "Duplicate",
    "Full",
    "Moved",
    "OutOfSequence",
    "Overflow",
    "Sealed",
    "Superseded",
    "Trim",
    "Trimmed",
    "Unconfirmed",
    "UnknownProducer",
    "full",
    "with_room",
]

Overflow = Literal["refuse", "drop_oldest"]


@frozen
class Appended:
    """The batch stands in the log, from ``first`` to ``last``, contiguous."""

    first: bytes
    last: bytes


@frozen
class Duplicate:
    """The very same batch stood there already, at these ids."""

    first: bytes
    last: bytes


@frozen
class Moved:
    """The stream has been laid out anew: read its configuration again."""

    layout: int


@frozen
class Sealed:
    """Nothing more is appended here; ``layout`` took over."""

    layout: int


@frozen
class Superseded:
    """The producer has gone on with a higher epoch; this one is refused for ever."""

    epoch: int


@frozen
class UnknownProducer:
    """The partition remembers nothing of a producer that speaks as if it did."""


@frozen
class OutOfSequence:
    """The batch does not continue the sequence, whose last number is ``last``."""

    last: int


@frozen
class Full:
    """No room, and nothing may be trimmed: ``group`` has ``lag`` messages to settle (``None``: no group yet)."""

    group: str | None
    lag: int


@frozen
class Unconfirmed:
    """The batch stands in the log, and has not reached as far as its durability asks in the time there was."""

    replicas: int  # that have it
    disk: bool  # whether the server has written it to its own


AppendReply = (
    Unconfirmed | Appended | Duplicate | Moved | Sealed | Superseded | UnknownProducer | OutOfSequence | Full | Gone
)


def slowest_group(state: PartitionState) -> tuple[str, int] | None:
    """Return the group that has settled least and the ordinal up to which it has; ties go by name."""
    behind = [(lane.progress.read, group) for group, lane in state.lanes.items()]
    if not behind:
        return None
    read, group = min(behind)
    return group, read


def trimmable(state: PartitionState) -> int:
    """How many of the oldest entries every registered group has settled; none while there is no group."""
    slowest = slowest_group(state)
    return max(0, slowest[1] - state.log.first_ordinal) if slowest else 0


def with_room(state: PartitionState, count: int, capacity: int, overflow: Overflow) -> Log | None:
    """Return the log with room for a batch, trimmed only when the limit is met; ``None`` if there is no room."""
    log = state.log
    excess = len(log.entries) + count - capacity
    if excess <= 0:
        return log
    free = trimmable(state)
    if excess <= free:
        return log.without_first(free)
    return log.without_first(excess) if overflow == "drop_oldest" else None


def full(state: PartitionState) -> Full:
    """Return whom a partition without room waits for."""
    slowest = slowest_group(state)
    if slowest is None:
        return Full(None, len(state.log.entries))
    group, read = slowest
    return Full(group, state.log.added - read)


@frozen
class Append(Command[PartitionState, AppendReply]):
    """Add a batch of records at the end of the log, once."""

    slot: PartitionSlot
    producer: str
    epoch: int
    first: int  # sequence number of the first record, from 1
    records: Records = field(converter=in_columns)
    capacity: int  # entries the partition keeps
    layout: int = 0
    overflow: Overflow = "refuse"
    forget_ms: int = 600_000  # how long a silent producer is remembered when there are many
    durability: Durability | None = None  # what the backend waits for; a store without disk and replicas: nothing

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, AppendReply]:
        if state is None:
            return None, Gone()
        known = state.producers.get(self.producer)
        refusal = self._repeated(known) or self._closed(state) or self._out_of_turn(known)
        if refusal is not None:
            return state, refusal
        log = with_room(state, len(self.records), self.capacity, self.overflow)
        if log is None:
            return state, full(state)
        return self._appended(state, log, now_us)

    def _repeated(self, known: Producer | None) -> AppendReply | None:
        if known and (known.epoch, known.first, known.count) == (self.epoch, self.first, len(self.records)):
            return Duplicate(known.first_id, known.last_id)
        return None

    def _closed(self, state: PartitionState) -> AppendReply | None:
        if state.layout != self.layout:
            return Moved(state.layout)
        return Sealed(state.sealed) if state.sealed is not None else None

    def _out_of_turn(self, known: Producer | None) -> AppendReply | None:
        if known is None:
            return None if self.first == 1 else UnknownProducer()
        if self.epoch < known.epoch:
            return Superseded(known.epoch)
        last = known.last if self.epoch == known.epoch else 0
        return None if self.first == last + 1 else OutOfSequence(last)

    def _appended(self, state: PartitionState, log: Log, now_us: int) -> tuple[PartitionState, Appended]:
        size = len(self.records)
        log = log.append((record.fields for record in self.records), now_us)
        first = format_position((log.last[0], log.last[1] - size + 1))
        last = format_position(log.last)
        now_ms = now_us // 1000
        entry = Producer(self.epoch, self.first, size, first, last, now_ms)
        producers = forget_producers({**state.producers, self.producer: entry}, now_ms - self.forget_ms)
        return evolve(state, log=log, producers=producers), Appended(first, last)


@frozen
class Trimmed:
    """So many entries were dropped."""

    count: int


@frozen
class Trim(Command[PartitionState, Trimmed | Gone]):
    """Drop what every registered group has settled, keeping at least ``keep`` entries."""

    slot: PartitionSlot
    keep: int = 0

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Trimmed | Gone]:
        if state is None:
            return None, Gone()
        count = max(0, min(trimmable(state), len(state.log.entries) - self.keep))
        return evolve(state, log=state.log.without_first(count)), Trimmed(count)
