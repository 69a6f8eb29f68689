"""Who comes and goes when, told in shares of the flights handled, so that it fits any amount of data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import evolve

from segmenter.cli.demo.crew import Crew
from segmenter.cli.demo.worker import Job

__all__ = ["Story"]

JOIN_AT, KILL_AT, LEAVE_AT = 0.2, 0.4, 0.7
STEP_S = 0.02


class Story:
    """The first workers start; one joins; one is killed; one leaves."""

    def __init__(self, crew: Crew, job: Job, workers: int, share_done: Callable[[], float]) -> None:
        self._crew = crew
        self._job = job
        self._workers = workers
        self._share_done = share_done

    async def begin(self) -> None:
        """Start the first workers."""
        for number in range(1, self._workers + 1):
            await self._crew.start(self._named(number))

    async def unfold(self) -> None:
        """Let the others come and go."""
        await self._until(JOIN_AT)
        await self._crew.start(self._named(self._workers + 1))
        await self._until(KILL_AT)
        await self._crew.kill(self._named(self._workers).name)
        await self._until(LEAVE_AT)
        if self._workers > 1:
            await self._crew.stop(self._named(1).name)
        await self._until(1.0)

    def _named(self, number: int) -> Job:
        return evolve(self._job, name=f"worker-{number}")

    async def _until(self, share: float) -> None:
        while self._share_done() < share:  # noqa: ASYNC110 - reports come all the time; a look now and then will do
            await asyncio.sleep(STEP_S)
