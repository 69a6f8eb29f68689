"""Order per key inside a consumer, for one partition.

Messages of a key form a chain in the order of the log; only its head may start. Everything is counted in ordinals:
the **watermark** ``read`` is the ordinal below which all is settled, and what was settled ahead of it is kept as
ranges. A commit stores both, so that whoever takes the partition over repeats nothing that was finished.

An ordinary message passes through with one link of a chain, one entry in a queue and one in a dictionary; there is no
object per key.
"""

# Message and KeyLanes are one mechanism in two files: the links and states of a message are kept from here.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from segmenter.core.command import Entry
from segmenter.core.continuity import Seen
from segmenter.core.message import DELAYED, HELD, READY, SETTLED, STALE, STARTED, Message
from segmenter.core.partition import Progress
from segmenter.core.ranges import RangeSet
from segmenter.errors import About, ConsumerError, OutOfOrderAck, PartitionLost, StaleDelivery

__all__ = ["LIMIT_RANGES", "KeyLanes"]

LIMIT_RANGES = 1024  # finished ahead of the watermark; at the limit the partition reads no further


class KeyLanes:
    """The messages of one partition under one epoch: what may start, what is settled."""

    def __init__(
        self,
        *,
        stream: str,
        group: str,
        partition: int,
        epoch: int,
        progress: Progress,
        clock: Callable[[], float],
        touched: Callable[[], None],
        consumer: object = None,
    ) -> None:
        self.stream = stream
        self.group = group
        self.partition = partition
        self.epoch = epoch
        self.consumer = consumer  # whoever hands them out, by identity
        self.position = progress.offset  # id of the last entry offered: the place to read on from
        self.version = 0  # rises with every change of the progress
        self.unsettled = 0
        self.unsettled_bytes = 0
        self._clock = clock
        self._touched = touched
        self._closed: Callable[[str], ConsumerError] | None = None
        self._offset = progress.offset
        self._read = progress.read
        self._next = progress.read  # ordinal of the next entry to be offered
        self._ahead = RangeSet(progress.ranges)
        self._inherited = progress.ranges[-1][1] if progress.ranges else 0
        self._attempts = dict(progress.attempts)
        self._ids: deque[bytes] = deque()  # of the ordinals from the watermark on
        self._tails: dict[bytes, Message] = {}  # key -> last unsettled message
        self._fresh: deque[Message] = deque()
        self._ready: list[tuple[int, Message]] = []  # by ordinal
        self._delayed: list[tuple[float, int, Message]] = []  # by due time
        self._started: dict[Message, float] = {}  # -> when it was handed out, oldest first
        self._batch = 0

    # --- what comes in ----------------------------------------------------------------------------------------------

    def offer(self, entries: Sequence[Entry]) -> None:
        """Take in entries that follow those taken in before; what a former owner had finished is passed over."""
        for entry_id, fields in entries:
            ordinal = self._next
            self._next += 1
            self._ids.append(entry_id)
            if ordinal < self._inherited and ordinal in self._ahead:
                continue
            headers = fields[5] if len(fields) > 4 else b""  # noqa: PLR2004 - key, data, then headers
            attempt = self._attempts.get(ordinal, 0) + 1 if self._attempts else 1
            self._enqueue(Message(self, ordinal, entry_id, fields[1], fields[3], headers, attempt))
        if entries:
            self.position = entries[-1][0]
            self._advance()

    def _enqueue(self, message: Message) -> None:
        before = self._tails.get(message.raw_key)
        if before is not None:
            message._before = before
            before._after = message
        self._tails[message.raw_key] = message
        self._fresh.append(message)
        self.unsettled += 1
        self.unsettled_bytes += len(message.data)

    # --- what goes out ----------------------------------------------------------------------------------------------

    def take(self, limit: int, *, whole_batch: bool = False) -> list[Message]:
        """Hand out up to ``limit`` messages that may start.

        With ``whole_batch`` they are settled as one unit, so a key may come several times, in order; otherwise each
        key comes once.
        """
        if self._closed is not None:
            return []
        now = self._clock()
        self._wake(now)
        self._batch += 1
        taken: list[Message] = []
        while len(taken) < limit and (message := self._startable(whole_batch)) is not None:
            message._state = STARTED
            message.batch = self._batch
            self._started[message] = now
            taken.append(message)
            after = message._after
            if whole_batch and after is not None and after._state == HELD:
                self._make_ready(after)
        return taken

    def _wake(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            message = heappop(self._delayed)[2]
            if message._state == DELAYED:
                self._make_ready(message)

    def _make_ready(self, message: Message) -> None:
        message._state = READY
        heappush(self._ready, (message.ordinal, message))

    def _startable(self, whole_batch: bool) -> Message | None:
        """The next message whose key allows it; those that are passed over are reached through their predecessors."""
        while self._ready or self._fresh:
            message = heappop(self._ready)[1] if self._ready else self._fresh.popleft()
            before = message._before
            if before is None or (whole_batch and before._state == STARTED and before.batch == self._batch):
                return message
            message._state = HELD
        return None

    @property
    def due(self) -> float | None:
        """When the next message that was given back may start again, by the clock; ``None`` if none waits."""
        return self._delayed[0][0] if self._delayed and self._closed is None else None

    @property
    def startable(self) -> bool:
        """Whether something is waiting that may be able to start now."""
        return self._closed is None and bool(self._ready or self._fresh)

    @property
    def in_flight(self) -> int:
        """How many messages are handed out and not settled."""
        return len(self._started)

    @property
    def waiting_keys(self) -> list[str]:
        """The keys of the messages that are handed out and not settled."""
        return [message.key for message in self._started]

    @property
    def scattered(self) -> bool:
        """Whether so much was finished out of order that reading on must wait."""
        return len(self._ahead) >= LIMIT_RANGES

    # --- what becomes of it -----------------------------------------------------------------------------------------

    def settle(self, message: Message) -> None:
        """Acknowledge a message (see ``Message.ack``)."""
        if message._state == SETTLED:
            return
        self._check_current(message)
        if message._before is not None:
            raise self._out_of_order(message, message._before)
        message._state = SETTLED
        del self._started[message]
        self._unlink(message)
        self.unsettled -= 1
        self.unsettled_bytes -= len(message.data)
        self._count(message.ordinal)
        self._touched()

    def has_settled(self, message: Message) -> bool:
        """Whether a message was acknowledged."""
        return message._state == SETTLED

    def _unlink(self, message: Message) -> None:
        after = message._after
        if after is None:
            del self._tails[message.raw_key]
            return
        after._before = message._after = None
        if after._state == HELD:
            self._make_ready(after)

    def _count(self, ordinal: int) -> None:
        self.version += 1
        if self._attempts:
            self._attempts.pop(ordinal, None)
        if ordinal == self._read and not self._ahead:
            self._read += 1
            self._offset = self._ids.popleft()
            return
        self._ahead.add(ordinal)
        self._advance()

    def _advance(self) -> None:
        """Raise the watermark over what was finished ahead of it."""
        while self._ids and self._read in self._ahead:
            self._read += 1
            self._offset = self._ids.popleft()
            self.version += 1
        self._ahead.drop_below(self._read)

    def give_back(self, message: Message, delay_s: float) -> None:
        """Take a message back and hand it out again after a while (see ``Message.nack``)."""
        self._check_current(message)
        self._attempts[message.ordinal] = message.attempt
        again = self._again(message, message.attempt + 1)
        if delay_s > 0:
            again._state = DELAYED
            heappush(self._delayed, (self._clock() + delay_s, again.ordinal, again))
        else:
            self._make_ready(again)
        self.version += 1
        self._touched()

    def _again(self, message: Message, attempt: int) -> Message:
        """Put a new delivery in the place of a message, and of the later ones of its key that went with it."""
        message._state = STALE
        del self._started[message]
        again = Message(
            self, message.ordinal, message.entry_id, message.raw_key, message.data, message.raw_headers, attempt
        )
        again._before, again._after = message._before, message._after
        message._before = message._after = None
        if again._before is not None:
            again._before._after = again
        after = again._after
        if after is None:
            self._tails[message.raw_key] = again
            return again
        after._before = again
        if after._state == STARTED:
            self._again(after, after.attempt)._state = HELD
        return again

    def take_back_before(self, handed_out: float) -> list[Message]:
        """Take back what was handed out at or before a time and is not settled; it will be handed out again."""
        late = [message for message, at in self._started.items() if at <= handed_out]
        for message in late:
            if message._state == STARTED:  # not yet taken back behind an earlier one of its key
                self.give_back(message, 0.0)
        return late

    @property
    def oldest_start(self) -> float | None:
        """When the oldest message in flight was handed out."""
        return next(iter(self._started.values()), None)

    # --- the end of a hold ------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Start nothing more; what is in flight may still be settled."""
        self._closed = self._closed or self._stale

    def close(self) -> None:
        """The hold is over: whatever is in flight no longer counts."""
        self._closed = self._lost
        for message in self._started:
            message._state = STALE
        self._started.clear()

    def _check_current(self, message: Message) -> None:
        if message._state != STARTED:
            raise (self._closed or self._stale)(f"message {message.id} of key {message.key!r}")

    def _stale(self, what: str) -> ConsumerError:
        return StaleDelivery(f"{what} was taken back from this delivery and will be handed out again", **self._about)

    def _lost(self, what: str) -> ConsumerError:
        return PartitionLost(
            f"{what}: partition {self.partition} is no longer ours, it goes on elsewhere", **self._about
        )

    def _out_of_order(self, message: Message, before: Message) -> ConsumerError:
        return OutOfOrderAck(
            f"message {message.id} of key {message.key!r} cannot be acknowledged before {before.id}: "
            "settle the messages of a key in their order",
            **self._about,
        )

    @property
    def _about(self) -> About:
        return {"stream": self.stream, "group": self.group, "partition": self.partition, "epoch": self.epoch}

    @property
    def seen(self) -> Seen:
        """How far the log has been read."""
        return Seen(self.position, self._next)

    def progress(self) -> Progress:
        """What to store now."""
        attempts = tuple(sorted(self._attempts.items()))
        return Progress(self._offset, self._read, self._ahead.as_tuple(), attempts)
