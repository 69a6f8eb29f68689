"""The pump of one consumer: it turns what happens into events for the consumer's machine, and does what that asks for.

A turn takes in what happened since the last one, in the order it happened; has drained partitions released; starts
the commits that are due; and sees that the right read is under way. What starts in one turn shares a packet. The pump
never waits for an answer: answers come in as events of a later turn.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable

from segmenter.cancellation import outlast
from segmenter.config import ConsumerOptions
from segmenter.core import signals as sig
from segmenter.core.beats import BEATS_PER_SESSION
from segmenter.core.caution import Turn
from segmenter.core.command import Cursor, GroupSlot
from segmenter.core.events import Announcement, Asked, Changed
from segmenter.core.group import GroupState
from segmenter.core.member import Member
from segmenter.core.observations import Admitted, Departed, Observation, ReadOverdue, Stalled
from segmenter.errors import ConsumerDead, SegmenterError
from segmenter.port import Session
from segmenter.runtime.alarm import Alarm
from segmenter.runtime.backoff import LIMIT_S, Backoff
from segmenter.runtime.committer import Committer
from segmenter.runtime.custody import Attendant, Custody
from segmenter.runtime.delivery import Delivery
from segmenter.runtime.driver import Driver
from segmenter.runtime.endings import ending
from segmenter.runtime.failures import as_segmenter_error, corrupt, handler_stuck, read_overdue
from segmenter.runtime.heart import Heart
from segmenter.runtime.holding import Holding
from segmenter.runtime.holdings import Holdings
from segmenter.runtime.hooks import HookCalls, Hooks
from segmenter.runtime.host import Host
from segmenter.runtime.identity import member_id
from segmenter.runtime.lease import Lease
from segmenter.runtime.observers import Observers
from segmenter.runtime.prober import Prober
from segmenter.runtime.reader import Reader
from segmenter.runtime.redriver import Redriver
from segmenter.runtime.stacks import stack_summary
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
        turn: Turn | None = None,
    ) -> None:
        self._slot = slot
        self._thread = threading.get_ident()
        self._options = options
        self._session = session
        self._host = host
        self._clock = host.clock
        self._observers = Observers(hooks.observers)
        self._loop = asyncio.get_running_loop()
        self._holdings = Holdings(host.clock)
        self._hooks = HookCalls(slot, hooks, options, host.chance, self._observe, self.look_at, self._fail)
        self._custody = Custody(
            slot,
            self._holdings,
            self._hooks,
            host,
            options=options,
            touched=self._touched,
            observe=self._observe,
            freed=self.look_at,
            consumer=self,
            place=place,
            turn=turn,
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
        self._reader = Reader(ties, Cursor(slot, events_end), options, heard=self._heard, found=self._custody.found)
        self._committer = Committer(ties, options.commit_interval_s, lambda: self._lease.valid)
        self._prober = Prober(ties, options.session_timeout_s, unread=self._reader.expect)
        self._redriver = Redriver(ties)
        self._driver = Driver(ties, self._new_member(document), self._custody, host.clock)
        self._lease = self._new_lease(heart)
        self._alarm = Alarm(host.clock)
        self._patience_s = options.max_processing_time_s  # until a message that is not settled is taken back
        self.delivery = Delivery(self._holdings, self._lease, host.clock, options)
        self._farewell = False  # it ends soon in any case
        self._admitted = self._loop.create_future()
        self.failure: SegmenterError | None = None  # why it ended, if not because it was asked to
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Join, and turn until the membership is over.

        Whoever is cancelled meanwhile leaves the group all the same, as by ``leave(drain=False)``.
        """
        cancelled: asyncio.CancelledError | None = None
        self.tell(sig.Join())
        try:
            while not self.ended.is_set():
                try:
                    await self._alarm.wait()
                except asyncio.CancelledError as error:
                    cancelled = error
                    self._cancelled()
                self._turn()
        except Exception as error:
            self.end(error)
        finally:
            self.end(None)
            await outlast(self._loop.create_task(self._let_go()))
        if cancelled is not None:
            raise cancelled

    def _cancelled(self) -> None:
        attendant = self._custody.attendant
        if attendant is not None:
            attendant.cancelled()
        elif not self.delivery.closed:
            self.leave(drain=False)

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

    def attend(self, attendant: Attendant) -> None:
        """Offer each holding that has something to start to whoever runs handlers, times them and ends them."""
        self._patience_s = math.inf
        self._holdings.offered = attendant.offered
        self._custody.attendant = attendant

    async def durable(self, partitions: set[int]) -> None:
        """Wait until what has been settled in these partitions is stored.

        Raises:
            PartitionLost: one of them was lost before.
        """
        waiting = [holding.durable() for holding in self._holdings if holding.partition in partitions]
        self.wake()
        await asyncio.gather(*waiting)

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

    def leave(self, *, drain: bool, forever: bool = False) -> None:
        """Hand everything over and end; with ``drain``, when what is in flight is settled or has had its time.

        Where handlers are attended to, that is when ``give_back`` is called.
        """
        self.delivery.closed = True
        for holding in self._holdings:
            holding.look_again()
        self._holdings.available.set()
        self.tell(sig.Leave(forever))
        if not drain:
            self.give_back()
        elif self._holdings.offered is None:
            self._loop.call_later(self._options.drain_timeout_s, self.give_back)

    def give_back(self) -> None:
        """What is still in flight no longer counts; if the server does not answer either, go without a word."""
        for holding in self._holdings:
            holding.lanes.leave()
        self.wake()
        if not self._farewell:
            self._farewell = True
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
        if keys := self.delivery.standstill.keys(now):
            self._observe(Stalled(self._driver.member.me, keys))
        if self.delivery.read_overdue_at <= now:
            self._observe(ReadOverdue(self.member, limit_s := self._options.max_processing_time_s))
            self._fail(read_overdue(self._slot, limit_s))
        self._lease.check_heart()

    def _watch_holding(self, holding: Holding, now: float) -> None:
        """Take back what took too long, release what is drained, and let the rest take its turn."""
        oldest, deadline = holding.lanes.oldest_start, now - self._patience_s
        if oldest is not None and oldest <= deadline:
            holding.lanes.take_back_before(deadline)
        if (drained := holding.drained()) is not None:
            self._driver.advance(drained)
        if (entry := holding.stopped_at) is not None and not self.delivery.closed:
            self._fail(corrupt(self._slot, holding.partition, entry))  # and all that is settled is stored
        self._holdings.consider(holding)

    def _set_alarm(self, now: float) -> None:
        due = [now + TURN_S, self._driver.member.timer, self._prober.due_at, self._lease.over_at]
        due += [self.delivery.standstill.at, self.delivery.read_overdue_at]
        due += self._holdings.due(self._options.commit_interval_s, self._patience_s)
        self._alarm.set(min(at for at in due if at is not None))

    def _touched(self, holding: Holding) -> None:
        """Something of a holding was settled or given back: see to it that a turn comes in time.

        This runs for every message, so whatever is done once for many of them stands behind a condition.
        """
        now = self._clock()
        self.delivery.standstill.moved(now)
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
            stuck=self._stands_still,
            failed=lambda error: self._from_thread(self.end, error),
        )

    def _stands_still(self, stall_s: float) -> None:
        """The event loop does not turn, as the heart has noticed in its thread."""
        stuck = handler_stuck(self._slot, stall_s, stack_summary(self._thread))
        self._from_thread(self.end, stuck)
        self._host.on_stuck(stuck)

    def look_at(self, holding: Holding) -> None:
        """Something of a holding may start now that could not before."""
        self._holdings.consider(holding)
        self.wake()

    def _new_member(self, document: GroupState) -> Member:
        return Member(
            me=member_id(self._options.instance_id, self._host.process(), self._host.nonce()),
            slot=self._slot,
            session_s=self._options.session_timeout_s,
            rebalance_delay_s=self._options.rebalance_delay_s,
            document=document,
            seat=self._options.instance_id,
            process=self._host.process(),
            window=self._options.read_ahead,
            immediate=self._options.takeover == "immediate",
        )

    def _observe(self, observation: Observation) -> None:
        if isinstance(observation, Admitted):  # before anybody is told, since that may block the loop
            self._lease.begin(observation.member, self._driver.changed_at)
            if not self._admitted.done():
                self._admitted.set_result(None)
        self._observers(observation)
        error = ending(observation, self._slot, self._options, self._driver.member.document)
        if error is not None:
            self.end(error)
        elif isinstance(observation, Departed):
            self._depart(observation.reason)

    def _depart(self, reason: str) -> None:
        self._lease.end()
        if reason == "expelled" and not self.delivery.closed:
            for partition in self._holdings.partitions:  # released, and the answer has not come
                self._custody.drop(partition)
            self._driver.member = self._new_member(self._driver.member.document)
            self.tell(sig.Join())
        else:
            self.end(None)

    # --- the end ----------------------------------------------------------------------------------------------------

    def _fail(self, error: SegmenterError) -> None:
        """Hand over what can be, and end with an error."""
        if self._custody.attendant is not None:
            self._custody.attendant.failed(error)
        elif not self.delivery.closed:
            self.failure = error
            self.leave(drain=False)

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
        await self._hooks.aclose()
        await self._session.aclose()
