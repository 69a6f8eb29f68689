"""Sending from code that is not async: an event loop in a thread of its own, one for the process."""

from __future__ import annotations

import asyncio
import atexit
import threading
from functools import cache

from segmenter import Segmenter, Stream

__all__ = ["send"]


class Sender:
    """The stream of orders, opened in the loop that it is used in."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sender", daemon=True)
        self._thread.start()
        self._stream: Stream[str] = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        atexit.register(self._close)

    async def _open(self) -> Stream[str]:
        self._segmenter = Segmenter(namespace="shop")
        return await self._segmenter.register_stream("orders", partitions=4, type=str)

    def send(self, key: str, data: str) -> None:
        """Send, and return when the server has it; threads that send at the same time share round trips."""
        asyncio.run_coroutine_threadsafe(self._stream.send(key, data), self._loop).result()

    def _close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._segmenter.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@cache
def _sender() -> Sender:
    """Made by the first send, so after a server of applications has forked."""
    return Sender()


def send(key: str, data: str) -> None:
    """Send an order to whoever bills it."""
    _sender().send(key, data)
