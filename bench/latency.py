"""How long does a message take from ``send`` to the consumer that waits for it?"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis as AsyncRedis

from bench.loads import on_asyncio, on_uvloop, opened, owning
from bench.measure import Contest, Place, Run

__all__ = ["contests"]

COUNT = 2_000
PAUSE_S = 0.001  # between messages, so that the consumer is waiting again

Waiting = Callable[[], Awaitable[float]]


async def _each(count: int, send: Callable[[], Awaitable[Any]], received: Waiting) -> Run:
    """The median from before a send to the receipt, when whoever waited goes on with the message; in microseconds."""
    times: list[float] = []
    for _ in range(count):
        waiting = asyncio.ensure_future(received())
        await asyncio.sleep(PAUSE_S)
        began = time.perf_counter()
        sending = asyncio.ensure_future(send())
        times.append(await waiting - began)
        await sending
    return Run(statistics.median(times) * 1e6)


async def _raw(place: Place) -> Run:
    async with AsyncRedis.from_url(place.url) as writer, AsyncRedis.from_url(place.url) as reader:
        await writer.delete("raw")
        last = [b"0-0"]

        async def received() -> float:
            ((_, entries),) = await reader.xread({"raw": last[0]}, block=5_000)
            at = time.perf_counter()
            last[0] = entries[-1][0]
            return at

        return await _each(place.count(COUNT), lambda: writer.xadd("raw", {"k": b"k", "d": b"x"}), received)


async def _ours(place: Place) -> Run:
    async with opened(place) as (segmenter, stream), segmenter.register_consumer("s", group="g") as consumer:
        await owning(consumer)

        async def received() -> float:
            message = await anext(consumer)
            at = time.perf_counter()
            message.ack()
            return at

        return await _each(place.count(COUNT), lambda: stream.send(b"k", b"x"), received)


def contests() -> list[Contest]:
    return [
        Contest(
            "p50 from send to hand-out",
            {
                "redis-py: XADD to XREAD BLOCK": on_asyncio(_raw),
                "send to async for": on_asyncio(_ours),
                "send to async for, uvloop": on_uvloop(_ours),
            },
            unit="us",
            limits={"send to async for": 2.0, "send to async for, uvloop": 2.0},
        )
    ]
