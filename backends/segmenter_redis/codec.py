"""Commands as calls of scripts, and the answers of scripts as replies. Pure: nothing here waits or connects.

A script answers with a flat array whose first item is the name of a reply class: the same bytes and integers in both
versions of the protocol. Arguments stand in the order in which the script of that name takes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from attrs import evolve

from segmenter.core import beats, creation, forward, group, layout, letters, partition, retention, survey
from segmenter.core.beats import Beat
from segmenter.core.command import Command, Entry, Gone, GroupSlot, PartitionSlot, Read, ReadReply
from segmenter.core.creation import CreateLane, CreatePartition, DropLane, DropPartition
from segmenter.core.delays import delays_left
from segmenter.core.events import LIMIT_EVENTS
from segmenter.core.forward import Forward
from segmenter.core.group import Announce, DropGroup, GroupState, LoadGroup, UpdateGroup
from segmenter.core.layout import FORMAT, LoadStream, StreamConfig, UpdateStream
from segmenter.core.letters import ListLetters, Purge, Redrive, Replay
from segmenter.core.log import LIMIT_PRODUCERS, Records, format_position, parse_position
from segmenter.core.partition import Claim, Commit, Release
from segmenter.core.retention import Append, Trim
from segmenter.core.survey import SurveyGroup, SurveyPartition
from segmenter_redis.calls import ScriptCall
from segmenter_redis.documents import config_body, config_from, group_body, group_from, progress_from, progress_parts
from segmenter_redis.keys import Keys
from segmenter_redis.letters import letters_from, moves_parts, place_field, request_field, summary_from
from segmenter_redis.packing import Arguments
from segmenter_redis.scripts import script_name

__all__ = ["REPLIES", "decode", "decode_read", "encode", "encode_read"]

R = TypeVar("R")

Raw = Sequence[Any]  # bytes and integers, as a script answers


# --- commands of a partition ----------------------------------------------------------------------------------------


def _lanes_of(keys: Keys, slot: PartitionSlot) -> tuple[str, ...]:
    log, meta, _, lanes = keys.of_partition(slot)
    return log, meta, lanes


def _create_partition(command: CreatePartition, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return keys.of_partition(command.slot), (FORMAT, command.incarnation, command.layout)


def _drop_partition(command: DropPartition, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return keys.of_partition(command.slot), ()


def _create_lane(command: CreateLane, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return _lanes_of(keys, command.slot), (command.group, _start(command.start))


def _drop_lane(command: DropLane, keys: Keys) -> tuple[Sequence[str], Arguments]:
    slot, group = command.slot, command.group
    log, _, lanes, *aside = keys.of_lane(slot, group)
    return (log, lanes, *aside), (group,)


def _claim(command: Claim, keys: Keys) -> tuple[Sequence[str], Arguments]:
    it = command
    args = (it.group, it.member, it.generation, it.if_epoch, it.claim, it.evict or "", it.floor, it.window)
    return keys.of_lane(it.slot, it.group), args


def _commit(command: Commit, keys: Keys) -> tuple[Sequence[str], Arguments]:
    it = command
    args = (it.group, it.member, it.epoch, it.number, *progress_parts(it.progress))
    moves = () if it.moves.none else moves_parts(it.moves)
    return keys.of_lane(it.slot, it.group), (*args, *moves)


def _release(command: Release, keys: Keys) -> tuple[Sequence[str], Arguments]:
    it = command
    progress = progress_parts(it.progress)
    args = (it.group, it.member, it.epoch, it.number, *progress, it.evict or "", _start(it.start), it.window)
    return keys.of_lane(it.slot, it.group), (*args, *moves_parts(it.moves))


def _survey_partition(command: SurveyPartition, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return _lanes_of(keys, command.slot), ()


def _append(command: Append, keys: Keys) -> tuple[Sequence[str], Arguments, Sequence[bytes]]:
    it = command
    payload = _columns(it.records)
    return (
        keys.of_partition(it.slot),
        (
            *(it.producer, it.epoch, it.first, it.capacity, it.layout, it.overflow, it.forget_ms, LIMIT_PRODUCERS),
            *(1 if it.durability else 0, len(payload) // len(it.records)),
        ),
        payload,
    )


def _columns(records: Records) -> Sequence[bytes]:
    """Keys and data in turn, and headers if any record has them: laid out by slices, without a step for each."""
    columns = (records.keys, records.data, records.headers) if records.headers else (records.keys, records.data)
    width = len(columns)
    payload = [b""] * (width * len(records))
    for number, column in enumerate(columns):
        payload[number::width] = column
    return payload


def _forward(command: Forward, keys: Keys) -> tuple[Sequence[str], Arguments, Sequence[bytes]]:
    it, commit = command, command.commit
    payload = _columns(it.records)
    progress = (commit.group, commit.member, commit.epoch, commit.number, *progress_parts(commit.progress))
    room = (it.capacity, it.layout, it.overflow, len(payload) // len(it.records))
    here, there = it.slot.here, it.slot.there
    return (*keys.of_lane(here, commit.group), *_lanes_of(keys, there)), (*progress, *room), payload


def _trim(command: Trim, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return _lanes_of(keys, command.slot), (command.keep,)


def _list_letters(command: ListLetters, keys: Keys) -> tuple[Sequence[str], Arguments]:
    it = command
    *lane, parked, dead, _ = keys.of_lane(it.slot, it.group)
    shelf = parked if it.shelf == "parked" else dead
    after = "" if it.after is None else it.after
    return (*lane, shelf), (it.group, it.count, after, *_maybe(it.key))


def _redrive(command: Redrive, keys: Keys) -> tuple[Sequence[str], Arguments]:
    it, request = command, command.request
    *lane, parked, _, requests = keys.of_lane(it.slot, it.group)
    args = (it.group, request_field(request), request.token, *_maybe(request.key))
    return (*lane, parked, requests), args


def _replay(command: Replay, keys: Keys) -> tuple[Sequence[str], Arguments]:
    it = command
    words: list[bytes] = []
    for letter in it.letters:
        words += (place_field(letter.place), letter.entry_id, letter.key, letter.data, letter.headers)
    return _with_dead(keys, it.slot, it.group), (it.group, *words)


def _purge(command: Purge, keys: Keys) -> tuple[Sequence[str], Arguments]:
    it = command
    words = [word for letter in it.letters or () for word in (place_field(letter.place), letter.entry_id)]
    return _with_dead(keys, it.slot, it.group), (it.group, int(it.letters is None), *words)


def _with_dead(keys: Keys, slot: PartitionSlot, group: str) -> tuple[str, ...]:
    *lane, _, dead, _ = keys.of_lane(slot, group)
    return (*lane, dead)


def _maybe(key: bytes | None) -> tuple[int, bytes]:
    return (0, b"") if key is None else (1, key)


def _start(start: bytes) -> bytes:
    """Write an id in full: in a range of Redis, a millisecond alone would stand for its last entry."""
    return format_position(parse_position(start)) if start[:1].isdigit() else start


# --- commands of a stream and of a group ----------------------------------------------------------------------------


def _load_stream(command: LoadStream, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return (keys.config(command.slot),), ()


def _update_stream(command: UpdateStream, keys: Keys) -> tuple[Sequence[str], Arguments]:
    config = command.config
    written = (config.version, config_body(config)) if config else ("", "")
    return (keys.config(command.slot),), (command.expect or "", *written)


def _load_group(command: LoadGroup, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return (keys.document(command.slot), keys.events(command.slot)), ()


def _update_group(command: UpdateGroup, keys: Keys) -> tuple[Sequence[str], Arguments]:
    slot, document = command.slot, command.document
    lists: tuple[Sequence[str | bytes], ...] = (command.silent, sorted(document.members), command.event.fields(0))
    return (keys.document(slot), keys.beats(slot), keys.events(slot)), (
        command.expect or "",
        document.version,
        document.generation,
        group_body(document),
        LIMIT_EVENTS,
        command.silent_below,
        *(argument for items in lists for argument in (len(items), *items)),
    )


def _drop_group(command: DropGroup, keys: Keys) -> tuple[Sequence[str], Arguments]:
    slot = command.slot
    return (keys.document(slot), keys.beats(slot), keys.events(slot)), ()


def _survey_group(command: SurveyGroup, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return (keys.document(command.slot), keys.beats(command.slot)), ()


def _announce(command: Announce, keys: Keys) -> tuple[Sequence[str], Arguments]:
    return (keys.events(command.slot),), (LIMIT_EVENTS, *command.event.fields())


def _beat(command: Beat, keys: Keys) -> tuple[Sequence[str], Arguments]:
    slot = command.slot
    return (keys.document(slot), keys.beats(slot)), (command.member, command.known, command.silent_below)


_ENCODERS: Mapping[type, Callable[[Any, Keys], tuple[Any, ...]]] = {
    Announce: _announce,
    Append: _append,
    Beat: _beat,
    Claim: _claim,
    Commit: _commit,
    CreateLane: _create_lane,
    CreatePartition: _create_partition,
    DropGroup: _drop_group,
    DropLane: _drop_lane,
    DropPartition: _drop_partition,
    Forward: _forward,
    ListLetters: _list_letters,
    LoadGroup: _load_group,
    LoadStream: _load_stream,
    Purge: _purge,
    Redrive: _redrive,
    Release: _release,
    Replay: _replay,
    SurveyGroup: _survey_group,
    SurveyPartition: _survey_partition,
    Trim: _trim,
    UpdateGroup: _update_group,
    UpdateStream: _update_stream,
}
_SCRIPT_NAMES: Mapping[type, str] = {command: script_name(command) for command in _ENCODERS}


def encode(command: Command[Any, Any], keys: Keys) -> ScriptCall:
    """Return the call that carries a command out; a probe is none (``probe_queries``)."""
    kind = type(command)
    return ScriptCall(_SCRIPT_NAMES[kind], *_ENCODERS[kind](command, keys))


# --- replies --------------------------------------------------------------------------------------------------------


def _hold(raw: Raw) -> tuple[str | None, int]:
    """Owner and epoch; nobody is an empty name."""
    return raw[0].decode() or None, int(raw[1])


def _names(raw: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(sorted([name.decode() for name in raw]))


LANE_WIDTH = 12  # items of each lane in a survey


def _lane_views(raw: Raw) -> tuple[survey.LaneView, ...]:
    items = [raw[at : at + LANE_WIDTH] for at in range(0, len(raw), LANE_WIDTH)]
    views = [_lane_view(*it) for it in items]
    return tuple(sorted(views, key=lambda view: view.group))


def _lane_view(group: bytes, owner: bytes, epoch: bytes, *rest: Any) -> survey.LaneView:
    progress, oldest, parked, dead = progress_from(*rest[:6]), *rest[6:]
    return survey.LaneView(group.decode(), *_hold((owner, epoch)), progress, oldest, int(parked), int(dead))


def _progress_left(raw: Raw) -> partition.Progress:
    """Progress, and how many milliseconds ago its delays were stored."""
    progress = progress_from(*raw[:6])
    return evolve(progress, delays=delays_left(progress.delays, int(raw[6])))


def _scores(raw: Raw) -> dict[str, int]:
    return {member.decode(): int(score) for member, score in zip(raw[::2], raw[1::2], strict=True)}


def _config(raw: Raw) -> StreamConfig | None:
    return config_from(raw[0], raw[1]) if raw else None


def _document(raw: Raw) -> GroupState | None:
    return group_from(raw[0], raw[1], raw[2]) if raw and raw[0] else None


REPLIES: Mapping[bytes, Callable[[Raw], object]] = {
    b"Gone": lambda raw: Gone(),
    # creation and removal
    b"Created": lambda raw: creation.Created(),
    b"Exists": lambda raw: creation.Exists(raw[0].decode()),
    b"Dropped": lambda raw: creation.Dropped(),
    # ownership
    b"Claimed": lambda raw: partition.Claimed(
        *(int(raw[0]), _progress_left(raw[1:8]), raw[8], int(raw[9]), int(raw[10]), raw[11].decode()),
        *(int(raw[12]), int(raw[13]), summary_from(raw[14], raw[15:])),
    ),
    b"Held": lambda raw: partition.Held(raw[0].decode(), int(raw[1])),
    b"Changed": lambda raw: partition.Changed(*_hold(raw)),
    b"Behind": lambda raw: partition.Behind(int(raw[0])),
    b"Released": lambda raw: partition.Released(int(raw[0])),
    # progress
    b"Committed": lambda raw: partition.Committed(),
    b"Fenced": lambda raw: partition.Fenced(*_hold(raw)),
    b"RolledBack": lambda raw: partition.RolledBack(),
    b"Truncated": lambda raw: partition.Truncated(raw[0]),
    # what is set aside
    b"Letters": lambda raw: letters.Letters(letters_from(raw[1:]), int(raw[0])),
    b"Requested": lambda raw: letters.Requested(int(raw[0])),
    b"Replayed": lambda raw: letters.Replayed(int(raw[0])),
    b"Purged": lambda raw: letters.Purged(int(raw[0])),
    b"PartitionSurveyed": lambda raw: survey.PartitionSurveyed(
        raw[0], int(raw[1]), int(raw[2]), int(raw[3]), _lane_views(raw[4:])
    ),
    # appending and trimming
    b"Appended": lambda raw: retention.Appended(raw[0], raw[1]),
    b"Duplicate": lambda raw: retention.Duplicate(raw[0], raw[1]),
    b"Moved": lambda raw: retention.Moved(int(raw[0])),
    b"Sealed": lambda raw: retention.Sealed(int(raw[0])),
    b"Superseded": lambda raw: retention.Superseded(int(raw[0])),
    b"UnknownProducer": lambda raw: retention.UnknownProducer(),
    b"OutOfSequence": lambda raw: retention.OutOfSequence(int(raw[0])),
    b"Full": lambda raw: retention.Full(min(_names(raw[1:]), default=None), int(raw[0])),
    b"Forwarded": lambda raw: forward.Forwarded(),
    b"Trimmed": lambda raw: retention.Trimmed(int(raw[0])),
    # streams
    b"Loaded": lambda raw: layout.Loaded(_config(raw)),
    b"StreamUpdated": lambda raw: layout.StreamUpdated(),
    b"StreamConflict": lambda raw: layout.StreamConflict(_config(raw)),
    # groups
    b"GroupLoaded": lambda raw: group.GroupLoaded(_document(raw[2:]), parse_position(raw[0]), int(raw[1])),
    b"GroupUpdated": lambda raw: group.GroupUpdated(int(raw[0])),
    b"GroupConflict": lambda raw: group.GroupConflict(_document(raw)),
    b"StillAlive": lambda raw: group.StillAlive(raw[0].decode()),
    b"Announced": lambda raw: group.Announced(),
    b"GroupSurveyed": lambda raw: survey.GroupSurveyed(group_from(*raw[:3]), int(raw[3]), _scores(raw[4:])),
    b"Beaten": lambda raw: beats.Beaten(int(raw[0]), _document(raw[1:4]), _names(raw[4:])),
    b"NotMember": lambda raw: beats.NotMember(group_from(raw[0], raw[1], raw[2])),
}


def decode(command: Command[Any, R], raw: Raw) -> R:
    """Return the reply to a command that a script has answered."""
    return cast("R", REPLIES[raw[0]](raw[1:]))


# --- reads ----------------------------------------------------------------------------------------------------------


def encode_read(read: Read, keys: Keys) -> Arguments:
    """Return the words of a read; at least a millisecond of waiting, since none would wait for ever."""
    wait = ("BLOCK", max(1, math.ceil(read.wait_s * 1000))) if read.wait_s > 0 else ()
    logs = [keys.readable(cursor.log) for cursor in read.cursors]
    return "XREAD", "COUNT", read.count, *wait, "STREAMS", *logs, *(cursor.after for cursor in read.cursors)


def decode_read(read: Read, keys: Keys, raw: Any) -> ReadReply:
    """Return what a read found: a list of pairs in version 2 of the protocol, a map in version 3, or nothing.

    The entries stay the lists that they were parsed into: another object for each would cost a tenth of a microsecond,
    and the garbage collector would look at it.
    """
    slots: dict[str, PartitionSlot | GroupSlot] = {keys.readable(cursor.log): cursor.log for cursor in read.cursors}
    pairs: Iterable[tuple[bytes, Sequence[Entry]]] = raw.items() if hasattr(raw, "items") else raw or ()
    return {slots[key.decode()]: entries for key, entries in pairs}
