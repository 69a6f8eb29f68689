"""Sessions over the file: commands in a thread of their own, reads that look now and then if anybody has written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from segmenter.core.command import Command, GroupSlot, Read, ReadReply, StreamSlot
from segmenter.errors import BackendError, InvalidArgument
from segmenter_sqlite.database import Database

__all__ = ["SqliteBackend"]

R = TypeVar("R")

LOOK_S = 0.005  # what a wake-up costs in time at most, and 200 looks a second of whoever waits in work


class SqliteSession:
    """A session of one event loop, over two connections: one writes, the other sees that somebody has written."""

    def __init__(self, path: str, namespace: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "segmenter-sqlite")  # one, so that what starts first is done first
        self._commands = Database(path, namespace)
        self._reads = Database(path, namespace)
        self._waiting: set[asyncio.Task[ReadReply]] = set()
        self._closed = False

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command."""
        if self._closed:
            refused: asyncio.Future[R] = self._loop.create_future()
            refused.set_exception(_closed())
            return refused
        return self._loop.run_in_executor(self._thread, self._commands.apply, command)

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a task that waits for entries."""
        task = self._loop.create_task(self._wait(read))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return task

    async def _wait(self, read: Read) -> ReadReply:
        deadline, seen = self._loop.time() + read.wait_s, None
        while True:
            if self._closed:
                raise _closed()
            if (version := self._reads.version) != seen:
                seen = version  # looked up before, so that what comes meanwhile is found in the next round
                if found := self._reads.collect(read):
                    return found
            left_s = deadline - self._loop.time()
            if left_s <= 0:
                return {}
            await asyncio.sleep(min(LOOK_S, left_s))

    async def aclose(self) -> None:
        """Let commands that have started end, and waits fail."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._commands.close()
        if self._waiting:
            await asyncio.wait(self._waiting)
        self._reads.close()


def _closed() -> BackendError:
    return BackendError("the session is closed", retriable=False, refused=True)


class SqliteBackend:
    """The backend of URLs such as ``sqlite:///var/lib/shop/streams.db``; the file is made if there is none."""

    def __init__(self, url: str, namespace: str = "default") -> None:
        self.path = unquote(urlsplit(url).path)
        self.namespace = namespace
        if not self.path:
            raise InvalidArgument(f"no file in {url!r}: write sqlite:///path/of/a/file.db, with three slashes")

    async def session(self) -> SqliteSession:
        """Open a session for the running loop."""
        return SqliteSession(self.path, self.namespace)

    async def catalogue(self) -> Sequence[StreamSlot | GroupSlot]:
        """Return every stream and group of the namespace."""
        database = Database(self.path, self.namespace)
        try:
            return database.catalogue()
        finally:
            database.close()
