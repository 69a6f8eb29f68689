"""What consumers observe, as log records of the standard library, under the logger ``segmenter.consumer``.

Nothing is configured: without handlers of the application's own, nothing is printed but what Python prints anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from attrs import asdict

from segmenter.core.command import GroupSlot
from segmenter.core.observations import (
    Congested,
    Corrupt,
    DeadLettered,
    Departed,
    Gap,
    Halted,
    HandlerStands,
    HandlerTimedOut,
    HookFailed,
    Lost,
    Missing,
    Observation,
    Parked,
    ReadOverdue,
    Stalled,
    Truncation,
)
from segmenter.logs import Log

__all__ = ["logged"]

logging.getLogger("segmenter").addHandler(logging.NullHandler())
_log = Log("segmenter.consumer")

_ERRORS = (
    Congested,
    Corrupt,
    DeadLettered,
    Gap,
    Halted,
    HandlerStands,
    HookFailed,
    Missing,
    Parked,
    Truncation,
    ReadOverdue,
)
_WARNINGS = (HandlerTimedOut, Lost, Stalled)
_NEWS = (Departed,)


def logged(slot: GroupSlot) -> Callable[[Observation], None]:
    """Return an observer that logs what happens to a consumer of this group.

    Lost messages, corrupt entries, messages that are set aside, handlers that do not end, and partitions that are full
    of letters are errors; lost partitions, standstills and slow handlers are warnings; departures are information; the
    rest is for debugging. Each record carries ``stream``, ``group`` and the observation's fields as ``extra``.
    """

    def observe(observation: Observation) -> None:
        level = logging.DEBUG
        if isinstance(observation, _ERRORS):
            level = logging.ERROR
        elif isinstance(observation, _WARNINGS):
            level = logging.WARNING
        elif isinstance(observation, _NEWS):
            level = logging.INFO
        extra = {"stream": slot.stream, "group": slot.group, **asdict(observation)}
        _log.log(
            level,
            "%s of %s/%s: %s",
            type(observation).__name__,
            slot.stream,
            slot.group,
            _told(observation),
            extra=extra,
        )

    return observe


def _told(observation: Observation) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in asdict(observation, recurse=False).items())
