"""streaQ: a task queue on Redis streams."""

from __future__ import annotations

import logging

from harness import Seen, main, messages
from streaq import Worker

BATCH = 500
SETTINGS = "enqueue_many of 500; concurrency 16 (default), idle_timeout=2 s, no results kept"


def worker_of(url: str) -> Worker:
    logging.disable(logging.INFO)
    return Worker(redis_url=url, idle_timeout=2, handle_signals=False)


async def send(url: str, count: int) -> None:
    worker = worker_of(url)

    @worker.task(name="handle", ttl=0)
    async def handle(data: str) -> None: ...

    async with worker:
        datas = [data for _, data in messages(count)]
        for first in range(0, count, BATCH):
            await worker.enqueue_many([handle.enqueue(data) for data in datas[first : first + BATCH]])


async def consume(url: str, seen: Seen) -> None:
    worker = worker_of(url)

    @worker.task(name="handle", ttl=0)
    async def handle(data: str) -> None:
        seen(data)

    await worker.run_async()


if __name__ == "__main__":
    main(("streaq", "coredis"), SETTINGS, send, consume)
