"""The words for what ends a consumer or a send from outside."""

from __future__ import annotations

from collections.abc import Sequence

from segmenter.config import Durability
from segmenter.core.command import Gone, GroupSlot, PartitionSlot
from segmenter.core.entries import CorruptEntry
from segmenter.core.forward import Forward
from segmenter.core.message import Message
from segmenter.core.observations import Gap, Truncation
from segmenter.core.retention import Full, Moved, Sealed, Unconfirmed
from segmenter.errors import (
    Corrupt,
    GroupRemoved,
    HandlerStuck,
    LogTruncated,
    NonExistentGroup,
    OffsetOutOfRange,
    RetriesExhausted,
    SegmenterError,
    SendError,
    SendsLost,
    SendUnknown,
    StreamFull,
    StreamLost,
)

__all__ = [
    "as_segmenter_error",
    "corrupt",
    "group_lost",
    "group_removed",
    "handler_stands",
    "handler_stuck",
    "heart_stopped",
    "hook_stuck",
    "hook_timed_out",
    "in_vain",
    "laid_out_anew",
    "log_truncated",
    "no_such_group",
    "not_forwarded",
    "not_in_order",
    "offset_out_of_range",
    "read_overdue",
    "remains",
    "retries_exhausted",
    "send_unknown",
    "sends_lost",
    "stream_full",
    "stream_lost",
    "timed_out",
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


def no_such_group(slot: GroupSlot) -> NonExistentGroup:
    """There is no document, or a tombstone."""
    return NonExistentGroup(
        f"there is no group {slot.group!r} on {slot.stream!r}: a consumer makes it when it registers",
        stream=slot.stream,
        group=slot.group,
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


def handler_stuck(slot: GroupSlot, limit_s: float, where: str) -> HandlerStuck:
    """The event loop did not turn."""
    return HandlerStuck(
        f"the event loop stood still for more than {limit_s:g} s in {where}, so the partitions went to others: "
        "move blocking code to a thread, or raise max_processing_time",
        stream=slot.stream,
        group=slot.group,
    )


def handler_stands(slot: GroupSlot, handler: str, message: Message) -> HandlerStuck:
    """A handler did not end when it was cancelled."""
    return HandlerStuck(
        f"handler {handler} went on after it was cancelled, at {message!r}: this process has handed its partitions "
        "over and should be replaced; give what the handler waits for a time-out of its own",
        stream=slot.stream,
        group=slot.group,
        partition=message.partition,
    )


def read_overdue(slot: GroupSlot, limit_s: float) -> HandlerStuck:
    """The application has not read in time, although messages waited."""
    return HandlerStuck(
        f"the application has not read from this consumer of group {slot.group!r} on {slot.stream!r} for more than "
        f"{limit_s:g} s while messages waited, so its partitions went to others: end a consumer that is not needed "
        "with shutdown(), pause() one that is to be read later, have code end in time, or raise max_processing_time",
        stream=slot.stream,
        group=slot.group,
    )


def heart_stopped(slot: GroupSlot, cause: str) -> SegmenterError:
    """The thread that keeps up memberships does not."""
    return SegmenterError(
        f"the heartbeat of group {slot.group!r} on {slot.stream!r} has stopped: {cause}; "
        "open a new Segmenter, or restart this process",
        stream=slot.stream,
        group=slot.group,
    )


def hook_timed_out(name: str, limit_s: float) -> TimeoutError:
    """A hook took too long."""
    return TimeoutError(f"{name} did not return within max_processing_time, {limit_s:g} s")


def hook_stuck(slot: GroupSlot, name: str, function: str) -> HandlerStuck:
    """A hook did not end when it was cancelled."""
    return HandlerStuck(
        f"{name} hook {function} ignored its cancellation after max_processing_time: this process should be replaced; "
        "give what the hook waits for a timeout of its own",
        stream=slot.stream,
        group=slot.group,
    )


def in_vain() -> SegmenterError:
    """What a handler forwarded without waiting for it was not sent."""
    return SegmenterError("what was forwarded in its place could not be sent: await message.forward() to learn why")


def timed_out(limit_s: float) -> TimeoutError:
    """A handler took too long."""
    return TimeoutError(f"the handler did not end within max_processing_time, {limit_s:g} s")


def retries_exhausted(slot: GroupSlot, handler: str, message: Message, reason: str) -> RetriesExhausted:
    """A handler has failed too often, and its consumer is to stop for that."""
    return RetriesExhausted(
        f"handler {handler} has failed {message.attempt} times on {message!r}: {reason}; a restart tries once more, "
        "and on_exhausted='park' or 'dead_letter' would set the message aside instead",
        stream=slot.stream,
        group=slot.group,
        partition=message.partition,
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
    until = f", up to {it.until}" if it.until else ""
    return LogTruncated(
        f"the server lost the end of {_place(PartitionSlot(slot.stream, it.partition))}: {it.count} messages "
        f"after {it.after}{until}, which group {slot.group!r} had read; register again to go on with what "
        "is left, or with on_loss='continue' to go on without stopping",
        stream=slot.stream,
        group=slot.group,
        partition=it.partition,
        after=it.after,
        until=it.until,
        count=it.count,
    )


def corrupt(slot: GroupSlot, partition: int, entry: CorruptEntry) -> Corrupt:
    """An entry of a log is no message."""
    entry_id = entry.entry_id.decode()
    return Corrupt(
        f"entry {entry_id} of {_place(PartitionSlot(slot.stream, partition))} is no message: {entry.reason}; "
        f"group {slot.group!r} has settled all before it and stops there: find out which program writes to the log, "
        "remove nothing by hand, and register once with on_loss='continue' to pass over the entry",
        stream=slot.stream,
        group=slot.group,
        partition=partition,
        entry_id=entry_id,
        reason=entry.reason,
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
    disk = " and that the disks keep up" if wanted is not None and wanted.disk else ""
    return SendUnknown(
        f"the messages stand in {_place(slot)}, but {reply.replicas} replicas have them"
        f"{' on disk, and the server itself' if reply.disk else ''}, where {wanted} was asked for: "
        f"a failover may lose them; see that the replicas are connected{disk}",
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


def not_forwarded(forward: Forward, reply: Full | Moved | Sealed | Gone) -> SegmenterError:
    """What was to be sent in the place of another message was refused, so that one is still in hand."""
    there = forward.slot.there
    match reply:
        case Full():
            return stream_full(there, forward.capacity, reply)
        case Gone():
            return stream_lost(there)
        case Moved() | Sealed():
            return laid_out_anew(there)


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
