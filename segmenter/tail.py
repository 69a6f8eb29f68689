"""Looking at a stream's messages without being a consumer: no group, no progress, no effect on the server.

First what is there comes in the order of its ids, over all partitions; then what follows, as it comes in.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import datetime

from attrs import define, field, frozen

from segmenter.config import LIMIT_BATCH
from segmenter.core.command import Cursor, Entry, Gone, PartitionSlot, Read
from segmenter.core.entries import headers_of, in_ordinary_form, parts_of, time_of
from segmenter.core.log import START, Position, format_position, parse_position
from segmenter.core.survey import PartitionSurveyed, SurveyPartition
from segmenter.port import Session
from segmenter.runtime.failures import stream_lost

__all__ = ["LoggedMessage", "tail"]

_log = logging.getLogger("segmenter.tail")

WAIT_S = 1.0  # for something to come in, before looking whether the stream is still there


@frozen
class LoggedMessage:
    """A message as it stands in a partition's log; who looks at it does not settle it."""

    stream: str
    partition: int
    id: str
    raw_key: bytes
    data: bytes
    raw_headers: bytes = b""

    @property
    def key(self) -> str:
        """The partition key; bytes that are no UTF-8 come as surrogates, as in file names."""
        return self.raw_key.decode("utf-8", "surrogateescape")

    @property
    def headers(self) -> dict[str, str]:
        """The headers that it was sent with.

        Raises:
            Corrupt: another program has written them, and not as a JSON object of texts.
        """
        return headers_of(self.raw_headers, self.id.encode(), partition=self.partition, stream=self.stream)

    @property
    def timestamp(self) -> datetime:
        """When the server took it in, by the server's clock."""
        return time_of(self.id.encode())


@define
class _Place:
    """How far a partition has been read."""

    slot: PartitionSlot
    after: bytes
    end: Position  # of what was there at the beginning
    buffered: deque[Entry] = field(factory=deque[Entry])

    @property
    def behind(self) -> bool:
        """Whether there is more of what was there at the beginning."""
        return parse_position(self.after) < self.end

    def take_in(self, entries: Sequence[Entry]) -> None:
        """Go on after these entries; those that are no messages are skipped with a warning."""
        for entry_id, fields in entries:
            ordinary = in_ordinary_form(fields)
            if isinstance(ordinary, str):
                words = "entry skipped stream=%s partition=%d id=%s: it is no message: %s"
                _log.warning(words, self.slot.stream, self.slot.partition, entry_id.decode(), ordinary)
            else:
                self.buffered.append((entry_id, ordinary))
        self.after = entries[-1][0] if entries else format_position(self.end)  # trimmed meanwhile: nothing is left


async def tail(
    session: Session, stream: str, partitions: Iterable[int], start: bytes, *, follow: bool
) -> AsyncGenerator[LoggedMessage, None]:
    """Yield the messages of some partitions, over a session of one's own.

    Entries that are no messages are skipped, each with a warning of the logger ``segmenter.tail``.

    Args:
        session: nothing else may read through it.
        stream: its name.
        partitions: their numbers.
        start: ``earliest``, ``latest``, or an id: what comes after it is read.
        follow: go on with what comes in, for ever.

    Raises:
        StreamLost: a partition is gone.
    """
    places = [await _place(session, PartitionSlot(stream, number), start) for number in partitions]
    async for message in _present(session, places):
        yield message
    while follow:
        found = await session.read(Read(_cursors(places), LIMIT_BATCH, WAIT_S))
        for place in places:
            if place.slot in found:
                place.take_in(found[place.slot])
        if not found:
            await asyncio.gather(*(_look(session, place.slot) for place in places))
        waiting = [(place.slot, entry) for place in places for entry in place.buffered]
        for slot, entry in sorted(waiting, key=lambda pair: parse_position(pair[1][0])):
            yield _message(slot, entry)
        for place in places:
            place.buffered.clear()


async def _present(session: Session, places: Sequence[_Place]) -> AsyncGenerator[LoggedMessage, None]:
    """What is there, merged by id."""
    while True:
        hungry = [place for place in places if place.behind and not place.buffered]
        if hungry:
            found = await session.read(Read(_cursors(hungry), LIMIT_BATCH, 0.0))
            for place in hungry:
                place.take_in(found.get(place.slot, ()))
            continue
        full = [(parse_position(place.buffered[0][0]), n) for n, place in enumerate(places) if place.buffered]
        if not full:
            return
        heapq.heapify(full)
        while full:
            _, number = heapq.heappop(full)
            place = places[number]
            yield _message(place.slot, place.buffered.popleft())
            if place.buffered:
                heapq.heappush(full, (parse_position(place.buffered[0][0]), number))
            elif place.behind:
                break


async def _place(session: Session, slot: PartitionSlot, start: bytes) -> _Place:
    surveyed = await _look(session, slot)
    if start == b"latest":
        start = surveyed.end
    return _Place(slot, START if start == b"earliest" else start, parse_position(surveyed.end))


async def _look(session: Session, slot: PartitionSlot) -> PartitionSurveyed:
    surveyed = await session.execute(SurveyPartition(slot))
    if isinstance(surveyed, Gone):
        raise stream_lost(slot)
    return surveyed


def _cursors(places: Iterable[_Place]) -> tuple[Cursor, ...]:
    return tuple(Cursor(place.slot, place.after) for place in places)


def _message(slot: PartitionSlot, entry: Entry) -> LoggedMessage:
    return LoggedMessage(slot.stream, slot.partition, entry[0].decode(), *parts_of(entry[1]))
