"""What came of a run, as data: what the server wrote down, what processes wrote down, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import redis
from attrs import field, frozen

from segmenter.core.command import PartitionSlot
from tests.audit.records import Appended, Record, records
from tests.audit.replay import Asked, asked
from tests.audit.scripts import written
from tests.chaos.crew import Ending
from tests.chaos.notes import Beaten, Became, Done, Refused, Sent, Started, Tried, read_notes

__all__ = ["Account", "Entry", "Handling", "gathered"]

R = TypeVar("R", bound=Record)


@frozen
class Handling:
    """A handler's work on a message; ``done_ns`` is missing if it never came to its end."""

    worker: str
    key: str
    number: int
    partition: int
    epoch: int
    id: str
    started_ns: int
    done_ns: int | None
    refused: bool  # it was told that its message had been taken back


@frozen
class Entry:
    """A message in a log."""

    id: str
    key: str
    number: int


@frozen
class Account:
    """All there is to judge by."""

    tried: frozenset[tuple[str, int]] = frozenset()  # key, number
    sent: tuple[Sent, ...] = ()
    handled: tuple[Handling, ...] = ()  # in the order in which they started
    audit: Mapping[int, Sequence[Record]] = field(factory=dict[int, Sequence[Record]])  # by partition
    standing: Mapping[int, Sequence[Entry]] = field(factory=dict[int, Sequence[Entry]])  # in the logs, in the end
    members: Mapping[str, Sequence[str]] = field(factory=dict[str, Sequence[str]])  # names of each worker in the group
    asked: Sequence[Asked] = ()  # the same as commands, and all others
    beats: tuple[Beaten, ...] = ()  # that were answered
    endings: tuple[Ending, ...] = ()
    owned_s: float | None = None  # from the end of the faults until every partition had an owner that lives
    drained_s: float | None = None  # and until everything was settled and stored

    def of(self, kind: type[R]) -> Iterator[tuple[int, R]]:
        """The records of a kind, each with its partition."""
        for partition, of_partition in self.audit.items():
            yield from ((partition, record) for record in of_partition if isinstance(record, kind))

    def appended(self) -> dict[int, list[Entry]]:
        """Every message that was ever appended, by partition; its place in the list is its ordinal."""
        logs: dict[int, list[Entry]] = {partition: [] for partition in self.audit}
        for partition, batch in self.of(Appended):
            logs[partition] += [Entry(*message) for message in batch.messages]
        return logs


def gathered(
    folder: Path,
    client: Any,
    namespace: str,
    stream: str,
    partitions: int,
    endings: Sequence[Ending],
    owned_s: float | None,
    drained_s: float | None,
) -> Account:
    """Gather everything, when all processes have ended."""
    files = sorted(folder.glob("*.notes"))
    done = tuple(asked(written(client)))
    logs = {partition: f"{{{namespace}:{stream}:{partition}}}:log" for partition in range(partitions)}
    return Account(
        tried=frozenset((note.key, note.number) for path in files for note in read_notes(path, Tried)),
        sent=tuple(note for path in files for note in read_notes(path, Sent)),
        handled=tuple(sorted((each for path in files for each in _handlings(path)), key=lambda it: it.started_ns)),
        audit={partition: tuple(_records_of(PartitionSlot(stream, partition), done)) for partition in logs},
        asked=done,
        standing={partition: tuple(_entries(client, name)) for partition, name in logs.items()},
        members={path.stem: [note.member for note in read_notes(path, Became)] for path in files},
        beats=tuple(note for path in files for note in read_notes(path, Beaten)),
        endings=tuple(endings),
        owned_s=owned_s,
        drained_s=drained_s,
    )


def _records_of(slot: PartitionSlot, done: Iterable[Asked]) -> Iterator[Record]:
    return records(each for each in done if each.command.slot == slot)


def _handlings(path: Path) -> Iterator[Handling]:
    done = {note.delivery: note.at_ns for note in read_notes(path, Done)}
    refused = {note.delivery for note in read_notes(path, Refused)}
    for it in read_notes(path, Started):
        place = (it.key, it.number, it.partition, it.epoch, it.id)
        yield Handling(path.stem, *place, it.at_ns, done.get(it.delivery), it.delivery in refused)


def _entries(client: redis.Redis, name: str) -> Iterator[Entry]:
    found: Any = client.xrange(name)
    for entry_id, fields in found:
        yield Entry(entry_id.decode(), fields[b"k"].decode(), int(fields[b"d"]))
