"""The words for what ends a consumer or a send from outside."""

from __future__ import annotations

from collections.abc import Sequence

from segmenter.config import Durability
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.observations import Gap, Truncation
from segmenter.core.retention import Full, Unconfirmed
from segmenter.errors import (
    GroupRemoved,
    HandlerStuck,
    LogTruncated,
    OffsetOutOfRange,
    SeatTaken,
    SegmenterError,
    SendError,
    SendsLost,
    SendUnknown,
    StreamFull,
    StreamLost,
)

__all__ = [
    "as_segmenter_error",
    "group_lost",
    "group_removed",
    "handler_stuck",
    "laid_out_anew",
    "log_truncated",
    "not_in_order",
    "offset_out_of_range",
    "remains",
    "seat_taken",
    "send_unknown",
    "sends_lost",
    "stream_full",
    "stream_lost",
    "thread_stuck",
    "too_few_copies",
]

# --- a stream and its groups ----------------------------------------------------------------------------------------


def stream_lost(slot: PartitionSlot) -> StreamLost:
    """A partition is not there any more."""
    return StreamLost(
        f"{_place(slot)} is gone: it was deleted, evicted or wiped; "
        "register the stream anew, and see that the server evicts nothing",
        stream=slot.stream,
        partition=slot.partition,
    )


def remains(slot: PartitionSlot) -> StreamLost:
    """A stream is to be made where another one was."""
    return StreamLost(
        f"{_place(slot)} holds what is left of an earlier stream whose configuration was lost, and perhaps messages: "
        f"nothing was changed; to give them up, call remove_stream({slot.stream!r}), then register it anew",
        stream=slot.stream,
        partition=slot.partition,
    )


def group_lost(slot: GroupSlot) -> StreamLost:
    """The document of a group is not there any more, and nobody removed it."""
    return StreamLost(
        f"the document of group {slot.group!r} on {slot.stream!r} is gone: it was deleted, evicted or wiped; "
        "register a consumer anew, and see that the server evicts nothing",
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


# --- a consumer -----------------------------------------------------------------------------------------------------


def seat_taken(slot: GroupSlot, seat: str | None) -> SeatTaken:
    """Another process took the seat."""
    return SeatTaken(
        f"instance_id {seat!r} was registered again elsewhere: this consumer has stopped",
        stream=slot.stream,
        group=slot.group,
    )


def handler_stuck(slot: GroupSlot, limit_s: float) -> HandlerStuck:
    """The event loop did not turn."""
    return HandlerStuck(
        f"the event loop stood still for more than {limit_s:g} s, so the partitions went to others: "
        "move blocking code to a thread, or raise max_processing_time",
        stream=slot.stream,
        group=slot.group,
    )


def thread_stuck(slot: GroupSlot, limit_s: float) -> HandlerStuck:
    """User code has not come back from a message."""
    return HandlerStuck(
        f"user code has been busy with what it was handed for more than {limit_s:g} s, so the partitions went to "
        "others: have it end in time, or raise max_processing_time",
        stream=slot.stream,
        group=slot.group,
    )


def offset_out_of_range(slot: GroupSlot, gap: Gap) -> OffsetOutOfRange:
    """Messages were dropped before they were settled."""
    return OffsetOutOfRange(
        f"{gap.count} messages of {_place(PartitionSlot(slot.stream, gap.partition))} were dropped before group "
        f"{slot.group!r} had settled them: register with on_loss='continue' to go on with what is left, "
        "and give the stream a larger partition_size",
        stream=slot.stream,
        group=slot.group,
        partition=gap.partition,
        count=gap.count,
    )


def log_truncated(slot: GroupSlot, truncation: Truncation) -> LogTruncated:
    """The server lost the end of a log."""
    it = truncation
    return LogTruncated(
        f"the server lost the end of {_place(PartitionSlot(slot.stream, it.partition))}: {it.count} messages "
        f"after {it.after}, up to {it.until}, which group {slot.group!r} had read; register again to go on with what "
        "is left, or with on_loss='continue' to go on without stopping",
        stream=slot.stream,
        group=slot.group,
        partition=it.partition,
        after=it.after,
        until=it.until,
        count=it.count,
    )


# --- a send ---------------------------------------------------------------------------------------------------------


def stream_full(slot: PartitionSlot, capacity: int, reply: Full) -> StreamFull:
    """No room."""
    blame = (
        f"group {reply.group!r} has yet to settle {reply.lag} messages: let it catch up, add consumers, "
        "raise partition_size, or remove the group"
        if reply.group is not None
        else "no group is registered yet: register its consumers first, or raise partition_size"
    )
    return StreamFull(
        f"{_place(slot)} is full at {capacity} messages; {blame}",
        stream=slot.stream,
        partition=slot.partition,
        slowest=reply.group,
        lag=reply.lag,
    )


def send_unknown(slot: PartitionSlot, timeout_s: float, cause: BaseException) -> SendUnknown:
    """An attempt got no answer, and no later one told what became of it."""
    error = SendUnknown(
        f"{_place(slot)} did not confirm the send (send_timeout {timeout_s:g} s): "
        f"the messages may or may not be in the stream; the last attempt failed by: {cause}",
        stream=slot.stream,
        partition=slot.partition,
    )
    error.__cause__ = cause
    return error


def too_few_copies(slot: PartitionSlot, wanted: Durability | None, reply: Unconfirmed) -> SendUnknown:
    """It stands in the log, and may be lost with the server."""
    return SendUnknown(
        f"the messages stand in {_place(slot)}, but {reply.replicas} replicas have them"
        f"{' on disk, and the server itself' if reply.disk else ''}, where {wanted} was asked for: "
        "a failover may lose them; see that the replicas are connected",
        stream=slot.stream,
        partition=slot.partition,
    )


def sends_lost(slot: PartitionSlot, count: int, ids: Sequence[str]) -> SendsLost:
    """The server went back behind what it had acknowledged."""
    return SendsLost(
        f"the server lost {count} messages of {_place(slot)} that it had acknowledged "
        f"(ids {', '.join(ids[:5])}{' ...' if len(ids) > 5 else ''}): send them again, then this one",  # noqa: PLR2004
        stream=slot.stream,
        partition=slot.partition,
        count=count,
        ids=ids,
    )


def not_in_order(slot: PartitionSlot) -> SendError:
    """It refuses every number."""
    return SendError(
        f"{_place(slot)} keeps refusing this producer's sequence: nothing was sent; open the stream again",
        stream=slot.stream,
        partition=slot.partition,
    )


def laid_out_anew(slot: PartitionSlot) -> SendError:
    """The stream has another layout."""
    return SendError(
        f"{_place(slot)} was laid out anew: open the stream again", stream=slot.stream, partition=slot.partition
    )


# --- anything -------------------------------------------------------------------------------------------------------


def as_segmenter_error(error: BaseException) -> SegmenterError:
    """The error itself if it is one of ours; otherwise one that has it as its cause."""
    if isinstance(error, SegmenterError):
        return error
    failure = SegmenterError(f"stopped on an unexpected error: {error!r}")
    failure.__cause__ = error
    return failure


def _place(slot: PartitionSlot) -> str:
    return f"partition {slot.partition} of {slot.stream!r}"
