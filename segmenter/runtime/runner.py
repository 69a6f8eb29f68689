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
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import evolve

from segmenter.core.command import GroupSlot
from segmenter.core.message import Message
from segmenter.core.observations import HandlerStands, HandlerTimedOut, Observation
from segmenter.errors import SegmenterError
from segmenter.port import Session
from segmenter.runtime.failures import as_segmenter_error, handler_stands, timed_out
from segmenter.runtime.gate import Gate
from segmenter.runtime.holding import Holding
from segmenter.runtime.hooks import Hook, Hooks
from segmenter.runtime.host import Host
from segmenter.runtime.outcomes import Handling, Outcomes
from segmenter.runtime.pump import Pump
from segmenter.runtime.slots import Crew, Slot, Why, portions_of

__all__ = ["Runner"]

TURN_S = 0.005  # that slots go on without giving others their turn
PAUSE_S = 0.05  # before looking again whether a message may start
LIMIT_AHEAD = 16  # messages taken together where they are handled one at a time: it saves a fifth of the work
LOOK_S = 1.0  # between two looks at the slots, at most
SHORTEST_S = 0.001  # so that a clock behind the loop's cannot make a loop without an end


class Runner:
    """Runs the handler of one consumer, from its pump's first turn to the end of the last handler."""

    def __init__(
        self,
        slot: GroupSlot,
        handling: Handling,
        host: Host,
        observers: Sequence[Callable[[Observation], None]],
        *,
        stopping: asyncio.Event,
    ) -> None:
        self._slot = slot
        self._handling = handling
        self._clock = host.clock
        self._observers = observers
        self._loop = asyncio.get_running_loop()
        self._crews: dict[int, Crew] = {}
        self._gate: Gate
        self._pump: Pump
        self._outcomes = Outcomes(
            slot,
            handling,
            chance=host.chance,
            member=lambda: self._pump.member,
            observe=self._observe,
            halt=self._fail,
        )
        self._invoke = handling.invoke
        self._concurrency = handling.key_concurrency
        self._batch = handling.batch
        # One key at a time is one message at a time, in the order of the log: some may be taken together.
        self._portion = handling.batch or (LIMIT_AHEAD if handling.key_concurrency == 1 else 1)
        self._attempts = handling.retry.attempts
        self._timer: asyncio.TimerHandle | None = None
        self._turned_at = -math.inf  # when a turn of the event loop began, a short while ago
        self._turning = False  # that is about to be noted once more
        self._leaving = False
        self._idle = asyncio.Event()
        self._stopping = stopping  # set here when everything has to stop
        self._failure: SegmenterError | None = None

    # --- what surrounds the pump ------------------------------------------------------------------------------------

    def gate(self, session: Session) -> Session:
        """The session for the pump: no partition is claimed while handlers of an earlier hold of it are there."""
        self._gate = Gate(session, self._crews.__contains__)
        return self._gate

    def hooks(self, hooks: Hooks) -> Hooks:
        """The hooks for the pump: the user's, and what is to be known here."""
        return evolve(
            hooks,
            on_revoked=_both(self._revoked, hooks.on_revoked),
            on_lost=_both(self._lost, hooks.on_lost),
        )

    async def run(self, pump: Pump) -> None:
        """Handle what the pump gets, until it has ended, and with it every handler that ends.

        Raises:
            SegmenterError: what the consumer ended with, if it was not asked to.
        """
        self._pump = pump
        pump.attend(self._offered)
        self._watch()
        try:
            await pump.run()
            self._idle.clear()
            self._look_whether_idle()
            await self._idle.wait()
        finally:
            self._disarm()
        failure = self._failure or pump.failure
        if failure is not None:
            raise failure

    def stop(self, within_s: float) -> None:
        """Start nothing more, let the handlers end, cancel those that have not after a while, and leave."""
        if not self._leaving:
            self._leaving = True
            self._pump.leave(drain=True)
        deadline = self._clock() + within_s
        for crew in self._crews.values():
            crew.cancel_at = min(crew.cancel_at, deadline)
        self._watch()
        self._look_whether_idle()

    # --- starting ---------------------------------------------------------------------------------------------------

    def _offered(self, holding: Holding) -> None:
        """Something of a holding may start. While it is listed, somebody sees to it, and it is not offered."""
        crew = self._crews.get(holding.partition)
        if crew is None and self._pump.may_start(holding, self._clock()):
            crew = self._crews[holding.partition] = Crew(holding)
            holding.attended = True
            self._start(crew)
        if crew is not None:
            self._fill(crew)

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

    def _start(self, crew: Crew) -> None:
        slot = Slot(crew)
        crew.slots.add(slot)
        crew.beginning += 1
        slot.task = self._loop.create_task(self._work(slot))
        slot.task.add_done_callback(lambda task: self._ended(slot, task))

    async def _work(self, slot: Slot) -> None:
        """Handle one message or batch after the other, until nothing may start or the slot is told to end."""
        crew = slot.crew
        slot.begin()
        while slot.why is None and (taken := self._take(slot, crew)):
            if not (crew.holding.listed or crew.beginning) and crew.holding.lanes.startable:
                self._fill(crew)
            if self._batch is not None:
                await self._handle_portions(slot, portions_of(taken))
            elif len(taken) > 1:
                await self._handle_each(slot, taken)
            else:
                await self._handle(slot, taken)
            if slot.started_at - self._turned_at > TURN_S:
                await self._give_way(slot)
            crew.holding.listed = len(crew.slots) >= self._concurrency

    def _take(self, slot: Slot, crew: Crew) -> list[Message]:
        slot.started_at = now = self._clock()
        if not self._may_start(crew, now):
            return []
        lanes = crew.holding.lanes
        if self._portion > 1:
            return lanes.take(self._portion, whole_batch=True)
        message = lanes.next()
        return [] if message is None else [message]

    def _may_start(self, crew: Crew, now: float) -> bool:
        return not crew.overdue and self._pump.may_start(crew.holding, now)

    async def _give_way(self, slot: Slot) -> None:
        """Handlers that never wait for anything would keep everything else, commits included, from having a turn."""
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turned)
        slot.started_at = math.inf
        await asyncio.sleep(0)

    def _turned(self) -> None:
        self._turning, self._turned_at = False, self._clock()

    async def _handle_each(self, slot: Slot, taken: list[Message]) -> None:
        """Handle what was handed out together one by one, each only if it may still start."""
        for message in taken:
            if not (self._goes_on(slot) or await self._can_go_on(slot)):
                return
            if message.current:  # with one that failed or is parked, the later ones of its key are taken back
                await self._handle(slot, [message])

    async def _handle_portions(self, slot: Slot, portions: Iterable[list[Message]]) -> None:
        """Handle the portions of a batch one after the other, in the same way."""
        for portion in portions:
            if not (self._goes_on(slot) or await self._can_go_on(slot)):
                return
            if current := [message for message in portion if message.current]:
                await self._handle(slot, current)

    def _goes_on(self, slot: Slot) -> bool:
        """Whether the next message may start at once."""
        slot.started_at = now = self._clock()
        turned = now - self._turned_at <= TURN_S
        return turned and slot.why is None and self._pump.may_start(slot.crew.holding, now)

    async def _can_go_on(self, slot: Slot) -> bool:
        """Wait until it may start; not if it is to be left to another owner."""
        if slot.started_at - self._turned_at > TURN_S:
            await self._give_way(slot)
        while slot.why is None and not self._pump.may_start(slot.crew.holding, self._clock()):
            if self._leaving or slot.crew.holding.draining:
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
        error: BaseException | None = None
        try:
            await self._invoke(messages)
        except asyncio.CancelledError as cancelled:
            if slot.why is None and slot.task.cancelling():
                raise  # by somebody else: the loop is being closed
            error = cancelled
        except Exception as raised:
            error = raised
        slot.crew.holding.listed = True  # this slot looks for more by itself
        if slot.why is not None:
            self._ended_when_told(slot, error)
        elif error is None:
            self._outcomes.returned(messages)
        else:
            self._outcomes.failed(messages, error)

    def _ended_when_told(self, slot: Slot, error: BaseException | None) -> None:
        """A handler that was cancelled has ended. A cancelled attempt is none, unless it took too long."""
        slot.task.uncancel()
        if slot.stuck:
            return
        if slot.why == "overdue":
            slot.crew.overdue -= 1
            slot.why, slot.cancelled_at = None, math.inf
            self._outcomes.failed(slot.messages, timed_out(self._handling.max_processing_time_s))
        elif slot.why == "drained" and error is None:
            self._outcomes.returned(slot.messages)

    # --- ending -----------------------------------------------------------------------------------------------------

    def _ended(self, slot: Slot, task: asyncio.Task[None]) -> None:
        """A slot has nothing more to do."""
        crew = slot.crew
        slot.begin()
        crew.slots.discard(slot)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(as_segmenter_error(error))
        crew.holding.listed = False
        if crew.slots and crew.holding.lanes.startable:
            self._fill(crew)
        self._dissolve(crew)

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
        self._pump.wake()
        self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        if not any(not slot.stuck for slot in self._slots()):
            self._idle.set()
            if self._leaving and not self._pump.ended.is_set():
                self._pump.give_back()

    def _slots(self) -> Iterator[Slot]:
        return (slot for crew in tuple(self._crews.values()) for slot in tuple(crew.slots))

    def _revoked(self, partition: int) -> None:
        crew = self._crews.get(partition)
        if crew is not None:
            crew.cancel_at = min(crew.cancel_at, self._clock() + self._handling.drain_timeout_s)
            self._watch()

    def _lost(self, partition: int) -> None:
        crew = self._crews.get(partition)
        if crew is not None:
            for slot in tuple(crew.slots):
                self._cancel(slot, "lost")
            self._watch()

    def _fail(self, error: SegmenterError) -> None:
        self._failure = self._failure or error
        self._stopping.set()
        if not self._leaving:
            self.stop(self._handling.drain_timeout_s)

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
        return min(slot.started_at + self._handling.max_processing_time_s, slot.crew.cancel_at)

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

    def _observe(self, observation: Observation) -> None:
        for observer in self._observers:
            observer(observation)


def _both(ours: Callable[[int], None], theirs: Hook | None) -> Hook:
    def hook(partition: int) -> object:
        ours(partition)
        return theirs(partition) if theirs is not None else None

    return hook  # type: ignore[return-value]
