"""What an audit says of a partition, in the words of whoever judges a run by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from segmenter.core import partition, retention
from segmenter.core.log import Position, format_position, parse_position
from segmenter.core.log import Record as Message
from segmenter.core.partition import Claim, Commit, Progress, Release
from segmenter.core.retention import Append
from segmenter_redis.scripts import script_name
from tests.audit.replay import Asked

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


def records(done: Iterable[Asked]) -> Iterator[Record]:
    """What became of the commands of a partition, in the order in which the server did them."""
    for each in done:
        dropped = each.ends.added - each.ends.length if each.ends else 0
        yield _record(each, each.at_us, dropped)


def _record(each: Asked, at_us: int, dropped: int) -> Record:
    match each.command, each.reply:
        case Append() as it, retention.Appended() as reply:
            return Appended(at_us, tuple(_messages(parse_position(reply.first), it.records)), dropped)
        case Claim() as it, partition.Claimed() as reply:
            return Claimed(at_us, it.member, reply.epoch, reply.progress, dropped)
        case Commit() as it, partition.Committed():
            return Committed(at_us, it.member, it.epoch, it.number, it.progress, dropped)
        case Release() as it, partition.Released():
            return Released(at_us, it.member, it.epoch, it.number, it.progress, it.evict or "", dropped)
        case _:
            return Other(at_us, script_name(type(each.command)), type(each.reply).__name__, dropped)


def _messages(first: Position, batch: Iterable[Message]) -> Iterator[tuple[str, str, int]]:
    """The messages of a batch: they stand in one millisecond, one after the other."""
    ms, sequence = first
    for index, message in enumerate(batch):
        yield format_position((ms, sequence + index)).decode(), message.key.decode(), int(message.data)
