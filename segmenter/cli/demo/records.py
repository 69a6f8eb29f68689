"""What workers report: one JSON line each, so that it reads the same from a task and from another process.

``at`` is the machine's monotonic clock in seconds, which all its processes share.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from attrs import asdict, frozen

__all__ = ["Handled", "Noted", "Report", "decoded", "encoded"]


@frozen
class Handled:
    """A worker handled a flight."""

    worker: str
    aircraft: str
    number: int
    partition: int
    epoch: int
    attempt: int
    at: float


@frozen
class Noted:
    """Something happened to a worker: admitted, granted, handed_back, lost, departed, killed."""

    worker: str
    what: str
    partition: int | None
    epoch: int | None
    at: float


Report = Callable[[Handled | Noted], None]


def encoded(record: Handled | Noted) -> str:
    """A record as a line of text."""
    return json.dumps({"is": type(record).__name__, **asdict(record)})


def decoded(line: str | bytes) -> Handled | Noted:
    """A record from a line of text."""
    fields = json.loads(line)
    return Handled(**fields) if fields.pop("is") == "Handled" else Noted(**fields)
