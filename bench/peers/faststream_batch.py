"""FastStream on Redis streams, in batches."""

from __future__ import annotations

import os

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub
from faststream_single import prepare
from harness import Seen, main, messages
from redis.asyncio import Redis

BATCH = 500
SETTINGS = (
    "one stream; pipelines of 500 publish; "
    "group, batch=True, max_records=500; a second subscriber with min_idle_time=2000 ms"
)


async def send(url: str, count: int) -> None:
    await prepare(url)
    async with RedisBroker(url, logger=None) as broker, Redis.from_url(url) as client:
        pipeline = client.pipeline(transaction=False)
        for index, (_, data) in enumerate(messages(count), 1):
            await broker.publish(data, stream="s", pipeline=pipeline)
            if index % BATCH == 0 or index == count:
                await pipeline.execute()


async def consume(url: str, seen: Seen) -> None:
    await prepare(url)
    broker = RedisBroker(url, logger=None)
    name = f"c{os.getpid()}"
    claiming = StreamSub("s", group="g", consumer=name, batch=True, max_records=BATCH, min_idle_time=2_000)

    @broker.subscriber(stream=StreamSub("s", group="g", consumer=name, batch=True, max_records=BATCH))
    @broker.subscriber(stream=claiming)
    async def handle(datas: list[str]) -> None:
        for data in datas:
            seen(data)

    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    main(("faststream", "redis"), SETTINGS, send, consume)
