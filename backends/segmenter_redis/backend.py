"""Sessions over Redis: what goes on which wire.

A session has two wires, since a read blocks its connection. Reads go on one, commands on the other, except commits
that are started in the same turn before a read: these ride in front of it in one packet, which is what a consumer
does all day.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from segmenter.core.command import Command, Read, ReadReply
from segmenter.core.partition import Commit
from segmenter.errors import BackendError
from segmenter_redis.codec import decode, decode_read, encode, encode_read
from segmenter_redis.keys import Keys
from segmenter_redis.wire import Address, Request, Wire

__all__ = ["RedisBackend", "RedisSession"]

R = TypeVar("R")

OLDEST = (7, 0)  # entries-added of streams and flags of scripts


class RedisSession:
    """A session of one event loop, over two connections of its own."""

    def __init__(self, keys: Keys, calls: Wire, reads: Wire, reply_timeout_s: float) -> None:
        self._keys = keys
        self._calls = calls
        self._reads = reads
        self._reply_timeout_s = reply_timeout_s
        self._loop = asyncio.get_running_loop()
        self._commits: list[tuple[Commit, Request[Any]]] = []  # of this turn, until it is known which wire they take

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command.

        A commit may take the wire of the reads. So a command on the same partition that is started in the same turn
        after a commit *and a read* may overtake that commit; nobody commits and gives up a partition at once, since
        releasing it commits.
        """
        call = encode(command, self._keys)
        request = Request(type(command).__name__, call, lambda raw: decode(command, raw), self._reply_timeout_s)
        if isinstance(command, Commit):
            if not self._commits:
                self._loop.call_soon(self._flush)
            self._commits.append((command, request))
        else:
            if any(commit.slot == command.slot for commit, _ in self._commits):
                self._flush()
            self._calls.start(request)
        return request.future

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read, behind the commits of this turn if the wire is free."""
        allowed_s = read.wait_s + self._reply_timeout_s
        call = encode_read(read, self._keys)
        request = Request("Read", call, lambda raw: decode_read(read, self._keys, raw), allowed_s)
        commits = self._take() if self._reads.idle else ()
        self._reads.start(*commits, request)
        request.future.add_done_callback(self._unblock)
        return request.future

    def _take(self) -> list[Request[Any]]:
        commits = [request for _, request in self._commits]
        self._commits.clear()
        return commits

    def _flush(self) -> None:
        self._calls.start(*self._take())

    def _unblock(self, read: asyncio.Future[ReadReply]) -> None:
        """End the wait of a read that was cancelled, so that the next one need not queue behind it."""
        if read.cancelled() and not self._reads.idle:
            call = ("CLIENT", "UNBLOCK", self._reads.client_id)
            request = Request("Read", call, int, self._reply_timeout_s)
            self._calls.start(request)
            request.future.add_done_callback(self._unblocked)

    async def aclose(self) -> None:
        """Close both connections; what is under way fails."""
        self._flush()
        await asyncio.gather(self._calls.aclose(), self._reads.aclose())


class RedisBackend:
    """The backend of ``redis://``, ``rediss://`` and ``unix://`` URLs."""
