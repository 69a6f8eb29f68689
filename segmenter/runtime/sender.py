"""Sending: one append in flight for each partition, and what arrives meanwhile is the next batch.

A batch that has no answer is frozen: it is sent again exactly as it was, and nothing overtakes it, so a retry can
neither double nor reorder. When it is given up its outcome is unknown; the producer goes on under a higher epoch, and
the old batch, should it still be under way, is refused for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from attrs import define

from segmenter.config import LIMIT_BATCH, LIMIT_BATCH_BYTES, StreamOptions
from segmenter.core.command import Gone, PartitionSlot
from segmenter.core.log import Records, parse_position
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
    Unconfirmed,
    UnknownProducer,
)
from segmenter.errors import BackendError, SegmenterError, ServerFull, StreamFull
from segmenter.port import Session
from segmenter.runtime.backoff import Backoff
from segmenter.runtime.failures import (
    as_segmenter_error,
    laid_out_anew,
    not_in_order,
    send_unknown,
    sends_lost,
    stream_full,
    stream_lost,
    too_few_copies,
)
from segmenter.runtime.parcels import Bag, Parcel, Parts, Waiting
from segmenter.runtime.receipts import Receipts
from segmenter.runtime.sent import Place, Sent

__all__ = ["Outbox", "Outboxes"]

LIMIT_RENEWALS = 3  # of the producer epoch for one batch
FORGET_DEADLINES = 10  # send time-outs that a silent producer is remembered for


@define
class Flight:
    """The batch under way: what was asked, and what is known of it."""

    command: Append
    deadline: float
    renewals: int = 0
    doubtful: bool = False  # an attempt got no answer, so it may have been executed
    made_room: bool = False  # memory was full, and what could be trimmed has been


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
        chance: Callable[[], float],
        make_room: Callable[[], asyncio.Future[None]],
    ) -> None:
        self._slot = slot
        self._producer = producer
        self._session = session
        self._options = options
        self._capacity = capacity
        self._layout = layout
        self._make_room = make_room
        self._backoff = Backoff(chance)
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Waiting] = deque()
        self._bag: Bag | None = None  # the last one that waits, if sends may still join it
        self._flying: list[tuple[Waiting, int]] = []  # and of how many records each is
        self._flight: Flight | None = None
        self._epoch = 1
        self._next = 1  # sequence number of the next record
        self._receipts = Receipts()
        self._acknowledged_at = self._loop.time()
        self._scheduled = False

    def send(self, parts: Parts) -> asyncio.Future[Sent]:
        """Hand a record over; the future tells where it stands once it does."""
        promise: asyncio.Future[Sent] = self._loop.create_future()
        if self._bag is None or not self._bag.add(parts, promise):
            self._bag = Bag(self._limit)
            self._bag.add(parts, promise)
            self._wait(self._bag)
        return promise

    def send_many(self, records: Records) -> asyncio.Future[Place]:
        """Hand records over that fit into one batch; the future tells where the first of them stands once it does."""
        promise: asyncio.Future[Place] = self._loop.create_future()
        self._bag = None  # what is sent after them goes behind them
        self._wait(Parcel(records, promise))
        return promise

    def _wait(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        if not self._scheduled and self._flight is None:
            self._scheduled = True
            self._loop.call_soon(self._flush)  # so that the sends of one turn of the loop make one batch

    @property
    def _limit(self) -> int:
        return min(LIMIT_BATCH, self._capacity())

    def close(self, error: SegmenterError) -> None:
        """Give up what has not been sent, and say that what is in flight is unknown."""
        self._fail_all(error)

    # --- a batch ----------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._scheduled = False
        if self._flight is not None:
            return
        records = self._next_batch()
        if records:
            self._flight = Flight(self._append(records), self._loop.time() + self._options.send_timeout_s)
            self._send()

    def _next_batch(self) -> Records:
        """What waits, as a whole and up to the limits, but for what nobody waits for any more."""
        batch: list[Records] = []
        count, size, limit = 0, 0, self._limit
        while self._waiting:
            records = self._waiting[0].records()
            count, size = count + len(records), size + records.size
            if batch and (count > limit or size > LIMIT_BATCH_BYTES):
                break
            batch.append(records)
            self._flying.append((self._waiting.popleft(), len(records)))
        if not self._waiting:
            self._bag = None
        return Records.joined(batch)

    def _append(self, records: Records) -> Append:
        return Append(
            slot=self._slot,
            producer=self._producer,
            epoch=self._epoch,
            first=self._next,
            records=records,
            capacity=self._capacity(),
            layout=self._layout,
            overflow="drop_oldest" if self._options.on_full == "drop_oldest" else "refuse",
            forget_ms=int(self._remembered_s * 1000),
            durability=self._options.durability,
        )

    def _send(self) -> None:
        if self._flight is not None:
            self._session.execute(self._flight.command).add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[AppendReply]) -> None:
        if future.cancelled() or self._flight is None:
            return
        error = future.exception()
        if error is None:
            self._settle(self._flight, future.result())
        elif isinstance(error, ServerFull):
            self._server_full(self._flight, error)
        elif isinstance(error, BackendError):
            self._unanswered(self._flight, error)
        else:
            self._give_up(as_segmenter_error(error))

    def _settle(self, flight: Flight, reply: AppendReply) -> None:
        match reply:
            case Appended(first) | Duplicate(first):
                self._deliver(flight.command, first)
            case Unconfirmed():
                flight.doubtful = True  # it stands in the log, and may not survive
                self._again(flight, too_few_copies(self._slot, self._options.durability, reply))
            case Full():
                self._full(flight, reply)
            case OutOfSequence(last):
                self._lost(flight, last)
            case UnknownProducer():
                self._lost(flight, self._next - 1 if self._forgotten else 0)
            case Superseded(epoch):
                self._renew(flight, epoch)
            case Gone():
                self._give_up(stream_lost(self._slot))
            case Moved() | Sealed():
                self._give_up(laid_out_anew(self._slot))

    def _deliver(self, command: Append, first_id: bytes) -> None:
        self._receipts.add(command.first, len(command.records), first_id)
        self._next += len(command.records)
        self._acknowledged_at = self._loop.time()
        self._backoff.reset()
        ms, first = parse_position(first_id)
        for flown, count in self._flying:
            flown.deliver((self._slot.partition, ms, first))
            first += count
        self._finish()

    def _finish(self) -> None:
        self._flying = []
        self._flight = None
        self._flush()

    # --- no answer, and no room -------------------------------------------------------------------------------------

    def _again(self, flight: Flight, otherwise: SegmenterError) -> None:
        """Send the frozen batch again, unless its time is over."""
        after_s = self._backoff.next_s()
        if self._loop.time() + after_s < flight.deadline:
            self._loop.call_later(after_s, self._send)
        else:
            self._give_up(otherwise)

    def _unanswered(self, flight: Flight, error: BackendError) -> None:
        flight.doubtful = flight.doubtful or not error.refused
        if error.retriable:
            self._again(flight, error)
        else:
            self._give_up(error)

    def _full(self, flight: Flight, reply: Full) -> None:
        error = stream_full(self._slot, flight.command.capacity, reply)
        if self._options.on_full == "wait":
            self._again(flight, error)
        else:
            self._give_up(error)

    def _server_full(self, flight: Flight, error: ServerFull) -> None:
        """Have everything trimmed that may be; who does not wait for room is told when that was not enough."""
        if flight.made_room and self._options.on_full != "wait":
            self._give_up(error)
            return
        flight.made_room = True
        self._make_room().add_done_callback(lambda _: self._unanswered(flight, error))

    def _give_up(self, error: SegmenterError) -> None:
        if self._flight is not None and self._flight.doubtful:
            self._begin_epoch(self._epoch + 1)  # should it come late, it must not be taken for the next one
            if isinstance(error, BackendError | StreamFull):  # true of the last attempt, and not of all
                error = send_unknown(self._slot, self._options.send_timeout_s, error)
        for flown, _ in self._flying:
            flown.fail(error)
        self._finish()

    # --- the sequence -----------------------------------------------------------------------------------------------

    def _lost(self, flight: Flight, last: int) -> None:
        """The partition knows numbers up to ``last`` only: what was acknowledged above it is lost."""
        count = self._next - 1 - last
        if count <= 0:
            self._renew(flight, self._epoch)
            return
        error = sends_lost(self._slot, count, self._receipts.above(last))
        self._begin_epoch(self._epoch + 1)
        self._fail_all(error)

    def _renew(self, flight: Flight, epoch: int) -> None:
        """Go on above an epoch of the producer: nothing of this batch was appended under it."""
        self._begin_epoch(epoch + 1)
        flight.renewals += 1
        if flight.renewals > LIMIT_RENEWALS:
            self._give_up(not_in_order(self._slot))
        else:
            flight.command = self._append(flight.command.records)
            self._send()

    def _begin_epoch(self, epoch: int) -> None:
        self._epoch, self._next = epoch, 1
        self._receipts.clear()

    @property
    def _remembered_s(self) -> float:
        return FORGET_DEADLINES * self._options.send_timeout_s

    @property
    def _forgotten(self) -> bool:
        """Whether the partition may have forgotten this producer since it was silent for so long."""
        return self._loop.time() - self._acknowledged_at >= self._remembered_s

    def _fail_all(self, error: SegmenterError) -> None:
        failed = [*(flown for flown, _ in self._flying), *self._waiting]
        self._waiting.clear()
        self._bag = None
        self._flying = []
        self._flight = None
        for each in failed:
            each.fail(error)


class Outboxes(dict[int, Outbox]):
    """The way into each partition, made when it is first taken: looking one up is all that a send pays for it."""

    def __init__(self, make: Callable[[int], Outbox]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, partition: int) -> Outbox:
        outbox = self[partition] = self._make(partition)
        return outbox
