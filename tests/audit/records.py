"""What the audit of a partition says, in the words of whoever judges a run by it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve, frozen

from segmenter.core.partition import Progress

__all__ = ["Appended", "Claimed", "Committed", "Other", "Record", "Released", "records"]


@frozen
class Appended:
    """A batch was appended: the id, key and number of each message."""

    at_us: int
    messages: tuple[tuple[str, str, int], ...]
    dropped: int = 0


@frozen
class Claimed:
    """A member became the owner, or was told so once more; ``stored`` is what it was told to begin with."""

    at_us: int
    member: str
    epoch: int
    stored: Progress
    dropped: int = 0


@frozen
class Committed:
    """A member stored progress; ``repeated`` ones change nothing, by their number."""

    at_us: int
    member: str
    epoch: int
    number: int
    progress: Progress
    dropped: int = 0


@frozen
class Released:
    """A partition was given up, or taken from an owner who is gone: ``member`` asked for it, under this epoch."""

    at_us: int
    member: str
    epoch: int
    number: int
    progress: Progress
    evicted: str
    dropped: int = 0


@frozen
class Other:
    """Any other answer, such as ``Fenced``, to a command."""

    at_us: int
    command: str
    answer: str
    dropped: int = 0


Record = Appended | Claimed | Committed | Released | Other


def records(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of a partition, in the order in which the server did them."""
    for line in lines:
        command, at, args, reply, dropped, _ = json.loads(line)
        seconds, micros = at.split(".")
        yield evolve(_record(command, int(seconds) * 1_000_000 + int(micros), args, reply), dropped=dropped)


def _record(command: str, at_us: int, args: list[str], reply: list[Any]) -> Record:
    match command, reply[0]:
        case "append", "Appended":
            return Appended(at_us, tuple(_messages(reply[1], args[10:], int(args[9]))))
        case "claim", "Claimed":
            return Claimed(at_us, args[1], int(reply[1]), _progress(reply[2:5]))
        case "commit", "Committed":
            return Committed(at_us, args[1], int(args[2]), int(args[3]), _progress(args[4:9]))
        case "release", "Released":
            return Released(at_us, args[1], int(args[2]), int(args[3]), _progress(args[4:9]), args[9])
        case _:
            return Other(at_us, command, reply[0])


def _messages(first_id: str, words: list[str], width: int) -> Iterator[tuple[str, str, int]]:
    """The messages of a batch: they stand in one millisecond, one after the other."""
    ms, sequence = first_id.split("-")
    for index in range(0, len(words), width):
        yield f"{ms}-{int(sequence) + index // width}", words[index], int(words[index + 1])


def _progress(words: list[str]) -> Progress:
    ranges = tuple(
        (int(low), int(high)) for low, _, high in (pair.partition("-") for pair in words[2].split(",") if pair)
    )
    return Progress(words[0].encode(), int(words[1]), ranges)
