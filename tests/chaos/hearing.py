"""A backend that writes down which beats were answered, and when they had been sent, which leases are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from segmenter.core.beats import Beat, Beaten
from segmenter.core.command import Command, GroupSlot, Read, ReadReply, StreamSlot
from segmenter.core.group import GroupUpdated, UpdateGroup
from segmenter.port import Backend, Session
from tests.chaos import notes
from tests.chaos.notes import Notebook

__all__ = ["Heard"]

R = TypeVar("R")


class Heard:
    """A backend, overheard."""

    def __init__(self, backend: Backend, notebook: Notebook) -> None:
        self._backend = backend
        self._notebook = notebook

    async def session(self) -> Session:
        """Open a session."""
        return _HeardSession(await self._backend.session(), self._notebook)

    async def catalogue(self) -> Sequence[StreamSlot | GroupSlot]:
        """As it is."""
        return await self._backend.catalogue()


class _HeardSession:
    def __init__(self, session: Session, notebook: Notebook) -> None:
        self._session = session
        self._notebook = notebook

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command."""
        sent_ns = self._notebook.now_ns()
        future = self._session.execute(command)
        if isinstance(command, Beat | UpdateGroup):

            def answered(future: asyncio.Future[Any]) -> None:
                if not future.cancelled() and future.exception() is None:
                    self._note(sent_ns, command, future.result())

            future.add_done_callback(answered)  # before whoever asked learns of it
        return future

    def _note(self, sent_ns: int, command: Beat | UpdateGroup, reply: object) -> None:
        now_ns = self._notebook.now_ns()
        if isinstance(command, Beat) and isinstance(reply, Beaten):
            self._notebook.write(notes.Beaten(sent_ns, now_ns, command.member))
        elif isinstance(command, UpdateGroup) and isinstance(reply, GroupUpdated):
            self._notebook.write(notes.Beaten(sent_ns, now_ns, command.event.member))

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read."""
        return self._session.read(read)

    async def aclose(self) -> None:
        """Let go."""
        await self._session.aclose()
