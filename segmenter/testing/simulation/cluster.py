"""Plays a plan: the real runtime in several processes over one server, while the plan's faults befall them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from attrs import evolve

from segmenter.core.command import GroupSlot, PartitionSlot, Slot
from segmenter.testing.simulation.fates import Fates
from segmenter.testing.simulation.history import History
from segmenter.testing.simulation.operator import Operator
from segmenter.testing.simulation.plan import Fault, Plan
from segmenter.testing.simulation.process import GROUP, STREAM, Process, Producer
from segmenter.testing.simulation.server import AuditedStore
from segmenter.testing.simulation.troubles import SPELL_S, Troubles
from segmenter.testing.simulation.worker import Worker
from segmenter.testing.virtual import run_virtually

__all__ = ["simulate"]

LIMIT_WORKERS = 5
REST_S = 20.0  # within which everything must have been made, and partitions be owned ...
DRAIN_LIMIT_S = 60.0  # ... and all be settled, which takes longer where messages kill
SUPERVISED_S = 0.3  # after which a worker that a message killed is started anew
LOOK_S = 0.05
LAST_REDRIVES = 2  # of everything, once all else has come to rest
EVERYTHING = 0.6  # share of requests that are for all that is parked, and not for one key


def simulate(plan: Plan) -> History:
    """Run a plan on virtual time, and return what happened; the same plan gives the same history."""
    return run_virtually(lambda: Cluster(plan).play())


class Cluster(Troubles):
    """The server and its processes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = asyncio.get_running_loop()
        self.history = History(plan)
        self.store = AuditedStore(self.history.events.append)
        self.producer = Producer(plan, self.store, self.history)
        self.operator = Operator("operator", plan, self.store, self.history)
        self.fates = Fates(plan)
        self.workers: list[Worker] = []
        self.group = GroupSlot(STREAM, GROUP)
        self._born = 0
        self._gone: list[Worker] = []

    async def play(self) -> History:
        """Everything, from the first send until all has come to rest."""
        self.producer.start(self.producer.run())
        await self._until(lambda: PartitionSlot(STREAM, self.plan.partitions - 1) in self.store.slots, REST_S)
        for _ in range(self.plan.workers):
            self._start_worker(f"seat-{self._born}" if self.plan.seats else None)
        for fault in self.plan.faults:
            await asyncio.sleep(max(0.0, fault.at - self.loop.time()))
            self._befall(fault)
        await self._rest()
        played = evolve(self.history, events=[*self.history.events])  # without what the end of the processes brings
        for process in (self.producer, self.operator, *self.workers, *self._gone):
            process.bury()
        return played

    async def _rest(self) -> None:
        """No more faults: whoever stands still goes on, and the network is good."""
        await asyncio.sleep(SPELL_S if self.plan.faults else 0.0)
        for process in (self.producer, self.operator, *self.workers):
            process.network.mend()
            process.go_on()
        self.store.full_until = 0.0
        if all(worker.ended for worker in self.workers):
            self._start_worker()
        self.history.rest_at = self.loop.time()
        self._happen("the faults are over")
        self.producer.resting.set()
        await self._until(self._owned, REST_S)
        self.history.owned_at = self.loop.time() if self._owned() else None
        await self._until(self._drained, DRAIN_LIMIT_S)
        for _ in range(LAST_REDRIVES):
            await self.operator.redrive_everything()
            await self._until(self._drained, DRAIN_LIMIT_S)
        self.history.drained_at = self.loop.time() if self._drained() else None

    def _owned(self) -> bool:
        if self.group not in self.store.slots:
            return False
        living = {worker.consumer.id for worker in self.workers if worker.consumer is not None}
        return set(self.store.lane_owners(self.group)) <= living & self.store.members(self.group)

    def _drained(self) -> bool:
        return self.producer.done.done() and self.group in self.store.slots and self.store.drained(self.group)

    async def _until(self, came: Callable[[], bool], limit_s: float) -> None:
        deadline = self.loop.time() + limit_s
        while not came() and self.loop.time() < deadline:  # noqa: ASYNC110 - it looks from outside, now and then
            await asyncio.sleep(LOOK_S)

    # --- what may happen --------------------------------------------------------------------------------------------

    def _worker(self, fault: Fault) -> Worker | None:
        return self.workers[fault.target % len(self.workers)] if self.workers else None

    @property
    def processes(self) -> list[Process]:
        """All that live."""
        return [self.producer, self.operator, *self.workers]

    def _start_worker(self, seat: str | None = None) -> None:
        if len(self.workers) < LIMIT_WORKERS:
            self._born += 1
            name, about = f"w{self._born}", (self.plan, self.store, self.history)
            worker = Worker(name, seat, *about, fates=self.fates, killed=self._killed)
            self.workers.append(worker)
            self._happen(f"{worker.name} starts" + (f" in {seat}" if seat else ""))
            worker.start(worker.run())

    def _join(self, fault: Fault) -> None:
        self._start_worker()

    def _crash(self, fault: Fault) -> None:
        if (worker := self._worker(fault)) is not None:
            self._happen(f"{worker.name} dies")
            worker.die()
            self._remove(worker)

    def _killed(self, worker: Worker) -> None:
        """By the message that it handled."""
        self._happen(f"{worker.name} dies of a message")
        worker.die()
        if worker in self.workers:
            self._remove(worker)
            # In a context of no process: the one that this is called in is dead.
            self.loop.call_later(SUPERVISED_S, self._start_worker, worker.seat, context=Context())

    def _leave(self, fault: Fault) -> None:
        if (worker := self._worker(fault)) is not None:
            self._happen(f"{worker.name} is shut down")
            worker.leave()
            self._remove(worker)

    def _remove(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self._gone.append(worker)

    def _restart_in_seat(self, fault: Fault) -> None:
        seats = sorted({worker.seat for worker in (*self.workers, *self._gone) if worker.seat})
        self._start_worker(seats[fault.target % len(seats)] if seats else "seat-0")

    def _clock(self, fault: Fault) -> None:
        seconds = round((fault.amount - 0.5) * 7200)
        self._happen(f"the server's clock jumps by {seconds} s")
        self.store.jumped_us += seconds * 1_000_000

    def _group_rolled_back(self, fault: Fault) -> None:
        self._roll_back(self.group, fault)

    def _partition_rolled_back(self, fault: Fault) -> None:
        self._roll_back(PartitionSlot(STREAM, fault.target % self.plan.partitions), fault)

    def _roll_back(self, slot: Slot, fault: Fault) -> None:
        if self.store.roll_back(slot, fault.amount):
            self._happen(f"{slot} is what it was {fault.amount:.2f} s ago")

    def _memory_full(self, fault: Fault) -> None:
        self._happen("the server's memory is full")
        self.store.full_until = self.loop.time() + 1.5 * fault.amount

    # --- what an operator does --------------------------------------------------------------------------------------

    def _redrive(self, fault: Fault) -> None:
        self._ask(fault, None if fault.amount < EVERYTHING else f"k{fault.target % self.plan.keys}")

    def _discard(self, fault: Fault) -> None:
        self._ask(fault, f"k{fault.target % self.plan.keys}")

    def _replay(self, fault: Fault) -> None:
        self._ask(fault, None)

    def _purge(self, fault: Fault) -> None:
        self._ask(fault, None)

    def _ask(self, fault: Fault, key: str | None) -> None:
        self._happen(f"an operator asks to {fault.kind} {key or 'everything'}")
        self.operator.ask(fault.kind, key)
