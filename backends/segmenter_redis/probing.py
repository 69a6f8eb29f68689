"""A probe, in plain commands: the one question that a consumer at rest asks all day, of each of its partitions.

A script for it costs the server 41 us, these 11 (Redis 8.2, eight partitions in one packet): what a script reads is
made into tables of Lua and back, it has no cheap way to the ends of a log, and each asks for the server's history anew.

They are not executed in one moment, so their order matters. The log is looked at first: a commit in between, and the
trimming that follows it, may make the lane seem to be ahead, and never the log to have lost what is not settled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from segmenter.core.command import Gone
from segmenter.core.partition import Probe, Probed
from segmenter_redis.calls import Queries
from segmenter_redis.documents import progress_from
from segmenter_redis.keys import Keys
from segmenter_redis.letters import requests_from
from segmenter_redis.packing import Arguments

__all__ = ["decode_probes", "encode_probes"]

_LANE = ("owner", "epoch", "history", "offset", "read", "ranges", "attempts", "trying")
_QUERIES = 6  # of each lane
_ABOUT_HISTORY = ("INFO", "replication")
_HISTORY = re.compile(rb"master_replid:(\w+)")
_NO_LOG = "no such key"


def encode_probes(probes: Iterable[Probe], keys: Keys) -> Queries:
    """Return what is asked, one query after the other; the history of the server only once."""
    queries = [query for probe in probes for query in _of_lane(probe, keys)]
    return Queries((_ABOUT_HISTORY, *queries), _forgiven)


def _of_lane(probe: Probe, keys: Keys) -> Sequence[Arguments]:
    log, meta, lanes, parked, dead, requests = keys.of_lane(probe.slot, probe.group)
    return (
        ("XINFO", "STREAM", log),
        ("HMGET", meta, "incarnation", "format"),
        ("HMGET", lanes, *(f"{probe.group}:{name}" for name in _LANE)),
        ("HLEN", parked),
        ("HLEN", dead),
        ("HGETALL", requests),
    )


def _forgiven(error: ResponseError) -> bool:
    """Whether an error is an answer: there is no log, or the server does not tell this user of its history."""
    return str(error) == _NO_LOG or "'info'" in str(error)


def decode_probes(answers: Sequence[Any]) -> list[Probed | Gone]:
    """Return the replies that the answers make, in the order of the probes."""
    history = _history(answers[0])
    return [_reply(history, *answers[at : at + _QUERIES]) for at in range(1, len(answers), _QUERIES)]


def _reply(history: bytes, log: Any, meta: Any, lane: Any, parked: int, dead: int, requests: Any) -> Probed | Gone:
    incarnation, made_in = meta
    owner, epoch, claimed_in, offset, read, ranges, attempts, trying = lane
    lost = isinstance(log, ResponseError) and made_in != b"1"  # in format 1 there is none before the first message
    if incarnation is None or offset is None or lost:
        return Gone()
    return Probed(
        owner.decode() or None,
        int(epoch),
        claimed_in == history,
        progress_from(offset, read, ranges, attempts, b"-1" if trying is None else trying),  # older lanes lack it
        *_ends({} if isinstance(log, ResponseError) else _map(log)),
        incarnation.decode(),
        *(parked, dead, requests_from([item for pair in _map(requests).items() for item in pair])),
    )


def _ends(log: Mapping[bytes, Any]) -> tuple[bytes, int, int]:
    """The id of the last entry, the ordinal of the first that is left, and how many were ever added."""
    added = log.get(b"entries-added", 0)
    return log.get(b"last-generated-id", b"0-0"), added - log.get(b"length", 0), added


def _history(replication: bytes | ResponseError) -> bytes:
    """What identifies the server's history; nothing where it may not be read."""
    found = None if isinstance(replication, ResponseError) else _HISTORY.search(replication)
    return found[1] if found else b""


def _map(raw: Any) -> dict[bytes, Any]:
    """Pairs: a map in version 3 of the protocol, a flat list in version 2."""
    return dict(raw) if hasattr(raw, "items") else dict(zip(raw[::2], raw[1::2], strict=True))
