"""The work of a slot: the handler called with one message or batch after the other, and what becomes of each.

Whatever a handler raises is an outcome of its attempt, a ``SystemExit`` too. What it leaves behind in its task, such as
a context variable or a cancellation, is not there for the next message, which then gets a task of its own.
"""

# The states of messages are looked at where a method for each would cost a call for each.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextvars import copy_context

from segmenter.core.message import STARTED, Message
from segmenter.logs import Log
from segmenter.runtime.delivery import Delivery
from segmenter.runtime.failures import timed_out
from segmenter.runtime.outcomes import Handling, Outcomes
from segmenter.runtime.slots import Crew, Slot, portions_of
from segmenter.runtime.threads import NotCalled, ThreadCall

__all__ = ["SlotLoop"]

TURN_S = 0.005  # that slots go on without giving others their turn
PAUSE_S = 0.05  # before looking again whether a message may start
LIMIT_AHEAD = 16  # messages taken together where they are handled one at a time: it saves a fifth of the work
THREAD_WAIT_S = 1.0  # before a handler is called again for which there was no thread

_log = Log("segmenter.worker")


class SlotLoop:
    """What all slots of a runner do."""

    def __init__(
        self,
        handling: Handling,
        delivery: Delivery,
        outcomes: Outcomes,
        clock: Callable[[], float],
        *,
        fill: Callable[[Crew], None],
        closing: Callable[[], bool],
        interrupted: Callable[[KeyboardInterrupt], None],
    ) -> None:
        self.context = copy_context()  # that every handler begins with
        self._delivery = delivery
        self._outcomes = outcomes
        self._clock = clock
        self._fill = fill
        self._closing = closing
        self._interrupted = interrupted
        self._loop = asyncio.get_running_loop()
        self._name = handling.name
        self._limit_s = handling.max_processing_time_s
        self._invoke = handling.invoke
        self._threaded = handling.threaded
        self._attempts = handling.retry.attempts
        self._concurrency = handling.key_concurrency
        self._batch = handling.batch
        # One key at a time is one message at a time, in the order of the log: some may be taken together.
        self._portion = handling.batch or (LIMIT_AHEAD if handling.key_concurrency == 1 else 1)
        self._turned_at = -math.inf  # when a turn of the event loop began, a short while ago
        self._turning = False  # that is about to be noted once more

    async def work(self, slot: Slot) -> None:
        """Handle one message or batch after the other, until nothing may start, the slot is spent, or it is to end."""
        crew = slot.crew
        slot.begin()
        while slot.why is None:
            if slot.portions is not None:
                if not await self._handle_portions(slot, slot.portions):
                    return
            elif not (taken := self._take(slot, crew)):
                return
            elif self._portion > 1:
                slot.portions = iter(portions_of(taken) if self._batch is not None else [[each] for each in taken])
                continue
            else:
                await self._handle(slot, taken)
                if slot.spent or slot.task.cancelling() or copy_context() != self.context:
                    slot.spent = True
                    return
            if slot.started_at - self._turned_at > TURN_S:
                await self._give_way(slot)
            crew.holding.listed = len(crew.slots) >= self._concurrency

    async def _handle_portions(self, slot: Slot, portions: Iterator[list[Message]]) -> bool:
        """Handle what was taken together, each portion only if it may still start; return whether the slot goes on."""
        for messages in portions:
            if not self._goes_on(slot):
                slot.put_back([messages])
                return await self._can_go_on(slot)
            if messages[0]._state != STARTED or self._batch is not None:
                # With one that failed or is parked, the later ones of its key are taken back.
                messages = [message for message in messages if message._state == STARTED]  # noqa: PLW2901
            if messages:
                await self._handle(slot, messages)
            if slot.spent or slot.task.cancelling() or copy_context() != self.context:
                slot.spent = True
                return False
            if slot.portions is not portions:
                return True  # some were put back
        slot.portions = None
        return True

    def _take(self, slot: Slot, crew: Crew) -> list[Message]:
        slot.started_at = now = self._clock()
        if crew.overdue or not self._delivery.may_start(crew.holding, now):
            return []
        lanes = crew.holding.lanes
        if self._portion > 1:
            taken = lanes.take(self._portion, whole_batch=True)
        else:
            message = lanes.next()
            taken = [] if message is None else [message]
        if taken and not (crew.holding.listed or crew.beginning) and lanes.startable:
            self._fill(crew)
        return taken

    async def _give_way(self, slot: Slot) -> None:
        """Handlers that never wait for anything would keep everything else, commits included, from having a turn."""
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turned)
        slot.started_at = math.inf
        await asyncio.sleep(0)

    def _turned(self) -> None:
        self._turning, self._turned_at = False, self._clock()

    def _goes_on(self, slot: Slot) -> bool:
        """Whether the next message may start at once."""
        slot.started_at = now = self._clock()
        turned = now - self._turned_at <= TURN_S
        may = turned and slot.why is None and not slot.crew.overdue
        return may and self._delivery.may_start(slot.crew.holding, now)

    async def _can_go_on(self, slot: Slot) -> bool:
        """Wait until it may start; not if it is to be left to another owner."""
        if slot.started_at - self._turned_at > TURN_S:
            await self._give_way(slot)
        while slot.why is None and (
            slot.crew.overdue or not self._delivery.may_start(slot.crew.holding, self._clock())
        ):
            if self._delivery.closed or slot.crew.holding.draining:
                return False
            slot.started_at = math.inf
            await asyncio.sleep(PAUSE_S)
        slot.started_at = self._clock()
        return slot.why is None

    async def _handle(self, slot: Slot, messages: list[Message]) -> None:
        if messages[0].attempt > self._attempts:
            self._outcomes.not_allowed(messages[0])
            return
        slot.messages = messages
        if self._threaded:
            slot.call = ThreadCall(self._clock)
        error: BaseException | None = None
        try:
            await self._invoke(messages, slot.call)
        except BaseException as raised:  # whatever it is, it is an outcome of this attempt
            error = raised
        slot.crew.holding.listed = True  # this slot looks for more by itself
        if slot.call is not None:
            slot.started_at, slot.call = slot.call.began_at, None
        if slot.why is not None:
            self._ended_when_told(slot, error)
        elif error is None:
            self._outcomes.returned(messages)
        elif type(error) is NotCalled:
            await self._not_called(slot, messages, error)
        elif self._closing() and isinstance(error, asyncio.CancelledError):
            slot.why = "closing"
        else:
            self._failed(slot, messages, error)

    def _failed(self, slot: Slot, messages: list[Message], error: BaseException) -> None:
        """The handler raised. Of several messages it does not say which is to blame: each is tried alone, at once."""
        if len(messages) > 1:
            self._outcomes.batch_failed(messages, error)
            slot.put_back([message] for message in messages)
        else:
            self._outcomes.failed(messages[0], error)
        if type(error) is KeyboardInterrupt:
            self._interrupted(error)
        elif type(error) is GeneratorExit:  # perhaps of this very task, which must not wait for anything any more
            slot.spent = True

    async def _not_called(self, slot: Slot, messages: list[Message], error: NotCalled) -> None:
        """There was no thread for the handler: its messages were not tried."""
        slot.put_back([messages])
        slot.started_at = math.inf
        if not (self._delivery.closed or slot.crew.holding.draining):
            _log.error("handler not called handler=%s reason=%s", self._name, error)
            await asyncio.sleep(THREAD_WAIT_S)

    def _ended_when_told(self, slot: Slot, error: BaseException | None) -> None:
        """A handler that was cancelled has ended. A cancelled attempt is none, unless it took too long."""
        if slot.stuck:
            return
        if slot.why == "overdue":
            slot.crew.overdue -= 1
            slot.why, slot.cancelled_at = None, math.inf
            self._failed(slot, slot.messages, timed_out(self._limit_s))
        elif slot.why == "drained" and error is None:
            self._outcomes.returned(slot.messages)
