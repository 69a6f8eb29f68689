"""The demo from its beginning to its verdict."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from segmenter.cli.codes import Exit
from segmenter.cli.demo.crew import Crew, ProcessCrew, TaskCrew
from segmenter.cli.demo.flights import Flight, load, sample
from segmenter.cli.demo.records import Handled, Noted
from segmenter.cli.demo.screen import Screen
from segmenter.cli.demo.story import Story
from segmenter.cli.demo.verdict import judge
from segmenter.cli.demo.worker import Job
from segmenter.cli.place import Here
from segmenter.cli.printing import Printer
from segmenter.config import MIN_SESSION_S
from segmenter.errors import GroupNotEmpty
from segmenter.segmenter import Segmenter
from segmenter.stream import Stream

__all__ = ["demo"]

STREAM, GROUP = "flights", "tower"
CHUNK = 500  # flights in one call, when they are sent as fast as possible
BURST_S = 0.02


def demo(
    *,
    data: Path | None = None,
    partitions: int = 8,
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 2,
    rate: Annotated[int, Parameter(validator=Number(gte=0))] = 250,
    work_ms: Annotated[float, Parameter(validator=Number(gte=0))] = 2.0,
    session: Annotated[float, Parameter(validator=Number(gte=MIN_SESSION_S))] = 1.5,
    seconds: Annotated[float, Parameter(name="--limit", validator=Number(gt=0))] = 120.0,
    place: Here,
) -> int:
    """Send real events through a stream while consumers join, leave and are killed, and check what came out.

    Flights, keyed by aircraft, go through a stream's partitions. The verdict is computed from what was handled: were
    all of them, and each aircraft's in order? Without --url all runs in this process; with redis://HOST:PORT each
    worker is a process, and one is killed with SIGKILL. The namespace is made up, and removed. The exit code is 6 if
    the verdict does not hold.

    Parameters
    ----------
    data
        A CSV file of flights (.gz or not) instead of the sample that ships with the program.
    partitions
        Partitions of the stream.
    workers
        Consumers at the start; one more joins, one is killed, one leaves.
    rate
        Flights sent per second; 0 sends as fast as possible.
    work_ms
        Milliseconds that handling a flight takes.
    session
        Seconds of silence after which a consumer counts as dead.
    seconds
        Give up after so long.
    """
    script = Script(
        url=place.url or "memory://",
        data=data,
        partitions=partitions,
        workers=workers,
        rate=rate,
        work_ms=work_ms,
        session_s=session,
        limit_s=seconds,
    )
    return asyncio.run(_play(script, place.printer))


@frozen
class Script:
    """What to play."""

    url: str
    data: Path | None
    partitions: int
    workers: int
    rate: int
    work_ms: float
    session_s: float
    limit_s: float


async def _play(script: Script, printer: Printer) -> int:
    """Play the demo, show the verdict, and return the exit code: 0 only if the verdict holds."""
    console = Console(stderr=printer.output != "table")
    flights = load(script.data or sample())
    namespace = f"demo-{secrets.token_hex(4)}"
    in_process = script.url.startswith("memory:")
    url = f"memory://{namespace}" if in_process else script.url
    job = Job("", url, namespace, STREAM, GROUP, script.work_ms / 1000, script.session_s)
    performance = _Performance(script, flights, Screen(console, script.partitions, len(flights)), printer)
    crew: Crew = TaskCrew(performance.report) if in_process else ProcessCrew(performance.report)
    async with Segmenter(url, namespace=namespace) as segmenter:
        try:
            return await performance.run(segmenter, crew, job)
        finally:
            await crew.dismiss()
            with suppress(GroupNotEmpty):  # it was cut short, and the killed worker has not been missed yet
                await segmenter.remove_group(STREAM, GROUP)
            await segmenter.remove_stream(STREAM)


class _Performance:
    """One run of the demo."""

    def __init__(self, script: Script, flights: Sequence[Flight], screen: Screen, printer: Printer) -> None:
        self._script = script
        self._printer = printer
        self._flights = flights
        self._screen = screen
        self._records: list[Handled | Noted] = []
        self._done: set[tuple[str, int]] = set()
        self._owners: set[str] = set()

    def report(self, record: Handled | Noted) -> None:
        """Take in what a worker reports."""
        self._records.append(record)
        if isinstance(record, Handled):
            self._done.add((record.aircraft, record.number))
        elif record.what == "granted":
            self._owners.add(record.worker)
        self._screen.record(record)

    async def run(self, segmenter: Segmenter, crew: Crew, job: Job) -> int:
        began = time.monotonic()
        size = max(1000, len(self._flights))
        stream = await segmenter.register_stream(STREAM, partitions=self._script.partitions, partition_size=size)
        story = Story(
            crew,
            job,
            self._script.workers,
            share_done=lambda: len(self._done) / len(self._flights),
            owners=lambda: len(self._owners),
        )
        with self._screen:
            try:
                async with asyncio.timeout(self._script.limit_s):
                    await story.begin(self._script.partitions)
                    await asyncio.gather(self._send(stream), story.unfold())
            except TimeoutError:
                pass  # the verdict says what is missing
            await crew.dismiss()
        verdict, spent_s = judge(self._flights, self._records), time.monotonic() - began
        told = verdict.as_object | {"seconds": round(spent_s, 1)}
        self._printer.object(told, lambda: self._screen.verdict(verdict, spent_s))
        return Exit.OK if verdict.holds else Exit.CHECK_FAILED

    async def _send(self, stream: Stream) -> None:
        began = asyncio.get_running_loop().time()
        sent = 0
        while sent < len(self._flights):
            due = self._due(asyncio.get_running_loop().time() - began, sent)
            batch = self._flights[sent : sent + due]
            await stream.send_many((flight.aircraft, flight.encoded()) for flight in batch)
            sent += len(batch)
            self._screen.sent(sent)
            await asyncio.sleep(BURST_S if self._script.rate else 0)

    def _due(self, elapsed_s: float, sent: int) -> int:
        """How many flights to send now, to keep the rate."""
        return max(0, int(elapsed_s * self._script.rate) - sent) if self._script.rate else CHUNK
