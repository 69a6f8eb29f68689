"""What a real server was asked, replayed through the laws of the core: each answer must be the one that they give.

The laws stand in memory and know no clock. Where the server's clock shows, in an epoch or in an id, it is taken from
the answer: what the law makes of it must be that very answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from segmenter.core.aside import NO_MOVES
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.log import Record, parse_position
from segmenter.core.partition import Claim, Claimed, Commit, PartitionState, Release, Released
from segmenter.core.retention import Append, Appended, Trim
from segmenter_redis.codec import decode
from segmenter_redis.documents import progress_from

__all__ = ["Asked", "asked", "disagreements"]

SLOT = PartitionSlot("replayed", 0)


@frozen
class Asked:
    """A command, and what the server answered when it had this history."""

    command: Command[PartitionState, Any]
    reply: Any
    history: str


def asked(lines: Iterable[bytes]) -> Iterator[Asked]:
    """What stands in the audit of a partition, as commands and replies."""
    for line in lines:
        name, _, args, reply, _, history = json.loads(line)
        command = _COMMANDS[name]([word.encode() for word in args])
        yield Asked(command, decode(command, _raw(reply)), history)


def disagreements(done: Iterable[Asked]) -> Iterator[str]:
    """Each answer that is not what the law says, and what the law says."""
    state: PartitionState | None = None
    for each in done:
        met = evolve(state, history=each.history) if state is not None else None
        state, lawful = each.command.apply(met, _clock_us(each.reply))
        if lawful != each.reply:
            yield f"{each.command}\nanswers {each.reply}\nby the law {lawful}"


def _clock_us(reply: object) -> int:
    """What the server's clock said, as far as it shows."""
    match reply:
        case Claimed() | Released():
            return reply.epoch
        case Appended():
            return parse_position(reply.first)[0] * 1_000
        case _:
            return 0


def _raw(value: Any) -> Any:
    """An answer as it came from the server."""
    if isinstance(value, list):
        return [_raw(item) for item in value]
    return value.encode() if isinstance(value, str) else value


# --- from the arguments of a script to its command --------------------------------------------------------------------


def _create_partition(args: list[bytes]) -> CreatePartition:
    return CreatePartition(SLOT, args[1].decode(), int(args[2]))


def _create_lane(args: list[bytes]) -> CreateLane:
    return CreateLane(SLOT, args[0].decode(), args[1])


def _append(args: list[bytes]) -> Append:
    producer, epoch, first, capacity, layout, overflow, forget_ms, _, _, width = args[:10]
    words, step = args[10:], int(width)
    records = [Record(*words[at : at + step]) for at in range(0, len(words), step)]
    about: Any = (int(layout), overflow.decode(), int(forget_ms))
    return Append(SLOT, producer.decode(), int(epoch), int(first), records, int(capacity), *about)


def _claim(args: list[bytes]) -> Claim:
    group, member, generation, if_epoch, claim, evict, floor, window = args
    names = (group.decode(), member.decode(), int(generation), int(if_epoch), claim.decode())
    return Claim(SLOT, *names, evict.decode() or None, int(floor), int(window))


def _commit(args: list[bytes]) -> Commit:
    group, member, epoch, number = args[:4]
    return Commit(SLOT, group.decode(), member.decode(), int(epoch), int(number), progress_from(*args[4:9]))


def _release(args: list[bytes]) -> Release:
    group, member, epoch, number = args[:4]
    evict, start, window = args[9:12]
    about = (int(epoch), int(number), progress_from(*args[4:9]), evict.decode() or None, start)
    return Release(SLOT, group.decode(), member.decode(), *about, NO_MOVES, int(window))


def _trim(args: list[bytes]) -> Trim:
    return Trim(SLOT, int(args[0]))


_COMMANDS: Mapping[str, Callable[[list[bytes]], Command[PartitionState, Any]]] = {
    "append": _append,
    "claim": _claim,
    "commit": _commit,
    "create_lane": _create_lane,
    "create_partition": _create_partition,
    "release": _release,
    "trim": _trim,
}
