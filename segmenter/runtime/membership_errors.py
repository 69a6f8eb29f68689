"""Errors about membership: an instance_id in use, another session time-out, a group that still has members."""

from __future__ import annotations

from segmenter.core.command import GroupSlot
from segmenter.core.group import GroupState, ProcessInfo
from segmenter.errors import GroupNotEmpty, SeatTaken, SessionMismatch

__all__ = ["group_not_empty", "seat_contested", "seat_taken", "session_mismatch"]

SHOWN = 3  # members that an error names

ONE_EACH = "give each process an instance_id of its own, such as the name of its pod, and start it once"


def seat_taken(slot: GroupSlot, seat: str | None, by: ProcessInfo | None) -> SeatTaken:
    """Another process took the seat."""
    where = f" by another process ({by})" if by is not None else " by another process"
    return SeatTaken(
        f"instance_id {seat!r} was registered again{where}: this consumer has stopped; if both are to run, {ONE_EACH}",
        stream=slot.stream,
        group=slot.group,
    )


def seat_contested(slot: GroupSlot, seat: str | None, times: int, other: ProcessInfo, this: ProcessInfo) -> SeatTaken:
    """Two processes that live displace each other."""
    return SeatTaken(
        f"instance_id {seat!r} changed hands {times} times within the last minute, and the process that has it is "
        f"alive ({other}): this process ({this}) was not admitted, and nothing was changed; {ONE_EACH}, or stop the "
        "other one first",
        stream=slot.stream,
        group=slot.group,
    )


def session_mismatch(slot: GroupSlot, document: GroupState, session_ms: int) -> SessionMismatch:
    """A consumer has another session time-out than its group."""
    count = len(document.members)
    members = f"its {count} member{'' if count == 1 else 's'} must" if count else "all its members must"
    return SessionMismatch(
        f"group {slot.group!r} runs with a session time-out of {document.session_ms / 1000:g} s, not "
        f"{session_ms / 1000:g} s, and {members} use the same: register with session_timeout="
        f"{document.session_ms / 1000:g}, or stop all members, and then register with {session_ms / 1000:g} or call "
        f"alter_group({slot.stream!r}, {slot.group!r}, session_timeout={session_ms / 1000:g})",
        stream=slot.stream,
        group=slot.group,
    )


def group_not_empty(slot: GroupSlot, document: GroupState, remedy: str) -> GroupNotEmpty:
    """Members keep something from being done to their group."""
    count = len(document.members)
    names = ", ".join(sorted(document.members)[:SHOWN]) + (", ..." if count > SHOWN else "")
    return GroupNotEmpty(
        f"group {slot.group!r} has {count} member{'' if count == 1 else 's'} ({names}): {remedy}",
        stream=slot.stream,
        group=slot.group,
    )
