"""A message that failed waits for its next attempt on a real Redis, over restarts and a crash of its workers."""

from __future__ import annotations

import asyncio
import time

from segmenter import Message, Retry, Segmenter, Worker
from tests.servers import Server

WAIT_S = 1.5
LIMIT_S = 30


def test_the_next_attempt_comes_when_the_wait_is_over_however_often_workers_are_restarted_meanwhile(
    server: Server, namespace: str
) -> None:
    """A deploy ends no wait and begins none."""
    calls: list[tuple[float, int]] = []  # with the message that fails at first

    async def restart() -> None:
        """A worker runs until it has handled something."""
        worker, done = Worker(server.url, namespace=namespace, group="g"), asyncio.Event()

        @worker.handler("orders", type=str, retry=Retry(initial=WAIT_S, jitter=0))
        async def handle(value: str, message: Message) -> None:
            done.set()
            if value == "bad":
                calls.append((time.monotonic(), message.attempt))
            if value == "bad" and message.attempt == 1:
                raise ValueError(value)

        running = asyncio.create_task(worker.run())
        await done.wait()
        await worker.stop()
        await running

    async def main() -> None:
        async with asyncio.timeout(LIMIT_S), Segmenter(server.url, namespace=namespace) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1, type=str)
            await orders.send("a", "bad")
            while len(calls) < 2:
                await restart()
                await orders.send("b", "fine")

    asyncio.run(main())
    (first, _), (last, _) = calls
    assert [attempt for _, attempt in calls] == [1, 2]
    assert last - first >= WAIT_S - 0.01


def test_the_next_attempt_comes_when_the_wait_is_over_though_its_owner_crashed(server: Server, namespace: str) -> None:
    async def main() -> None:
        async with Segmenter(server.url, namespace=namespace) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            await orders.send_many([("a", b"bad"), ("b", b"fine")])
            victim = await segmenter.register_consumer("orders", group="g", session_timeout=0.5)
            (await anext(victim)).nack(delay=3_600)
            (await anext(victim)).nack(delay=2.0)
            began = time.monotonic()
            await victim.commit()
            victim.halt()
            heir = await segmenter.register_consumer("orders", group="g", session_timeout=0.5)
            async with asyncio.timeout(LIMIT_S):
                message = await anext(heir)
            assert (message.data, message.attempt) == (b"fine", 2)
            assert time.monotonic() - began >= 2.0 - 0.01
            await heir.ack(message)

    asyncio.run(main())
