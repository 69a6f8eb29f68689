"""The yardstick: the same jobs by plain redis-py, without partitions, order per key, fences or numbers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from segmenter.cli.bench.jobs import BATCH, Job, Latencies

__all__ = ["Plain", "plain"]

READ = 100  # entries in one XREADGROUP
BLOCK_MS = 1_000


class Plain:
    """One stream of Redis, under a key of the scratch namespace."""

    def __init__(self, client: Any, key: str) -> None:
        self._client = client  # its hints cover synchronous and asynchronous clients at once
        self._key = key

    async def produce(self, job: Job) -> float:
        """Append all in pipelines; seconds."""
        await self._client.delete(self._key)
        began = time.perf_counter()
        for first in range(0, job.messages, BATCH):
            pipeline = self._client.pipeline(transaction=False)
            for index in range(first, min(first + BATCH, job.messages)):
                pipeline.xadd(self._key, {"k": job.key(index), "d": job.data})
            await pipeline.execute()
        return time.perf_counter() - began

    async def consume(self, job: Job) -> float:
        """Read and acknowledge what ``produce`` has left; seconds."""
        await self._client.xgroup_create(self._key, "g", "0")
        done, began = 0, time.perf_counter()
        while done < job.messages:
            ((_, entries),) = _pairs(await self._client.xreadgroup("g", "c", {self._key: ">"}, count=READ))
            await self._client.xack(self._key, "g", *(entry_id for entry_id, _ in entries))
            done += len(entries)
        return time.perf_counter() - began

    async def latencies(self, job: Job) -> Latencies:
        """Send one after the other, and see when each arrives; seconds."""
        await self._client.delete(self._key)
        sent: dict[bytes, float] = {}
        took: list[float] = []

        async def receive() -> None:
            last = b"0-0"
            while len(took) < job.probes:
                for _, entries in _pairs(await self._client.xread({self._key: last}, block=BLOCK_MS)):
                    for entry_id, fields in entries:
                        took.append(time.perf_counter() - sent[fields[b"d"]])
                        last = entry_id

        receiver = asyncio.ensure_future(receive())
        for index in range(job.probes):
            data = b"%d" % index
            sent[data] = time.perf_counter()
            await self._client.xadd(self._key, {"k": job.key(index), "d": data})
            await asyncio.sleep(job.pause_s)
        await receiver
        return took


def _pairs(reply: Any) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """What was read: a list of pairs in version 2 of the protocol, a map of lists of lists in version 3."""
    if isinstance(reply, dict):
        found: dict[bytes, Any] = reply  # pyright: ignore[reportUnknownVariableType]
        return [(key, entries[0]) for key, entries in found.items()]
    return list(reply or [])


@asynccontextmanager
async def plain(url: str, namespace: str) -> AsyncGenerator[Plain, None]:
    """Open the yardstick, and leave nothing of it behind."""
    client: Any = Redis.from_url(url)
    key = f"{{{namespace}:plain}}:log"
    try:
        yield Plain(client, key)
    finally:
        await client.delete(key)
        await client.aclose()
