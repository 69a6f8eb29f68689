"""A small world on virtual time: one memory store, and as many processes (Segmenters) as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from segmenter import Consumer, Message, Segmenter, Worker
from segmenter.core.observations import Observation
from segmenter.testing import run_virtually, virtual_host
from segmenter_memory import MemoryBackend, Store

__all__ = ["World", "virtually"]

EPOCH_US = 1_700_000_000_000_000


class World:
    """What the processes of a test share."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.store = Store(lambda: EPOCH_US + int(self.loop.time() * 1_000_000))
        self.host = virtual_host(self.loop)
        self.observed: list[tuple[float, str, Observation]] = []
        self.handled: list[tuple[str, str, bytes]] = []  # worker, key, data
        self.segmenters: list[Segmenter] = []
        self.consumers: list[Consumer] = []
        self.tasks: list[asyncio.Task[None]] = []

    def segmenter(self) -> Segmenter:
        """A process of its own: nothing is shared with others but the store."""
        segmenter = Segmenter(backend=MemoryBackend(store=self.store), host=self.host)
        self.segmenters.append(segmenter)
        return segmenter

    def observer(self, name: str) -> Callable[[Observation], None]:
        """Keeps what happens to a worker, with the time."""
        return lambda observation: self.observed.append((self.loop.time(), name, observation))

    def handlers(self, **options: Any) -> Worker:
        """A worker in a process of its own, whose handlers a test declares."""
        return Worker(backend=MemoryBackend(store=self.store), **{"group": "g", "host": self.host, **options})

    def run(self, worker: Worker) -> asyncio.Task[None]:
        """Have it run until it ends or the test does."""
        task = self.loop.create_task(worker.run())
        self.tasks.append(task)
        return task

    async def ready(self, *workers: Worker) -> None:
        """Let time pass until workers run by now are members."""
        await self.until(lambda: all(worker.ready for worker in workers))

    async def worker(self, name: str, stream: str = "orders", work_s: float = 0.0, **options: Any) -> Consumer:
        """A consumer in a process of its own that acknowledges whatever it gets, and keeps it in ``handled``."""
        options = {"group": "g", "session_timeout": 1.0, **options}
        consumer = await self.segmenter().register_consumer(stream, observer=self.observer(name), **options)
        self.consumers.append(consumer)
        self.tasks.append(self.loop.create_task(self._work(name, consumer, work_s)))
        return consumer

    async def _work(self, name: str, consumer: Consumer, work_s: float) -> None:
        async for message in consumer:
            self.note(name, message)
            if work_s:
                await asyncio.sleep(work_s)
            message.ack()

    def note(self, name: str, message: Message) -> None:
        """A worker starts to handle a message."""
        self.handled.append((name, message.key, message.data))

    def by_key(self) -> dict[str, list[bytes]]:
        """What was handled, by key, in the order of the handling."""
        keys: dict[str, list[bytes]] = {}
        for _, key, data in self.handled:
            keys.setdefault(key, []).append(data)
        return keys

    def times(self, kind: type[Observation], name: str | None = None) -> list[float]:
        """When something was observed."""
        return [at for at, who, seen in self.observed if isinstance(seen, kind) and name in (None, who)]

    async def until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Let time pass until something holds."""
        deadline = self.loop.time() + limit_s
        while not condition():
            assert self.loop.time() < deadline, "it did not come to hold"
            await asyncio.sleep(0.005)

    async def aclose(self) -> None:
        """End every process."""
        for segmenter in self.segmenters:
            await segmenter.aclose()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def virtually(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Make a test of a coroutine function that takes a world: it runs on virtual time, in a world of its own."""

    async def main() -> None:
        world = World()
        try:
            await test(world)
        finally:
            await world.aclose()

    def run() -> None:
        run_virtually(main)

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    run.__module__ = test.__module__
    return run
