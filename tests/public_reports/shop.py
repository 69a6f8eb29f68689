"""A stream of texts, and workers whose handlers a test brings; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from segmenter import Retry, Worker
from segmenter.core.observations import DeadLettered, Observation, Parked, Retried
from segmenter.stream import Stream
from segmenter_memory import MemoryBackend
from tests.world import World

__all__ = ["QUICK", "NoThreads", "Shop", "WaitingThreads"]

QUICK = Retry(attempts=3, initial=0.1, jitter=0)


class Shop:
    """One stream, ``orders``, and one worker of the group ``g`` that keeps what becomes of its messages."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: list[Observation] = []
        self.handled: list[tuple[str, int]] = []  # what a handler got, and in which attempt
        self.orders: Stream[str]

    async def open(self, *orders: tuple[str, str], partitions: int = 1) -> Shop:
        """Register the stream, and send some texts under their keys."""
        self.orders = await self.world.segmenter().register_stream("orders", partitions=partitions, type=str)
        await self.orders.send_many(orders)
        return self

    def worker(self, handle: Callable[..., Any], **options: Any) -> Worker:
        """A worker with this handler, whose arguments are kept."""
        worker = self.world.handlers()
        options = {"type": str, "retry": QUICK, "observer": self.seen.append, **options}
        worker.handler("orders", **options)(handle)
        return worker

    async def run(self, handle: Callable[..., Any], **options: Any) -> asyncio.Task[None]:
        """Have a handler at work."""
        worker = self.worker(handle, **options)
        task = self.world.run(worker)
        await self.world.ready(worker)
        return task

    async def settled(self, limit_s: float = 600.0) -> None:
        """Let time pass until nothing is left to handle."""
        segmenter, deadline = self.world.segmenters[0], self.world.loop.time() + limit_s
        while lag := (await segmenter.describe("orders", "g")).lag:
            assert self.world.loop.time() < deadline, f"{lag} messages are not settled"
            await asyncio.sleep(0.05)

    @property
    def parked(self) -> list[tuple[str, int, str]]:
        """Keys, attempts and reasons of what was parked."""
        return [(each.key, each.attempt, each.reason) for each in self.seen if isinstance(each, Parked)]

    @property
    def dead(self) -> list[tuple[str, str]]:
        """Keys and reasons of dead letters."""
        return [(each.key, each.reason) for each in self.seen if isinstance(each, DeadLettered)]

    @property
    def retried(self) -> list[str]:
        """Keys of what has failed and is tried again."""
        return [each.key for each in self.seen if isinstance(each, Retried)]


class _Threads(Executor):
    """The threads of one worker, as a test has them."""

    async def run(self, worker: Worker, world: World) -> None:
        """Run a worker whose plain functions get these threads."""
        await worker.run_on(worker.door(MemoryBackend(store=world.store), world.host), self)


class NoThreads(_Threads):
    """Threads of which none can be started at first."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals  # still to come

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Refuse as a pool does at a limit of the operating system; later, call at once."""
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("can't start new thread")
        future: Future[Any] = Future()
        future.set_result(call(*args, **kwargs))
        return future


class WaitingThreads(_Threads):
    """Threads that are all taken: what is submitted waits until a test lets one call go on."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Keep a call for later."""
        future: Future[Any] = Future()
        self._jobs.append((future, lambda: call(*args, **kwargs)))
        return future

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return sum(not future.cancelled() for future, _ in self._jobs)

    def free_one(self) -> None:
        """Run the first call that waits."""
        future, call = self._jobs.pop(0)
        if future.set_running_or_notify_cancel():
            future.set_result(call())
