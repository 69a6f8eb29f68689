"""redisaq: partitions and rebalancing on Redis streams."""

from __future__ import annotations

import asyncio

from harness import Seen, main, messages
from redisaq import Consumer, Message, Producer

BATCH = 500
SETTINGS = "8 partitions by key; batch_enqueue of 500; batch_size=100, consume one by one, heartbeat 0.5 s, ttl 2 s"


async def send(url: str, count: int) -> None:
    producer = Producer(topic="s", redis_url=url, init_partitions=8)
    await producer.connect()
    payloads = [{"key": key, "data": data} for key, data in messages(count)]
    for first in range(0, count, BATCH):
        await producer.batch_enqueue(payloads[first : first + BATCH], partition_key="key")
    await producer.close()


async def consume(url: str, seen: Seen) -> None:
    consumer = Consumer(
        topic="s", redis_url=url, group_name="g", batch_size=100, heartbeat_interval=0.5, heartbeat_ttl=2.0
    )

    async def handle(message: Message) -> None:
        seen(str(message.payload["data"]))

    await consumer.connect()
    await consumer.consume(handle)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main(("redisaq", "redis"), SETTINGS, send, consume)
