"""``segmenter groups``: who is in them and how far they are; moving, pausing and removing."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from segmenter.cli.moments import age, start_from
from segmenter.cli.place import Here, Place, Yes
from segmenter.cli.printing import Column, counted
from segmenter.errors import NonExistentGroup, NonExistentStream
from segmenter.segmenter import Segmenter
from segmenter.snapshot import AwaySnapshot, GroupSnapshot, MemberSnapshot, PartitionSnapshot

__all__ = ["ASIDE_COLUMNS", "groups", "lag_time", "styled"]

LISTEN_SHARE = 0.3  # of a session: a member that is alive beats five times in one
STYLES = {
    "owned": "green", "moving": "yellow", "waiting": "yellow", "away": "yellow", "paused": "magenta", "idle": "dim",
    "ready": "green", "alive": "green", "silent": "bold red",
}  # fmt: skip

groups = App(name="groups", help="Groups: list, describe, move, pause, resume, remove.")


def styled(word: str) -> Text:
    """A word in the colour of what it says."""
    return Text(word, STYLES.get(word, ""))


def lag_time(row: Any) -> str:
    """How old the oldest unsettled message is."""
    return age(row["lag_seconds"]) if row["lag"] else "-"


ASIDE_COLUMNS = [
    Column("PARKED", lambda row: f"{row['parked']:,}", right=True, rank=3),
    Column("DEAD", lambda row: f"{row['dead']:,}", right=True, rank=3),
]


@groups.command(name="ls")
def list_groups(stream: str | None = None, /, *, place: Here) -> int:
    """List the groups of a stream, or of all streams, and how far they are behind.

    LAG counts messages that are not settled; LAG-TIME is the age of the oldest of them.

    Parameters
    ----------
    stream
        Its name; without it, all of the namespace.
    """

    async def job(segmenter: Segmenter) -> list[GroupSnapshot]:
        found: list[GroupSnapshot] = []
        for name in [stream] if stream is not None else await segmenter.streams():
            try:
                names = await segmenter.groups(name)
                found += await asyncio.gather(*(segmenter.describe(name, group) for group in names))
            except (NonExistentGroup, NonExistentStream):  # removed since it was listed
                if stream is not None:
                    raise
        return found

    columns = [
        Column("GROUP", lambda row: row["group"]),
        Column("STREAM", lambda row: row["stream"]),
        Column("STATE", lambda row: styled(row["state"]), rank=1),
        Column("MEMBERS", lambda row: str(row["member_count"]), right=True),
        Column("LAG", lambda row: f"{row['lag']:,}", right=True),
        Column("LAG-TIME", lag_time, right=True),
    ]
    rows = [_in_short(snapshot) for snapshot in place.visit(job)]
    place.printer.rows(rows, columns, f"no groups on {stream or f'the streams of namespace {place.namespace!r}'}")
    return 0


def _in_short(snapshot: GroupSnapshot) -> dict[str, Any]:
    return {
        "group": snapshot.group,
        "stream": snapshot.stream,
        "state": snapshot.state,
        "generation": snapshot.generation,
        "session_timeout": snapshot.session_timeout,
        "member_count": len(snapshot.members),
        "lag": snapshot.lag,
        "lag_seconds": round(snapshot.lag_seconds, 3),
    }


# --- one group ------------------------------------------------------------------------------------------------------


@groups.command
def describe(
    stream: str,
    group: str,
    /,
    *,
    members: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    heartbeats: Annotated[bool, Parameter(show_default=False)] = True,
    place: Here,
) -> int:
    """Show who owns which partition, and how far each is behind.

    STATE is owned; moving, if it is meant for another member than its owner; waiting, if its next owner has yet to
    claim it; away, if it waits for a restart under an instance_id; paused; or idle, if the group has no members. PARKED
    and DEAD count what is set aside.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    members
        A line for each member instead of each partition.
    heartbeats
        Listen until every member has given a sign of life, for a third of a session at most.
    """
    snapshot = _described(place, stream, group, heartbeats=heartbeats)
    value = {
        **_in_short(snapshot),
        "members": [_member(member) for member in snapshot.members],
        "away": [_away(away) for away in snapshot.away],
        "partitions": [_partition(partition) for partition in snapshot.partitions],
    }
    printer = place.printer

    def show() -> None:
        if members and not snapshot.members and not snapshot.away:
            printer.say(f"{group} has no members")
        elif members:
            printer.table([{**value, **row} for row in (*value["members"], *value["away"])], MEMBER_COLUMNS)
        else:
            beating = {member.id: member.beating for member in snapshot.members}
            rows = [{**value, **row, "beating": beating.get(row["owner"])} for row in value["partitions"]]
            printer.table(rows, PARTITION_COLUMNS)

    printer.object(value, show)
    return 0


def _described(place: Place, stream: str, group: str, *, heartbeats: bool) -> GroupSnapshot:
    async def job(segmenter: Segmenter) -> GroupSnapshot:
        snapshot = await segmenter.describe(stream, group)
        if not heartbeats or not snapshot.members:
            return snapshot
        with place.printer.err.status("listening for heartbeats"):
            return await segmenter.describe(stream, group, listen=LISTEN_SHARE * snapshot.session_timeout)

    return place.visit(job)


def _heartbeat(row: Any) -> Text:
    return Text("-") if row["beating"] is None else styled("alive" if row["beating"] else "silent")


PARTITION_COLUMNS = [
    Column("GROUP", lambda row: row["group"], rank=8),
    Column("STREAM", lambda row: row["stream"], rank=7),
    Column("PARTITION", lambda row: str(row["partition"]), right=True),
    Column("COMMITTED", lambda row: row["committed"], rank=5),
    Column("END", lambda row: row["end"], rank=6),
    Column("LAG", lambda row: f"{row['lag']:,}", right=True),
    Column("LAG-TIME", lag_time, right=True, rank=1),
    Column("OWNER", lambda row: row["owner"] or "-", least=18),
    Column("EPOCH", lambda row: str(row["epoch"]) if row["epoch"] else "-", right=True, rank=4),
    Column("STATE", lambda row: styled(row["state"])),
    Column("HEARTBEAT", _heartbeat, rank=2),
    *ASIDE_COLUMNS,
]
MEMBER_COLUMNS = [
    Column("GROUP", lambda row: row["group"], rank=4),
    Column("STREAM", lambda row: row["stream"], rank=3),
    Column("MEMBER", lambda row: row["member"], least=18),
    Column("INSTANCE", lambda row: row["instance_id"] or "-", rank=2),
    Column("PARTITIONS", lambda row: " ".join(map(str, row["partitions"])) or "-"),
    Column("STATE", lambda row: styled(row["state"]), rank=1),
    Column("HEARTBEAT", _heartbeat),
    Column("HOST", lambda row: row["host"] or "-", rank=6, least=12),
    Column("PID", lambda row: str(row["pid"] or "-"), right=True, rank=5),
    Column("VERSION", lambda row: row["version"] or "-", rank=7),
]


def _away(away: AwaySnapshot) -> dict[str, Any]:
    """As a line among members; what it is not, it has not."""
    return {
        "member": away.member,
        "instance_id": away.instance_id,
        "partitions": list(away.partitions),
        "state": "away",
        "beating": None,
        "host": "",
        "pid": 0,
        "version": "",
    }


def _member(member: MemberSnapshot) -> dict[str, Any]:
    return {
        "member": member.id,
        "instance_id": member.instance_id,
        "leaving": member.leaving,
        "state": "leaving" if member.leaving else "member",
        "partitions": list(member.partitions),
        "beating": member.beating,
        "host": member.host,
        "pid": member.pid,
        "version": member.version,
    }


def _partition(partition: PartitionSnapshot) -> dict[str, Any]:
    return {
        "partition": partition.partition,
        "committed": partition.committed,
        "end": partition.end,
        "lag": partition.lag,
        "lag_seconds": round(partition.lag_seconds, 3),
        "owner": partition.owner,
        "assigned": partition.assigned,
        "epoch": partition.epoch,
        "state": partition.state,
        "parked": partition.parked,
        "dead": partition.dead,
    }


# --- changes --------------------------------------------------------------------------------------------------------


@groups.command
def reset(stream: str, group: str, /, *, to: str, yes: Yes = False, place: Here) -> int:
    """Move a group to another place in every partition. Without --yes, only show where it stands.

    The group must be paused, with everything handed back, or have no members. What was finished out of order, and how
    often messages were tried, is forgotten.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    to
        earliest, latest, a message's ID (with what comes after it), an age such as 10m, or an ISO time.
    yes
        Do it.
    """
    begin = start_from(to)

    async def job(segmenter: Segmenter) -> tuple[GroupSnapshot, GroupSnapshot]:
        before = await segmenter.describe(stream, group)
        if yes:
            await segmenter.reset_group(stream, group, begin)
        return before, await segmenter.describe(stream, group)

    before, after = place.visit(job)
    pairs = zip(before.partitions, after.partitions, strict=True)
    rows = [
        {"partition": old.partition, "before": old.committed, "after": new.committed if yes else None, "lag": new.lag}
        for old, new in pairs
    ]
    columns = [
        Column("PARTITION", lambda row: str(row["partition"]), right=True),
        Column("BEFORE", lambda row: row["before"]),
        Column("AFTER", lambda row: row["after"] or f"({to})"),
        Column("LAG", lambda row: f"{row['lag']:,}", right=True),
    ]
    printer = place.printer
    value = {"stream": stream, "group": group, "to": to, "reset": yes, "partitions": rows}
    printer.object(value, show=lambda: printer.table(rows, columns))
    printer.say(f"{group} is moved to {to}" if yes else f"would move {group} to {to}: {_way(before)}")
    return 0


@groups.command
def alter(stream: str, group: str, /, *, session_timeout: float, place: Here) -> int:
    """Change the session time-out of a group that has no members.

    Its consumers must register with the same one from then on.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    session_timeout
        Seconds of silence after which a consumer counts as dead.
    """

    async def job(segmenter: Segmenter) -> tuple[float, GroupSnapshot]:
        before = await segmenter.describe(stream, group)
        await segmenter.alter_group(stream, group, session_timeout=session_timeout)
        return before.session_timeout, await segmenter.describe(stream, group)

    before, snapshot = place.visit(job)
    place.printer.object(_in_short(snapshot), show=lambda: None)
    was = f", it was {before:g} s" if before != snapshot.session_timeout else ", as before"
    place.printer.say(f"{group} has a session time-out of {snapshot.session_timeout:g} s{was}")
    return 0


@groups.command
def pause(stream: str, group: str, /, *, place: Here) -> int:
    """Have nothing more handled for a group. Its members stay, and hand back each partition when it has drained.

    What is in flight is finished first. Nothing is trimmed meanwhile that the group has yet to settle: if that is for
    long, its partitions fill up.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    """

    async def job(segmenter: Segmenter) -> GroupSnapshot:
        await segmenter.pause_group(stream, group)
        return await segmenter.describe(stream, group)

    snapshot = place.visit(job)
    held = sum(partition.owner is not None for partition in snapshot.partitions)
    place.printer.object({**_in_short(snapshot), "held": held}, show=lambda: None)
    place.printer.say(f"{group} is paused" + (f"; {counted(held, 'partition')} yet to be handed back" if held else ""))
    return 0


@groups.command
def resume(stream: str, group: str, /, *, place: Here) -> int:
    """Let a paused group go on.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    """

    async def job(segmenter: Segmenter) -> GroupSnapshot:
        await segmenter.resume_group(stream, group)
        return await segmenter.describe(stream, group)

    snapshot = place.visit(job)
    place.printer.object(_in_short(snapshot), show=lambda: None)
    place.printer.say(
        f"{group} goes on with {counted(len(snapshot.members), 'member')}, {counted(snapshot.lag, 'message')} behind"
    )
    return 0


@groups.command
def rm(stream: str, group: str, /, *, yes: Yes = False, place: Here) -> int:
    """Remove a group: it holds nothing back any more. Without --yes, only say what would be lost.

    The group must be paused, with everything handed back, or have no members.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    yes
        Do it.
    """

    async def job(segmenter: Segmenter) -> GroupSnapshot:
        snapshot = await segmenter.describe(stream, group)
        if yes:
            await segmenter.remove_group(stream, group)
        return snapshot

    snapshot = place.visit(job)
    place.printer.object({**_in_short(snapshot), "removed": yes}, show=lambda: None)
    unsettled = f"{counted(snapshot.lag, 'message')} unsettled"
    done, would = f"{group} is removed, {unsettled}", f"would remove {group}, {unsettled}: {_way(snapshot)}"
    place.printer.say(done if yes else would)
    return 0


def _way(snapshot: GroupSnapshot) -> str:
    """What to do so that it is done."""
    if snapshot.members and snapshot.state != "paused":
        return f"stop its {counted(len(snapshot.members), 'member')}, or pause it, then add --yes to do it"
    held = sum(partition.state == "moving" for partition in snapshot.partitions)
    if held:
        return (
            f"wait until {counted(held, 'partition')} more {'is' if held == 1 else 'are'} handed back, then add --yes"
        )
    return "add --yes to do it"
