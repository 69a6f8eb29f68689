"""A consumer, as blocking code holds it."""

# It is the async consumer, as seen from other threads.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from segmenter.config import Duration, seconds
from segmenter.consumer import Consumer as AsyncConsumer
from segmenter.core.message import Message
from segmenter.errors import ConsumerDead
from segmenter.sync.desk import Desk
from segmenter.sync.facade import Facade, blocking, within

__all__ = ["Consumer"]

R = TypeVar("R")


class Consumer(Facade[AsyncConsumer]):
    """A member of a group, pulling messages of the partitions that it owns. Get one from ``register_consumer``.

    Iterate over it, or call ``read``; settle each message with ``message.ack()``. Iteration hands out one message of
    a key at a time: while a message is not settled, the later ones of its key wait. Several threads may share it.
    """

    def __init__(self, inner: AsyncConsumer, desk: Desk) -> None:
        super().__init__(desk.portal, inner)
        self._desk = desk

    @property
    def id(self) -> str:
        """The id under which it is a member at present; a consumer that was out comes back under another."""
        return self._inner.id

    @property
    def partitions(self) -> list[int]:
        """The partitions it owns at present."""
        return self._inner.partitions

    # --- reading ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        """The next message that may start; waits for one. Ends when the consumer is shut down."""
        while not (picked := self._desk.pick(1)):
            try:
                self._call(lambda: self._laid_out(1, math.inf))
            except ConsumerDead:
                if self._inner._closed:
                    raise StopIteration from None
                raise
        return picked[0]

    def read(self, timeout: Duration | None = None) -> list[Message]:
        """Return a batch of up to ``batch_size`` messages, to be settled as a unit.

        A batch may hold several messages of a key, in order; no later batch holds a key with something unsettled.

        Args:
            timeout: how long to wait for the first message; ``None`` waits for ever. An empty list means that none
                came.

        Raises:
            ConsumerDead: the consumer was shut down, or stopped; the reason is its cause.
        """
        limit = least = self._inner._options.batch_size
        deadline = time.monotonic() + (math.inf if timeout is None else seconds(timeout))
        while not (batch := self._desk.pick(limit, least)) and self._call(lambda: self._laid_out(limit, deadline)):
            least = 1  # which may be all there is
        return batch

    async def _laid_out(self, batch: int, deadline: float) -> bool:
        """Wait until something is laid out; tell whether that came before the deadline."""
        while True:
            self._inner._check()
            if self._desk.lay_out(batch):
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await self._inner._pump.delivery.available(None if left == math.inf else left)

    def batches(self) -> Iterator[list[Message]]:
        """Iterate over batches of one partition each."""
        batches, end = self._inner.batches(), list[Message]()
        while batch := self._received(lambda: anext(batches, end)):
            yield batch

    def _received(self, start: Callable[[], Awaitable[list[Message]]]) -> list[Message]:
        """Have a batch handed out. If it cannot be received, since the wait is interrupted, it goes back."""
        received: list[Message] = []

        async def receive() -> None:
            received.extend(await start())

        try:
            self._call(receive)
        except BaseException:
            self._portal.tell(lambda: self._desk.put_back(received))
            raise
        return received

    # --- settling ---------------------------------------------------------------------------------------------------

    ack = blocking(AsyncConsumer.ack)
    nack = blocking(AsyncConsumer.nack)
    commit = blocking(AsyncConsumer.commit)

    # --- moving about -----------------------------------------------------------------------------------------------

    pause = within(AsyncConsumer.pause)
    resume = within(AsyncConsumer.resume)
    seek = blocking(AsyncConsumer.seek)

    # --- the end ----------------------------------------------------------------------------------------------------

    def shutdown(self, *, drain: bool = True, forever: bool = False) -> None:
        """Hand nothing more out, hand the partitions over, and leave the group. May be called twice.

        Args:
            drain: wait until what is handed out has been settled, by other threads, ``drain_timeout`` at most;
                otherwise give it back at once, as leaving a ``with`` block does. What is given back is delivered
                elsewhere, as the same attempt unless an exception has left the block, and acknowledging it raises.
            forever: give the ``instance_id`` up, too: its partitions go to others at once. Otherwise they wait for a
                restart under that name until a session has passed.
        """
        if not self._portal.closed:
            self._call(lambda: self._inner.shutdown(drain=drain, forever=forever))

    halt = within(AsyncConsumer.halt)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._portal.closed:
            self._call(lambda: self._inner.__aexit__(kind, error, trace))

    def _call(self, start: Callable[[], Awaitable[R]]) -> R:
        return self._desk.call(start)
