"""The workers of a simulation: consumers whose messages meet all kinds of fates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from segmenter import Consumer, Message
from segmenter.core.observations import Observation
from segmenter.errors import ConsumerDead, SeatTaken, SegmenterError
from segmenter.testing.simulation.fates import Fate, Fates
from segmenter.testing.simulation.history import Began, Ended, History, Outcome, Told
from segmenter.testing.simulation.plan import Plan
from segmenter.testing.simulation.process import AGAIN_S, DRAIN_S, GROUP, MAX_PROCESSING_S, SESSION_S, STREAM, Process
from segmenter.testing.simulation.server import AuditedStore

__all__ = ["Worker"]


class Worker(Process):
    """Consumes with a few handlers at once; if its consumer ends, it registers again, unless its seat was taken."""

    def __init__(
        self,
        name: str,
        seat: str | None,
        plan: Plan,
        store: AuditedStore,
        history: History,
        *,
        fates: Fates,
        killed: Callable[[Worker], None],
    ) -> None:
        super().__init__(name, plan, store, history)
        self.seat = seat
        self._fates = fates
        self._killed = killed
        self.consumer: Consumer | None = None
        self.leaving = False
        self.ended = False
        self._hands = asyncio.Semaphore(plan.concurrency)

    async def run(self) -> None:
        """Work until it is shut down, or another process takes its seat."""
        while not (self.leaving or self.ended):
            try:
                await self._consume()
            except ConsumerDead as error:
                self.ended = isinstance(error.__cause__, SeatTaken)
            except (SegmenterError, StopAsyncIteration):
                pass  # such as a server that cannot be reached
            await asyncio.sleep(AGAIN_S)

    async def _consume(self) -> None:
        self.consumer = await self.segmenter.register_consumer(
            STREAM,
            group=GROUP,
            session_timeout=SESSION_S,
            max_processing_time=MAX_PROCESSING_S,
            drain_timeout=DRAIN_S,
            instance_id=self.seat,
            on_loss="continue",
            observer=self._observed,
        )
        messages = aiter(self.consumer)
        while True:
            await self._hands.acquire()  # before a message is handed out, which is when its handler starts
            try:
                message = await anext(messages)
            except (SegmenterError, StopAsyncIteration):
                self._hands.release()
                raise
            self.tasks.add(asyncio.create_task(self._handle(message, self._begin(message))))

    def leave(self) -> None:
        """Be shut down."""
        self.leaving = True
        if self.consumer is not None:
            self.start(self.consumer.shutdown())

    async def _handle(self, message: Message, began: int) -> None:
        try:
            await asyncio.sleep(Random(f"{self.plan.seed}/{message.id}/{self.name}").random() * 0.04)
            self._meet(self._fates.of(message, self.name), message, began)
        finally:
            self._hands.release()

    def _meet(self, fate: Fate, message: Message, began: int) -> None:
        if fate == "hang":
            self._end(began, "never settled")
        elif fate == "die":
            self._end(began, "killed its process")
            self._killed(self)
        else:
            try:
                self._end(began, _settle(message, fate))
            except SegmenterError:
                self._end(began, "refused")

    def _begin(self, message: Message) -> int:
        delivery = len(self.history.events)
        assert self.consumer is not None  # noqa: S101 - it handed the message out
        began = Began(
            at=self.loop.time(),
            delivery=delivery,
            process=self.name,
            member=self.consumer.id,
            key=message.key,
            number=int(message.data),
            partition=message.partition,
            epoch=message.fence.epoch,
            ordinal=message.ordinal,
            id=message.id,
            attempt=message.attempt,
        )
        self.history.events.append(began)
        return delivery

    def _end(self, delivery: int, outcome: Outcome) -> None:
        self.history.events.append(Ended(self.loop.time(), delivery, outcome))

    def _observed(self, observation: Observation) -> None:
        self.history.events.append(Told(self.loop.time(), self.name, observation))


def _settle(message: Message, fate: Fate) -> Outcome:
    match fate:
        case "park":
            message.park("it cannot be handled")
            return "parked"
        case "reject":
            message.reject("it cannot be handled")
            return "rejected"
        case "nack":
            message.nack(0.05)
            return "given back"
        case _:
            message.ack()
            return "acked"
