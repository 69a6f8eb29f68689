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

    def __init__(
        self, crew: Crew, job: Job, workers: int, *, share_done: Callable[[], float], owners: Callable[[], int]
    ) -> None:
        self._crew = crew
        self._job = job
        self._workers = workers
        self._share_done = share_done
        self._owners = owners

    async def begin(self, partitions: int) -> None:
        """Start the first workers, and wait until each owns something: who owns nothing cannot be missed."""
        for number in range(1, self._workers + 1):
            await self._crew.start(self._named(number))
        await self._until(lambda: self._owners() >= min(self._workers, partitions))

    async def unfold(self) -> None:
        """Let the others come and go."""
        await self._handled(JOIN_AT)
        await self._crew.start(self._named(self._workers + 1))
        await self._handled(KILL_AT)
        await self._crew.kill(self._named(self._workers).name)
        await self._handled(LEAVE_AT)
        if self._workers > 1:
            await self._crew.stop(self._named(1).name)
        await self._handled(1.0)

    def _named(self, number: int) -> Job:
        return evolve(self._job, name=f"worker-{number}")

    async def _handled(self, share: float) -> None:
        await self._until(lambda: self._share_done() >= share)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():  # noqa: ASYNC110 - reports come all the time; a look now and then will do
            await asyncio.sleep(STEP_S)
