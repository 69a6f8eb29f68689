"""What waits to be sent: records, and the promises of what became of them.

Two kinds, since they cost differently. What one call hands over together has one promise for all of it. What many
tasks hand over one by one has one for each, as each may be cancelled by itself; these share a bag, so that a send
costs a future and two places in lists, and nothing else that is made for it alone.
"""

from __future__ import annotations

import asyncio

from segmenter.config import LIMIT_BATCH_BYTES
from segmenter.core.log import Records
from segmenter.errors import SegmenterError
from segmenter.runtime.sent import Place, Sent

__all__ = ["Bag", "Parcel", "Parts", "Waiting"]

NOTHING = Records((), ())

Parts = tuple[bytes, bytes, bytes]  # of a record: key, data, headers


class Parcel:
    """Records that were handed over together; they fit into one batch."""

    __slots__ = ("_promise", "_records")

    def __init__(self, records: Records, promise: asyncio.Future[Place]) -> None:
        self._records = records
        self._promise = promise

    def records(self) -> Records:
        """What is to be sent: nothing that nobody waits for any more."""
        if self._promise.cancelled():
            self._records = NOTHING
        return self._records

    def deliver(self, place: Place) -> None:
        """Tell where the records stand."""
        if not self._promise.done():
            self._promise.set_result(place)

    def fail(self, error: SegmenterError) -> None:
        """Tell that they could not be sent, or that nobody knows."""
        _fail(self._promise, error)


class Bag:
    """Records that were handed over one by one; it is closed when the next one does not fit into the batch."""

    __slots__ = ("_limit", "_parts", "_promises", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit  # of records
        self._size = 0
        self._parts: list[Parts] = []
        self._promises: list[asyncio.Future[Sent]] = []

    def add(self, parts: Parts, promise: asyncio.Future[Sent]) -> bool:
        """Take one more in, and return whether it fitted."""
        size = self._size + len(parts[0]) + len(parts[1]) + len(parts[2])
        if self._parts and (len(self._parts) >= self._limit or size > LIMIT_BATCH_BYTES):
            return False
        self._size = size
        self._parts.append(parts)
        self._promises.append(promise)
        return True

    def records(self) -> Records:
        """What is to be sent: nothing that nobody waits for any more."""
        if any([promise.cancelled() for promise in self._promises]):  # noqa: C419 - a list is faster
            self._leave_out_cancelled()
        if not self._parts:
            return NOTHING
        keys, data, headers = zip(*self._parts, strict=True)
        return Records(keys, data, headers if any(headers) else ())

    def _leave_out_cancelled(self) -> None:
        left = [index for index, promise in enumerate(self._promises) if not promise.cancelled()]
        self._parts = [self._parts[index] for index in left]
        self._promises = [self._promises[index] for index in left]

    def deliver(self, place: Place) -> None:
        """Tell each where it stands."""
        partition, ms, first = place
        for number, promise in enumerate(self._promises, first):
            if not promise.done():
                promise.set_result(Sent(partition, ms, number))

    def fail(self, error: SegmenterError) -> None:
        """Tell each that it could not be sent, or that nobody knows."""
        for promise in self._promises:
            _fail(promise, error)


Waiting = Parcel | Bag


def _fail(promise: asyncio.Future[Sent] | asyncio.Future[Place], error: SegmenterError) -> None:
    if not promise.done():
        promise.set_exception(error)
