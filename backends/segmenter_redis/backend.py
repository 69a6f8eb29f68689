"""Sessions over Redis: what goes on which wire.

A session has two wires, since a read blocks its connection, and a third for appends that wait for replicas or disks.
Reads go on one, commands on the other, except commits
that are started in the same turn before a read: these ride in front of it in one packet, which is what a consumer
does all day.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from attrs import astuple

from segmenter.checkup import Finding
from segmenter.core.command import Command, Gone, GroupSlot, Read, ReadReply, StreamSlot
from segmenter.core.partition import Commit, Probe, Probed
from segmenter.core.retention import Append
from segmenter.errors import BackendError
from segmenter_redis.checkup import judge
from segmenter_redis.codec import decode, decode_read, encode, encode_read
from segmenter_redis.durable import DurableAppends
from segmenter_redis.facts import all_facts, facts_at_connecting
from segmenter_redis.keys import Keys
from segmenter_redis.probing import decode_probes, encode_probes
from segmenter_redis.scripts import SCRIPTS, Script
from segmenter_redis.wire import Address, Request, Wire

__all__ = ["RedisBackend", "RedisSession"]

R = TypeVar("R")

_log = logging.getLogger("segmenter.redis")

SCAN = 1_000  # keys that one step of a scan looks at
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
        self._probes: list[tuple[Probe, asyncio.Future[Probed | Gone]]] = []  # of this turn
        self._commits: list[tuple[Commit, Request[Any]]] = []  # of this turn, until it is known which wire they take

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command.

        A commit may take the wire of the reads. So a command on the same partition that is started in the same turn
        after a commit *and a read* may overtake that commit; nobody commits and gives up a partition at once, since
        releasing it commits.
        """
        self._keep_order(command)
        if isinstance(command, Probe):
            return cast("asyncio.Future[R]", self._probe(command))
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
        if not isinstance(command, Probe):
            self._flush_probes()

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read, behind the commits of this turn if the wire is free."""
        allowed_s = read.wait_s + self._reply_timeout_s
        call = encode_read(read, self._keys)
        request = Request("Read", call, lambda raw: decode_read(read, self._keys, raw), allowed_s)
        commits = self._take() if self._reads.idle else ()
        self._reads.start(*commits, request)
        request.future.add_done_callback(lambda future: self._unblock(request) if future.cancelled() else None)
        return request.future

    def _probe(self, probe: Probe) -> asyncio.Future[Probed | Gone]:
        """Start a probe: all that are started in one turn are asked together."""
        if not self._probes:
            self._loop.call_soon(self._flush_probes)
        future: asyncio.Future[Probed | Gone] = self._loop.create_future()
        self._probes.append((probe, future))
        return future

    def _flush_probes(self) -> None:
        if not self._probes:
            return
        probes, futures = zip(*self._probes, strict=True)
        self._probes.clear()
        request = Request("Probe", encode_probes(probes, self._keys), decode_probes, self._reply_timeout_s)
        request.future.add_done_callback(partial(_hand_out, futures))
        self._calls.start(request)

    def _take(self) -> list[Request[Any]]:
        commits = [request for _, request in self._commits]
        self._commits.clear()
        return commits

    def _flush(self) -> None:
        if self._commits:
            self._calls.start(*self._take())

    def _unblock(self, read: Request[ReadReply]) -> None:
        """End the wait of a cancelled read, so that the next one need not queue behind it."""
        if not read.under_way:
            return

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
        self._flush_probes()
        await asyncio.gather(self._calls.aclose(), self._reads.aclose(), self._durable.aclose())


def _hand_out(futures: Sequence[asyncio.Future[R]], answered: asyncio.Future[list[R]]) -> None:
    """Give each who asked an answer, or the error that came in place of all."""
    error = answered.exception()
    for number, future in enumerate(futures):
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answered.result()[number])


class RedisBackend:
    """The backend of ``redis://``, ``rediss://`` and ``unix://`` URLs."""

    def __init__(
        self,
        url: str = "redis://localhost:6379",
        namespace: str = "default",
        *,
        reply_timeout_s: float = 2.0,
        allow_eviction: bool = False,
        scripts: Mapping[str, Script] = SCRIPTS,
    ) -> None:
        """Take an address down; nothing is connected yet.

        Args:
            url: as redis-py understands it; options about retries, time-outs and pools have no effect.
            namespace: keeps the streams of one application apart from another's.
            reply_timeout_s: a server that is silent for so long counts as unreachable.
            allow_eviction: accept a server that may evict any key when its memory is full.
            scripts: what is executed for each command, by its name; a test that keeps an audit brings its own.

        Raises:
            InvalidArgument: if this is not such a URL.
        """
        self._keys = Keys(namespace)
        self._address = Address(url, reply_timeout_s, scripts)
        self._reply_timeout_s = reply_timeout_s
        self._allow_eviction = allow_eviction
        self._warned: set[str] = set()

    async def session(self) -> RedisSession:
        """Open a session for the running loop."""
        calls, reads = Wire(self._address), Wire(self._address)
        try:
            await asyncio.gather(self._ask(calls, "CLIENT", "ID"), self._ask(reads, "CLIENT", "ID"))
            await self._refuse_what_loses(calls)
        except BaseException:
            await asyncio.gather(calls.aclose(), reads.aclose())
            raise
        durable = DurableAppends(Wire(self._address), self._reply_timeout_s)  # connected by the first of them
        return RedisSession(self._keys, calls, reads, durable, self._reply_timeout_s)

    async def catalogue(self) -> list[StreamSlot | GroupSlot]:
        """Scan the keys of the server for streams and groups of the namespace."""
        wire = Wire(self._address)
        found: set[StreamSlot | GroupSlot | None] = set()
        cursor = b"0"
        try:
            while True:
                words = ("SCAN", cursor, "MATCH", self._keys.pattern, "COUNT", SCAN, "TYPE", "hash")
                cursor, keys = await self._ask(wire, *words, name="catalogue")
                found |= {self._keys.slot_of(key.decode()) for key in keys}
                if int(cursor) == 0:
                    return sorted((slot for slot in found if slot is not None), key=astuple)
        finally:
            await wire.aclose()

    async def examine(self) -> tuple[Finding, ...]:
        """Look at the server, its configuration, the user's rights, and the client.

        Raises:
            BackendError: the server cannot be reached, or does not know user and password.
        """
        calls = Wire(self._address)
        try:
            await self._ask(calls, "CLIENT", "ID")
            ask = partial(self._ask, calls)
            return judge(await all_facts(ask, self._keys.namespace, allow_eviction=self._allow_eviction))
        finally:
            await calls.aclose()

    async def _refuse_what_loses(self, calls: Wire) -> None:
        """Refuse a server that would lose data, and warn once of what else is not well with it."""
        ask = partial(self._ask, calls)
        for finding in judge(await facts_at_connecting(ask, allow_eviction=self._allow_eviction)):
            if finding.refuse:
                raise self._refused(f"{finding.found}: {finding.why}; {finding.remedy}")
            if finding.verdict != "ok" and finding.check not in self._warned:
                self._warned.add(finding.check)
                words = (self._address.shown, finding.found, finding.why, finding.remedy)
                _log.warning("%s: %s: %s; %s", *words)

    def _refused(self, why: str) -> BackendError:
        return BackendError(f"connecting to {self._address.shown}: {why}", retriable=False)

    def _ask(self, wire: Wire, *words: str | bytes | int, name: str = "connecting") -> asyncio.Future[Any]:
        request: Request[Any] = Request(name, words, lambda raw: raw, self._reply_timeout_s)
        wire.start(request)
        return request.future
