"""Where a command works, and in which form it answers: what the options before every command say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

from attrs import frozen
from cyclopts import Parameter

from segmenter.cli.printing import Printer
from segmenter.segmenter import Segmenter

__all__ = ["Here", "Output", "Place"]

R = TypeVar("R")

Output = Literal["table", "json", "jsonl"]


@frozen
class Place:
    """A namespace of a server, and somebody who wants to read about it."""

    url: str | None  # None: as the environment says
    namespace: str
    output: Output

    @property
    def printer(self) -> Printer:
        """Prints in the form that was asked for."""
        return Printer(self.output)

    def visit(self, job: Callable[[Segmenter], Awaitable[R]]) -> R:
        """Do a job there, in an event loop of its own.

        Raises:
            SegmenterError: whatever goes wrong.
        """

        async def main() -> R:
            async with Segmenter(self.url, namespace=self.namespace) as segmenter:
                return await job(segmenter)

        return asyncio.run(main())


Here = Annotated[Place, Parameter(parse=False)]  # handed to a command that asks for it by the name ``place``
