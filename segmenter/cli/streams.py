"""``segmenter streams``: what there is, what is in it; making and removing."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from cyclopts import App, Parameter

from segmenter.cli.place import Here
from segmenter.cli.printing import Column, counted
from segmenter.errors import NonExistentStream
from segmenter.segmenter import Segmenter
from segmenter.snapshot import LogSnapshot, StreamSnapshot

__all__ = ["streams"]

streams = App(name="streams", help="Streams: list, describe, create, remove.")


@streams.command(name="ls")
def list_streams(*, place: Here) -> int:
    """List the streams of the namespace.

    There is no index of them: every key of the server is looked at, which takes seconds if it holds millions.
    """

    async def job(segmenter: Segmenter) -> list[StreamSnapshot]:
        names = await segmenter.streams()
        found = await asyncio.gather(*map(segmenter.describe_stream, names), return_exceptions=True)
        return [snapshot for snapshot in found if not _vanished(snapshot)]  # type: ignore[misc]

    columns = [
        Column("STREAM", lambda row: row["stream"]),
        Column("PARTITIONS", lambda row: str(row["partition_count"]), right=True),
        Column("SIZE", lambda row: f"{row['partition_size']:,}", right=True, rank=2),
        Column("MESSAGES", lambda row: f"{row['messages']:,}", right=True),
        Column("GROUPS", lambda row: " ".join(row["groups"]) or "-", rank=1),
    ]
    rows = [_in_short(snapshot) for snapshot in place.visit(job)]
    place.printer.rows(rows, columns, f"no streams in namespace {place.namespace!r}")
    return 0


def _vanished(found: StreamSnapshot | BaseException) -> bool:
    """Whether it was removed since it was listed; any other failure is raised."""
    if isinstance(found, BaseException) and not isinstance(found, NonExistentStream):
        raise found
    return isinstance(found, BaseException)


def _in_short(snapshot: StreamSnapshot) -> dict[str, Any]:
    return {
        "stream": snapshot.name,
        "partition_count": len(snapshot.partitions),
        "partition_size": snapshot.partition_size,
        "messages": snapshot.messages,
        "groups": list(snapshot.groups),
    }


@streams.command
def describe(stream: str, /, *, place: Here) -> int:
    """Show what each partition of a stream holds.

    SLOWEST is the group that has settled least: what it has yet to settle is not trimmed.

    Parameters
    ----------
    stream
        Its name.
    """
    snapshot = place.visit(lambda segmenter: segmenter.describe_stream(stream))
    columns = [
        Column("PARTITION", lambda row: str(row["partition"]), right=True),
        Column("MESSAGES", lambda row: f"{row['messages']:,}", right=True),
        Column("EVER SENT", lambda row: f"{row['added']:,}", right=True, rank=1),
        Column("LAST ID", lambda row: row["end"], rank=2),
        Column("SLOWEST", lambda row: row["slowest"] or "-"),
    ]
    rows = [_log(log) for log in snapshot.partitions]
    printer = place.printer
    value = {**_in_short(snapshot), "hash": snapshot.hash_name, "partitions": rows}

    def show() -> None:
        size = f"{counted(len(rows), 'partition')} of {snapshot.partition_size:,}, keys by {snapshot.hash_name}"
        printer.line((snapshot.name, "bold"), f": {size}, groups: {', '.join(snapshot.groups) or 'none'}")
        printer.table(rows, columns)

    printer.object(value, show)
    return 0


def _log(log: LogSnapshot) -> dict[str, Any]:
    return {
        "partition": log.partition,
        "messages": log.messages,
        "added": log.added,
        "end": log.end,
        "slowest": log.slowest,
    }


@streams.command
def create(
    stream: str,
    /,
    *,
    partitions: int = 8,
    partition_size: int = 100_000,
    place: Here,
) -> int:
    """Register a stream; nothing happens if it is there with just these properties.

    Parameters
    ----------
    stream
        Letters, digits, dots, dashes and underscores.
    partitions
        How many consumers of a group can work at once; fixed from then on.
    partition_size
        Messages that each partition keeps for groups that are behind.
    """

    async def job(segmenter: Segmenter) -> StreamSnapshot:
        await segmenter.register_stream(stream, partitions=partitions, partition_size=partition_size)
        return await segmenter.describe_stream(stream)

    snapshot = place.visit(job)
    place.printer.object(_in_short(snapshot), show=lambda: None)
    place.printer.say(f"{stream} is registered: {counted(partitions, 'partition')} of {partition_size:,}")
    return 0


@streams.command
def rm(stream: str, /, *, yes: Annotated[bool, Parameter(negative="", show_default=False)] = False, place: Here) -> int:
    """Remove a stream with all its messages and groups. Without --yes, only say what would be lost.

    Consumers that still run stop with an error.

    Parameters
    ----------
    stream
        Its name.
    yes
        Do it.
    """

    async def job(segmenter: Segmenter) -> StreamSnapshot:
        snapshot = await segmenter.describe_stream(stream)
        if yes:
            await segmenter.remove_stream(stream)
        return snapshot

    snapshot = place.visit(job)
    place.printer.object({**_in_short(snapshot), "removed": yes}, show=lambda: None)
    lost = f"{counted(snapshot.messages, 'message')} and {counted(len(snapshot.groups), 'group')}"
    place.printer.say(f"{stream} is removed, {lost}" if yes else f"would remove {stream}, {lost}: add --yes to do it")
    return 0
