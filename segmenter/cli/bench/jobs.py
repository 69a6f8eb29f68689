"""The jobs, done by this library."""

from __future__ import annotations

import asyncio
import time

from attrs import frozen

from segmenter.segmenter import Segmenter
from segmenter.stream import Stream

__all__ = ["BATCH", "Job", "Latencies", "Ours"]

BATCH = 500  # records of one pipeline, and of one append
KEYS = 97
GROUP = "g"

Latencies = list[float]  # seconds


@frozen
class Job:
    """How much of what."""

    messages: int
    size: int  # bytes of each
    partitions: int
    probes: int  # messages whose way is timed
    pause_s: float  # between two of them

    @property
    def data(self) -> bytes:
        """The payload."""
        return b"x" * self.size

    @staticmethod
    def key(index: int) -> bytes:
        """The key of a message."""
        return b"key-%d" % (index % KEYS)


class Ours:
    """A stream of this library, made anew for each round."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    async def produce(self, job: Job) -> float:
        """Send all in batches; seconds."""
        stream = await self._made(job)
        step = BATCH * job.partitions
        began = time.perf_counter()
        for first in range(0, job.messages, step):
            indexes = range(first, min(first + step, job.messages))
            await stream.send_many((job.key(index), job.data) for index in indexes)
        return time.perf_counter() - began

    async def consume(self, job: Job) -> float:
        """Read and acknowledge what ``produce`` has left; seconds."""
        async with self._segmenter.register_consumer("bench", group=GROUP, batch_size=BATCH) as consumer:
            done, began = 0, time.perf_counter()
            while done < job.messages:
                batch = await consumer.read(timeout=5)
                for message in batch:
                    message.ack()
                done += len(batch)
            await consumer.commit()
            return time.perf_counter() - began

    async def latencies(self, job: Job) -> Latencies:
        """Send one after the other, and see when each is handed out; seconds."""
        stream = await self._made(job)
        sent: dict[bytes, float] = {}
        took: list[float] = []
        async with self._segmenter.register_consumer("bench", group=GROUP) as consumer:

            async def receive() -> None:
                while len(took) < job.probes:
                    message = await anext(consumer)
                    took.append(time.perf_counter() - sent[message.data])
                    message.ack()

            receiver = asyncio.ensure_future(receive())
            for index in range(job.probes):
                data = b"%d" % index
                sent[data] = time.perf_counter()
                await stream.send(job.key(index), data)
                await asyncio.sleep(job.pause_s)
            await receiver
        return took

    async def _made(self, job: Job) -> Stream:
        await self._segmenter.remove_stream("bench")
        size = max(job.messages, job.probes)
        return await self._segmenter.register_stream("bench", partitions=job.partitions, partition_size=size)
