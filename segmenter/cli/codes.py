"""Exit codes, and what leads to them."""

from __future__ import annotations

from enum import IntEnum

from segmenter.errors import (
    BackendError,
    GroupNotEmpty,
    InvalidArgument,
    NonExistentGroup,
    NonExistentStream,
    SeatTaken,
    SegmenterError,
    SendError,
    ServerFull,
    SessionMismatch,
    StreamMismatch,
)

__all__ = ["Exit", "NotThere", "code_of"]


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    CHECK_FAILED = 6
    SEAT_TAKEN = 7  # another process has the worker's instance_id: starting it again would not help
    INTERRUPTED = 130


class NotThere(SegmenterError):
    """What a command was to find is not there, though its stream and its group are."""


def code_of(error: SegmenterError) -> Exit:
    """Return the exit code for what was raised."""
    match error:
        case InvalidArgument():
            return Exit.USAGE
        case NonExistentStream() | NonExistentGroup() | NotThere():
            return Exit.NOT_FOUND
        case GroupNotEmpty() | StreamMismatch() | SessionMismatch() | SendError() | ServerFull():
            return Exit.REFUSED
        case SeatTaken():
            return Exit.SEAT_TAKEN
        case BackendError():
            return Exit.UNREACHABLE
        case _:
            return Exit.ERROR
