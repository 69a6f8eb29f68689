"""Exit codes, and what leads to them."""

from __future__ import annotations

from enum import IntEnum

from segmenter.errors import (
    BackendError,
    GroupNotEmpty,
    InvalidArgument,
    NonExistentGroup,
    NonExistentStream,
    SegmenterError,
    SendError,
    ServerFull,
    SessionMismatch,
    StreamMismatch,
)

__all__ = ["Exit", "code_of"]


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    CHECK_FAILED = 6
    INTERRUPTED = 130


def code_of(error: SegmenterError) -> Exit:
    """Return the exit code for what was raised."""
    match error:
        case InvalidArgument():
            return Exit.USAGE
        case NonExistentStream() | NonExistentGroup():
            return Exit.NOT_FOUND
        case GroupNotEmpty() | StreamMismatch() | SessionMismatch() | SendError() | ServerFull():
            return Exit.REFUSED
        case BackendError():
            return Exit.UNREACHABLE
        case _:
            return Exit.ERROR
