"""A backend that writes down which beats were answered, and when they had been sent, which leases are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from segmenter.core.beats import Beat, Beaten
from segmenter.core.command import Command, GroupSlot, Read, ReadReply, StreamSlot
from segmenter.core.group import GroupConflict, GroupLoaded, GroupUpdated, UpdateGroup
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
        self._joining: dict[str, tuple[str, int]] = {}  # of who is not known to be a member yet: version, first sent

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command."""
        sent_ns = self._notebook.now_ns()
        self._join(command, sent_ns)
        future = self._session.execute(command)

        def answered(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is None:
                self._note(sent_ns, command, future.result())

        future.add_done_callback(answered)  # before whoever asked learns of it
        return future

    def _join(self, command: Command[Any, Any], sent_ns: int) -> None:
        """Remember who asks to join; what is sent again was first sent earlier."""
        if not isinstance(command, UpdateGroup) or command.event.cause != "joined":
            return
        member, version = command.event.member, command.document.version
        if self._joining.get(member, ("", 0))[0] != version:
            self._joining[member] = version, sent_ns

    def _note(self, sent_ns: int, command: Command[Any, Any], reply: object) -> None:
        match command, reply:
            case Beat(), Beaten():
                self._write(command.member, sent_ns)
            case UpdateGroup(), GroupUpdated() if command.event.member in self._joining:
                self._admitted(command.event.member)
            case _, GroupConflict(document) | GroupLoaded(document) if document is not None:
                for member in self._joining.keys() & document.members.keys():  # the answer to its joining was lost
                    self._admitted(member)

    def _admitted(self, member: str) -> None:
        _, sent_ns = self._joining.pop(member)
        self._write(member, sent_ns)

    def _write(self, member: str, sent_ns: int) -> None:
        self._notebook.write(notes.Beaten(sent_ns, self._notebook.now_ns(), member))

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read."""
        return self._session.read(read)

    async def aclose(self) -> None:
        """Let go."""
        await self._session.aclose()
