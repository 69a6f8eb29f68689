"""FastStream on Redis streams, a message at a time."""

from __future__ import annotations

import os

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub
from harness import Seen, main, send_by_key
from redis.asyncio import Redis

SETTINGS = (
    "one stream; a task for each key awaits publish; "
    "group, max_records=100; a second subscriber with min_idle_time=2000 ms"
)


async def send(url: str, count: int) -> None:
    await prepare(url)
    async with RedisBroker(url, logger=None) as broker:
        await send_by_key(count, lambda _, data: broker.publish(data, stream="s"))


async def prepare(url: str) -> None:
    """The group has to be there before the first message, or begins after it."""
    async with Redis.from_url(url) as client:
        if not await client.exists("s"):
            await client.xgroup_create("s", "g", "0", mkstream=True)


async def consume(url: str, seen: Seen) -> None:
    await prepare(url)
    broker = RedisBroker(url, logger=None)
    name = f"c{os.getpid()}"
    claiming = StreamSub("s", group="g", consumer=name, max_records=100, min_idle_time=2_000)

    @broker.subscriber(stream=StreamSub("s", group="g", consumer=name, max_records=100))
    @broker.subscriber(stream=claiming)
    async def handle(data: str) -> None:
        seen(data)

    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    main(("faststream", "redis"), SETTINGS, send, consume)
