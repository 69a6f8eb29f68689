"""Every exception of the library.

::

    SegmenterError
    ├── InvalidArgument (ValueError)      what was passed cannot be: names the value and the remedy
    │   ├── EmptyStreamName  EmptyGroupName  InvalidName
    │   ├── InvalidPartitionCount  InvalidPartitionSize  InvalidBatchSize
    │   └── MessageTooLarge  ForeignMessage
    ├── NotHere                           it belongs to another process or event loop
    ├── LifespanTimeout                   a worker's lifespan took too long
    ├── StreamError                       about a stream or a group as it is stored
    │   ├── NonExistentStream  StreamMismatch  StreamLost  UnsupportedFormat
    │   ├── NonExistentGroup  GroupNotEmpty  GroupRemoved  SessionMismatch
    │   ├── OffsetOutOfRange  LogTruncated    messages that a group will never get
    │   └── Corrupt                           an entry of a log that is no message
    ├── SendError                         a send that did not come out as sent
    │   └── StreamFull  SendUnknown  SendsLost
    ├── ConsumerError                     about one consumer and what it was handed
    │   ├── ConsumerDead  SeatTaken  HandlerStuck
    │   ├── PartitionLost  StaleDelivery  OutOfOrderAck
    │   └── Undecodable  RetriesExhausted     about a message and its handler
    └── BackendError                      the server, the connection, or its permissions
        └── ServerFull                    its memory is full

    Reject (Exception)                    for handlers to raise, not raised by the library

``retriable`` says whether the same call may succeed later without anything else being changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

__all__ = [
    "BackendError",
    "ConsumerDead",
    "ConsumerError",
    "Corrupt",
    "EmptyGroupName",
    "EmptyStreamName",
    "ForeignMessage",
    "GroupNotEmpty",
    "GroupRemoved",
    "HandlerStuck",
    "InvalidArgument",
    "InvalidBatchSize",
    "InvalidName",
    "InvalidPartitionCount",
    "InvalidPartitionSize",
    "LifespanTimeout",
    "LogTruncated",
    "MessageTooLarge",
    "NonExistentGroup",
    "NonExistentStream",
    "NotHere",
    "OffsetOutOfRange",
    "OutOfOrderAck",
    "PartitionLost",
    "Reject",
    "RetriesExhausted",
    "SeatTaken",
    "SegmenterError",
    "SendError",
    "SendUnknown",
    "SendsLost",
    "ServerFull",
    "SessionMismatch",
    "StaleDelivery",
    "StreamError",
    "StreamFull",
    "StreamLost",
    "StreamMismatch",
    "Undecodable",
    "UnsupportedFormat",
]


class About(TypedDict, total=False):
    """What an exception is about."""

    stream: str | None
    group: str | None
    partition: int | None
    epoch: int | None


class SegmenterError(Exception):
    """Base of every exception that this library raises on purpose.

    Attributes say what it is about, where that applies: ``stream``, ``group``, ``partition``, ``epoch``.
    """

    retriable: bool = False

    def __init__(
        self,
        message: str,
        *,
        stream: str | None = None,
        group: str | None = None,
        partition: int | None = None,
        epoch: int | None = None,
    ) -> None:
        super().__init__(message)
        self.stream = stream
        self.group = group
        self.partition = partition
        self.epoch = epoch


class InvalidArgument(SegmenterError, ValueError):
    """A value that cannot be; the message names it and what would be accepted."""


class EmptyStreamName(InvalidArgument):
    """A stream needs a name."""


class EmptyGroupName(InvalidArgument):
    """A group needs a name."""


class InvalidName(InvalidArgument):
    """A name outside ``[A-Za-z0-9._-]{1,128}``: it would not be safe inside a key."""


class InvalidPartitionCount(InvalidArgument):
    """A stream has at least one partition, and at most the limit."""


class InvalidPartitionSize(InvalidArgument):
    """A partition keeps at least one message."""


class InvalidBatchSize(InvalidArgument):
    """A batch holds at least one message."""


class MessageTooLarge(InvalidArgument):
    """A key, payload or headers beyond the limit."""


class ForeignMessage(InvalidArgument):
    """Not a message that this consumer was handed."""


class NotHere(SegmenterError):
    """It was made in another process (before a fork) or in another event loop, and works there only."""


class LifespanTimeout(SegmenterError):
    """Entering or leaving a worker's ``lifespan`` took longer than ``lifespan_timeout``."""


class StreamError(SegmenterError):
    """Base of the errors about a stream or a group as it is stored."""


class NonExistentStream(StreamError):
    """No stream of that name is registered in the namespace."""


class NonExistentGroup(StreamError):
    """No group of that name reads the stream."""


class StreamMismatch(StreamError):
    """The stream is registered with other properties than these."""


class StreamLost(StreamError):
    """A stream that was there is gone: deleted, evicted or wiped."""


class UnsupportedFormat(StreamError):
    """It was written by a later version of the library."""


class GroupNotEmpty(StreamError):
    """The group has members; stop them first."""

    retriable = True


class GroupRemoved(StreamError):
    """The group was removed while you were a member."""


class SessionMismatch(StreamError):
    """The group runs with another session time-out, which changes only while it has no members."""


class OffsetOutOfRange(StreamError):
    """Messages were dropped from the log before the group had settled them; ``count`` of them."""

    def __init__(self, message: str, *, stream: str, group: str, partition: int, count: int) -> None:
        super().__init__(message, stream=stream, group=group, partition=partition)
        self.count = count


class LogTruncated(StreamError):
    """The server lost the end of a log: ``count`` messages after the id ``after``, up to the id ``until``.

    All of them had been read for the group; whether they were handled is known to the handlers only. ``until`` is empty
    if nobody remembers it: the last ones were finished ahead of others, in another process.
    """

    def __init__(
        self, message: str, *, stream: str, group: str, partition: int, after: str, until: str, count: int
    ) -> None:
        super().__init__(message, stream=stream, group=group, partition=partition)
        self.after = after
        self.until = until
        self.count = count


class Corrupt(StreamError):
    """Another program has written to a log an entry that is no message, or a message with headers that are none.

    A consumer stops with it once everything before the entry is settled and stored. With ``on_loss="continue"`` it
    passes over the entry. ``id`` is the id of the entry, and ``reason`` says what is wrong with it.
    """

    def __init__(
        self, message: str, *, stream: str | None, partition: int, entry_id: str, reason: str, group: str | None = None
    ) -> None:
        super().__init__(message, stream=stream, group=group, partition=partition)
        self.id = entry_id
        self.reason = reason


class SendError(SegmenterError):
    """Base of the errors about a send."""


class StreamFull(SendError):
    """The partition is full of messages that a group has yet to settle.

    ``slowest`` is that group, ``None`` if no group is registered yet; ``lag`` counts its messages in the partition.
    """

    retriable = True

    def __init__(self, message: str, *, stream: str, partition: int, slowest: str | None, lag: int) -> None:
        super().__init__(message, stream=stream, partition=partition, group=slowest)
        self.slowest = slowest
        self.lag = lag


class SendUnknown(SendError):
    """No answer came in time: the message may or may not be in the stream."""


class SendsLost(SendError):
    """The server lost sends that it had acknowledged; of the present one nothing was appended, so it may be repeated.

    It comes instead of the next send, so that what was lost can be sent again before what follows it. ``count`` is
    exact; ``ids`` names those of them that are still remembered, oldest first.
    """

    retriable = True

    def __init__(self, message: str, *, stream: str, partition: int, count: int, ids: Sequence[str]) -> None:
        super().__init__(message, stream=stream, partition=partition)
        self.count = count
        self.ids = list(ids)


class ConsumerError(SegmenterError):
    """Base of the errors about a consumer."""


class ConsumerDead(ConsumerError):
    """The consumer was shut down, or stopped after a fatal error, which is then its cause."""


class SeatTaken(ConsumerError):
    """Another process uses the same ``instance_id``: it took over and this one has stopped, or this one was refused."""


class HandlerStuck(ConsumerError):
    """User code did not return in time.

    It blocked the event loop or its own thread, ignored its cancellation, or never asked for messages that waited.
    """


class PartitionLost(ConsumerError):
    """The partition belongs to somebody else by now; what was not yet durable will be delivered there."""


class StaleDelivery(ConsumerError):
    """The message has been taken back from this delivery, because it took too long or the partition moved."""


class OutOfOrderAck(ConsumerError):
    """An earlier message of the same key is not settled yet."""


class Undecodable(ConsumerError):
    """The payload is not what the handler's ``type`` says; the cause tells why."""


class RetriesExhausted(ConsumerError):
    """A handler has failed as often as its ``retry`` allows, and ``on_exhausted="halt"`` stopped its consumer."""


class Reject(Exception):
    """Raise it in a handler: the message is a dead letter at once, and its key goes on.

    Args:
        reason: kept with the dead letter.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BackendError(SegmenterError):
    """The server, the connection to it, or its permissions; the original exception is the cause.

    ``refused`` says that certainly nothing was done; otherwise it may or may not have been.
    """

    def __init__(self, message: str, *, retriable: bool, refused: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.refused = refused


class ServerFull(BackendError):
    """The server's memory is full: nothing was written. Consumers go on, and what they settle can be trimmed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True, refused=True)
