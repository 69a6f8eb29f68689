"""One seed's story: producers, workers that come, go, die and sleep, and a network that gets bad and better."""

from __future__ import annotations

import asyncio
from random import Random

from attrs import define, field

from segmenter import Consumer, Segmenter
from segmenter.core.observations import Observation
from segmenter.errors import SegmenterError
from segmenter.testing import virtual_host
from segmenter_memory import MemoryBackend, Store
from tests.simulation.faults import FaultyBackend, Network

__all__ = ["Start", "Story"]

PARTITIONS, KEYS, MESSAGES = 4, 9, 300
SESSION_S = 1.0


@define
class Start:
    """A handler started, and perhaps ended."""

    worker: str
    key: str
    number: int
    began: float
    ended: float | None = None
    paused: bool = False  # the process slept while it ran


@define
class Process:
    """A worker process."""

    name: str
    segmenter: Segmenter
    network: Network
    consumer: Consumer
    task: asyncio.Task[None]
    running: list[Start] = field(factory=list)


class Story:
    """Plays one seed and keeps what happened."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.loop = asyncio.get_running_loop()
        self.store = Store(lambda: 1_700_000_000_000_000 + int(self.loop.time() * 1e6))
        self.host = virtual_host(self.loop)
        self.sent: dict[str, int] = {}  # key -> messages sent
        self.starts: list[Start] = []
        self.lines: list[str] = []
        self.processes: list[Process] = []
        self.segmenters: list[Segmenter] = []
        self._names = 0
        self._tasks: list[asyncio.Task[None]] = []

    def tell(self, text: str) -> None:
        """A line of the story."""
        self.lines.append(f"{self.loop.time():8.3f}  {text}")

    async def play(self, faults: int) -> None:
        """Send everything while `faults` things happen, then let it come to rest without any."""
        network = Network(self.random)
        producer = self._segmenter(network)
        stream = await producer.register_stream("s", partitions=PARTITIONS, send_timeout=60)
        for _ in range(3):
            await self._join()

        async def produce() -> None:
            for _ in range(MESSAGES):
                key = f"k{self.random.randrange(KEYS)}"
                number = self.sent.get(key, 0)
                self.sent[key] = number + 1
                await stream.send(key, str(number).encode())
                await asyncio.sleep(self.random.random() * 0.04)

        async def disturb() -> None:
            for _ in range(faults):
                await asyncio.sleep(self.random.random() * 1.0)
                await self._fault(network)

        await asyncio.gather(produce(), disturb())
        await self._rest(network)

    async def _rest(self, network: Network) -> None:
        self.tell("the faults end")
        for each in (network, *(process.network for process in self.processes)):
            _mend(each)
        if not self.processes:
            await self._join()
        deadline = self.loop.time() + 30
        while not self._drained() and self.loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        self.tell("the end")

    def _drained(self) -> bool:
        done = {(start.key, start.number) for start in self.starts if start.ended is not None}
        return len(done) == sum(self.sent.values())

    async def aclose(self) -> None:
        for process in tuple(self.processes):
            await process.consumer.shutdown()
        for segmenter in self.segmenters:
            await segmenter.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what may happen --------------------------------------------------------------------------------------------

    async def _fault(self, producer: Network) -> None:
        names = ["join", "crash", "leave", "sleep", "bad network", "partitioned", "producer's network", "mend"]
        kind = self.random.choice(names)
        process = self.random.choice(self.processes) if self.processes else None
        if kind == "join" or process is None:
            if len(self.processes) < 5:
                await self._join()
        elif kind == "crash":
            self._crash(process)
        elif kind == "leave":
            self.tell(f"{process.name} leaves")
            self.processes.remove(process)
            self._tasks.append(self.loop.create_task(process.consumer.shutdown()))
        elif kind == "sleep":
            self._tasks.append(self.loop.create_task(self._cut_off(process, self.random.random() * 2.5 * SESSION_S)))
        elif kind == "bad network":
            self.tell(f"{process.name} has a bad network")
            _spoil(process.network, self.random)
        elif kind == "partitioned":
            self._tasks.append(self.loop.create_task(self._cut_off(process, self.random.random() * SESSION_S)))
        elif kind == "producer's network":
            self.tell("the producer has a bad network")
            _spoil(producer, self.random)
        else:
            for each in (producer, *(process.network for process in self.processes)):
                _mend(each)

    def _segmenter(self, network: Network) -> Segmenter:
        backend = FaultyBackend(MemoryBackend(store=self.store), network)
        segmenter = Segmenter(backend=backend, host=self.host)
        self.segmenters.append(segmenter)
        return segmenter

    async def _join(self) -> None:
        self._names += 1
        name = f"w{self._names}"
        network = Network(self.random)
        segmenter = self._segmenter(network)

        def observe(observation: Observation) -> None:
            self.tell(f"{name} {observation}")

        consumer = await segmenter.register_consumer("s", group="g", session_timeout=SESSION_S, observer=observe)
        process = Process(name, segmenter, network, consumer, self.loop.create_task(asyncio.sleep(0)))
        process.task = self.loop.create_task(self._work(process))
        self._tasks.append(process.task)
        self.processes.append(process)

    async def _work(self, process: Process) -> None:
        try:
            async for message in process.consumer:
                start = Start(process.name, message.key, int(message.data), self.loop.time())
                self.starts.append(start)
                process.running.append(start)
                self.tell(f"{process.name} starts {message.key}/{start.number} of {message.fence}")
                await asyncio.sleep(self.random.random() * 0.02)
                process.running.remove(start)
                start.ended = self.loop.time()
                try:
                    message.ack()
                except SegmenterError as error:
                    self.tell(f"{process.name} {type(error).__name__} {message.key}/{start.number}")
        except SegmenterError as error:
            self.tell(f"{process.name} stops: {error}")

    def _crash(self, process: Process) -> None:
        self.tell(f"{process.name} crashes")
        self.processes.remove(process)
        process.task.cancel()
        process.consumer.halt()

    async def _cut_off(self, process: Process, for_s: float) -> None:
        self.tell(f"{process.name} is cut off for {for_s:.2f} s")
        process.network.down = True
        await asyncio.sleep(for_s)
        process.network.down = False


def _spoil(network: Network, random: Random) -> None:
    network.lose_request = random.random() * 0.3
    network.lose_reply = random.random() * 0.3
    network.delay_s = random.random() * 0.2


def _mend(network: Network) -> None:
    network.lose_request = network.lose_reply = network.delay_s = 0.0
    network.down = False
