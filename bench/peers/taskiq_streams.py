"""taskiq-redis, with its broker on Redis streams."""

from __future__ import annotations

from harness import Seen, main, send_by_key
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

SETTINGS = "RedisStreamBroker; a task for each key awaits kiq; 100 tasks at a time, idle_timeout=2000 ms"


def broker_of(url: str) -> RedisStreamBroker:
    return RedisStreamBroker(url, consumer_id="0", idle_timeout=2_000, unacknowledged_lock_timeout=5)


async def send(url: str, count: int) -> None:
    broker = broker_of(url)

    @broker.task(task_name="handle")
    async def handle(data: str) -> None: ...

    await broker.startup()
    await send_by_key(count, lambda _, data: handle.kiq(data))
    await broker.shutdown()


async def consume(url: str, seen: Seen) -> None:
    broker = broker_of(url)

    @broker.task(task_name="handle")
    async def handle(data: str) -> None:
        seen(data)

    broker.is_worker_process = True
    await run_receiver_task(broker, run_startup=True)


if __name__ == "__main__":
    main(("taskiq-redis", "taskiq", "redis"), SETTINGS, send, consume)
