"""Keys in parallel: handlers at work on the partitions that a consumer holds.

Each partition has up to ``key_concurrency`` **slots**, long-lived tasks that handle one message after the other; the
lanes hand out the head of a key only, so a slot works on a key that no other slot works on. There is no task and no
timer for a message. A slot ends when nothing may start; the next offer of the pump starts slots anew.

A handler that takes too long is cancelled. While one that was cancelled is still there, nothing more of its partition
starts; if it does not end, its process is given up (``HandlerStuck``): the others are drained, the consumer leaves.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator

from segmenter.core.command import GroupSlot
from segmenter.core.message import Message
from segmenter.core.observations import HandlerStands, HandlerTimedOut, Observation
from segmenter.errors import SegmenterError
from segmenter.port import Session
from segmenter.runtime.delivery import Delivery
from segmenter.runtime.failures import as_segmenter_error, handler_stands
from segmenter.runtime.gate import Gate
from segmenter.runtime.holding import Holding
from segmenter.runtime.host import Host
from segmenter.runtime.outcomes import Handling, Outcomes
from segmenter.runtime.pump import Pump
from segmenter.runtime.slot_loop import SlotLoop
from segmenter.runtime.slots import Crew, Slot, Why

__all__ = ["Runner"]

LOOK_S = 1.0  # between two looks at the slots, at most
SHORTEST_S = 0.001  # so that a clock behind the loop's cannot make a loop without an end


class Runner:
    """Runs the handler of one consumer, from its pump's first turn to the end of the last handler."""

    def __init__(
        self,
        slot: GroupSlot,
        handling: Handling,
        host: Host,
        observe: Callable[[Observation], None],
        *,
        stopping: asyncio.Event,
    ) -> None:
        self._slot = slot
        self._handling = handling
        self._clock = host.clock
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._crews: dict[int, Crew] = {}
        self._gate: Gate
        self._pump: Pump
        self._delivery: Delivery
        self._slot_loop: SlotLoop
        self._outcomes = Outcomes(
            slot,
            handling,
            chance=host.chance,
            member=lambda: self._pump.member,
            observe=self._observe,
            halt=self._fail,
        )
        self._concurrency = handling.key_concurrency
        self._timer: asyncio.TimerHandle | None = None
        self._leaving = False
        self._idle = asyncio.Event()
        self._stopping = stopping  # set here when everything has to stop
        self._failure: SegmenterError | None = None
        self._task: asyncio.Task[None] | None = None  # that runs this
        self.interrupt: KeyboardInterrupt | None = None  # that arrived in a handler

    # --- what surrounds the pump ------------------------------------------------------------------------------------

    def gate(self, session: Session) -> Session:
        """The session for the pump: no partition is claimed while handlers of an earlier hold of it are there."""
        self._gate = Gate(session, self._crews.__contains__)
        return self._gate

    async def run(self, pump: Pump) -> None:
        """Handle what the pump gets, until it has ended, and with it every handler that ends.

        Raises:
            SegmenterError: what the consumer ended with, if it was not asked to.
        """
        self._pump, self._delivery = pump, pump.delivery
        self._task = asyncio.current_task()
        self._slot_loop = SlotLoop(
            self._handling,
            pump.delivery,
            self._outcomes,
            self._clock,
            fill=self._fill,
            closing=self._is_closing,
            interrupted=self._interrupted,
        )
        pump.attend(self)
        self._watch()
        try:
            await pump.run()
        finally:
            await self._until_idle()
        failure = self._failure or pump.failure
        if failure is not None:
            raise failure

    async def _until_idle(self) -> None:
        """Wait for the handlers that are still at work; if this is cancelled, they are cancelled too."""
        cancelled: asyncio.CancelledError | None = None
        self._idle.clear()
        self._look_whether_idle()
        while not self._idle.is_set():
            try:
                await self._idle.wait()
            except asyncio.CancelledError as error:
                cancelled = error
                self.stop(0.0)
        self._disarm()
        if cancelled is not None:
            raise cancelled

    def stop(self, within_s: float, *, forever: bool = False) -> None:
        """Start nothing more, let the handlers end, cancel those that have not after a while, and leave."""
        if not self._leaving:
            self._leaving = True
            self._pump.leave(drain=True, forever=forever)
        deadline = self._clock() + within_s
        for crew in self._crews.values():
            crew.cancel_at = min(crew.cancel_at, deadline)
        self._watch()
        self._look_whether_idle()

    # --- what the pump tells ----------------------------------------------------------------------------------------

    def offered(self, holding: Holding) -> None:
        """Something of a holding may start. While it is listed, somebody sees to it, and it is not offered."""
        crew = self._crews.get(holding.partition)
        if crew is None and self._delivery.may_start(holding, self._clock()):
            crew = self._crews[holding.partition] = Crew(holding)
            holding.attended = True
            self._start(crew)
        if crew is not None:
            self._fill(crew)

    def revoked(self, partition: int) -> None:
        """A partition is to be given up, once its handlers have ended."""
        crew = self._crews.get(partition)
        if crew is not None:
            crew.cancel_at = min(crew.cancel_at, self._clock() + self._handling.drain_timeout_s)
            crew.recall()
            self._watch()

    def lost(self, partition: int) -> None:
        """A partition belongs to somebody else: what its handlers do is of no use any more."""
        crew = self._crews.get(partition)
        if crew is not None:
            crew.recall()
            for slot in tuple(crew.slots):
                self._cancel(slot, "lost")
            self._watch()

    def cancelled(self) -> None:
        """The task that runs this was cancelled: handlers are cancelled, and everything is handed over."""
        self.stop(0.0)

    def failed(self, error: SegmenterError) -> None:
        """This process is not to be trusted any more: let the handlers end, hand over, and end with an error."""
        self._fail(error)

    # --- starting ---------------------------------------------------------------------------------------------------

    def _fill(self, crew: Crew) -> None:
        """Start as many slots as there are, once each of those has found something to do.

        So a handler that never waits for anything is called by one or two slots, whatever there is to do, and one that
        does soon has as many as there may be.
        """
        present = len(crew.slots)
        if not crew.beginning and self._may_start(crew, self._clock()):
            for _ in range(min(max(1, present), self._concurrency - present)):
                self._start(crew)
        crew.holding.listed = len(crew.slots) >= self._concurrency

    def _start(self, crew: Crew, portions: Iterator[list[Message]] | None = None) -> None:
        slot = Slot(crew, portions)
        crew.slots.add(slot)
        crew.beginning += 1
        # Explicitly in this context: this may be called from within a handler's.
        slot.task = self._loop.create_task(self._slot_loop.work(slot), context=self._slot_loop.context.copy())
        slot.task.add_done_callback(lambda task: self._ended(slot, task))

    def _may_start(self, crew: Crew, now: float) -> bool:
        return not crew.overdue and self._delivery.may_start(crew.holding, now)

    # --- ending -----------------------------------------------------------------------------------------------------

    def _ended(self, slot: Slot, task: asyncio.Task[None]) -> None:
        """A slot has nothing more to do."""
        crew = slot.crew
        slot.begin()
        crew.slots.discard(slot)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(as_segmenter_error(error))
        elif (slot.spent or slot.portions is not None) and slot.why is None and not self._is_over(crew):
            self._start(crew, slot.portions)
        crew.holding.listed = False
        if crew.slots and crew.holding.lanes.startable:
            self._fill(crew)
        self._dissolve(crew)

    def _is_over(self, crew: Crew) -> bool:
        return self._leaving or crew.holding.draining or self._is_closing()

    def _is_closing(self) -> bool:
        """Return whether the event loop is being closed: then every task is cancelled, this runner's among them."""
        return self._task is not None and bool(self._task.cancelling() or self._task.done())

    def _dissolve(self, crew: Crew) -> None:
        """If no handler is left but such as do not end, what is in flight is free for whoever comes next."""
        if any(not slot.stuck for slot in crew.slots):
            return
        if crew.slots:
            crew.holding.stuck_window = self._handling.window
        elif crew.holding.lanes.in_flight and crew.holding.draining:
            crew.holding.lanes.leave()
        if not crew.slots:
            crew.holding.listed = crew.holding.attended = False
            del self._crews[crew.holding.partition]
            self._gate.open(crew.holding.partition)
        self._pump.look_at(crew.holding)  # what came while slots were ending was offered to nobody
        self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        if not any(not slot.stuck for slot in self._slots()):
            self._idle.set()
            if self._leaving and not self._pump.ended.is_set():
                self._pump.give_back()

    def _slots(self) -> Iterator[Slot]:
        return (slot for crew in tuple(self._crews.values()) for slot in tuple(crew.slots))

    def _fail(self, error: SegmenterError) -> None:
        self._failure = self._failure or error
        self._stopping.set()
        if not self._leaving:
            self.stop(self._handling.drain_timeout_s)

    def _interrupted(self, error: KeyboardInterrupt) -> None:
        """Ctrl-C has arrived in a handler: everything ends in order, and then the interrupt goes on its way."""
        self.interrupt = self.interrupt or error
        self._stopping.set()
        self.stop(0.0)

    # --- watching the time ------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Cancel what took too long, and come back when the next handler may have."""
        now = self._clock()
        self._outcomes.look_after()
        for slot in self._slots():
            if self._due(slot) <= now:
                self._overdue(slot, now)
        self._disarm()
        # What starts from now on is due no earlier than that.
        look_s = min(LOOK_S, self._handling.max_processing_time_s)
        due = min([now + look_s, *map(self._due, self._slots())])
        self._timer = self._loop.call_later(max(SHORTEST_S, due - now), self._watch)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _due(self, slot: Slot) -> float:
        if slot.stuck:
            return math.inf
        if slot.why is not None:
            return slot.cancelled_at + self._handling.grace_s
        return min(slot.called_at + self._handling.max_processing_time_s, slot.crew.cancel_at)

    def _overdue(self, slot: Slot, now: float) -> None:
        if slot.why is not None:
            self._give_up(slot)
        elif slot.crew.cancel_at <= now:
            self._cancel(slot, "drained")
        else:
            slot.crew.overdue += 1
            self._cancel(slot, "overdue")
            limit_s = self._handling.max_processing_time_s
            for message in slot.messages:
                self._observe(HandlerTimedOut(*self._about(message), limit_s))

    def _cancel(self, slot: Slot, why: Why) -> None:
        if slot.why is None:
            slot.cancelled_at = self._clock()
            slot.task.cancel()
        slot.why = why

    def _give_up(self, slot: Slot) -> None:
        """A handler went on after it was cancelled: this process is not to be trusted with its partition any more."""
        slot.stuck = True
        for message in slot.messages:
            self._observe(HandlerStands(*self._about(message)))
        self._outcomes.never_ended(slot.messages)
        self._fail(handler_stands(self._slot, self._handling.name, slot.messages[0]))
        self._dissolve(slot.crew)

    def _about(self, message: Message) -> tuple[str, int, str, str, int]:
        return self._pump.member, message.partition, message.id, message.key, message.attempt
