"""A probe, in plain commands: the one question that a consumer at rest asks all day, of each of its partitions.

A script for it costs the server 41 us, these 11 (Redis 8.2, eight partitions in one packet): what a script reads is
made into tables of Lua and back, it has no cheap way to the ends of a log, and each asks for the server's history anew.

They are not executed in one moment, so their order matters. The log is looked at first: a commit in between, and the
trimming that follows it, may make the lane seem to be ahead, and never the log to have lost what is not settled.

Only ``XINFO STREAM`` tells the last id of a log, and it brings the first and the last entry along, which may have a
megabyte each. So of a log where they are long, a group that has settled everything asks once. Both ends are what they
were as long as the log has the same length, and the group's row there says that nothing follows, by a lag of 0. Other
lags would not do: later versions of Redis leave out of them what was trimmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from attrs import frozen
from redis.exceptions import ResponseError

from segmenter.core.command import Gone
from segmenter.core.partition import Probe, Probed
from segmenter_redis.calls import Queries
from segmenter_redis.documents import progress_from
from segmenter_redis.keys import Keys
from segmenter_redis.letters import requests_from
from segmenter_redis.packing import Arguments

__all__ = ["Ends", "Found", "Question", "decode_probes", "encode_probes"]

LONG_BYTES = 1_024  # of the first and the last entry of a log together: more are not fetched again and again
_LANE = ("owner", "epoch", "history", "offset", "read", "ranges", "attempts", "trying", "delays")
_QUERIES = 6  # of each lane, and one more where the ends of its log are known
_ABOUT_HISTORY = ("INFO", "replication")
_HISTORY = re.compile(rb"master_replid:(\w+)")
_NO_LOG = "no such key"
_SPARED = ("'info'", "'xinfo|groups'", "'xlen'")  # a user may be without the right to ask


@frozen
class Ends:
    """The id of the last entry, the ordinal of the first that is left, and how many were ever added."""

    last: bytes
    first: int
    added: int


@frozen
class Question:
    """A probe, and the ends of the log as they are known, if they are not to be asked for."""

    probe: Probe
    known: Ends | None = None


@frozen
class Found:
    """What came of a question: nothing if the ends are no longer those that were known."""

    reply: Probed | Gone | None
    known: Ends | None = None  # for the next question


def encode_probes(questions: Sequence[Question], keys: Keys) -> Queries:
    """Return what is asked, one query after the other; the history of the server only once."""
    queries = [query for question in questions for query in _of_lane(question, keys)]
    return Queries((_ABOUT_HISTORY, *queries), _forgiven)


def _of_lane(question: Question, keys: Keys) -> Sequence[Arguments]:
    probe = question.probe
    log, meta, lanes, parked, dead, requests = keys.of_lane(probe.slot, probe.group)
    return (
        *_of_log(question, log),
        ("HMGET", meta, "incarnation", "format"),
        ("HMGET", lanes, *(f"{probe.group}:{name}" for name in _LANE)),
        ("HLEN", parked),
        ("HLEN", dead),
        ("HGETALL", requests),
    )


def _of_log(question: Question, log: str) -> Sequence[Arguments]:
    if question.known is None:
        return (("XINFO", "STREAM", log),)
    return (("XINFO", "GROUPS", log), ("XLEN", log))  # in this order: an append may trim and leave the length as it is


def _forgiven(error: ResponseError) -> bool:
    """Whether an error is an answer: there is no log, or this user may not ask."""
    return str(error) == _NO_LOG or any(name in str(error) for name in _SPARED)


def decode_probes(questions: Sequence[Question], answers: Sequence[Any]) -> list[Found]:
    """Return what the answers say to each question."""
    history = _history(answers[0])
    following = iter(answers[1:])
    counts = [_QUERIES + (question.known is not None) for question in questions]
    return [
        _found(question, history, [*islice(following, count)])
        for question, count in zip(questions, counts, strict=True)
    ]


def _found(question: Question, history: bytes, answers: Sequence[Any]) -> Found:
    *log, meta, lane, parked, dead, requests = answers
    known = question.known
    if known is not None:
        same = _are_still(known, question.probe.group, *log)
        return Found(_reply(history, known, meta, lane, parked, dead, requests), known) if same else Found(None)
    (info,) = log
    if isinstance(info, ResponseError):
        in_format_1 = meta[1] == b"1"  # where there is none before the first message
        return Found(_reply(history, _NO_ENDS, meta, lane, parked, dead, requests) if in_format_1 else Gone())
    ends = _ends(_map(info))
    reply = _reply(history, ends, meta, lane, parked, dead, requests)
    settled = isinstance(reply, Probed) and reply.progress.read == ends.added
    return Found(reply, ends if settled and _long(_map(info)) else None)


def _reply(history: bytes, ends: Ends, meta: Any, lane: Any, parked: int, dead: int, requests: Any) -> Probed | Gone:
    incarnation, _ = meta
    owner, epoch, claimed_in, offset, read, ranges, attempts, trying, delays = lane
    if incarnation is None or offset is None:
        return Gone()
    return Probed(
        owner.decode() or None,
        int(epoch),
        claimed_in == history,
        # Older lanes lack the last two.
        progress_from(offset, read, ranges, attempts, b"-1" if trying is None else trying, delays or b""),
        *(ends.last, ends.first, ends.added),
        incarnation.decode(),
        *(parked, dead, requests_from([item for pair in _map(requests).items() for item in pair])),
    )


# --- the ends of a log ---

_NO_ENDS = Ends(b"0-0", 0, 0)


def _ends(log: Mapping[bytes, Any]) -> Ends:
    added = log[b"entries-added"]
    return Ends(log[b"last-generated-id"], added - log[b"length"], added)


def _long(log: Mapping[bytes, Any]) -> bool:
    """Whether it took long entries to ask for the ends."""
    entries = [log.get(b"first-entry"), log.get(b"last-entry")]
    return sum(len(piece) for entry in entries if entry for piece in entry[1]) > LONG_BYTES


def _are_still(known: Ends, group: str, groups: Any, length: int) -> bool:
    """Whether the ends of a log are those that are known, as far as its group can tell."""
    rows = () if isinstance(groups, ResponseError) else map(_map, groups)
    row = next((row for row in rows if row[b"name"] == group.encode()), None)
    at_the_end = row is not None and row[b"lag"] == 0 and row[b"entries-read"] == known.added
    return at_the_end and length == known.added - known.first


def _history(replication: bytes | ResponseError) -> bytes:
    """What identifies the server's history; nothing where it may not be read."""
    found = None if isinstance(replication, ResponseError) else _HISTORY.search(replication)
    return found[1] if found else b""


def _map(raw: Any) -> dict[bytes, Any]:
    """Pairs: a map in version 3 of the protocol, a flat list in version 2."""
    return dict(raw) if hasattr(raw, "items") else dict(zip(raw[::2], raw[1::2], strict=True))
