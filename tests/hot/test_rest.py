"""What a consumer at rest asks of the server: each packet wakes it up, which costs more than what stands in it."""

from __future__ import annotations

import asyncio
from typing import Any

from segmenter import Segmenter
from segmenter.core.command import Command, Read, ReadReply
from segmenter.core.partition import Probe
from segmenter_memory import MemoryBackend
from segmenter_memory.backend import MemorySession
from tests.world import World, virtually

PARTITIONS = 8
BEAT_S = 0.2
BEATS = 300


class Watched:
    """When a consumer has probed and read."""

    def __init__(self, world: World) -> None:
        self.probed: set[float] = set()  # what is asked at one moment leaves in one packet
        self.read: list[float] = []
        clock, probed, read_at = world.loop.time, self.probed, self.read

        class WatchedSession(MemorySession):
            def execute(self, command: Command[Any, Any]) -> asyncio.Future[Any]:
                if isinstance(command, Probe):
                    probed.add(clock())
                return super().execute(command)

            def read(self, read: Read) -> asyncio.Future[ReadReply]:
                read_at.append(clock())
                return super().read(read)

        class WatchedBackend(MemoryBackend):
            async def session(self) -> MemorySession:
                return WatchedSession(world.store)

        self.segmenter = Segmenter(backend=WatchedBackend(store=world.store), host=world.host)
        world.segmenters.append(self.segmenter)


@virtually
async def test_a_consumer_at_rest_asks_once_a_beat_after_all_partitions_and_hardly_ever_reads(world: World) -> None:
    """Also if the last commits of its partitions were at different times."""
    watched = Watched(world)
    orders = await world.segmenter().register_stream("orders", partitions=PARTITIONS)
    registration = watched.segmenter.register_consumer("orders", group="g", session_timeout=5 * BEAT_S)
    async with registration as consumer:
        for number in range(100):
            await orders.send(f"k{number}", b"x")
            await consumer.ack(*await consumer.read(timeout=1))
            await asyncio.sleep(0.013)
        began = world.loop.time()
        await asyncio.sleep(BEATS * BEAT_S)
        assert BEATS - 2 <= sum(moment > began for moment in watched.probed) <= BEATS + 2
        assert sum(moment > began for moment in watched.read) <= 2
