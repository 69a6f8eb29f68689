"""A session over Redis: what goes on which wire, and what goes together.

A session has two wires, since a read blocks its connection, and a third for appends that wait for replicas or disks.
Reads go on one, commands on the other, except commits that are started in the same turn before a read: these ride in
front of it in one packet, which is what a consumer does all day. Probes that are started in one turn are one request,
which is what a consumer does at rest.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar, cast

from segmenter.core.command import Command, Read, ReadReply
from segmenter.core.partition import Commit, Probe
from segmenter.core.retention import Append
from segmenter_redis.codec import decode, decode_read, encode, encode_read
from segmenter_redis.durable import DurableAppends
from segmenter_redis.keys import Keys
from segmenter_redis.probes import Probes
from segmenter_redis.wire import Request, Wire

__all__ = ["RedisSession"]

R = TypeVar("R")

UNBLOCK_AGAIN_S = 0.01  # the wires are two: the end of a wait may arrive before the wait


class RedisSession:
    """A session of one event loop, over two connections of its own."""

    def __init__(self, keys: Keys, calls: Wire, reads: Wire, durable: DurableAppends, reply_timeout_s: float) -> None:
        self._keys = keys
        self._durable = durable
        self._calls = calls
        self._reads = reads
        self._reply_timeout_s = reply_timeout_s
        self._loop = asyncio.get_running_loop()
        self._probes = Probes(keys, calls, reply_timeout_s)
        self._commits: list[tuple[Commit, Request[Any]]] = []  # of this turn, until it is known which wire they take

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command.

        A commit may take the wire of the reads. So a command on the same partition that is started in the same turn
        after a commit *and a read* may overtake that commit; nobody commits and gives up a partition at once, since
        releasing it commits.
        """
        self._keep_order(command)
        if isinstance(command, Probe):
            return cast("asyncio.Future[R]", self._probes.start(command))
        request = Request(
            type(command).__name__, encode(command, self._keys), lambda raw: decode(command, raw), self._reply_timeout_s
        )
        if isinstance(command, Append) and command.durability is not None:
            return cast("asyncio.Future[R]", self._durable.start(command.durability, cast("Request[Any]", request)))
        if isinstance(command, Commit):
            if not self._commits:
                self._loop.call_soon(self._flush)
            self._commits.append((command, request))
        else:
            self._calls.start(request)
        return request.future

    def _keep_order(self, command: Command[Any, Any]) -> None:
        """Send what was started before in this turn, and must not be overtaken."""
        if not isinstance(command, Commit) and any(commit.slot == command.slot for commit, _ in self._commits):
            self._flush()
        self._probes.before(command)

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read, behind the commits of this turn if the wire is free."""
        allowed_s = read.wait_s + self._reply_timeout_s
        call = encode_read(read, self._keys)
        request = Request("Read", call, lambda raw: decode_read(read, self._keys, raw), allowed_s)
        commits = self._take() if self._reads.idle else ()
        self._reads.start(*commits, request)
        request.future.add_done_callback(lambda future: self._unblock(request) if future.cancelled() else None)
        return request.future

    def _take(self) -> list[Request[Any]]:
        commits = [request for _, request in self._commits]
        self._commits.clear()
        return commits

    def _flush(self) -> None:
        if self._commits:
            self._calls.start(*self._take())

    def _unblock(self, read: Request[ReadReply]) -> None:
        """End the wait of a cancelled read, so that the next one need not queue behind it: or behind its connection."""
        if not read.under_way:
            return
        self._reads.hasten(read, self._reply_timeout_s)

        def again(future: asyncio.Future[int]) -> None:
            if not future.cancelled() and not future.exception() and future.result() == 0:
                self._loop.call_later(UNBLOCK_AGAIN_S, self._unblock, read)

        call = ("CLIENT", "UNBLOCK", self._reads.client_id)
        request = Request("Read", call, int, self._reply_timeout_s)
        request.future.add_done_callback(again)
        self._calls.start(request)

    async def aclose(self) -> None:
        """Close both connections; what is under way fails."""
        self._flush()
        self._probes.flush()
        wires = (self._calls, self._reads, self._durable.wire)
        for wire in wires:
            wire.close()
        for wire in wires:
            await wire.aclose()
