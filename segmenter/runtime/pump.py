"""The pump of one consumer: it reads, hands out and commits, feeds the consumer's machine, and does what it asks for.

A turn takes in what happened since the last one, in the order it happened; starts the commits that are due; and makes
sure that the right read is under way. What starts in one turn shares a packet. The pump never waits for an answer:
answers come in as events of a later turn.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import evolve, field, frozen

from segmenter.config import LIMIT_BATCH, ConsumerOptions
from segmenter.core.beats import Pulse
from segmenter.core.command import Command, Cursor, GroupSlot, PartitionSlot, ReadReply
from segmenter.core.events import announcement_of
from segmenter.core.group import GroupState
from segmenter.core.machine import RETRY_S, advance
from segmenter.core.member import Member
from segmenter.core.message import Message
from segmenter.core.observations import Admitted, Departed, Missing, Observation, Skipped, Stalled
from segmenter.core.partition import Claimed, Commit, Committed, Release, Released
from segmenter.core.reading import Plan, plan
from segmenter.core.signals import (
    Drop,
    Effect,
    Emit,
    Event,
    Execute,
    Fetch,
    Heard,
    Join,
    LeaseOver,
    Leave,
    Refused,
    Replied,
    Sought,
    Stop,
    Tick,
    Unanswered,
)
from segmenter.errors import BackendError, ConsumerDead, GroupRemoved, SeatTaken, SegmenterError, StreamLost
from segmenter.port import Session
from segmenter.runtime.heart import Heart, Patient
from segmenter.runtime.holding import Holding
from segmenter.runtime.host import Host

__all__ = ["Hooks", "Pump"]

READ_WAIT_S = 1.0  # at most; a consumer without work turns this often, which is its proof of life
STALL_S = 1.0  # without a settlement, while everything that could start waits for one

Hook = Callable[[int], Awaitable[None] | None]


@frozen
class Hooks:
    """Functions of the user's, each called with a partition: plain, or coroutines that are awaited."""

    on_assigned: Hook | None = None  # before anything of it is handed out
    on_revoked: Hook | None = None  # when it is to be given up, before it is released
    on_lost: Hook | None = None  # when it is gone already
    observers: list[Callable[[Observation], None]] = field(factory=list[Callable[[Observation], None]])


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
        self._heart = heart
        self._host = host
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._events = Cursor(slot, events_end)
        self._member = self._new_member(document)
        self._patient: Patient | None = None
        self._inbox: deque[Event] = deque()
        self._holdings: dict[int, Holding] = {}
        self._candidates: deque[Holding] = deque()
        self._paused: set[int] = set()
        self._reading: asyncio.Future[ReadReply] | None = None
        self._planned: Plan | None = None
        self._turns = 0
        self._turned_at = host.clock()
        self._wake = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._available = asyncio.Event()
        self._leaving = False
        self._settled_at = math.inf  # when something was last settled while messages were in flight
        self._seeking: dict[int, tuple[bytes, asyncio.Future[None]]] = {}
        self._failure: SegmenterError | None = None
        self._admitted: asyncio.Future[None] = self._loop.create_future()
        self.ended = asyncio.Event()

    # --- what a consumer asks ---------------------------------------------------------------------------------------

    @property
    def failure(self) -> SegmenterError | None:
        """Why the pump ended, if not because it was asked to."""
        return self._failure

    @property
    def member(self) -> str:
        """The id under which the consumer is a member at present."""
        return self._member.me

    @property
    def partitions(self) -> list[int]:
        """The partitions owned at present, those being given up included."""
        return sorted(self._holdings)

    @property
    def partition_count(self) -> int:
        """How many partitions the stream has."""
        return self._member.document.partitions

    async def run(self) -> None:
        """Join, and turn until the membership is over."""
        self._inbox.append(Join())
        try:
            while not self.ended.is_set():
                self._turn()
                if not self.ended.is_set():
                    await self._wake.wait()
                    self._wake.clear()
        except SegmenterError as error:
            self._end(error)
        finally:
            self._end(None)
            await self._let_go()

    async def admitted(self) -> None:
        """Wait until the consumer is a member.

        Raises:
            SegmenterError: if it will not become one.
        """
        await asyncio.shield(self._admitted)

    def take(self, limit: int, *, whole_batch: bool, one_partition: bool = False) -> list[Message]:
        """Hand out what may start now, in turns over the partitions; nothing once the lease is over."""
        taken: list[Message] = []
        if not self._leased:
            return taken
        while self._candidates and len(taken) < limit:
            holding = self._candidates[0]
            if holding.paused or holding.hooks:
                self._unlist(holding)
                continue
            some = holding.lanes.take(limit - len(taken), whole_batch=whole_batch)
            taken += some
            if not holding.lanes.startable:
                self._unlist(holding)
            else:
                self._candidates.rotate(-1)
            if some and (one_partition or holding.lanes.startable):
                break
        if not self._candidates:
            self._available.clear()
        return taken

    async def available(self, timeout_s: float | None) -> bool:
        """Wait until ``take`` may have something, or the pump has ended; whether that came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._available.wait()
        except TimeoutError:
            return False
        return True

    async def durable(self, partitions: set[int] | None = None) -> None:
        """Wait until what has been settled in these partitions, or in all, is stored.

        Raises:
            PartitionLost: one of them was lost before.
        """
        wanted = [held for number, held in self._holdings.items() if partitions is None or number in partitions]
        waiting = [holding.durable() for holding in wanted]
        self.wake()
        await asyncio.gather(*waiting)

    def pause(self, partitions: set[int]) -> None:
        """Hand out and read nothing more of these partitions, now or when they are owned."""
        self._paused |= partitions
        self._apply_pauses()

    def resume(self, partitions: set[int]) -> None:
        """Undo ``pause``."""
        self._paused -= partitions
        self._apply_pauses()

    async def seek(self, partition: int, start: bytes) -> None:
        """Move the group to another place in a partition that is owned; return when it goes on from there."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._seeking[partition] = (start, done)
        self._holdings[partition].lanes.take_back_before(math.inf)
        self.tell(Sought(partition))
        await done

    def leave(self) -> None:
        """Hand everything over and end: what is handed out and not settled will be delivered elsewhere."""
        self._leaving = True
        for holding in self._holdings.values():
            holding.lanes.stop()
            holding.lanes.take_back_before(math.inf)
        self.tell(Leave())
        self._loop.call_later(self._options.drain_timeout_s, self._end, None)

    def tell(self, event: Event) -> None:
        """Feed the machine in the next turn."""
        self._inbox.append(event)
        self.wake()

    def tell_from_thread(self, event: Event) -> None:
        """The same, from another thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.tell, event)

    def wake(self) -> None:
        """Have a turn soon."""
        self._wake.set()

    # --- a turn -----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        now = self._turned_at = self._host.clock()
        self._turns += 1
        self._watch(now)
        while self._inbox:
            self._advance(self._inbox.popleft())
        self._take_back_late(now)
        for holding in tuple(self._holdings.values()):
            self._finish(holding)
            self._list(holding)
        self._start_commits(now)
        self._start_read()
        self._set_alarm(now)

    def _watch(self, now: float) -> None:
        """Turn the passing of time into events."""
        if self._patient is not None and not self._leased:
            self._heart.remove(self._patient)
            self._patient = None
            self._inbox.append(LeaseOver())
        timer = self._member.timer(now)
        if timer is not None and timer <= now:
            self._inbox.append(Tick())
        if now - self._settled_at >= STALL_S and not self._available.is_set():
            self._settled_at = math.inf
            keys = tuple(key for holding in self._holdings.values() for key in holding.lanes.waiting_keys)
            if keys:
                self._observe(Stalled(self._member.me, keys))

    def _set_alarm(self, now: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        due = [now + READ_WAIT_S]
        timer = self._member.timer(now)
        if timer is not None:
            due.append(timer)
        if self._patient is not None and self._patient.pulse.lease_from is not None:
            due.append(self._patient.pulse.lease_until)
        for holding in self._holdings.values():
            due.append(holding.dirty_since + self._options.commit_interval_s)
            if holding.lanes.due is not None:
                due.append(holding.lanes.due)
            if holding.lanes.oldest_start is not None:
                due.append(holding.lanes.oldest_start + self._options.max_processing_time_s)
        self._alarm = self._loop.call_later(max(0.001, min(due) - now), self.wake)

    @property
    def _leased(self) -> bool:
        """Whether anything may be handed out, started or committed."""
        patient = self._patient
        return patient is not None and (
            patient.pulse.lease_from is None or self._host.clock() < patient.pulse.lease_until
        )

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

    def _advance(self, event: Event) -> None:
        self._member, effects = advance(self._member, event, self._host.clock())
        for effect in effects:
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Execute(command, 0.0):
                self._execute(command)
            case Execute(command, after_s):
                self._loop.call_later(after_s, self._execute, command)
            case Fetch(partition, grant):
                self._fetch(partition, grant)
            case Stop(partition):
                self._stop(partition)
            case Drop(partition):
                self._drop(partition)
            case Emit(observation):
                self._observe(observation)

    def _execute(self, command: Command[Any, Any]) -> None:
        if not self.ended.is_set():
            self._session.execute(command).add_done_callback(lambda future: self._answered(command, future))

    def _answered(self, command: Command[Any, Any], future: asyncio.Future[Any]) -> None:
        if future.cancelled() or self.ended.is_set():
            return
        error = future.exception()
        if isinstance(error, BackendError) and error.retriable:
            self._unanswered(command)
        elif error is not None:
            self._end(error)
        elif isinstance(command, Commit):
            self._committed(command, future.result())
        else:
            self._released(command, future.result())
            self.tell(Replied(command, future.result()))

    def _unanswered(self, command: Command[Any, Any]) -> None:
        if isinstance(command, Commit):
            self._loop.call_later(RETRY_S, self._repeat, command)
        else:
            self.tell(Unanswered(command))

    def _observe(self, observation: Observation) -> None:
        match observation:
            case Admitted(member):
                self._begin_beating(member)
            case Departed(reason=reason):
                self._depart(reason)
            case Missing(partition=partition):
                self._end(
                    StreamLost(
                        f"partition {partition} of {self._slot.stream!r} is gone: it was deleted, evicted or wiped; "
                        "register the stream anew, and see that the server evicts nothing",
                        stream=self._slot.stream,
                        group=self._slot.group,
                        partition=partition,
                    )
                )
            case _:
                pass
        for observer in self._hooks.observers:
            observer(observation)

    def _begin_beating(self, member: str) -> None:
        self._patient = Patient(
            self._slot,
            member,
            Pulse(self._options.session_timeout_s, lease_from=self._host.clock()),
            alive=self._turns_in_time,
            known=lambda: self._member.document.version,
            tell=self.tell_from_thread,
        )
        self._heart.add(self._patient)
        if not self._admitted.done():
            self._admitted.set_result(None)

    def _turns_in_time(self) -> bool:
        """Proof of life, asked by the heart: whether the loop that runs the consumer still turns."""
        stall_s = max(self._options.max_processing_time_s, 2 * READ_WAIT_S)
        return self._host.clock() - self._turned_at < stall_s

    def _depart(self, reason: str) -> None:
        if self._patient is not None:
            self._heart.remove(self._patient)
            self._patient = None
        about = {"stream": self._slot.stream, "group": self._slot.group}
        match reason:
            case "displaced":
                seat = self._options.instance_id
                self._end(SeatTaken(f"instance_id {seat!r} was registered again elsewhere; this one stops", **about))
            case "removed":
                self._end(GroupRemoved(f"the group {self._slot.group!r} was removed", **about))
            case "expelled" if not self._leaving:
                self._member = self._new_member(self._member.document)
                self.tell(Join())
            case _:
                self._end(None)

    # --- holdings ---------------------------------------------------------------------------------------------------

    def _fetch(self, partition: int, grant: Claimed) -> None:
        slot = PartitionSlot(self._slot.stream, partition)
        holding = Holding(
            slot, self._slot.group, self._member.me, grant, clock=self._host.clock, touched=self._touched
        )
        holding.paused = partition in self._paused
        self._holdings[partition] = holding
        skipped = grant.first - grant.progress.read
        if skipped > 0:
            self._observe(Skipped(self._member.me, partition, skipped))
        self._call_hook(self._hooks.on_assigned, holding)
        seeking = self._seeking.pop(partition, None)
        if seeking is not None and not seeking[1].done():
            seeking[1].set_result(None)

    def _stop(self, partition: int) -> None:
        holding = self._holdings[partition]
        holding.draining = True
        holding.lanes.stop()
        if partition in self._seeking:
            holding.seek = self._seeking[partition][0]
        self._call_hook(self._hooks.on_revoked, holding)

    def _drop(self, partition: int) -> None:
        holding = self._holdings.pop(partition)
        self._unlist(holding)
        holding.lost()
        self._call_hook(self._hooks.on_lost, holding)

    def _released(self, command: Command[Any, Any], reply: object) -> None:
        if not isinstance(command, Release):
            return
        holding = self._holdings.get(command.slot.partition)
        if holding is None or holding.grant.epoch != command.epoch:
            return
        del self._holdings[command.slot.partition]
        self._unlist(holding)
        if isinstance(reply, Released):
            holding.released()
        else:
            holding.lost()

    def _finish(self, holding: Holding) -> None:
        """Have a drained partition released."""
        drained = holding.drained()
        if drained is not None:
            holding.draining = False
            self._advance(drained)

    def _call_hook(self, hook: Hook | None, holding: Holding) -> None:
        result = hook(holding.partition) if hook is not None else None
        if inspect.iscoroutine(result):
            task = self._loop.create_task(result)
            holding.hooks.add(task)
            task.add_done_callback(lambda done: self._hook_ended(holding, done))

    def _hook_ended(self, holding: Holding, task: asyncio.Task[None]) -> None:
        holding.hooks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler({"message": "a hook of a consumer failed", "exception": error})
        self.wake()

    def _take_back_late(self, now: float) -> None:
        for holding in self._holdings.values():
            oldest = holding.lanes.oldest_start
            if oldest is not None and oldest <= now - self._options.max_processing_time_s:
                holding.lanes.take_back_before(now - self._options.max_processing_time_s)

    def _apply_pauses(self) -> None:
        for partition, holding in self._holdings.items():
            holding.paused = partition in self._paused
            self._list(holding)
        self.wake()

    def _list(self, holding: Holding) -> None:
        """Count a holding among those that may have something to hand out."""
        blocked = holding.listed or holding.paused or holding.hooks
        if blocked or not (holding.lanes.startable or self._due(holding)):
            return
        holding.listed = True
        self._candidates.append(holding)
        self._available.set()

    def _due(self, holding: Holding) -> bool:
        return holding.lanes.due is not None and holding.lanes.due <= self._host.clock()

    def _unlist(self, holding: Holding) -> None:
        if holding.listed:
            holding.listed = False
            self._candidates.remove(holding)

    # --- commits ----------------------------------------------------------------------------------------------------

    def _touched(self, holding: Holding) -> None:
        """Something of it was settled or given back."""
        now = self._host.clock()
        self._settled_at = now
        if holding.dirty_since == math.inf:
            holding.dirty_since = now
            if self._alarm is not None and self._alarm.when() > self._loop.time() + self._options.commit_interval_s:
                self.wake()
        if not holding.listed:
            self._list(holding)
            if holding.draining or not (holding.lanes.in_flight or holding.lanes.startable):
                self.wake()

    def _start_commits(self, now: float) -> None:
        if not self._leased:
            return
        for holding in self._holdings.values():
            if holding.dirty and (holding.urgent or holding.dirty_since + self._options.commit_interval_s <= now):
                commit = holding.next_commit()
                if commit is not None:
                    self._execute(commit)

    def _repeat(self, commit: Commit) -> None:
        holding = self._holdings.get(commit.slot.partition)
        if holding is not None and holding.grant.epoch == commit.epoch and self._leased:
            self._execute(commit)

    def _committed(self, commit: Commit, reply: object) -> None:
        holding = self._holdings.get(commit.slot.partition)
        if holding is None or holding.grant.epoch != commit.epoch:
            return
        if isinstance(reply, Committed):
            holding.committed(commit)
            self.wake()
        else:
            self.tell(Refused(commit.slot.partition))

    # --- reading ----------------------------------------------------------------------------------------------------

    def _start_read(self) -> None:
        """See that the read under way asks for every partition that has room."""
        ahead = (self._options.read_ahead, self._options.read_ahead_bytes)
        wanted = [holding.lanes for holding in self._holdings.values() if holding.wants_more(*ahead)]
        if self._reading is not None:
            asked = set(map(id, self._planned.holds)) if self._planned else set[int]()
            if any(id(lanes) not in asked for lanes in wanted) and not self._rotating(wanted):
                self._reading.cancel()
            return
        self._planned = plan(self._events, wanted, turn=self._turns, count=LIMIT_BATCH, wait_s=READ_WAIT_S)
        self._reading = self._session.read(self._planned.read)
        self._reading.add_done_callback(self._read)

    def _rotating(self, wanted: list[Any]) -> bool:
        """Whether there are more partitions than one read asks for: then they take turns, and none interrupts."""
        return self._planned is not None and len(self._planned.holds) < len(wanted) and len(self._planned.holds) > 1

    def _read(self, future: asyncio.Future[ReadReply]) -> None:
        self._reading = None
        if future.cancelled() or self.ended.is_set():
            self.wake()
            return
        error = future.exception()
        if isinstance(error, BackendError) and error.retriable:
            self._loop.call_later(RETRY_S, self.wake)
        elif error is not None:
            self._end(error)
        elif self._planned is not None:
            self._deliver(self._planned, future.result())
            self.wake()

    def _deliver(self, planned: Plan, reply: ReadReply) -> None:
        current = {partition: holding.lanes for partition, holding in self._holdings.items()}
        if self._leased:
            for lanes in planned.deliver(reply, current):
                self._list(self._holdings[lanes.partition])
        for entry in reply.get(self._slot, ()):
            self._events = evolve(self._events, after=entry[0])
            event = announcement_of(entry)
            if event is not None:
                self._inbox.append(Heard(event))

    # --- the end ----------------------------------------------------------------------------------------------------

    def _end(self, error: BaseException | None) -> None:
        if self.ended.is_set():
            return
        if error is not None and not isinstance(error, SegmenterError):
            error = _internal(error)
        self._failure = error
        self.ended.set()
        self._available.set()
        self.wake()
        if not self._admitted.done():
            self._admitted.set_exception(error or ConsumerDead("the consumer was shut down before it was a member"))
            self._admitted.exception()

    async def _let_go(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._patient is not None:
            self._heart.remove(self._patient)
        for partition in tuple(self._holdings):
            self._drop(partition)
        for _, future in self._seeking.values():
            future.cancel()
        if self._reading is not None:
            self._reading.cancel()
        await self._session.aclose()


def _internal(error: BaseException) -> SegmenterError:
    failure = SegmenterError(f"the consumer stopped on an unexpected error: {error!r}")
    failure.__cause__ = error
    return failure
