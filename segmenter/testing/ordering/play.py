"""Plays a user's worker: several processes over one server, while what a seed has drawn befalls them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection
from contextvars import Context
from random import Random
from typing import Any

from attrs import frozen

from segmenter.core.command import PartitionSlot
from segmenter.core.log import Log
from segmenter.errors import InvalidArgument, SegmenterError
from segmenter.testing.ordering.events import Died
from segmenter.testing.ordering.processes import Messages, Sender, Understudy
from segmenter.testing.ordering.promises import Account, broken_promise
from segmenter.testing.ordering.story import story_of
from segmenter.testing.ordering.work import watch_tasks
from segmenter.testing.simulation.history import History
from segmenter.testing.simulation.plan import Fault, Plan, drawn_from
from segmenter.testing.simulation.process import Process
from segmenter.testing.simulation.server import AuditedStore
from segmenter.testing.simulation.troubles import SPELL_S, Troubles
from segmenter.testing.virtual import run_virtually
from segmenter.worker import Worker

__all__ = ["FAULTS", "Played", "Simulation"]

# What may happen: everything that the library promises to bear without a loss.
FAULTS = ("join", "crash", "leave", "pause", "block", "cut off", "lossy", "late", "doubled", "slow", "fail")
FAIL = "fail"  # a handler's call fails, before its work or after it; no fault of a moment, but of a share of calls
FAILS = 0.1
PLAIN: dict[str, Callable[[bytes], object]] = {"bytes": bytes, "str": bytes.decode}
LIMIT_WORKERS = 5  # at once
LIMIT_BORN = 40  # in all: whoever fails again and again is given up
SUPERVISED_S = 0.3  # after which a process that ended is started anew
LOOK_S = 0.05
LINGER_S = 1.0  # for what handlers have left behind to end
LIMIT_REST_S = 600.0  # until everything is settled, retries included


@frozen
class Played:
    """What came of a simulation.

    Attributes:
        plan: what was drawn.
        broken: the promise that was broken, in words; ``None`` if all were kept.
        set_aside: how many messages were parked or are dead letters.
        outcome: what ``outcome`` returned when all had come to rest.
        story: a line for each event.
    """

    plan: Plan
    broken: str | None
    set_aside: int
    outcome: object
    story: str


class Simulation:
    """A worker's handlers in several processes over one server, on virtual time, while faults befall them.

    The same seed tells the same story, if the handlers do the same each time. A session is one second in it, whatever
    the handlers say. Nothing may wait for the outside world; plain functions take no time.

    Args:
        worker: whose handlers are played; its ``lifespan`` is entered in each process.
        seed: draws the faults, and the messages if there are none.
        messages: stream, key and value of each, in the order of sending; numbers under a few keys without them.
        faults: the kinds that may happen, of ``FAULTS``; none for a calm run.
        outcome: called at the end, when all is at rest.

    Raises:
        InvalidArgument: the worker has no handlers, or none for a stream; a fault is none; messages have to be given.
    """

    def __init__(
        self,
        worker: Worker,
        seed: int = 0,
        messages: Messages | None = None,
        *,
        faults: Collection[str] = FAULTS,
        outcome: Callable[[], object] = lambda: None,
    ) -> None:
        _check(worker, messages, faults)
        self.worker = worker
        self.plan = _drawn(seed, [kind for kind in FAULTS if kind in faults], len(messages) if messages else None)
        self._given = messages
        self._outcome = outcome
        self._forms = {slot.stream: handler.form for slot, handler in worker.handlers.items()}
        self._messages(self.plan)

    def play(self, plan: Plan | None = None) -> Played:
        """Play it, or a plan that is like its own but smaller.

        Raises:
            SegmenterError: an event loop is running already; it has one of its own.
        """
        if asyncio._get_running_loop() is not None:
            raise SegmenterError("a simulation has an event loop of its own: use it in a plain test, not an async one")
        plan = plan or self.plan
        return run_virtually(lambda: _Stage(plan, self.worker, self._sender(plan), self._outcome).play())

    def _sender(self, plan: Plan) -> Callable[[AuditedStore, History], Sender]:
        return lambda store, history: Sender(plan, store, history, self._messages(plan), self._forms)

    def _messages(self, plan: Plan) -> Messages:
        if self._given is not None:
            return self._given[: plan.messages]
        random = Random(f"{plan.seed}/messages")
        return [
            (stream, f"k{random.randrange(plan.keys)}", self._plain(stream, b"%d" % number))
            for number in range(plan.messages)
            for stream in self._forms
        ]

    def _plain(self, stream: str, value: bytes) -> object:
        kind = self._forms[stream].name
        if kind in PLAIN:
            return PLAIN[kind](value)
        raise InvalidArgument(
            f"the handler of {stream!r} takes no plain bytes or str: pass messages=[({stream!r}, key, value), ...]"
        )


def _check(worker: Worker, messages: Messages | None, faults: Collection[str]) -> None:
    """Refuse what would be played in vain, or cannot be."""
    if not isinstance(worker, Worker):
        raise InvalidArgument(f"{worker!r} is no segmenter.Worker: blocking handlers can be given to one as they are")
    for kind in faults:
        if kind not in FAULTS:
            raise InvalidArgument(f"there is no fault {kind!r}: there are {', '.join(FAULTS)}")
    if not worker.handlers:
        raise InvalidArgument("the worker has no handlers: decorate a function with @worker.handler(stream)")
    if messages is not None and not messages:
        raise InvalidArgument("messages is empty: give some, or None for numbers under a few keys")
    handled = {slot.stream for slot in worker.handlers}
    for stream, _, _ in messages or ():
        if stream not in handled:
            raise InvalidArgument(f"no handler takes messages of {stream!r}: there are some for {', '.join(handled)}")


def _drawn(seed: int, kinds: list[str], messages: int | None) -> Plan:
    random = Random(seed)
    momentary = [kind for kind in kinds if kind != FAIL]
    return Plan(
        seed=seed,
        partitions=random.randint(1, 4),
        keys=random.randint(2, 8),
        messages=messages or random.randint(20, 60),
        workers=random.randint(2, 3),
        fails=FAILS if FAIL in kinds else 0.0,
        faults=drawn_from(random, momentary, random.randint(2, 8)) if momentary else (),
    )


class _Stage(Troubles):
    """The server, the sender, and the processes that run the worker."""

    def __init__(
        self,
        plan: Plan,
        worker: Worker,
        sender: Callable[[AuditedStore, History], Sender],
        outcome: Callable[[], object],
    ) -> None:
        self.plan = plan
        self.loop = asyncio.get_running_loop()
        self.history = History(plan)
        self._events: list[Any] = self.history.events
        self.store = AuditedStore(self.history.events.append)
        self.sender = sender(self.store, self.history)
        self.workers: list[Understudy] = []
        self._worker_played = worker
        self._outcome = outcome
        self._all: list[Process] = [self.sender]
        self._count = itertools.count(1)
        self._names = itertools.count(1)

    async def play(self) -> Played:
        """Everything, from the first send until all has come to rest."""
        watch_tasks(self.loop)
        self.sender.start(self.sender.run())
        await self.sender.registered.wait()
        for _ in range(self.plan.workers):
            self._start_worker()
        for fault in self.plan.faults:
            await asyncio.sleep(max(0.0, fault.at - self.loop.time()))
            self._befall(fault)
        rested = await self._rest()
        played = self._played(rested)
        for process in self._all:
            process.bury()
        return played

    async def _rest(self) -> bool:
        """No more faults; return whether everything is settled in the end."""
        await asyncio.sleep(SPELL_S if self.plan.faults else 0.0)
        for process in self.processes:
            process.network.mend()
            process.go_on()
        if not self.workers:
            self._start_worker()
        self._happen("the faults are over")
        deadline = self.loop.time() + LIMIT_REST_S
        while not self._at_rest() and self.loop.time() < deadline and self._lively:  # noqa: ASYNC110 - it looks from outside
            await asyncio.sleep(LOOK_S)
        rested = self._at_rest()
        await asyncio.sleep(LINGER_S)
        return rested

    @property
    def _lively(self) -> bool:
        return bool(self.workers) or len(self._all) < LIMIT_BORN

    def _at_rest(self) -> bool:
        slots = self._worker_played.handlers
        settled = all(slot in self.store.slots and self.store.drained(slot) for slot in slots)
        return self.sender.done.done() and settled

    def _played(self, rested: bool) -> Played:
        account = Account([*self._events], list(self._worker_played.handlers), self._logs(), rested)
        broken, aside = broken_promise(account), len(account.aside)
        return Played(self.plan, broken, aside, self._outcome(), story_of(account))

    def _logs(self) -> dict[PartitionSlot, Log]:
        return {slot: state.log for slot, state in self.store.slots.items() if isinstance(slot, PartitionSlot)}

    # --- who lives --------------------------------------------------------------------------------------------------

    @property
    def processes(self) -> list[Process]:
        """All that live."""
        return [self.sender, *self.workers]

    def _worker(self, fault: Fault) -> Understudy | None:
        return self.workers[fault.target % len(self.workers)] if self.workers else None

    def _start_worker(self) -> None:
        if len(self.workers) < LIMIT_WORKERS and len(self._all) < LIMIT_BORN:
            about = (self.plan, self.store, self.history, self._worker_played, self._count)
            understudy = Understudy(f"w{next(self._names)}", *about)
            self.workers.append(understudy)
            self._all.append(understudy)
            self._happen(f"{understudy.name} starts")
            understudy.start(understudy.run(self._ended))

    def _ended(self, understudy: Understudy) -> None:
        """It has failed, or was told to leave."""
        if understudy in self.workers:
            self._remove(understudy)

    def _remove(self, understudy: Understudy) -> None:
        self.workers.remove(understudy)
        # In a context of no process: the one that this is called in may be dead.
        self.loop.call_later(SUPERVISED_S, self._supervise, context=Context())

    def _supervise(self) -> None:
        if len(self.workers) < self.plan.workers:
            self._start_worker()

    # --- what may happen, beside what befalls all processes -----------------------------------------------------------

    def _join(self, fault: Fault) -> None:
        self._start_worker()

    def _crash(self, fault: Fault) -> None:
        if (understudy := self._worker(fault)) is not None:
            self._happen(f"{understudy.name} dies")
            self._events.append(Died(self.loop.time(), understudy.name))
            understudy.die()
            self._remove(understudy)

    def _leave(self, fault: Fault) -> None:
        if (understudy := self._worker(fault)) is not None:
            self._happen(f"{understudy.name} is shut down")
            understudy.leave()
