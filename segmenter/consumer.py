"""A consumer, as its user holds it."""

# A consumer is started by a function of this module.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import Self

from segmenter.cancellation import all_ended
from segmenter.config import (
    LIMIT_PARTITIONS,
    ConsumerOptions,
    Duration,
    Start,
    check_group,
    check_stream,
    seconds,
    start_of,
)
from segmenter.core.command import GroupSlot
from segmenter.core.message import Message
from segmenter.errors import About, ConsumerDead, ForeignMessage, InvalidArgument
from segmenter.runtime.home import Home
from segmenter.runtime.hooks import Hooks
from segmenter.runtime.pump import Pump

__all__ = ["Consumer", "Registration", "started"]


# What ends a block from outside of the code in it: no attempt of what is in hand.
_ASKED_TO_END = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


class Consumer:
    """A member of a group, pulling messages of the partitions that it owns. Get one from ``register_consumer``.

    Iterate over it, or call ``read``; settle each message with ``message.ack()``. Iteration hands out one message of
    a key at a time: while a message is not settled, the later ones of its key wait.
    """

    def __init__(self, pump: Pump, options: ConsumerOptions, slot: GroupSlot) -> None:
        self._pump = pump
        self._options = options
        self._slot = slot
        self._home = Home("consumer of", f"{slot.stream}/{slot.group}")
        self._running = asyncio.get_running_loop().create_task(pump.run())
        self._closed = False

    def __repr__(self) -> str:
        return f"<Consumer {self.id} of {self._slot.group!r} on {self._slot.stream!r}: partitions {self.partitions}>"

    @property
    def id(self) -> str:
        """The id under which it is a member at present; a consumer that was out comes back under another."""
        return self._pump.member

    @property
    def partitions(self) -> list[int]:
        """The partitions it owns at present."""
        return self._pump.partitions

    # --- reading ----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        """The next message that may start; waits for one. Ends when the consumer is shut down."""
        while True:
            message = self._pump.delivery.next()
            if message is not None:
                return message
            if self._closed:
                raise StopAsyncIteration
            self._check()
            await self._pump.delivery.available(None)

    async def read(self, timeout: Duration | None = None) -> list[Message]:  # noqa: ASYNC109 - waiting is its purpose
        """Return a batch of up to ``batch_size`` messages, to be settled as a unit.

        A batch may hold several messages of a key, in order; no later batch holds a key with something unsettled.

        Args:
            timeout: how long to wait for the first message; ``None`` waits for ever. An empty list means that none
                came.

        Raises:
            ConsumerDead: the consumer was shut down, or stopped; the reason is its cause.
        """
        return await self._batch(None if timeout is None else seconds(timeout), one_partition=False)

    async def batches(self) -> AsyncIterator[list[Message]]:
        """Iterate over batches of one partition each."""
        while not self._closed:
            batch = await self._batch(1.0, one_partition=True)
            if batch:
                yield batch

    async def _batch(self, timeout_s: float | None, *, one_partition: bool) -> list[Message]:
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while True:
            self._check()
            taken = self._pump.delivery.take(self._options.batch_size, one_partition=one_partition)
            left = None if deadline is None else deadline - loop.time()
            if taken or (left is not None and left <= 0):
                return taken
            await self._pump.delivery.available(left)

    # --- settling ---------------------------------------------------------------------------------------------------

    async def ack(self, *messages: Message) -> None:
        """Settle messages, in the order given, and return when that is stored.

        Raises:
            OutOfOrderAck: an earlier message of one of the keys is not settled.
            StaleDelivery: one of them was taken back.
            PartitionLost: the partition of one belongs to somebody else; it will be delivered there.
        """
        self._home.check()
        self._check_mine(messages)
        for message in messages:
            message.ack()
        await self._durable({message.partition for message in messages})

    async def nack(self, *messages: Message, delay: Duration = 0.0) -> None:
        """Give messages back: they are handed out again after ``delay``, the later ones of their keys behind them."""
        self._check_mine(messages)
        for message in messages:
            message.nack(seconds(delay))

    async def commit(self) -> None:
        """Return when everything settled so far is stored.

        Raises:
            PartitionLost: a partition was lost before.
            ConsumerDead: the consumer has stopped.
        """
        self._check()
        await self._durable(set(self._pump.partitions))

    async def _durable(self, partitions: set[int]) -> None:
        with self._pump.delivery.waiting():
            await self._pump.durable(partitions)

    # --- moving about -----------------------------------------------------------------------------------------------

    def pause(self, *partitions: int) -> None:
        """Hand out nothing more of these partitions, or of all, until ``resume``; they stay owned."""
        self._pump.delivery.pause(self._all_or(partitions))

    def resume(self, *partitions: int) -> None:
        """Undo ``pause``."""
        self._pump.delivery.resume(self._all_or(partitions))

    async def seek(self, partition: int, to: Start) -> None:
        """Move the group to another place in a partition that this consumer owns, and return when it is there.

        What is handed out of it and not settled is taken back, and the epoch rises.

        Args:
            partition: its number.
            to: ``"earliest"``, ``"latest"``, the id of a message (the one after it comes next), or an aware datetime.

        Raises:
            InvalidArgument: the partition is not owned, or the place cannot be.
        """
        self._check()
        if partition not in self._pump.partitions:
            raise InvalidArgument(f"partition {partition} is not owned: there are {self._pump.partitions}")
        with self._pump.delivery.waiting():
            await self._pump.seek(partition, start_of(to))

    def _all_or(self, partitions: Iterable[int]) -> set[int]:
        return set(partitions) or set(range(LIMIT_PARTITIONS))

    # --- the end ----------------------------------------------------------------------------------------------------

    async def shutdown(self, *, drain: bool = True, forever: bool = False) -> None:
        """Hand nothing more out, hand the partitions over, and leave the group. May be called twice.

        Args:
            drain: wait until what is handed out has been settled, ``drain_timeout`` at most; otherwise give it back
                at once, as leaving an ``async with`` block does. What is given back is delivered elsewhere, as the
                same attempt unless an exception has left the block, and acknowledging it raises.
            forever: give the ``instance_id`` up, too: its partitions go to others at once. Otherwise they wait for a
                restart under that name until a session has passed.

        If it is cancelled, what is in flight is given back at once, and the consumer has left all the same.
        """
        if not self._closed:
            self._closed = True
            self._pump.leave(drain=drain, forever=forever)
        elif not drain:
            self._pump.give_back()
        await all_ended([self._running], on_cancel=self._pump.give_back)

    def halt(self) -> None:
        """Stop at once and hand nothing over, as a crash would: for tests and demonstrations."""
        self._closed = True
        self._pump.end(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, _ASKED_TO_END) and not self._closed:
            self._pump.tried()
        await self.shutdown(drain=False)

    def _check_mine(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if not isinstance(message, Message):
                raise ForeignMessage(f"{message!r} is not a message: pass what this consumer handed out", **self._about)
            if not message.handed_out_by(self._pump):
                raise ForeignMessage(f"{message!r} was not handed out by this consumer", **self._about)

    def _check(self) -> None:
        self._home.check()
        if self._pump.failure is not None:
            raise ConsumerDead(f"the consumer has stopped: {self._pump.failure}", **self._about) from self._pump.failure
        if self._closed or self._pump.ended.is_set():
            raise ConsumerDead("the consumer was shut down: register a new one", **self._about)

    @property
    def _about(self) -> About:
        return {"stream": self._slot.stream, "group": self._slot.group}


async def started(pump: Pump, options: ConsumerOptions, slot: GroupSlot, consumers: set[Consumer]) -> Consumer:
    """Return a consumer that is a member of its group; until it has ended it is kept among others.

    If this is cut short, the consumer has left again.

    Raises:
        SegmenterError: it will not become a member.
    """
    consumer = Consumer(pump, options, slot)
    consumers.add(consumer)
    consumer._running.add_done_callback(lambda _: consumers.discard(consumer))
    try:
        await pump.admitted()
    except BaseException:
        await consumer.shutdown(drain=False)
        raise
    return consumer


Register = Callable[[GroupSlot, bytes, ConsumerOptions, Hooks], Awaitable[Consumer]]


class Registration:
    """A consumer to be: ``await`` it, or enter it with ``async with``."""

    def __init__(
        self, register: Register, stream: str, group: str, start: Start, options: ConsumerOptions, hooks: Hooks
    ) -> None:
        self._register = register
        self._slot = GroupSlot(check_stream(stream), check_group(group))
        self._start = start_of(start)
        self._options = options
        self._hooks = hooks
        self._consumer: Consumer | None = None

    def __await__(self) -> Generator[object, None, Consumer]:
        return self._once().__await__()

    async def __aenter__(self) -> Consumer:
        return await self._once()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._consumer is not None:
            await self._consumer.__aexit__(kind, error, trace)

    async def _once(self) -> Consumer:
        if self._consumer is not None:
            raise InvalidArgument("this registration was used already: call register_consumer again")
        self._consumer = await self._register(self._slot, self._start, self._options, self._hooks)
        return self._consumer
