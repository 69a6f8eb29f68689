"""The command: rounds that alternate, medians, and a table."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any

from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from segmenter.cli.bench.jobs import Job, Ours
from segmenter.cli.place import Here, Place
from segmenter.cli.printing import Column
from segmenter.cli.scratch import scratch
from segmenter.connect import ENVIRONMENT_VARIABLE

if TYPE_CHECKING:
    from segmenter.cli.bench.plain import Plain

__all__ = ["bench"]

PROBES = 200
PAUSE_S = 0.005

Positive = Parameter(validator=Number(gte=1))


def bench(
    *,
    messages: Annotated[int, Positive] = 20_000,
    size: Annotated[int, Positive] = 100,
    partitions: Annotated[int, Positive] = 4,
    rounds: Annotated[int, Positive] = 3,
    place: Here,
) -> int:
    """Measure a server: sending, consuming, and the way of one message, beside plain redis-py.

    It works in a namespace that is made up, and removed afterwards. RATIO is how many times as fast, or as long, as
    redis-py: pipelines of 500 XADD, XREADGROUP of 100 with XACK, XADD with a blocked XREAD. Rounds alternate, and
    medians are shown. None of that keeps order per key, fences owners or numbers sends.

    Parameters
    ----------
    messages
        Sent and consumed in each round.
    size
        Bytes of each.
    partitions
        Of the stream.
    rounds
        Of each measurement.
    """
    job = Job(messages, size, partitions, PROBES, PAUSE_S)
    rows = asyncio.run(_measured(place, job, rounds))
    columns = [
        Column("MEASURE", lambda row: row["measure"]),
        Column("SEGMENTER", lambda row: _figure(row["segmenter"], row["unit"]), right=True),
        Column("REDIS-PY", lambda row: _figure(row["redis_py"], row["unit"]), right=True),
        Column("UNIT", lambda row: row["unit"]),
        Column("RATIO", lambda row: "-" if row["ratio"] is None else f"{row['ratio']:.2f}", right=True),
    ]
    place.printer.rows(rows, columns, "nothing was measured")
    return 0


def _figure(number: float | None, unit: str) -> str:
    if number is None:
        return "-"
    return f"{number:.2f}" if unit == "ms" else f"{number:,.0f}"


@frozen
class _Round:
    """What came out of a round of one of the two: messages a second, and milliseconds."""

    produced: float
    consumed: float
    median_ms: float
    late_ms: float  # of a hundred, one takes longer

    @classmethod
    async def of(cls, way: Ours | Plain, job: Job, step: Callable[[], None]) -> _Round:
        """Do the jobs one after the other."""

        async def done(doing: Awaitable[Any]) -> Any:
            result = await doing
            step()
            return result

        produced_s, consumed_s = await done(way.produce(job)), await done(way.consume(job))
        took_ms = sorted(it * 1000 for it in await done(way.latencies(job)))
        late_ms = took_ms[len(took_ms) * 99 // 100]
        return cls(job.messages / produced_s, job.messages / consumed_s, statistics.median(took_ms), late_ms)


async def _measured(place: Place, job: Job, rounds: int) -> list[dict[str, Any]]:
    url = place.url or os.environ.get(ENVIRONMENT_VARIABLE) or ""
    async with AsyncExitStack() as stack:
        segmenter = await stack.enter_async_context(scratch(place.url, "bench"))
        ways: dict[str, Ours | Plain] = {"segmenter": Ours(segmenter)}
        if not url.startswith("memory:"):
            from segmenter.cli.bench.plain import plain

            ways["redis_py"] = await stack.enter_async_context(plain(url, segmenter.namespace))
        progress = stack.enter_context(_progress(place))
        task = progress.add_task("", total=rounds * len(ways) * 3)
        found: dict[str, list[_Round]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                progress.update(task, description=name.replace("_", "-"))
                found[name].append(await _Round.of(way, job, lambda: progress.advance(task)))
    return [_row(name, unit, attribute, found) for name, unit, attribute in MEASURES]


MEASURES = (
    ("send in batches", "messages/s", "produced"),
    ("consume and settle", "messages/s", "consumed"),
    ("sent to handed out, median", "ms", "median_ms"),
    ("sent to handed out, 99 of 100", "ms", "late_ms"),
)


def _row(name: str, unit: str, attribute: str, found: dict[str, list[_Round]]) -> dict[str, Any]:
    medians = {way: statistics.median(getattr(it, attribute) for it in rounds) for way, rounds in found.items()}
    ours, plainly = medians["segmenter"], medians.get("redis_py")
    return {
        "measure": name,
        "unit": unit,
        "segmenter": round(ours, 3),
        "redis_py": None if plainly is None else round(plainly, 3),
        "ratio": None if plainly is None else round(ours / plainly, 3),
    }


def _progress(place: Place) -> Progress:
    err = place.printer.err
    words = TextColumn("{task.description}")
    columns = (words, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
