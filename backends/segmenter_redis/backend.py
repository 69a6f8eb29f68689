"""The backend of Redis: where it is, what it holds, whether it can be trusted with data, and sessions with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import astuple

from segmenter.cancellation import all_ended
from segmenter.checkup import Finding
from segmenter.core.command import GroupSlot, StreamSlot
from segmenter.errors import BackendError
from segmenter.logs import Log
from segmenter_redis.checkup import judge
from segmenter_redis.durable import DurableAppends
from segmenter_redis.facts import all_facts, facts_at_connecting
from segmenter_redis.keys import Keys
from segmenter_redis.scripts import SCRIPTS, Script
from segmenter_redis.session import RedisSession
from segmenter_redis.wire import Address, Request, Wire

__all__ = ["RedisBackend"]

_log = Log("segmenter.redis")

SCAN = 1_000  # keys that one step of a scan looks at


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
            calls.close()
            reads.close()
            await all_ended([*calls.lives, *reads.lives])
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
