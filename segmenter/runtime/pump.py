"""The pump of one consumer: it turns what happens into events for the consumer's machine, and does what that asks for.

A turn takes in what happened since the last one, in the order it happened; has drained partitions released; starts
the commits that are due; and sees that the right read is under way. What starts in one turn shares a packet. The pump
never waits for an answer: answers come in as events of a later turn.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from segmenter.config import ConsumerOptions
from segmenter.core import signals as sig
from segmenter.core.beats import BEATS_PER_SESSION, LEASE_SHARE
from segmenter.core.command import Command, Cursor, GroupSlot
from segmenter.core.group import GroupState, UpdateGroup
from segmenter.core.machine import advance
from segmenter.core.member import Member
from segmenter.core.message import Message
from segmenter.core.observations import Admitted, Departed, Observation, Stalled
from segmenter.core.partition import Release
from segmenter.errors import BackendError, ConsumerDead, SegmenterError
from segmenter.port import Session
from segmenter.runtime.alarm import Alarm
from segmenter.runtime.backoff import LIMIT_S, Backoff
from segmenter.runtime.committer import Committer
from segmenter.runtime.custody import Custody
from segmenter.runtime.endings import ending
from segmenter.runtime.failures import as_segmenter_error, handler_stuck
from segmenter.runtime.heart import Heart
from segmenter.runtime.holding import Holding
from segmenter.runtime.holdings import Holdings
from segmenter.runtime.hooks import Hooks
from segmenter.runtime.host import Host
from segmenter.runtime.lease import Lease
from segmenter.runtime.prober import Prober
from segmenter.runtime.reader import READ_WAIT_S, Reader

__all__ = ["Pump"]

STALLED_S = 1.0  # without a message handed out or settled, while some are in flight: worth a word
FAREWELL_S = 5.0  # at most, from having nothing in flight to being gone


class Pump:
    """The runtime of one consumer, from joining to the end of its membership."""

    def __init__(
        self,
        *,
        slot: GroupSlot,
        document: GroupState,
        events_end: bytes,
        options: ConsumerOptions,
        session: Session,
        heart: Heart,
        host: Host,
        hooks: Hooks,
    ) -> None:
        self._slot = slot
        self._options = options
        self._session = session
        self._host = host
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff(host.chance, min(LIMIT_S, options.session_timeout_s / BEATS_PER_SESSION))
        self._holdings = Holdings(host.clock, LEASE_SHARE * options.session_timeout_s)
        self._custody = Custody(
            slot, self._holdings, hooks, host, touched=self._touched, observe=self._observe, pump=self
        )
        self._reader = Reader(
            session,
            Cursor(slot, events_end),
            self._holdings,
            options,
            backoff=self._backoff,
            cut=lambda partition, cut: self._custody.tell_cut(self._member.me, partition, cut),
            heard=lambda event: self.tell(sig.Heard(event)),
            failed=self.end,
            wake=self.wake,
        )
        self._committer = Committer(
            session,
            self._holdings,
            interval_s=options.commit_interval_s,
            backoff=self._backoff,
            leased=lambda: self._lease.valid,
            refused=self._refused,
            failed=self.end,
            wake=self.wake,
        )
        self._lease = Lease(
            heart,
            slot,
            options.session_timeout_s,
            clock=host.clock,
            stall_s=max(options.max_processing_time_s, 2 * READ_WAIT_S),
            known=lambda: self._member.document.version,
            tell=lambda event: self._from_thread(self.tell, event),
            stuck=lambda stall_s: self._from_thread(self.end, handler_stuck(slot, stall_s)),
            failed=lambda error: self._from_thread(self.end, error),
        )
        self._prober = Prober(
            session, self._holdings, slot.group, options.session_timeout_s, refused=self._refused, failed=self.end
        )
        self._member = self._new_member(document)
        self._joining: tuple[UpdateGroup | None, float] = (None, 0.0)  # the last change asked for, and when
        self._inbox: deque[sig.Event] = deque()
        self._alarm = Alarm(host.clock)
        self._moved_at = math.inf  # when a message was last handed out or settled; inf once standstill was reported
        self._leaving = False
        self._admitted: asyncio.Future[None] = self._loop.create_future()
        self.failure: SegmenterError | None = None  # why it ended, if not because it was asked to
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Join, and turn until the membership is over."""
        self.tell(sig.Join())
        try:
            while not self.ended.is_set():
                await self._alarm.wait()
                self._turn()
        except Exception as error:
            self.end(error)
        finally:
            self.end(None)
            await self._let_go()

    # --- what a consumer asks ---------------------------------------------------------------------------------------

    @property
    def member(self) -> str:
        """The id under which the consumer is a member at present."""
        return self._member.me

    @property
    def partitions(self) -> list[int]:
        """The partitions owned at present, those being given up included."""
        return self._holdings.partitions

    async def admitted(self) -> None:
        """Wait until the consumer is a member.

        Raises:
            SegmenterError: if it will not become one.
        """
        await asyncio.shield(self._admitted)

    @property
    def may_start(self) -> bool:
        """Whether messages may be started, those handed out before included; readable in any thread."""
        return self._lease.valid and not self._leaving

    def take(self, limit: int, *, whole_batch: bool, one_partition: bool = False) -> list[Message]:
        """Hand out what may start now; nothing once the lease is over."""
        if not self.may_start:
            self._holdings.available.clear()
            return []
        taken = self._holdings.take(limit, whole_batch=whole_batch, one_partition=one_partition)
        if taken:
            self._moved_at = self._host.clock()
        return taken

    async def available(self, timeout_s: float | None) -> None:
        """Wait until ``take`` may have something, or the pump has ended, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._holdings.available.wait()
        except TimeoutError:
            pass

    async def durable(self, partitions: set[int]) -> None:
        """Wait until what has been settled in these partitions is stored.

        Raises:
            PartitionLost: one of them was lost before.
        """
        waiting = [holding.durable() for holding in self._holdings if holding.partition in partitions]
        self.wake()
        await asyncio.gather(*waiting)

    def pause(self, partitions: set[int]) -> None:
        """Hand out and read nothing more of these partitions, now or when they are owned."""
        self._holdings.pause(partitions)

    def resume(self, partitions: set[int]) -> None:
        """Undo ``pause``."""
        self._holdings.resume(partitions)
        self.wake()

    async def seek(self, partition: int, start: bytes) -> None:
        """Move the group to another place in a partition that is owned; return when it goes on from there."""
        done = self._custody.seek(partition, start)
        if done is not None:
            self.tell(sig.Sought(partition))
            await done

    def leave(self, *, drain: bool) -> None:
        """Hand everything over and end; with ``drain``, when what is in flight is settled or has had its time."""
        self._leaving = True
        self._holdings.available.set()
        self.tell(sig.Leave())
        if drain:
            self._loop.call_later(self._options.drain_timeout_s, self._give_back)
        else:
            self._give_back()

    def _give_back(self) -> None:
        """What is still in flight no longer counts; if the server does not answer either, go without a word."""
        for holding in self._holdings:
            holding.lanes.stop()
            holding.lanes.take_back_before(math.inf)
        self.wake()
        self._loop.call_later(FAREWELL_S, self.end, None)

    def tell(self, event: sig.Event) -> None:
        """Feed the machine in the next turn."""
        self._inbox.append(event)
        self.wake()

    def _from_thread(self, call: Callable[..., None], *arguments: object) -> None:
        """Make a call that comes from the heart's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _refused(self, partition: int) -> None:
        self.tell(sig.Refused(partition))

    def wake(self) -> None:
        """Have a turn soon."""
        self._alarm.ring()

    # --- a turn -----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        now = self._lease.turned_at = self._host.clock()
        self._watch_time(now)
        while self._inbox and not self.ended.is_set():
            self._advance(self._inbox.popleft())
        if self.ended.is_set():
            return
        for holding in self._holdings:
            self._watch_holding(holding, now)
        self._committer.start_due(now)
        self._prober.start_due(now)
        self._reader.start()
        self._set_alarm(now)

    def _watch_time(self, now: float) -> None:
        """Turn the passing of time into events."""
        if self._lease.over:
            self._lease.end()
            self._inbox.append(sig.LeaseOver())
        if self._member.timer is not None and self._member.timer <= now:
            self._inbox.append(sig.Tick())
        if now - self._moved_at >= STALLED_S:
            self._moved_at = math.inf
            keys = tuple(key for holding in self._holdings for key in holding.lanes.waiting_keys)
            if keys and not self._holdings.available.is_set():
                self._observe(Stalled(self._member.me, keys))

    def _watch_holding(self, holding: Holding, now: float) -> None:
        """Take back what took too long, release what is drained, and let the rest take its turn."""
        deadline = now - self._options.max_processing_time_s
        if holding.lanes.oldest_start is not None and holding.lanes.oldest_start <= deadline:
            holding.lanes.take_back_before(deadline)
        if (drained := holding.drained()) is not None:
            holding.draining = False
            self._advance(drained)
        self._holdings.consider(holding)

    def _set_alarm(self, now: float) -> None:
        due = [now + READ_WAIT_S, self._member.timer, self._moved_at + STALLED_S, self._lease.until]
        for holding in self._holdings:
            oldest = holding.lanes.oldest_start
            due += [holding.dirty_since + self._options.commit_interval_s, holding.lanes.due]
            due.append(None if oldest is None else oldest + self._options.max_processing_time_s)
        self._alarm.set(min(at for at in due if at is not None))

    def _touched(self, holding: Holding) -> None:
        """Something of a holding was settled or given back: see to it that a turn comes in time.

        This runs for every message, so whatever is done once for many of them stands behind a condition.
        """
        self._moved_at = now = self._host.clock()
        if holding.dirty_since == math.inf:
            holding.dirty_since = now
            if now + self._options.commit_interval_s < self._alarm.at:
                self.wake()
        if holding.lanes.startable:
            if not holding.listed:
                self._holdings.consider(holding)
        elif holding.draining or not holding.lanes.in_flight:
            self.wake()

    # --- the machine ------------------------------------------------------------------------------------------------

    def _new_member(self, document: GroupState) -> Member:
        return Member(
            me=f"{self._options.instance_id or 'c'}-{self._host.nonce()}",
            slot=self._slot,
            session_s=self._options.session_timeout_s,
            rebalance_delay_s=self._options.rebalance_delay_s,
            document=document,
            seat=self._options.instance_id,
            immediate=self._options.takeover == "immediate",
        )

    def _advance(self, event: sig.Event) -> None:
        self._member, effects = advance(self._member, event, self._host.clock())
        for effect in effects:
            self._do(effect)

    def _do(self, effect: sig.Effect) -> None:
        match effect:
            case sig.Execute(command, again):
                self._execute(command) if not again else self._execute_again(command)
            case sig.Fetch(partition, grant):
                self._custody.fetch(self._member.me, partition, grant)
            case sig.Stop(partition):
                self._custody.stop(partition)
            case sig.Drop(partition):
                self._custody.drop(partition)
            case sig.Emit(observation):
                self._observe(observation)

    def _execute(self, command: Command[Any, Any]) -> None:
        if isinstance(command, UpdateGroup) and command != self._joining[0]:
            self._joining = (command, self._host.clock())
        if not self.ended.is_set():
            self._session.execute(command).add_done_callback(lambda future: self._answered(command, future))

    def _execute_again(self, command: Command[Any, Any]) -> None:
        self._loop.call_later(self._backoff.next_s(), self._execute, command)

    def _answered(self, command: Command[Any, Any], future: asyncio.Future[Any]) -> None:
        if future.cancelled() or self.ended.is_set():
            return
        error = future.exception()
        if error is None:
            self._backoff.reset()
            if isinstance(command, Release):
                self._custody.released(command, future.result())
            self.tell(sig.Replied(command, future.result()))
        elif isinstance(error, BackendError) and error.retriable:
            self.tell(sig.Unanswered(command))
        else:
            self.end(error)

    def _observe(self, observation: Observation) -> None:
        for observer in self._hooks.observers:
            observer(observation)
        if isinstance(observation, Admitted):
            self._lease.begin(observation.member, self._joining[1])
            if not self._admitted.done():
                self._admitted.set_result(None)
        error = ending(observation, self._slot, self._options)
        if error is not None:
            self.end(error)
        elif isinstance(observation, Departed):
            self._depart(observation.reason)

    def _depart(self, reason: str) -> None:
        self._lease.end()
        if reason == "expelled" and not self._leaving:
            self._member = self._new_member(self._member.document)
            self.tell(sig.Join())
        else:
            self.end(None)

    # --- the end ----------------------------------------------------------------------------------------------------

    def end(self, error: BaseException | None) -> None:
        """End at once, handing nothing over."""
        if self.ended.is_set():
            return
        if error is not None:
            self.failure = as_segmenter_error(error)
        self.ended.set()
        self._holdings.available.set()
        self.wake()
        if not self._admitted.done():
            self._admitted.set_exception(
                self.failure or ConsumerDead("the consumer was shut down before it was a member")
            )
            self._admitted.exception()  # whoever registers it gets it; nobody may be waiting

    async def _let_go(self) -> None:
        self._alarm.cancel()
        self._lease.end()
        self._custody.abandon()
        self._reader.stop()
        await self._session.aclose()
