"""The documents that Redis keeps and does not look into, as JSON, and progress in its compact form. All of it is pure.

Version and generation stand outside of the JSON, since the scripts compare them.
"""

from __future__ import annotations

import json
from typing import Any

from segmenter.core.group import Away, Displacement, GroupState, Membership, ProcessInfo
from segmenter.core.layout import FORMAT, StreamConfig
from segmenter.core.partition import Progress
from segmenter.errors import UnsupportedFormat

__all__ = ["config_body", "config_from", "group_body", "group_from", "progress_from", "progress_parts"]

# --- the configuration of a stream ----------------------------------------------------------------------------------


def config_body(config: StreamConfig) -> bytes:
    """Return everything but the version."""
    return _encode(
        {
            "format": config.format,
            "partitions": config.partitions,
            "partition_size": config.partition_size,
            "incarnation": config.incarnation,
            "state": config.state,
            "hash": config.hash_name,
            "layout": config.layout,
        }
    )


def config_from(version: bytes, body: bytes) -> StreamConfig:
    """Return the configuration that was stored.

    Raises:
        UnsupportedFormat: if a later version of the library wrote it.
    """
    stored = _decode(body)
    return StreamConfig(
        version=version.decode(),
        partitions=stored["partitions"],
        partition_size=stored["partition_size"],
        incarnation=stored["incarnation"],
        state=stored["state"],
        hash_name=stored["hash"],
        layout=stored["layout"],
        format=stored["format"],
    )


# --- the document of a group ----------------------------------------------------------------------------------------


def group_body(document: GroupState) -> bytes:
    """Return everything but version and generation. The assignment names each owner once: partitions are many."""
    owners = sorted({name for name in document.assignment if name is not None})
    index = {name: number for number, name in enumerate(owners)}
    return _encode(
        {
            "format": FORMAT,
            "partitions": document.partitions,
            "session_ms": document.session_ms,
            "state": document.state,
            "members": {name: _member_parts(member) for name, member in document.members.items()},
            "gone": dict(document.gone),
            "owners": owners,
            "assignment": [None if name is None else index[name] for name in document.assignment],
            "away": {seat: [away.member, away.since] for seat, away in document.away.items()},
            "displaced": {
                seat: [[each.member, each.at, *_process_parts(each.by)] for each in records]
                for seat, records in document.displaced.items()
            },
        }
    )


def _member_parts(member: Membership) -> list[Any]:
    return [member.seat, member.leaving, member.returning, *_process_parts(member.process)]


def _member_from(seat: str | None, leaving: bool, returning: bool = False, *process: Any) -> Membership:
    return Membership(seat, leaving, returning, ProcessInfo(*process))


def _process_parts(process: ProcessInfo) -> tuple[str, int, str]:
    return process.host, process.pid, process.version


def group_from(version: bytes, generation: bytes, body: bytes) -> GroupState:
    """Return the document that was stored.

    Raises:
        UnsupportedFormat: if a later version of the library wrote it.
    """
    stored = _decode(body)
    owners = stored["owners"]
    return GroupState(
        partitions=stored["partitions"],
        session_ms=stored["session_ms"],
        version=version.decode(),
        generation=int(generation),
        state=stored["state"],
        members={name: _member_from(*parts) for name, parts in stored["members"].items()},
        gone=stored["gone"],
        assignment=tuple(None if number is None else owners[number] for number in stored["assignment"]),
        away={seat: Away(*parts) for seat, parts in stored.get("away", {}).items()},
        displaced={
            seat: tuple(Displacement(member, ProcessInfo(*by), at) for member, at, *by in records)
            for seat, records in stored.get("displaced", {}).items()
        },
    )


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _decode(body: bytes) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(body)
    if stored["format"] > FORMAT:
        raise UnsupportedFormat(f"stored in format {stored['format']}, this version reads {FORMAT}: upgrade it")
    return stored


# --- progress -------------------------------------------------------------------------------------------------------


def progress_parts(progress: Progress) -> tuple[bytes, int, bytes, bytes, int, bytes]:
    """Return offset, read, ranges as ``3-5,8-9``, attempts as ``3-1``, trying, delays as ``3-60000``: short, cheap."""
    it = progress
    return it.offset, it.read, _pairs(it.ranges), _pairs(it.attempts), it.trying, _pairs(it.delays)


def progress_from(offset: bytes, read: bytes, ranges: bytes, attempts: bytes, trying: bytes, delays: bytes) -> Progress:
    """Return the progress that was stored; the delays may stand behind the time at which that was."""
    delays = delays.rpartition(b" ")[2]
    return Progress(offset, int(read), _pairs_from(ranges), _pairs_from(attempts), int(trying), _pairs_from(delays))


def _pairs(pairs: tuple[tuple[int, int], ...]) -> bytes:
    return b",".join([b"%d-%d" % pair for pair in pairs])


def _pairs_from(text: bytes) -> tuple[tuple[int, int], ...]:
    if not text:
        return ()
    halves = [pair.rpartition(b"-") for pair in text.split(b",")]  # the first may have a sign of its own
    return tuple([(int(low), int(high)) for low, _, high in halves])
