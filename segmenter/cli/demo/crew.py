"""Starting, stopping and killing workers: as tasks of this process, or as processes of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from segmenter.cli.demo.records import Noted, Report, decoded
from segmenter.cli.demo.worker import Job, arguments, serve, work
from segmenter.consumer import Consumer
from segmenter.segmenter import Segmenter

__all__ = ["Crew", "ProcessCrew", "TaskCrew"]

STOP_S = 30.0  # a worker that does not stop by then is killed


class Crew(Protocol):
    """Workers by name."""

    async def start(self, job: Job) -> None:
        """Start a worker."""
        ...

    async def stop(self, name: str) -> None:
        """Have a worker leave, handing its partitions over."""
        ...

    async def kill(self, name: str) -> None:
        """End a worker in the middle of whatever it does."""
        ...

    async def dismiss(self) -> None:
        """Stop all that are left."""
        ...


class TaskCrew:
    """Workers as tasks: a kill stops everything of a worker between two steps, and hands nothing over."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._workers: dict[str, tuple[Segmenter, Consumer, asyncio.Task[None]]] = {}

    async def start(self, job: Job) -> None:
        segmenter = Segmenter(job.url, namespace=job.namespace)
        consumer = await serve(segmenter, job, self._report)
        task = asyncio.create_task(work(consumer, job, self._report))
        self._workers[job.name] = (segmenter, consumer, task)

    async def stop(self, name: str) -> None:
        segmenter, consumer, task = self._workers.pop(name)
        await consumer.shutdown()
        await segmenter.aclose()
        await task

    async def kill(self, name: str) -> None:
        segmenter, consumer, task = self._workers.pop(name)
        self._report(Noted(name, "killed", None, None, time.monotonic()))
        task.cancel()
        consumer.halt()
        await asyncio.gather(task, return_exceptions=True)
        await segmenter.aclose()

    async def dismiss(self) -> None:
        await asyncio.gather(*(self.stop(name) for name in tuple(self._workers)))


class ProcessCrew:
    """Workers as processes, each of which runs the command line of its job: a kill is SIGKILL."""

    def __init__(self, report: Report, command: Callable[[Job], Sequence[str]] = arguments) -> None:
        self._report = report
        self._command = command
        self._workers: dict[str, tuple[asyncio.subprocess.Process, asyncio.Task[None]]] = {}

    async def start(self, job: Job) -> None:
        process = await asyncio.create_subprocess_exec(*self._command(job), stdout=asyncio.subprocess.PIPE)
        self._workers[job.name] = (process, asyncio.create_task(self._listen(process)))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        async for line in process.stdout:
            if line.endswith(b"\n"):  # a kill may cut the last line short
                self._report(decoded(line))

    async def stop(self, name: str) -> None:
        process, listening = self._workers.pop(name)
        with suppress(ProcessLookupError):  # it has ended by itself
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
        await listening

    def signal(self, name: str, number: int) -> None:
        """Send a worker's process a signal."""
        self._workers[name][0].send_signal(number)

    async def kill(self, name: str) -> None:
        process, listening = self._workers.pop(name)
        process.kill()
        self._report(Noted(name, "killed", None, None, time.monotonic()))
        await process.wait()
        await listening

    async def dismiss(self) -> None:
        await asyncio.gather(*(self.stop(name) for name in tuple(self._workers)))
