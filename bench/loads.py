"""What all programs send, and the plain ways of doing so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from bench.measure import Place, Run
from segmenter import Consumer, Segmenter

__all__ = [
    "BATCH",
    "DATA",
    "KEYS",
    "PARTITIONS",
    "handled",
    "messages",
    "on_asyncio",
    "on_uvloop",
    "opened",
    "owning",
    "raw_pipeline",
]

DATA = b"x" * 100
KEYS = [b"key-%d" % number for number in range(97)]
PARTITIONS = 4
BATCH = 500


def messages(count: int) -> Iterator[tuple[bytes, bytes]]:
    """So many messages, their keys in turn."""
    return ((KEYS[index % len(KEYS)], DATA) for index in range(count))


def raw_pipeline(place: Place, count: int, name: str) -> Run:
    """Append to one stream by plain redis-py, with a pipeline for each batch."""
    place.server.delete(name)
    with place.timing(count) as made:
        for first in range(0, count, BATCH):
            pipeline = place.server.pipeline(transaction=False)
            for index in range(first, min(first + BATCH, count)):
                pipeline.xadd(name, {"k": KEYS[index % len(KEYS)], "d": DATA})
            pipeline.execute()
    return made


@asynccontextmanager
async def opened(place: Place, partitions: int = PARTITIONS) -> Any:
    """A Segmenter and a stream, which is removed again."""
    async with Segmenter(place.url, namespace=place.fresh_namespace()) as segmenter:
        stream = await segmenter.register_stream("s", partitions=partitions, partition_size=10**7)
        yield segmenter, stream
        await segmenter.remove_stream("s")


async def owning(consumer: Consumer, partitions: int = PARTITIONS) -> None:
    """Wait until a consumer owns so many partitions."""
    while len(consumer.partitions) < partitions:
        await asyncio.sleep(0.01)


async def handled(consumer: Consumer, count: int) -> None:
    """Read so many messages in batches, acknowledge each, and commit."""
    done = 0
    while done < count:
        batch = await consumer.read(timeout=5)
        for message in batch:
            message.ack()
        done += len(batch)
    await consumer.commit()


Job = Callable[[Place], Coroutine[Any, Any, Run]]


def on_asyncio(job: Job) -> Callable[[Place], Run]:
    """A way that runs a coroutine on the event loop of the standard library."""
    return lambda place: asyncio.run(job(place))


def on_uvloop(job: Job) -> Callable[[Place], Run]:
    """A way that runs a coroutine on uvloop."""

    def way(place: Place) -> Run:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(job(place))

    return way
