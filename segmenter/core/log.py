"""The log of a partition and the law of appending to it.

Three ideas stand here. A **position** is an entry's id, two 64-bit integers that are compared as such. An **ordinal**
counts the entries ever added before one, so that progress can be kept as ranges of small integers (120,000 finished
messages are 5 kB as ranges and 2.3 MB as ids). A **producer** numbers its records within an epoch, so that a repeated
append is recognised and a lost one is noticed (the scheme of Kafka's idempotent producer, KIP-98).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, repeat

from attrs import evolve, frozen

from segmenter.core.command import Entry

__all__ = [
    "LIMIT_PRODUCERS",
    "START",
    "Log",
    "Position",
    "Producer",
    "Record",
    "Records",
    "forget_producers",
    "format_position",
    "in_columns",
    "parse_position",
]

Position = tuple[int, int]

START = b"0-0"  # before the first entry of any log
LIMIT_PRODUCERS = 1024  # beyond it, producers that have been silent for long are forgotten


def parse_position(entry_id: bytes) -> Position:
    """Return the two integers of an id such as ``b"1700000000000-3"``."""
    ms, _, seq = entry_id.partition(b"-")
    return int(ms), int(seq or 0)


def format_position(position: Position) -> bytes:
    """Return the id of a position, as the server writes it."""
    return b"%d-%d" % position


def _position_of(entry: Entry) -> Position:
    return parse_position(entry[0])


@frozen
class Record:
    """A message before it has an id: what a producer hands over."""

    key: bytes
    data: bytes
    headers: bytes = b""  # encoded; empty if the message has none

    @property
    def fields(self) -> Sequence[bytes]:
        """The record as the flat fields of a log entry; headers take no room where there are none."""
        if self.headers:
            return (b"k", self.key, b"d", self.data, b"h", self.headers)
        return (b"k", self.key, b"d", self.data)


@frozen
class Records(Collection[Record]):
    """Records of one batch, in columns.

    An object for each record would cost its making and, the dearer part, the garbage collector's looking at it: with
    one, sending many took half as much time again. So there is one only where somebody iterates.
    """

    keys: tuple[bytes, ...]
    data: tuple[bytes, ...]
    headers: tuple[bytes, ...] = ()  # empty if no record has any

    @classmethod
    def joined(cls, batches: Sequence[Records]) -> Records:
        """Return the records of several batches, one after the other."""
        if len(batches) == 1:
            return batches[0]
        headers: Iterable[bytes] = ()
        if any([batch.headers for batch in batches]):  # noqa: C419 - a list is faster
            headers = chain.from_iterable(batch.headers or (b"",) * len(batch) for batch in batches)
        keys, data = ([batch.keys for batch in batches], [batch.data for batch in batches])
        return cls(tuple(chain.from_iterable(keys)), tuple(chain.from_iterable(data)), tuple(headers))

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Record]:
        return map(Record, self.keys, self.data, self.headers or repeat(b""))

    def __contains__(self, record: object) -> bool:
        return any(record == each for each in self)

    def between(self, first: int, end: int) -> Records:
        """Return the records from ``first`` up to, not including, ``end``."""
        return Records(self.keys[first:end], self.data[first:end], self.headers[first:end])

    @property
    def size(self) -> int:
        """The bytes that they take in a batch."""
        return sum(map(len, self.keys)) + sum(map(len, self.data)) + sum(map(len, self.headers))


def in_columns(records: Iterable[Record]) -> Records:
    """Return records in columns, if they are not already."""
    if isinstance(records, Records):
        return records
    items = tuple(records)
    headers = tuple([record.headers for record in items])
    keys, data = tuple([record.key for record in items]), tuple([record.data for record in items])
    return Records(keys, data, headers if any(headers) else ())


@frozen
class Log:
    """Entries in the order of their ids, trimmed from the front only."""

    entries: tuple[Entry, ...] = ()
    added: int = 0  # entries ever added, trimmed ones included
    last: Position = (0, 0)

    @property
    def first_ordinal(self) -> int:
        """How many entries were trimmed: the ordinal of the oldest that is left."""
        return self.added - len(self.entries)

    def append(self, batch: Iterable[Sequence[bytes]], now_us: int) -> Log:
        """Add a batch under one millisecond, so that it is contiguous; ids rise even if the clock goes back."""
        ms = max(now_us // 1000, self.last[0])
        seq = self.last[1] + 1 if ms == self.last[0] else 0
        new = tuple((format_position((ms, seq + n)), tuple(fields)) for n, fields in enumerate(batch))
        return Log(self.entries + new, self.added + len(new), (ms, seq + len(new) - 1))

    def index_after(self, entry_id: bytes) -> int:
        """Return how many of the entries present have an id of at most ``entry_id``."""
        return bisect_right(self.entries, parse_position(entry_id), key=_position_of)

    def after(self, entry_id: bytes, count: int) -> Sequence[Entry]:
        """Return up to ``count`` entries with an id greater than ``entry_id``."""
        index = self.index_after(entry_id)
        return self.entries[index : index + count]

    def without_first(self, count: int) -> Log:
        """Drop the ``count`` oldest entries."""
        return evolve(self, entries=self.entries[count:]) if count > 0 else self


@frozen
class Producer:
    """What a partition remembers of a producer: its epoch and its last batch."""

    epoch: int
    first: int  # sequence number of the first record of the last batch
    count: int
    first_id: bytes
    last_id: bytes
    seen_ms: int  # server time of the last batch

    @property
    def last(self) -> int:
        """The sequence number of the last record appended."""
        return self.first + self.count - 1


def forget_producers(producers: dict[str, Producer], before_ms: int) -> dict[str, Producer]:
    """Drop producers silent since ``before_ms``, once there are more than ``LIMIT_PRODUCERS``."""
    if len(producers) <= LIMIT_PRODUCERS:
        return producers
    return {name: producer for name, producer in producers.items() if producer.seen_ms >= before_ms}
