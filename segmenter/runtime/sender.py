"""Sending: one append in flight for each partition, and what arrives meanwhile is the next batch.

A batch that has no answer is frozen: it is sent again exactly as it was, and nothing overtakes it, so a retry can
neither double nor reorder. When it is given up its outcome is unknown; the producer goes on under a higher epoch, and
the old batch, should it still be under way, is refused for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from attrs import define, frozen

from segmenter.config import LIMIT_BATCH, LIMIT_BATCH_BYTES, StreamOptions
from segmenter.core.command import Gone, PartitionSlot
from segmenter.core.log import Record, format_position, parse_position
from segmenter.core.retention import (
    Append,
    Appended,
    AppendReply,
    Duplicate,
    Full,
    Moved,
    OutOfSequence,
    Sealed,
    Superseded,
    UnknownProducer,
)
from segmenter.errors import About, BackendError, SegmenterError, SendError, SendUnknown, StreamFull
from segmenter.port import Session
from segmenter.runtime.failures import as_segmenter_error, stream_lost

__all__ = ["Outbox", "Sent"]

RETRY_S = 0.1
WAIT_FOR_ROOM_S = 0.05
LIMIT_RENEWALS = 3  # of the producer epoch for one batch


@frozen
class Sent:
    """A message stands in the stream, for good as far as the server keeps what it acknowledges."""

    partition: int
    id: str


@define
class Parcel:
    """Records that were handed over together, and the promise of what became of them."""

    records: Sequence[Record]
    done: asyncio.Future[list[Sent]]


class Outbox:
    """The way into one partition."""

    def __init__(
        self,
        slot: PartitionSlot,
        producer: str,
        session: Session,
        options: StreamOptions,
        *,
        capacity: Callable[[], int],
        layout: int,
    ) -> None:
        self._slot = slot
        self._producer = producer
        self._session = session
        self._options = options
        self._capacity = capacity
        self._layout = layout
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Parcel] = deque()
        self._flying: list[Parcel] = []
        self._command: Append | None = None  # in flight or frozen
        self._deadline = 0.0
        self._renewals = 0
        self._epoch = 1
        self._next = 1  # sequence number of the next record
        self._scheduled = False

    def add(self, records: Sequence[Record]) -> asyncio.Future[list[Sent]]:
        """Hand records over; the future tells where they stand once they do."""
        parcel = Parcel(records, self._loop.create_future())
        self._waiting.append(parcel)
        if not self._scheduled and self._command is None:
            self._scheduled = True
            self._loop.call_soon(self._flush)  # so that the sends of one turn of the loop make one batch
        return parcel.done

    def close(self, error: SegmenterError) -> None:
        """Give up what has not been sent, and say that what is in flight is unknown."""
        waiting, self._waiting = self._waiting, deque()
        for parcel in (*self._flying, *waiting):
            _fail(parcel, error)
        self._flying = []

    # --- a batch ----------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._scheduled = False
        if self._command is not None:
            return
        records = self._next_batch()
        if records:
            self._deadline = self._loop.time() + self._options.send_timeout_s
            self._renewals = 0
            self._dispatch(records)

    def _next_batch(self) -> list[Record]:
        """Whole parcels up to the limits; a parcel that nobody waits for any more is left out."""
        records: list[Record] = []
        size = 0
        limit = min(LIMIT_BATCH, self._capacity())
        while self._waiting:
            parcel = self._waiting[0]
            if parcel.done.cancelled():
                self._waiting.popleft()
                continue
            size += sum(len(record.data) + len(record.key) for record in parcel.records)
            if records and (len(records) + len(parcel.records) > limit or size > LIMIT_BATCH_BYTES):
                break
            records += parcel.records
            self._flying.append(self._waiting.popleft())
        return records

    def _dispatch(self, records: Sequence[Record]) -> None:
        self._command = Append(
            slot=self._slot,
            producer=self._producer,
            epoch=self._epoch,
            first=self._next,
            records=tuple(records),
            capacity=self._capacity(),
            layout=self._layout,
            overflow="drop_oldest" if self._options.on_full == "drop_oldest" else "refuse",
            forget_ms=int(self._options.send_timeout_s * 10_000),
        )
        self._send()

    def _send(self) -> None:
        if self._command is not None:
            self._session.execute(self._command).add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[AppendReply]) -> None:
        if future.cancelled() or self._command is None:
            return
        error = future.exception()
        if error is None:
            self._settle(self._command, future.result())
        elif isinstance(error, BackendError) and error.retriable:
            self._again(self._command, RETRY_S, lambda: self._unknown(error))
        else:
            self._give_up(as_segmenter_error(error))

    def _settle(self, command: Append, reply: AppendReply) -> None:
        match reply:
            case Appended(first) | Duplicate(first):
                self._next += len(command.records)
                self._deliver(first)
            case Full():
                self._full(command, reply)
            case OutOfSequence() | UnknownProducer():
                self._renew(command, self._epoch)
            case Superseded(epoch):
                self._renew(command, epoch)
            case Gone():
                self._give_up(stream_lost(self._slot))
            case Moved() | Sealed():
                self._give_up(SendError(f"{self._where} was laid out anew: open the stream again", **self._about))

    def _deliver(self, first: bytes) -> None:
        ms, seq = parse_position(first)
        for parcel in self._flying:
            ids = [format_position((ms, seq + n)).decode() for n in range(len(parcel.records))]
            seq += len(ids)
            if not parcel.done.done():
                parcel.done.set_result([Sent(self._slot.partition, entry_id) for entry_id in ids])
        self._finish()

    def _finish(self) -> None:
        self._flying = []
        self._command = None
        self._flush()

    # --- what may go wrong ------------------------------------------------------------------------------------------

    def _again(self, command: Append, after_s: float, otherwise: Callable[[], None]) -> None:
        """Send the frozen batch again, unless its time is over."""
        if self._loop.time() + after_s < self._deadline:
            self._loop.call_later(after_s, self._send)
        else:
            otherwise()

    def _renew(self, command: Append, epoch: int) -> None:
        """Go on as a new epoch of the producer: nothing of this batch was appended under the old one."""
        self._epoch, self._next = epoch + 1, 1
        self._renewals += 1
        if self._renewals > LIMIT_RENEWALS:
            self._give_up(SendUnknown(f"{self._where} keeps refusing this producer's sequence", **self._about))
        else:
            self._dispatch(command.records)

    def _full(self, command: Append, reply: Full) -> None:
        def refuse() -> None:
            self._give_up(self._stream_full(command, reply))

        if self._options.on_full == "wait":
            self._again(command, WAIT_FOR_ROOM_S, refuse)
        else:
            refuse()

    def _stream_full(self, command: Append, reply: Full) -> StreamFull:
        blame = (
            f"group {reply.group!r} has yet to settle {reply.lag} messages: let it catch up, add consumers, "
            "raise partition_size, or remove the group"
            if reply.group is not None
            else "no group is registered yet: register its consumers first, or raise partition_size"
        )
        return StreamFull(
            f"{self._where} is full at {command.capacity} messages; {blame}",
            stream=self._slot.stream,
            partition=self._slot.partition,
            slowest=reply.group,
            lag=reply.lag,
        )

    def _unknown(self, cause: BaseException) -> None:
        self._epoch, self._next = self._epoch + 1, 1
        error = SendUnknown(
            f"{self._where} gave no answer within {self._options.send_timeout_s:g} s: "
            "the messages may or may not be in the stream",
            **self._about,
        )
        error.__cause__ = cause
        self._give_up(error)

    def _give_up(self, error: SegmenterError) -> None:
        for parcel in self._flying:
            _fail(parcel, error)
        self._finish()

    @property
    def _where(self) -> str:
        return f"partition {self._slot.partition} of {self._slot.stream!r}"

    @property
    def _about(self) -> About:
        return {"stream": self._slot.stream, "partition": self._slot.partition}


def _fail(parcel: Parcel, error: SegmenterError) -> None:
    if not parcel.done.done():
        parcel.done.set_exception(error)
