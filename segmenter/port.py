"""What a backend has to be: it executes commands and reads logs, and decides nothing.

Deliberately not in the port: members, rebalancing, retries, order, batching of sends, time-outs of handlers. All of
that stands above it and is the same for every backend. A backend is right if it passes the conformance suite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from segmenter.core.command import Command, GroupSlot, Read, ReadReply, StreamSlot

__all__ = ["Backend", "Session"]

R = TypeVar("R")


class Session(Protocol):
    """A line to the backend, for one event loop and one purpose.

    Both calls are plain functions: what they ask for **starts now**, in the order of the calls, and what starts in
    one turn of the loop may share a packet. A future that fails carries a ``BackendError``: the command may or may
    not have been executed. Cancelling a future never tells whether it was, and leaves the session usable.
    """

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command; its reply is one of the values that the command's class names."""
        ...

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read. It may wait; cancelling it ends the wait. At most one read is under way in a session."""
        ...

    async def aclose(self) -> None:
        """Let go of all resources; what is still under way fails. May be called twice."""
        ...


class Backend(Protocol):
    """A place where streams live."""

    async def session(self) -> Session:
        """Open a session for the running event loop.

        Raises:
            BackendError: if the place cannot be reached or refuses.
        """
        ...

    async def catalogue(self) -> Sequence[StreamSlot | GroupSlot]:
        """Return every stream and group that is stored in the namespace, half made and removed ones too, in order.

        For tools only: there is no index, so this may look at all that the server holds, and what comes or goes
        meanwhile may be in it or not. Nothing in the protocol asks for it.

        Raises:
            BackendError: if the place cannot be reached or refuses.
        """
        ...
