"""From what a script was given back to its command: the inverse of ``segmenter_redis/codec.py``, as far as it goes.

What no law asks for is not sent, and so not found again: what an append waits for, and of letters that are replayed
anything but place, key and what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from segmenter.config import Durability
from segmenter.core.aside import Letter, Moves, Place, Request
from segmenter.core.beats import Beat
from segmenter.core.command import Command, Crossing, GroupSlot, PartitionSlot, StreamSlot
from segmenter.core.creation import CreateLane, CreatePartition, DropLane, DropPartition
from segmenter.core.events import Changed, announcement_of
from segmenter.core.forward import Forward
from segmenter.core.group import Announce, DropGroup, LoadGroup, UpdateGroup
from segmenter.core.layout import LoadStream, UpdateStream
from segmenter.core.letters import ListLetters, Purge, Redrive, Replay
from segmenter.core.log import Record, Records, in_columns
from segmenter.core.partition import Claim, Commit, Progress, Release
from segmenter.core.retention import Append, Trim
from segmenter.core.survey import SurveyGroup, SurveyPartition
from segmenter_redis.documents import config_from, group_from, progress_from
from segmenter_redis.letters import letters_from, requests_from
from segmenter_redis.scripts import script_name

__all__ = ["command_of", "namespace_of"]

Words = Sequence[bytes]
Slot = Any  # of the kind that the command is about
Decoder = Callable[[Slot, Words], Command[Any, Any]]

_KEY = re.compile(r"\{(?P<namespace>[^:}]+):(?P<stream>[^:}]+)(?::(?P<partition>\d+))?\}:(?:group:(?P<group>[^:]+):)?")
_THERE = 6  # where the keys of the other partition begin, if there is one
_PROGRESS = slice(4, 10)  # of a commit, behind group, member, epoch and number


def command_of(script: str, keys: Words, args: Words) -> Command[Any, Any]:
    """Return the command that a script was called for."""
    if script == "list_letters":  # which shelf is said by a key alone
        return _list_letters(_slot(keys[0]), args, keys[3])
    if script == "forward":
        return _forward(Crossing(_slot(keys[0]), _slot(keys[_THERE])), args)
    return _DECODERS[script](_slot(keys[0]), args)


def namespace_of(key: bytes) -> str:
    """Return the namespace of a key."""
    name: str = _parts(key)["namespace"]
    return name


def _parts(key: bytes) -> Mapping[str, Any]:
    found = _KEY.match(key.decode())
    assert found is not None, key
    return found.groupdict()


def _slot(key: bytes) -> Slot:
    it = _parts(key)
    if it["partition"] is not None:
        return PartitionSlot(it["stream"], int(it["partition"]))
    return GroupSlot(it["stream"], it["group"]) if it["group"] else StreamSlot(it["stream"])


# --- commands of a partition ------------------------------------------------------------------------------------------


def _create_partition(slot: Slot, args: Words) -> CreatePartition:
    return CreatePartition(slot, args[1].decode(), int(args[2]))


def _create_lane(slot: Slot, args: Words) -> CreateLane:
    return CreateLane(slot, args[0].decode(), args[1])


def _drop_lane(slot: Slot, args: Words) -> DropLane:
    return DropLane(slot, args[0].decode())


def _claim(slot: Slot, args: Words) -> Claim:
    group, member, generation, if_epoch, claim, evict, floor, window = args
    names = (group.decode(), member.decode(), int(generation), int(if_epoch), claim.decode())
    return Claim(slot, *names, evict.decode() or None, int(floor), int(window))


def _commit(slot: Slot, args: Words) -> Commit:
    return Commit(slot, *_lane(args), _moves(args[10:]))


def _release(slot: Slot, args: Words) -> Release:
    evict, start, window = args[10:13]
    return Release(slot, *_lane(args), evict.decode() or None, start, _moves(args[13:]), int(window))


def _lane(args: Words) -> tuple[str, str, int, int, Progress]:
    group, member, epoch, number = args[:4]
    return group.decode(), member.decode(), int(epoch), int(number), progress_from(*args[_PROGRESS])


def _moves(args: Words) -> Moves:
    words = iter(args)
    unpark = tuple(_place(next(words)) for _ in range(int(next(words, 0))))
    park, bury = (tuple(letters_from(pair)[0] for pair in _pairs(words)) for _ in range(2))
    return Moves(park, bury, unpark, tuple(requests_from(pair)[0] for pair in _pairs(words)))


def _pairs(words: Iterator[bytes]) -> list[Words]:
    """Read one by one, since together they would come in an order of their own."""
    return [(next(words), next(words)) for _ in range(int(next(words, 0)))]


def _place(field: bytes) -> Place:
    ordinal, _, key = field.partition(b":")
    return int(ordinal), key


def _append(slot: Slot, args: Words) -> Append:
    producer, epoch, first, capacity, layout, overflow, forget_ms, _, durable, width = args[:10]
    durability = Durability() if durable == b"1" else None
    about: Any = (int(capacity), int(layout), overflow.decode(), int(forget_ms), durability)
    return Append(slot, producer.decode(), int(epoch), int(first), _records(args[10:], int(width)), *about)


def _records(words: Words, width: int) -> Records:
    return in_columns(Record(*words[at : at + width]) for at in range(0, len(words), width))


def _forward(crossing: Crossing, args: Words) -> Forward:
    capacity, layout, overflow, width = args[10:14]
    about: Any = (int(capacity), int(layout), overflow.decode())
    return Forward(crossing, Commit(crossing.here, *_lane(args)), _records(args[14:], int(width)), *about)


def _trim(slot: Slot, args: Words) -> Trim:
    return Trim(slot, int(args[0]))


def _list_letters(slot: Slot, args: Words, shelf: bytes) -> ListLetters:
    group, count, after, *key = args
    on = "parked" if shelf.endswith(b":parked") else "dead"
    return ListLetters(slot, group.decode(), cast("Any", on), int(count), int(after) if after else None, _maybe(*key))


def _redrive(slot: Slot, args: Words) -> Redrive:
    group, field, token, *key = args
    what: Any = field.partition(b":")[0].decode()
    return Redrive(slot, group.decode(), Request(what, _maybe(*key), token.decode()))


def _maybe(there: bytes, key: bytes) -> bytes | None:
    return key if there == b"1" else None


def _replay(slot: Slot, args: Words) -> Replay:
    letters = [_letter(*args[at : at + 5]) for at in range(1, len(args), 5)]
    return Replay(slot, args[0].decode(), tuple(letters))


def _letter(field: bytes, entry_id: bytes, key: bytes, data: bytes, headers: bytes) -> Letter:
    return Letter(_place(field)[0], entry_id, key, data, headers)


def _purge(slot: Slot, args: Words) -> Purge:
    group, everything, *words = args
    pairs = zip(words[::2], words[1::2], strict=True)
    letters = [_letter(field, entry_id, _place(field)[1], b"", b"") for field, entry_id in pairs]
    return Purge(slot, group.decode(), None if everything == b"1" else tuple(letters))


# --- commands of a stream and of a group ------------------------------------------------------------------------------


def _update_stream(slot: Slot, args: Words) -> UpdateStream:
    expect, version, body = args
    return UpdateStream(slot, expect.decode() or None, config_from(version, body) if version else None)


def _update_group(slot: Slot, args: Words) -> UpdateGroup:
    expect, version, generation, body, _, silent_below, *rest = args
    words = iter(rest)
    silent, _, event = [_counted(words) for _ in range(3)]  # the members stand in the document, too
    changed = cast("Changed", announcement_of((b"", event)))
    document = group_from(version, generation, body)
    names = tuple(member.decode() for member in silent)
    return UpdateGroup(slot, expect.decode() or None, document, changed, names, int(silent_below))


def _counted(words: Iterator[bytes]) -> Words:
    return [next(words) for _ in range(int(next(words)))]


def _announce(slot: Slot, args: Words) -> Announce:
    return Announce(slot, cast("Any", announcement_of((b"", args[1:]))))


def _beat(slot: Slot, args: Words) -> Beat:
    member, known, silent_below = args
    return Beat(slot, member.decode(), known.decode(), int(silent_below))


def _bare(kind: Callable[[Slot], Command[Any, Any]]) -> Decoder:
    """Of a command that is about a slot and nothing else."""
    return lambda slot, _: kind(slot)


_DECODERS: Mapping[str, Decoder] = {
    script_name(kind): decoder
    for kind, decoder in (
        (Announce, _announce),
        (Append, _append),
        (Beat, _beat),
        (Claim, _claim),
        (Commit, _commit),
        (CreateLane, _create_lane),
        (CreatePartition, _create_partition),
        (DropGroup, _bare(DropGroup)),
        (DropLane, _drop_lane),
        (DropPartition, _bare(DropPartition)),
        (LoadGroup, _bare(LoadGroup)),
        (LoadStream, _bare(LoadStream)),
        (Purge, _purge),
        (Redrive, _redrive),
        (Release, _release),
        (Replay, _replay),
        (SurveyGroup, _bare(SurveyGroup)),
        (SurveyPartition, _bare(SurveyPartition)),
        (Trim, _trim),
        (UpdateGroup, _update_group),
        (UpdateStream, _update_stream),
    )
}
