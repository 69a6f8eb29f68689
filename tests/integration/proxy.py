"""A proxy between clients and a server that misbehaves on request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["Proxy"]

CHUNK = 1 << 16


class Proxy:
    """Forwards bytes, until it is told to refuse, to hold, to delay, to drop replies, or to fall silent."""

    def __init__(self, upstream: int) -> None:
        self.attempts = 0  # connections that were asked for
        self.dropped = 0  # replies that a client never got, though the server had given them
        self.refusing = False
        self.delay_s = 0.0
        self.drops: Callable[[bytes], int] = lambda _: 0  # how many replies of a chunk to drop, with the connection
        self.swallows: Callable[[bytes], bool] = lambda _: False  # after which a connection stands, and nothing passes
        self.tap: Callable[[bytes], object] = lambda _: None  # sees each chunk of requests
        self.upstream = upstream
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # a turn for the transports to end

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        number: int = self._listener.getsockname()[1]
        return number

    def reset(self) -> None:
        """Break every connection."""
        for task in self._tasks:
            task.cancel()

    def hold(self) -> None:
        """Be a black hole: connections stand, and nothing passes."""
        self._flowing.clear()

    def heal(self) -> None:
        """Let everything pass again, what was held first."""
        self._flowing.set()

    def _accept(self) -> None:
        """Take a connection; asyncio's own servers lose one that they are accepting while they are closed."""
        self.attempts += 1
        client, _ = self._listener.accept()
        if self.refusing:
            client.close()
            return
        task = asyncio.ensure_future(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: client.close())  # also if it was reset before it began

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.upstream)
            try:
                await self._both_ways(reader, writer, there, back)
            finally:
                back.transport.abort()
        except OSError:
            pass  # the server is down
        finally:
            writer.transport.abort()

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        ways = [asyncio.ensure_future(self._forward(reader, back)), asyncio.ensure_future(self._reply(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            await self._flowing.wait()
            if self.swallows(chunk):
                await asyncio.Event().wait()
            self.tap(chunk)
            writer.write(chunk)
            await writer.drain()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            await self._flowing.wait()
            count = self.drops(chunk)
            if count:
                self.dropped += count
                return
            asyncio.get_running_loop().call_later(self.delay_s, _write, writer, chunk)


def _write(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    if not writer.is_closing():  # it may have been reset while this was delayed
        writer.write(chunk)
