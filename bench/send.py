"""How fast is sending when every send is awaited, by many tasks at once?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis as AsyncRedis

from bench.loads import DATA, KEYS, Job, on_asyncio, on_uvloop, opened, raw_pipeline
from bench.measure import Contest, Place, Run

__all__ = ["contests"]

COUNT = 100_000
COUNT_RAW = 20_000  # of the plain way, which is ten times as slow


def _raw(place: Place) -> Run:
    return raw_pipeline(place, place.count(COUNT), "raw")


async def _raw_awaited(place: Place) -> Run:
    count = place.count(COUNT_RAW)
    async with AsyncRedis.from_url(place.url, max_connections=100) as client:
        await client.delete("raw")
        with place.timing(count) as made:
            await _together(100, count, lambda key: client.xadd("raw", {"k": key, "d": DATA}))
        return made


def _sends(tasks: int) -> Job:
    async def job(place: Place) -> Run:
        count = place.count(COUNT)
        async with opened(place) as (_, stream):
            await stream.send(b"first", b"")
            with place.timing(count) as made:
                await _together(tasks, count, lambda key: stream.send(key, DATA))
            return made

    return job


async def _together(tasks: int, count: int, send: Callable[[bytes], Awaitable[object]]) -> None:
    async def task(number: int) -> None:
        for index in range(number, number + count // tasks):  # tasks are at different keys at any time
            await send(KEYS[index % len(KEYS)])

    await asyncio.gather(*(task(number) for number in range(tasks)))


def contests() -> list[Contest]:
    by_100, by_1000 = _sends(100), _sends(1000)
    return [
        Contest(
            "send, each awaited",
            {
                "redis-py: pipeline of 500 XADD": _raw,
                "1,000 tasks": on_asyncio(by_1000),
                "1,000 tasks, uvloop": on_uvloop(by_1000),
                "100 tasks": on_asyncio(by_100),
                "100 tasks, uvloop": on_uvloop(by_100),
            },
            floors={"1,000 tasks": 1.8, "1,000 tasks, uvloop": 1.8, "100 tasks": 0.9, "100 tasks, uvloop": 1.1},
        ),
        Contest(
            "send, each awaited by 100 tasks",
            {"redis-py: await xadd": on_asyncio(_raw_awaited), "await send": on_asyncio(by_100)},
            floors={"await send": 10},
        ),
    ]
