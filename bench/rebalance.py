"""How long is a partition without messages when it moves, and do those that stay notice?

Every partition gets a message every few milliseconds, all the time. One consumer owns all of them; another one joins,
takes half of them, and leaves again, over and over; or the first one crashes.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

from bench.loads import on_asyncio, owning
from bench.measure import Contest, Place, Run
from segmenter import Consumer, Segmenter, Stream

__all__ = ["contests"]

PARTITIONS = 8
EVERY_S = 0.002
SESSION_S = 1.0
SETTLED_S = 0.4  # for the rebalance that follows a join or a leave
CYCLES = 24


class Scene:
    """Traffic over all partitions, and who handled a message of which, and when."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace
        self.seen: list[list[tuple[float, str]]] = [[] for _ in range(PARTITIONS)]

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[None]:
        async with Segmenter(self._url, namespace=self._namespace) as segmenter:
            stream = await segmenter.register_stream("s", partitions=PARTITIONS, partition_size=10**6)
            sending = asyncio.create_task(self._send(stream))
            yield
            sending.cancel()
            await asyncio.wait([sending])
            await segmenter.remove_stream("s")

    async def _send(self, stream: Stream) -> None:
        keys = {stream.partition_of(f"k{number}"): f"k{number}" for number in range(200)}
        while True:
            await stream.send_many([(key, b"x") for key in keys.values()])
            await asyncio.sleep(EVERY_S)

    @asynccontextmanager
    async def consumer(self, name: str) -> AsyncIterator[Consumer]:
        """One with a Segmenter of its own, as another process would have."""
        async with Segmenter(self._url, namespace=self._namespace) as segmenter:
            async with segmenter.register_consumer("s", group="g", session_timeout=SESSION_S) as consumer:
                handling = asyncio.create_task(self._handle(name, consumer))
                yield consumer
                await consumer.shutdown()
            await handling

    async def _handle(self, name: str, consumer: Consumer) -> None:
        async for message in consumer:
            self.seen[message.partition].append((time.perf_counter(), name))
            message.ack()

    def moves(self) -> Iterator[float]:
        """Of each change of hands, the seconds between the last message before and the first one after."""
        for seen in self.seen:
            yield from (after[0] - before[0] for before, after in pairwise(seen) if before[1] != after[1])

    def longest_pause(self, name: str, start: float, end: float) -> float:
        """Of the partitions that one consumer handled all the time, the longest pause in that time, in seconds."""
        pauses = [0.0]
        for seen in self.seen:
            part = [each for each in seen if start <= each[0] <= end]
            if {who for _, who in part} == {name}:
                pauses += [after[0] - before[0] for before, after in pairwise(part)]
        return max(pauses)


async def _cycles(scene: Scene, count: int) -> list[tuple[float, float]]:
    """Let a second consumer come and go; of each cycle the longest pause of what stays, before and during."""
    pauses: list[tuple[float, float]] = []
    async with scene.traffic(), scene.consumer("stays") as stays:
        await owning(stays, PARTITIONS)
        for _ in range(count):
            quiet = time.perf_counter()
            await asyncio.sleep(SETTLED_S)
            start = time.perf_counter()
            async with scene.consumer("comes and goes"):
                await asyncio.sleep(SETTLED_S)
                end = time.perf_counter()
            await owning(stays, PARTITIONS)
            pauses.append((scene.longest_pause("stays", quiet, start), scene.longest_pause("stays", start, end)))
    return pauses


async def _hand_off(place: Place) -> Run:
    scene = Scene(place.url, place.fresh_namespace())
    await _cycles(scene, place.count(CYCLES))
    return Run(statistics.quantiles(scene.moves(), n=100)[98] * 1000)


def _pause(which: int) -> Callable[[Place], Run]:
    async def job(place: Place) -> Run:
        pauses = await _cycles(Scene(place.url, place.fresh_namespace()), place.count(CYCLES))
        return Run(statistics.median(pause[which] for pause in pauses) * 1000)

    return on_asyncio(job)


async def _crash(place: Place) -> Run:
    """The longest of its partitions, from the crash to the first message elsewhere."""
    scene = Scene(place.url, place.fresh_namespace())
    async with scene.traffic(), scene.consumer("crashes") as crashes, scene.consumer("stays") as stays:
        await owning(crashes, PARTITIONS // 2)
        await owning(stays, PARTITIONS // 2)
        await asyncio.sleep(SESSION_S)
        crashes.halt()
        await owning(stays, PARTITIONS)
        await asyncio.sleep(SETTLED_S)
    return Run(max(scene.moves()) * 1000)


def _promised(milliseconds: float) -> Callable[[Place], Run]:
    return lambda _: Run(milliseconds)


def contests() -> list[Contest]:
    after_kill_ms = (SESSION_S + 2 * SESSION_S / 5) * 1000
    return [
        Contest(
            "graceful hand-off of a partition, p99",
            {"promised": _promised(50), "measured": on_asyncio(_hand_off)},
            unit="ms",
            limits={"measured": 1.0},
            rounds=1,
        ),
        Contest(
            "longest pause of a partition that does not move",
            {"while nothing happens": _pause(0), "during a rebalance": _pause(1)},
            unit="ms",
            rounds=1,
        ),
        Contest(
            "longest pause after a crash, session of 1 s",
            {"promised: session and two heartbeats": _promised(after_kill_ms), "measured": on_asyncio(_crash)},
            unit="ms",
            limits={"measured": 1.0},
            rounds=3,
        ),
    ]
