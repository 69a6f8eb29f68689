"""What does a consumer cost the server while nothing happens?"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from bench.loads import on_asyncio, owning
from bench.measure import Contest, Place, Run, server_cpu_s
from segmenter import Segmenter

__all__ = ["contests"]

PARTITIONS = 8
WATCHED_S = 20.0
CONSUMERS = 20  # each of a stream of its own, so that what one costs can be told from what the server does by itself


async def _share(place: Place) -> float:
    """The share of a core that the server takes, in percent."""
    began, used = time.perf_counter(), server_cpu_s(place.server)
    await asyncio.sleep(WATCHED_S / 2 if place.short else WATCHED_S)
    return (server_cpu_s(place.server) - used) / (time.perf_counter() - began) * 100


async def _idle(place: Place) -> Run:
    alone = await _share(place)
    async with AsyncExitStack() as stack:
        segmenter = await stack.enter_async_context(Segmenter(place.url, namespace=place.fresh_namespace()))
        for number in range(CONSUMERS):
            await segmenter.register_stream(f"s{number}", partitions=PARTITIONS)
            consumer = await stack.enter_async_context(segmenter.register_consumer(f"s{number}", group="g"))
            await owning(consumer, PARTITIONS)
        await asyncio.sleep(1)
        return Run(max(0.0, await _share(place) - alone) / CONSUMERS)


def contests() -> list[Contest]:
    return [
        Contest(
            "server's processor time for an idle consumer of 8 partitions",
            {"promised": lambda _: Run(0.01), "measured": on_asyncio(_idle)},
            unit="% of a core",
            limits={"measured": 1.0},
            rounds=1,
        )
    ]
