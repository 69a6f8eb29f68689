"""How fast can messages be handled and settled? Ours hands out objects, in order per key, and commits under a fence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from bench.loads import Job, handled, messages, on_asyncio, opened, owning, raw_pipeline
from bench.measure import Contest, Place, Run
from segmenter import Consumer, Worker

__all__ = ["contests"]

COUNT = 200_000

Handling = Callable[[Consumer, int], Awaitable[None]]


def _raw(place: Place) -> Run:
    count = place.count(COUNT)
    raw_pipeline(place, count, "raw-in")
    place.server.xgroup_create("raw-in", "g", "0")
    with place.timing(count) as made:
        done = 0
        while done < count:
            ((_, entries),) = place.server.xreadgroup("g", "c", {"raw-in": ">"}, count=100)
            place.server.xack("raw-in", "g", *(entry_id for entry_id, _ in entries))
            done += len(entries)
    return made


def _ours(handling: Handling, *, frozen: bool = True) -> Job:
    async def job(place: Place) -> Run:
        count = place.count(COUNT)
        async with opened(place) as (segmenter, stream):
            async with segmenter.register_consumer("s", group="g", batch_size=500) as consumer:
                await owning(consumer)
                consumer.pause()
                await stream.send_many(messages(count))
                with place.timing(count, frozen=frozen) as made:
                    consumer.resume()
                    await handling(consumer, count)
            return made

    return job


def _handled(key_concurrency: int, work: Callable[[], Awaitable[None]] | None = None) -> Job:
    """A worker's handler that does next to nothing, from the first message to the last."""

    async def job(place: Place) -> Run:
        count, done, clock = place.count(COUNT), 0, ExitStack()
        made = Run()
        async with opened(place) as (segmenter, stream):
            worker = Worker(place.url, namespace=segmenter.namespace)

            @worker.handler("s", group="g", key_concurrency=key_concurrency)
            async def handle(_data: bytes) -> None:
                nonlocal done, made
                done += 1
                if done == 1:
                    made = clock.enter_context(place.timing(count))
                elif done == count:
                    clock.close()
                    worker.request_stop()
                if work is not None:
                    await work()

            await stream.send_many(messages(count))
            await worker.run()
        return made

    return job


async def _a_turn() -> None:
    await asyncio.sleep(0)


async def _iteration(consumer: Consumer, count: int) -> None:
    done = 0
    async for message in consumer:
        message.ack()
        done += 1
        if done == count:
            break
    await consumer.commit()


def contests() -> list[Contest]:
    return [
        Contest(
            "consume and settle",
            {
                "redis-py: XREADGROUP 100 + XACK": _raw,
                "read batches of 500, ack each": on_asyncio(_ours(handled)),
                "the same, all objects collected": on_asyncio(_ours(handled, frozen=False)),
                "async for, ack each": on_asyncio(_ours(_iteration)),
                "handler": on_asyncio(_handled(1)),
                "handler, 64 keys in parallel": on_asyncio(_handled(64)),
                "the same, waiting a turn of the loop": on_asyncio(_handled(64, _a_turn)),
            },
            floors={"read batches of 500, ack each": 1.8, "handler": 1.7, "handler, 64 keys in parallel": 1.3},
        )
    ]
