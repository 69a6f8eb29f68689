"""How fast can messages be handled and settled? Ours hands out objects, in order per key, and commits under a fence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import redis

from bench.measure import Contest, timed
from segmenter import Consumer, Segmenter, Worker

__all__ = ["contest"]

COUNT = 50_000
DATA = b"x" * 100
PARTITIONS = 4

Handling = Callable[[Consumer], Awaitable[None]]


def _raw(url: str, number: int) -> float:
    client = redis.Redis.from_url(url)
    client.delete("raw-in")
    for _ in range(COUNT // 500):
        pipeline = client.pipeline(transaction=False)
        for index in range(500):
            pipeline.xadd("raw-in", {"k": b"key-%d" % (index % 97), "d": DATA})
        pipeline.execute()
    client.xgroup_create("raw-in", "g", "0")

    def job() -> int:
        done = 0
        while done < COUNT:
            ((_, entries),) = client.xreadgroup("g", "c", {"raw-in": ">"}, count=100)
            client.xack("raw-in", "g", *(entry_id for entry_id, _ in entries))
            done += len(entries)
        return done

    rate = timed(job)
    client.close()
    return rate


def _ours(handling: Handling) -> Callable[[str, int], float]:
    def way(url: str, number: int) -> float:
        async def main() -> float:
            async with Segmenter(url, namespace=f"consume-{handling.__name__}-{number}") as segmenter:
                stream = await segmenter.register_stream("s", partitions=PARTITIONS, partition_size=10**6)
                await stream.send_many((b"key-%d" % (index % 97), DATA) for index in range(COUNT))
                async with segmenter.register_consumer("s", group="g", batch_size=500) as consumer:
                    loop = asyncio.get_running_loop()
                    began = loop.time()
                    await handling(consumer)
                    rate = COUNT / (loop.time() - began)
                await segmenter.remove_stream("s")
                return rate

        return asyncio.run(main())

    return way


def _handled(key_concurrency: int) -> Callable[[str, int], float]:
    """A worker's handler that does nothing, from the first message to the last."""

    def way(url: str, number: int) -> float:
        async def main() -> float:
            worker = Worker(url, namespace=f"handle-{key_concurrency}-{number}")
            loop, done, began = asyncio.get_running_loop(), 0, 0.0

            @worker.handler("s", group="g", key_concurrency=key_concurrency)
            async def handle(_data: bytes) -> None:
                nonlocal done, began
                began = began or loop.time()
                done += 1
                if done == COUNT:
                    worker.request_stop()

            async with Segmenter(url, namespace=worker.namespace) as segmenter:
                stream = await segmenter.register_stream("s", partitions=PARTITIONS, partition_size=10**6)
                await stream.send_many((b"key-%d" % (index % 97), DATA) for index in range(COUNT))
                await worker.run()
                rate = COUNT / (loop.time() - began)
                await segmenter.remove_stream("s")
                return rate

        return asyncio.run(main())

    return way


async def _batches(consumer: Consumer) -> None:
    done = 0
    while done < COUNT:
        batch = await consumer.read(timeout=5)
        for message in batch:
            message.ack()
        done += len(batch)
    await consumer.commit()


async def _iteration(consumer: Consumer) -> None:
    done = 0
    async for message in consumer:
        message.ack()
        done += 1
        if done == COUNT:
            break
    await consumer.commit()


contest = [
    Contest(
        "consume and settle",
        {
            "redis-py XREADGROUP 100 + XACK": _raw,
            "read batches of 500, ack each": _ours(_batches),
            "async for, ack each": _ours(_iteration),
            "handler": _handled(1),
            "handler, 64 keys in parallel": _handled(64),
        },
    )
]
