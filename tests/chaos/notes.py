"""What processes write down: a line for each note, in a file of their own, which survives them.

A line is handed to the kernel before what it speaks of goes on, so that a kill takes nothing back. ``at_ns`` is the
machine's monotonic clock, which all its processes share; it orders handlers, never commits.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from attrs import astuple, frozen

__all__ = ["Beaten", "Became", "Done", "Notebook", "Refused", "Sent", "Started", "Tried", "read_notes"]


@frozen
class Became:
    """The worker is a member of its group, under this name."""

    member: str


@frozen
class Beaten:
    """A beat of a member, or its joining, was sent and answered: from the sending on it has a lease."""

    sent_ns: int
    answered_ns: int
    member: str


@frozen
class Started:
    """A message was handed out, and its handler starts."""

    at_ns: int
    delivery: int
    key: str
    number: int
    partition: int
    epoch: int
    id: str


@frozen
class Done:
    """It has done its work, and is about to say so."""

    at_ns: int
    delivery: int


@frozen
class Refused:
    """It was told that its message had been taken back."""

    delivery: int


@frozen
class Tried:
    """The producer is about to send."""

    key: str
    number: int


@frozen
class Sent:
    """A send was acknowledged."""

    key: str
    number: int
    partition: int
    id: str


N = TypeVar("N")


class Notebook:
    """A file that notes are appended to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def write(self, *notes: Any) -> None:
        """Append notes in one piece."""
        lines = [json.dumps([type(note).__name__, *astuple(note)]) + "\n" for note in notes]
        os.write(self._file, "".join(lines).encode())

    @staticmethod
    def now_ns() -> int:
        """The machine's monotonic clock."""
        return time.monotonic_ns()


def read_notes(path: Path, kind: type[N]) -> Iterator[N]:
    """The notes of a kind that stand in a file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            name, *values = json.loads(line)
            if name == kind.__name__:
                yield kind(*values)
