"""The pump of one consumer: it turns what happens into events for the consumer's machine, and does what that asks for.

A turn takes in what happened since the last one, in the order it happened; has drained partitions released; starts
the commits that are due; and sees that the right read is under way. What starts in one turn shares a packet. The pump
never waits for an answer: answers come in as events of a later turn.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from segmenter.config import ConsumerOptions
from segmenter.core import signals as sig
from segmenter.core.beats import BEATS_PER_SESSION, LEASE_SHARE
from segmenter.core.command import Cursor, GroupSlot
from segmenter.core.continuity import Cut
from segmenter.core.events import Announcement, Asked, Changed
from segmenter.core.group import GroupState
from segmenter.core.member import Member
from segmenter.core.message import Message
from segmenter.core.observations import Admitted, Departed, Observation, Stalled
from segmenter.errors import ConsumerDead, SegmenterError
from segmenter.port import Session
from segmenter.runtime.alarm import Alarm
from segmenter.runtime.backoff import LIMIT_S, Backoff
from segmenter.runtime.committer import Committer
from segmenter.runtime.custody import Custody
from segmenter.runtime.driver import Driver
from segmenter.runtime.endings import ending
from segmenter.runtime.failures import as_segmenter_error, handler_stuck
from segmenter.runtime.heart import Heart
from segmenter.runtime.holding import Holding
from segmenter.runtime.holdings import Holdings
from segmenter.runtime.hooks import Hooks
from segmenter.runtime.host import Host
from segmenter.runtime.lease import Lease
from segmenter.runtime.prober import Prober
from segmenter.runtime.reader import Reader
from segmenter.runtime.redriver import Redriver
from segmenter.runtime.standstill import Standstill
from segmenter.runtime.ties import Ties

__all__ = ["Pump"]

TURN_S = 1.0  # a consumer without work turns this often, which is its proof of life
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
        place: object = None,
    ) -> None:
        self._slot = slot
        self._options = options
        self._session = session
        self._host = host
        self._clock = host.clock
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._holdings = Holdings(host.clock)
        self._custody = Custody(
            slot,
            self._holdings,
            hooks,
            host,
            patience_s=LEASE_SHARE * options.session_timeout_s,
            touched=self._touched,
            observe=self._observe,
            pump=self,
            place=place,
        )
        ties = Ties(
            session,
            slot.group,
            self._holdings,
            Backoff(host.chance, min(LIMIT_S, options.session_timeout_s / BEATS_PER_SESSION)),
            self.wake,
            self._observe,
            lambda partition: self.tell(sig.Refused(partition)),
            self.end,
        )
        self._reader = Reader(ties, Cursor(slot, events_end), options, heard=self._heard, cut=self._cut)
        self._committer = Committer(ties, options.commit_interval_s, lambda: self._lease.valid)
        self._prober = Prober(ties, options.session_timeout_s, unread=self._reader.expect)
        self._redriver = Redriver(ties)
        self._driver = Driver(ties, self._new_member(document), self._custody, host.clock)
        self._lease = self._new_lease(heart)
        self._alarm = Alarm(host.clock)
        self._standstill = Standstill(self._holdings)
        self._patience_s = options.max_processing_time_s  # until a message that is not settled is taken back
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
        return self._driver.member.me

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

    def attend(self, offered: Callable[[Holding], None]) -> None:
        """Offer each holding that has something to start to whoever runs handlers, times them and ends them."""
        self._patience_s = math.inf
        self._holdings.offered = offered

    @property
    def open(self) -> bool:
        """Whether messages may be started, those handed out before included; readable in any thread."""
        return not self._leaving and self._lease.valid

    def may_start(self, holding: Holding, now: float) -> bool:
        """Whether messages of a holding may be started at this time, those handed out before included."""
        return now < holding.clear_until or holding.clear(now, self._lease_until)

    def next(self) -> Message | None:
        """Hand out one message that may start now; nothing once the lease is over."""
        now = self._clock()
        message = self._holdings.next(now, self._lease_until)
        if message is not None:
            self._standstill.moved(now)
        return message

    def take(self, limit: int, *, one_partition: bool = False) -> list[Message]:
        """Hand out a batch of what may start now; nothing once the lease is over."""
        now = self._clock()
        taken = self._holdings.take(limit, now, self._lease_until, one_partition=one_partition)
        if taken:
            self._standstill.moved(now)
        return taken

    @property
    def _lease_until(self) -> float:
        """Until when anything may be handed out or started."""
        return -math.inf if self._leaving else self._lease.until

    async def available(self, timeout_s: float | None) -> None:
        """Wait until ``take`` may have something, or the pump has ended, or the time is over."""
        if timeout_s is None:
            await self._holdings.available.wait()
            return
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

    def tried(self) -> None:
        """Whoever handles what is in flight has failed: wherever it is delivered next, this attempt counts."""
        for holding in self._holdings:
            holding.lanes.take_back_before(math.inf)

    def leave(self, *, drain: bool) -> None:
        """Hand everything over and end; with ``drain``, when what is in flight is settled or has had its time.

        Where handlers are attended to, that is when ``give_back`` is called.
        """
        self._leaving = True
        for holding in self._holdings:
            holding.look_again()
        self._holdings.available.set()
        self.tell(sig.Leave())
        if not drain:
            self.give_back()
        elif self._holdings.offered is None:
            self._loop.call_later(self._options.drain_timeout_s, self.give_back)

    def give_back(self) -> None:
        """What is still in flight no longer counts; if the server does not answer either, go without a word."""
        for holding in self._holdings:
            holding.lanes.leave()
        self.wake()
        self._loop.call_later(FAREWELL_S, self.end, None)

    def tell(self, event: sig.Event) -> None:
        """Have the machine told in the next turn."""
        self._driver.tell(event)

    def _from_thread(self, call: Callable[..., None], *arguments: object) -> None:
        """Make a call that comes from the heart's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _heard(self, event: Changed | Announcement) -> None:
        if isinstance(event, Asked):
            self._prober.look(event.partition)
        else:
            self.tell(sig.Heard(event))

    def _cut(self, partition: int, cut: Cut) -> None:
        self._custody.tell_cut(self._driver.member.me, partition, cut)

    def wake(self) -> None:
        """Have a turn soon."""
        self._alarm.ring()

    # --- a turn -----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        now = self._lease.turned_at = self._clock()
        self._watch_time(now)
        self._driver.catch_up()
        if self.ended.is_set():
            return
        for holding in self._holdings.lively:
            self._watch_holding(holding, now)
        self._redriver.start_due()
        self._committer.start_due(now)
        self._prober.start_due(now)
        self._reader.start()
        self._holdings.settle_down()
        self._set_alarm(now)

    def _watch_time(self, now: float) -> None:
        """Turn the passing of time into events."""
        if self._lease.begun and not self._lease.valid:
            self._lease.end()
            self.tell(sig.LeaseOver())
        timer = self._driver.member.timer
        if timer is not None and timer <= now:
            self.tell(sig.Tick())
        if keys := self._standstill.keys(now):
            self._observe(Stalled(self._driver.member.me, keys))

    def _watch_holding(self, holding: Holding, now: float) -> None:
        """Take back what took too long, release what is drained, and let the rest take its turn."""
        deadline = now - self._patience_s
        if holding.lanes.oldest_start is not None and holding.lanes.oldest_start <= deadline:
            holding.lanes.take_back_before(deadline)
        if (drained := holding.drained()) is not None:
            self._driver.advance(drained)
        self._holdings.consider(holding)

    def _set_alarm(self, now: float) -> None:
        lease_until = self._lease.until if self._lease.begun else None
        due = [now + TURN_S, self._driver.member.timer, self._standstill.at, self._prober.due_at, lease_until]
        due += self._holdings.due(self._options.commit_interval_s, self._patience_s)
        self._alarm.set(min(at for at in due if at is not None))

    def _touched(self, holding: Holding) -> None:
        """Something of a holding was settled or given back: see to it that a turn comes in time.

        This runs for every message, so whatever is done once for many of them stands behind a condition.
        """
        now = self._clock()
        self._standstill.moved(now)
        self._holdings.stir(holding)
        if holding.dirty_since == math.inf:
            holding.dirty_since = now
            if now + self._options.commit_interval_s < self._alarm.at:
                self.wake()
        if holding.lanes.startable:
            if not holding.listed:
                self._holdings.consider(holding)
        elif holding.draining or not holding.lanes.in_flight:
            self.wake()

    # --- membership -------------------------------------------------------------------------------------------------

    def _new_lease(self, heart: Heart) -> Lease:
        return Lease(
            heart,
            self._slot,
            self._options.session_timeout_s,
            clock=self._host.clock,
            stall_s=max(self._options.max_processing_time_s, 2 * TURN_S),
            known=lambda: self._driver.member.document.version,
            tell=lambda event: self._from_thread(self.tell, event),
            stuck=lambda stall_s: self._from_thread(self.end, handler_stuck(self._slot, stall_s)),
            failed=lambda error: self._from_thread(self.end, error),
        )

    def _new_member(self, document: GroupState) -> Member:
        return Member(
            me=f"{self._options.instance_id or 'c'}-{self._host.nonce()}",
            slot=self._slot,
            session_s=self._options.session_timeout_s,
            rebalance_delay_s=self._options.rebalance_delay_s,
            document=document,
            seat=self._options.instance_id,
            window=self._options.read_ahead,
            immediate=self._options.takeover == "immediate",
        )

    def _observe(self, observation: Observation) -> None:
        for observer in self._hooks.observers:
            observer(observation)
        if isinstance(observation, Admitted):
            self._lease.begin(observation.member, self._driver.changed_at)
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
            for partition in self._holdings.partitions:  # released, and the answer has not come
                self._custody.drop(partition)
            self._driver.member = self._new_member(self._driver.member.document)
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
        self._driver.stopped = True
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
