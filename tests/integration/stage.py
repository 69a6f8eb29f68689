"""Worker processes on a real server, and what they report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from segmenter import Segmenter, Stream
from segmenter.cli.demo.crew import ProcessCrew
from segmenter.cli.demo.flights import Flight
from segmenter.cli.demo.records import Handled, Noted
from segmenter.cli.demo.verdict import Verdict, judge
from segmenter.cli.demo.worker import Job, arguments

__all__ = ["Stage"]

AIRCRAFT = 23
LIMIT_S = 60.0


class Stage:
    """A stream, workers by name, and everything they said, which also wakes whoever waits for it."""

    def __init__(self, url: str, namespace: str, *, work_s: float = 0.005, session_s: float = 0.6) -> None:
        self.url, self.namespace = url, namespace
        self.job = Job("", url, namespace, "flights", "tower", work_s, session_s)
        self.records: list[Handled | Noted] = []
        self.sent: list[Flight] = []
        self._news = asyncio.Event()
        self.crew = ProcessCrew(self._report, _command)

    def _report(self, record: Handled | Noted) -> None:
        self.records.append(record)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what has been reported makes something true."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def start(self, name: str) -> None:
        """Start a worker, and wait until it is a member."""
        await self.crew.start(Job(name, *[getattr(self.job, field) for field in _REST]))
        await self.until(lambda: bool(self.noted(name, "admitted")))

    def noted(self, name: str, what: str) -> list[Noted]:
        """What a worker noted."""
        return [
            record
            for record in self.records
            if isinstance(record, Noted) and (record.worker, record.what) == (name, what)
        ]

    def owned(self, name: str) -> int:
        """How many partitions a worker holds, by its own account."""
        return len(self.noted(name, "granted")) - len(self.noted(name, "handed_back")) - len(self.noted(name, "lost"))

    @property
    def handled(self) -> list[Handled]:
        """What has been handled so far."""
        return [record for record in self.records if isinstance(record, Handled)]

    async def send(self, stream: Stream, count: int) -> None:
        """Send flights of a few aircraft."""
        first = len(self.sent)
        batch = [
            Flight(f"N{number % AIRCRAFT}", number // AIRCRAFT, "EWR-IAH", "") for number in range(first, first + count)
        ]
        await stream.send_many((flight.aircraft, flight.encoded()) for flight in batch)
        self.sent += batch

    @property
    def done(self) -> int:
        """How many different flights have been handled."""
        return len({(record.aircraft, record.number) for record in self.handled})

    def verdict(self) -> Verdict:
        """What came out."""
        return judge(self.sent, self.records)

    def segmenter(self) -> Segmenter:
        """A producer's or observer's process: this one."""
        return Segmenter(self.url, namespace=self.namespace)


def _command(job: Job) -> list[str]:
    """The demo's own program, with an audit of what it asks of the server."""
    python, module, *program = arguments(job)
    return [python, module, "tests.audit", *program]


_REST = ("url", "namespace", "stream", "group", "work_s", "session_s")
