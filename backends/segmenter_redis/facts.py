"""Asking a server what there is to know about it; what may not be asked is left out."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from segmenter.errors import BackendError
from segmenter_redis.checkup import Facts
from segmenter_redis.scripts import SCRIPTS

__all__ = ["all_facts", "facts_at_connecting"]

Ask = Callable[..., Awaitable[Any]]

SETTINGS = ("appendfsync", "save", "min-replicas-to-write")
# What the scripts call, and what is called beside them; the last two only where durability is asked for.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "EVALSHA": ("EVALSHA", "0", "0"),
    "EVAL": ("EVAL", "return 1", "0"),
    "SCRIPT": ("SCRIPT", "LOAD", "return 1"),
    "XREAD": ("XREAD", "STREAMS", "{x}", "0"),
    "XADD": ("XADD", "{x}", "*", "k", "v"),
    "XTRIM": ("XTRIM", "{x}", "MAXLEN", "1"),
    "XLEN": ("XLEN", "{x}"),
    "XINFO": ("XINFO", "STREAM", "{x}"),
    "XRANGE": ("XRANGE", "{x}", "-", "+"),
    "XGROUP": ("XGROUP", "DESTROY", "{x}", "g"),
    "HGET": ("HGET", "{x}", "f"),
    "HMGET": ("HMGET", "{x}", "f"),
    "HSET": ("HSET", "{x}", "f", "v"),
    "HDEL": ("HDEL", "{x}", "f"),
    "HLEN": ("HLEN", "{x}"),
    "HGETALL": ("HGETALL", "{x}"),
    "HINCRBY": ("HINCRBY", "{x}", "f", "1"),
    "ZADD": ("ZADD", "{x}", "1", "m"),
    "ZREM": ("ZREM", "{x}", "m"),
    "ZSCORE": ("ZSCORE", "{x}", "m"),
    "ZRANGE": ("ZRANGE", "{x}", "0", "1"),
    "ZRANGEBYSCORE": ("ZRANGEBYSCORE", "{x}", "0", "1"),
    "EXISTS": ("EXISTS", "{x}"),
    "DEL": ("DEL", "{x}"),
    "UNLINK": ("UNLINK", "{x}"),
    "TIME": ("TIME",),
    "INFO": ("INFO", "replication"),
    "CLIENT": ("CLIENT", "ID"),
}


async def facts_at_connecting(ask: Ask, *, allow_eviction: bool) -> Facts:
    """Return what one quick question tells, if this user may ask it."""
    info: dict[str, str] = {}
    try:
        info = _pairs(await ask("INFO"))
    except BackendError:
        with suppress(BackendError):
            await ask("CLIENT", "ID")  # an imitation of Redis hangs up after an error: let that be noticed here
    return Facts(info=info, allow_eviction=allow_eviction)


async def all_facts(ask: Ask, namespace: str, *, allow_eviction: bool) -> Facts:
    """Return all that can be learned; nothing is changed at the server, but for loading the scripts."""
    for script in SCRIPTS.values():
        await _try(ask, "SCRIPT", "LOAD", script.text)
    return Facts(
        info=_pairs(await _try(ask, "INFO")),
        config=await _config(ask),
        denied=await _denied(ask, f"{{{namespace}:doctor}}:check"),
        skew_s=await _skew_s(ask),
        redis_py=version("redis"),
        hiredis=_installed("hiredis"),
        allow_eviction=allow_eviction,
    )


async def _try(ask: Ask, *words: str) -> Any:
    """Return the answer, or ``None`` where the server gives none to this user; what breaks the connection is told."""
    try:
        return await ask(*words)
    except BackendError as error:
        if error.retriable:
            raise
        return None


def _pairs(info: bytes | None) -> dict[str, str]:
    lines = [line.partition(":") for line in (info or b"").decode(errors="replace").splitlines()]
    return {name: value for name, colon, value in lines if colon}


async def _config(ask: Ask) -> dict[str, str]:
    """Each setting by itself, in both shapes of an answer: a flat list, or a map."""
    found: dict[str, str] = {}
    for setting in SETTINGS:
        answer = await _try(ask, "CONFIG", "GET", setting)
        flat: Iterable[Any] = [part for pair in answer.items() for part in pair] if hasattr(answer, "items") else answer
        words = [part.decode() for part in flat or ()]
        found |= dict(zip(words[::2], words[1::2], strict=True))
    return found


async def _denied(ask: Ask, key: str) -> tuple[str, ...]:
    """The commands that this user may not run, by the server's own rehearsal; empty where it may not be asked."""
    me = await _try(ask, "ACL", "WHOAMI")
    if not isinstance(me, bytes):
        return ()
    denied: list[str] = []
    for name, words in COMMANDS.items():
        rehearsed = [word.replace("{x}", key) for word in words]
        answer = await _try(ask, "ACL", "DRYRUN", me.decode(), *rehearsed)
        if isinstance(answer, bytes) and answer != b"OK":
            denied.append(name)
    return tuple(denied)


async def _skew_s(ask: Ask) -> float | None:
    before = time.time()
    answer = await _try(ask, "TIME")
    if answer is None:
        return None
    return int(answer[0]) + int(answer[1]) / 1e6 - (before + time.time()) / 2


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
