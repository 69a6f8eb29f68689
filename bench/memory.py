"""How many bytes of the server's memory does a message take?"""

from __future__ import annotations

from collections.abc import Callable

from bench.loads import DATA, KEYS, messages, on_asyncio, opened, raw_pipeline
from bench.measure import Contest, Place, Run

__all__ = ["contests"]

COUNT = 100_000
CHUNK = 2_000


def _grown(place: Place, count: int, before: int) -> Run:
    return Run((_used(place) - before) / count)


def _used(place: Place) -> int:
    return int(place.server.info("memory")["used_memory_dataset"])


def _raw(place: Place, *, pending: bool) -> Run:
    count = place.count(COUNT)
    before = _used(place)
    raw_pipeline(place, count, "raw-held")
    if pending:
        place.server.xgroup_create("raw-held", "g", "0")
        while place.server.xreadgroup("g", "c", {"raw-held": ">"}, count=CHUNK):
            pass  # in one call the answer would be so long that the server's buffers show
    made = _grown(place, count, before)
    place.server.delete("raw-held")
    return made


def _ours(headers: dict[str, str] | None) -> Callable[[Place], Run]:
    async def job(place: Place) -> Run:
        count = place.count(COUNT)
        async with opened(place) as (_, stream):
            before = _used(place)
            for _ in range(0, count, CHUNK):
                if headers is None:
                    await stream.send_many(messages(CHUNK))
                else:
                    await stream.send_many((KEYS[index % len(KEYS)], DATA, headers) for index in range(CHUNK))
            return _grown(place, count, before)

    return on_asyncio(job)


def contests() -> list[Contest]:
    return [
        Contest(
            "memory of a message with 100 bytes of data",
            {
                "redis-py: XADD": lambda place: _raw(place, pending=False),
                "redis-py: XADD, in a pending list": lambda place: _raw(place, pending=True),
                "ours": _ours(None),
                "ours, with one header": _ours({"h": "v"}),
            },
            unit="bytes",
            rounds=1,
        )
    ]
