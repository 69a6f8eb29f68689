"""How fast can messages be appended? Ours keeps order per key, numbers every record and checks the room."""

from __future__ import annotations

import asyncio

import redis
from redis.asyncio import Redis as AsyncRedis

from bench.measure import Contest, timed
from segmenter import Segmenter

__all__ = ["contest"]

COUNT = 50_000
AWAITED = 10_000
BATCH = 500
DATA = b"x" * 100
PARTITIONS = 4


def _raw_pipeline(url: str, number: int) -> float:
    client = redis.Redis.from_url(url)
    client.delete("raw")

    def job() -> int:
        for _ in range(COUNT // BATCH):
            pipeline = client.pipeline(transaction=False)
            for index in range(BATCH):
                pipeline.xadd("raw", {"k": b"key-%d" % (index % 97), "d": DATA})
            pipeline.execute()
        return COUNT

    rate = timed(job)
    client.close()
    return rate


def _send_many(url: str, number: int) -> float:
    async def main() -> float:
        async with Segmenter(url, namespace=f"produce-{number}") as segmenter:
            stream = await segmenter.register_stream("s", partitions=PARTITIONS, partition_size=10**6)
            loop = asyncio.get_running_loop()
            began = loop.time()
            for first in range(0, COUNT, BATCH * PARTITIONS):
                await stream.send_many(
                    (b"key-%d" % (index % 97), DATA) for index in range(first, first + BATCH * PARTITIONS)
                )
            rate = COUNT / (loop.time() - began)
            await segmenter.remove_stream("s")
            return rate

    return asyncio.run(main())


def _raw_awaited(url: str, number: int) -> float:
    async def main() -> float:
        async with AsyncRedis.from_url(url, max_connections=100) as client:
            await client.delete("raw")

            async def worker() -> None:
                for _ in range(AWAITED // 100):
                    await client.xadd("raw", {"k": b"key", "d": DATA})

            return await _together(worker, 100)

    return asyncio.run(main())


def _sends_awaited(tasks: int) -> object:
    def way(url: str, number: int) -> float:
        async def main() -> float:
            async with Segmenter(url, namespace=f"await-{tasks}-{number}") as segmenter:
                stream = await segmenter.register_stream("s", partitions=PARTITIONS, partition_size=10**6)

                async def worker() -> None:
                    for index in range(AWAITED // tasks):
                        await stream.send(b"key-%d" % (index % 97), DATA)

                rate = await _together(worker, tasks)
                await segmenter.remove_stream("s")
                return rate

        return asyncio.run(main())

    return way


async def _together(worker: object, tasks: int) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(worker() for _ in range(tasks)))  # type: ignore[operator]
    return AWAITED / (loop.time() - began)


contest = [
    Contest("produce, in batches", {"redis-py pipeline of 500 XADD": _raw_pipeline, "send_many": _send_many}),
    Contest(
        "produce, each awaited",
        {
            "redis-py await xadd, 100 tasks": _raw_awaited,
            "await send, 100 tasks": _sends_awaited(100),  # type: ignore[dict-item]
            "await send, 1000 tasks": _sends_awaited(1000),  # type: ignore[dict-item]
        },
    ),
]
