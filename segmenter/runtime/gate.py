"""A session that holds a partition's claims back while handlers of an earlier hold of it are at work in this process.

Otherwise a message could be started again beside its own former attempt. To the consumer's machine this looks like a
slow network, which the protocol bears: a claim that is no longer wanted is ended by a release that names its epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from segmenter.core.command import Command, Read, ReadReply
from segmenter.core.partition import Claim
from segmenter.port import Session

__all__ = ["Gate"]

R = TypeVar("R")


class Gate:
    """The session of a consumer whose handlers are attended to."""

    def __init__(self, session: Session, busy: Callable[[int], bool]) -> None:
        """Take the session, and what tells whether handlers of a partition are at work."""
        self._session = session
        self._busy = busy
        self._waiting: dict[int, list[tuple[Claim, asyncio.Future[Any]]]] = {}

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command, or let it wait at the gate."""
        claim: object = command
        if not isinstance(claim, Claim) or not self._busy(claim.slot.partition):
            return self._session.execute(command)
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(claim.slot.partition, []).append((claim, future))
        return future

    def open(self, partition: int) -> None:
        """The handlers of a partition have ended: what waits for that may go."""
        for command, future in self._waiting.pop(partition, ()):
            if not future.done():
                self._session.execute(command).add_done_callback(_passing_on_to(future))

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read."""
        return self._session.read(read)

    async def aclose(self) -> None:
        """Let go of the session; nothing passes the gate any more."""
        for waiting in self._waiting.values():
            for _, future in waiting:
                future.cancel()
        self._waiting.clear()
        await self._session.aclose()


def _passing_on_to(future: asyncio.Future[Any]) -> Callable[[asyncio.Future[Any]], None]:
    def answered(answer: asyncio.Future[Any]) -> None:
        if future.done() or answer.cancelled():
            future.cancel()
        elif (error := answer.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(answer.result())

    return answered
