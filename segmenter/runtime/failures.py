"""The words for what ends a consumer or a send from outside."""

from __future__ import annotations

from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.errors import GroupRemoved, SeatTaken, SegmenterError, StreamLost

__all__ = ["as_segmenter_error", "group_removed", "seat_taken", "stream_lost"]


def seat_taken(slot: GroupSlot, seat: str | None) -> SeatTaken:
    """Another process took the seat."""
    return SeatTaken(
        f"instance_id {seat!r} was registered again elsewhere: this consumer has stopped",
        stream=slot.stream,
        group=slot.group,
    )


def group_removed(slot: GroupSlot) -> GroupRemoved:
    """Somebody removed the group."""
    return GroupRemoved(
        f"the group {slot.group!r} was removed while this consumer was a member",
        stream=slot.stream,
        group=slot.group,
    )


def stream_lost(slot: PartitionSlot) -> StreamLost:
    """A partition is not there any more."""
    return StreamLost(
        f"partition {slot.partition} of {slot.stream!r} is gone: it was deleted, evicted or wiped; "
        "register the stream anew, and see that the server evicts nothing",
        stream=slot.stream,
        partition=slot.partition,
    )


def as_segmenter_error(error: BaseException) -> SegmenterError:
    """The error itself if it is one of ours; otherwise one that has it as its cause."""
    if isinstance(error, SegmenterError):
        return error
    failure = SegmenterError(f"stopped on an unexpected error: {error!r}")
    failure.__cause__ = error
    return failure
