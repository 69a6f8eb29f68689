"""The processes of a simulation, each on a host and behind a network of its own; and the one that sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from attrs import evolve

from segmenter import Segmenter
from segmenter.errors import BackendError, SendsLost, SendUnknown, StreamFull
from segmenter.stream import Stream
from segmenter.testing.simulation.history import Answered, History, Replied
from segmenter.testing.simulation.network import FaultyBackend, Network
from segmenter.testing.simulation.plan import Plan
from segmenter.testing.simulation.server import AuditedStore
from segmenter.testing.virtual import Thread, virtual_host
from segmenter_memory import MemoryBackend

__all__ = ["GROUP", "STREAM", "Process", "Producer"]

STREAM, GROUP = "events", "workers"
SESSION_S = 1.0
MAX_PROCESSING_S = 1.5
DRAIN_S = 1.0
AGAIN_S = 0.1  # before a refused send or a failed registration is tried again
SEND_TIMEOUT_S = 2.0


class Process:
    """Something that can be stopped, that can die, and whose network can be bad."""

    def __init__(self, name: str, plan: Plan, store: AuditedStore, history: History) -> None:
        self.name = name
        self.plan = plan
        self.history = history
        self.loop = asyncio.get_running_loop()
        self.random = Random(f"{plan.seed}/{name}")
        self.network = Network(Random(f"{plan.seed}/{name}/network"))
        self.network.memory_full = lambda: store.full
        self.network.replied = self._replied
        self.body, self.heart = Thread(), Thread()
        self.dead = False
        self.tasks: set[asyncio.Task[None]] = set()
        host = evolve(virtual_host(self.loop, f"{name}."), place_heart=self._place_heart)
        backend = FaultyBackend(MemoryBackend(store=store), self.network)
        self.segmenter = Segmenter(backend=backend, host=host)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in this process."""
        task = self.loop.create_task(coroutine, context=self.body.context)
        self.tasks.add(task)
        return task

    def _place_heart(
        self, coroutine: Coroutine[Any, Any, None], failed: Callable[[BaseException], None]
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        task = self.loop.create_task(coroutine, context=self.heart.context)
        self.tasks.add(task)

        async def ended() -> None:
            await task

        return ended

    def stop(self, *, heart: bool = True) -> None:
        """Stand still, as under SIGSTOP; or only the part that runs user code, as when that blocks the loop."""
        self.body.stop()
        if heart:
            self.heart.stop()

    def go_on(self) -> None:
        """Go on, without having noticed anything; the dead do not."""
        if not self.dead:
            self.body.go_on(self.loop)
            self.heart.go_on(self.loop)

    def die(self) -> None:
        """End as by SIGKILL."""
        self.dead = True
        self.stop()

    def bury(self) -> None:
        """Let go of everything, once nobody watches any more."""
        self.network.over = True
        self.dead = False
        self.go_on()
        for task in self.tasks:
            task.cancel()

    def _replied(self, sent: float, command: Any, reply: Any) -> None:
        self.history.events.append(Replied(self.loop.time(), self.name, sent, command, reply))


class Producer(Process):
    """Sends the messages of each partition in a task of its own, and sends again what it is told was lost."""

    def __init__(self, plan: Plan, store: AuditedStore, history: History) -> None:
        super().__init__("producer", plan, store, history)
        self.done: asyncio.Future[None] = self.loop.create_future()
        self._sent: dict[str, tuple[str, int]] = {}  # id/partition -> what stands there
        self._numbers: dict[str, int] = {}
        self.resting = asyncio.Event()

    async def run(self) -> None:
        """Send everything, and one more of each partition when the faults are over, to learn what was lost."""
        stream = await self.segmenter.register_stream(
            STREAM,
            partitions=self.plan.partitions,
            partition_size=self.plan.partition_size,
            send_timeout=SEND_TIMEOUT_S,
            on_full="wait",
        )
        keys = [f"k{number}" for number in range(self.plan.keys)]
        queues: dict[int, list[str]] = {}
        for _ in range(self.plan.messages):
            key = self.random.choice(keys)
            queues.setdefault(stream.partition_of(key), []).append(key)
        await asyncio.gather(*(self._send_all(stream, queue) for queue in queues.values()))
        if not self.done.done():
            self.done.set_result(None)

    async def _send_all(self, stream: Stream, queue: list[str]) -> None:
        for key in queue:
            await self._send(stream, key, self._next(key))
            await asyncio.sleep(self.random.random() * 0.12)
        await self.resting.wait()
        await self._send(stream, queue[-1], self._next(queue[-1]))

    def _next(self, key: str) -> int:
        number = self._numbers[key] = self._numbers.get(key, -1) + 1
        return number

    async def _send(self, stream: Stream, key: str, number: int) -> None:
        """Send until it is sent, or nobody can say whether it is."""
        while True:
            try:
                sent = await stream.send(key, b"%d" % number)
            except SendUnknown:
                self._tell(key, number, "unknown")
                return
            except SendsLost as error:
                await self._send_again(stream, error)
            except (StreamFull, BackendError):
                await asyncio.sleep(AGAIN_S)
            else:
                self._sent[f"{sent.partition}/{sent.id}"] = (key, number)
                self._tell(key, number, "sent", sent.id)
                return

    async def _send_again(self, stream: Stream, error: SendsLost) -> None:
        lost = [(place, self._sent.pop(f"{error.partition}/{place}")) for place in error.ids]
        for place, (key, number) in lost:
            self._tell(key, number, "lost", place)
        for _, (key, number) in lost:
            await self._send(stream, key, number)

    def _tell(self, key: str, number: int, outcome: Any, place: str = "") -> None:
        self.history.events.append(Answered(self.loop.time(), key, number, outcome, place))
