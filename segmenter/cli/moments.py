"""Times as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from segmenter.config import Start, start_of
from segmenter.errors import InvalidArgument

__all__ = ["START_HELP", "age", "clock", "start_from"]

START_HELP = "earliest, latest, a message's ID (what comes after it), an age such as 10m, or an ISO time."
AGE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
UNITS = (  # below so many seconds, in a unit of so many, with so many digits behind the point
    (0.9995, "ms", 0.001, 0),
    (9.95, "s", 1, 1),
    (120, "s", 1, 0),
    (7_200, "min", 60, 0),
    (172_800, "h", 3_600, 0),
    (float("inf"), "d", 86_400, 0),
)
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def start_from(text: str) -> Start:
    """Return the place that a text names.

    Raises:
        InvalidArgument: it names none.
    """
    found = AGE.fullmatch(text)
    if found:
        return datetime.now(UTC) - timedelta(seconds=float(found[1]) * SECONDS[found[2]])
    try:
        start_of(text)
    except InvalidArgument:
        return _moment(text)
    return text


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()  # without a zone it is the local time
    except ValueError:
        raise InvalidArgument(f"{text!r} is no place in a stream: use {START_HELP[:-1]}") from None


def age(seconds: float) -> str:
    """Return a duration in one unit, as short as can be."""
    for limit_s, unit, unit_s, places in UNITS:
        if seconds < limit_s:
            return f"{seconds / unit_s:.{places}f} {unit}"
    raise AssertionError("the last unit has no limit")


def clock(moment: datetime) -> str:
    """Return a time in the local zone, to the millisecond."""
    return moment.astimezone().isoformat(sep=" ", timespec="milliseconds")[:23]
