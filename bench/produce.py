"""How fast can messages be appended in batches? Ours keeps order per key, numbers every record and checks the room."""

from __future__ import annotations

from bench.loads import BATCH, PARTITIONS, messages, on_asyncio, opened, raw_pipeline
from bench.measure import Contest, Place, Run

__all__ = ["contests"]

COUNT = 200_000
CALL = BATCH * PARTITIONS  # messages in a call: a batch for each partition


def _raw(place: Place) -> Run:
    return raw_pipeline(place, place.count(COUNT), "raw")


async def _send_many(place: Place) -> Run:
    count = place.count(COUNT)
    async with opened(place) as (_, stream):
        await stream.send_many(messages(CALL))
        with place.timing(count) as made:
            for _ in range(0, count, CALL):
                await stream.send_many(messages(CALL))
        return made


def contests() -> list[Contest]:
    return [
        Contest(
            "produce in batches",
            {"redis-py: pipeline of 500 XADD": _raw, "send_many of 2,000": on_asyncio(_send_many)},
            floors={"send_many of 2,000": 2.5},
        )
    ]
