"""The operator of a simulation, who looks after what is set aside, over a network as bad as anybody's."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from segmenter import Shelves
from segmenter.errors import SegmenterError
from segmenter.testing.simulation.process import AGAIN_S, GROUP, STREAM, Process

__all__ = ["Operator"]


class Operator(Process):
    """Does what it is told, once; what fails is left undone."""

    def ask(self, what: str, key: str | None) -> None:
        """Begin with it."""
        self.start(self._ask(what, key))

    async def _ask(self, what: str, key: str | None) -> None:
        with suppress(SegmenterError):
            await self._do(await self.segmenter.shelves(STREAM, GROUP), what, key)

    async def _do(self, shelves: Shelves, what: str, key: str | None) -> None:
        match what:
            case "redrive":
                await shelves.redrive(key)
            case "discard":
                await shelves.discard(key)
            case "replay":
                await shelves.replay(await shelves.dead(key))
            case _:
                await shelves.purge()

    async def redrive_everything(self) -> None:
        """Ask for all that is parked, until that was heard."""
        while True:
            with suppress(SegmenterError):
                await (await self.segmenter.shelves(STREAM, GROUP)).redrive()
                return
            await asyncio.sleep(AGAIN_S)
