"""What a real server was asked, replayed through the laws of the core: each answer must be the one that they give.

The laws stand in memory and know no clock. Where the server's clock shows, in an epoch or in an id, it is taken from
what the server said; it must lie between what the clock said after the command before and after this one, and what the
law makes of it must be that very answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import define, evolve, field, frozen

from segmenter.core.command import Command, Crossing
from segmenter.core.delays import delays_left
from segmenter.core.group import GroupData, GroupUpdated
from segmenter.core.log import Log, Position, format_position, parse_position
from segmenter.core.partition import Claimed, Committed, PartitionState, Released
from segmenter.core.survey import PartitionSurveyed
from segmenter_redis.codec import decode
from tests.audit.commands import command_of, namespace_of

__all__ = ["Asked", "Ends", "asked", "disagreements"]

SLACK_MS = 100  # that may pass within a script, on a busy machine


@frozen
class Ends:
    """Both ends of a log, or of a group's events."""

    added: int = 0
    length: int = 0
    last: Position = (0, 0)

    @classmethod
    def of(cls, log: Log) -> Ends:
        """Return the ends of a log as the law has it."""
        return cls(log.added, len(log.entries), log.last)


@frozen
class Asked:
    """A command, and what the server answered; what its clock and its log said when that was done."""

    command: Command[Any, Any]
    reply: Any
    at_us: int
    history: str = ""
    ends: Ends | None = None  # of the log that it is about, if it is about one
    namespace: str = ""


def asked(lines: Iterable[bytes]) -> Iterator[Asked]:
    """What stands in an audit, as commands and replies."""
    for line in lines:
        # A script passes bytes through as they are, so that each stands for a character of Latin-1.
        script, (seconds, micros), history, *words, ends = json.loads(line.decode("latin-1"))
        keys, args, reply = map(_raw, words)
        command = command_of(script, keys, args)
        about_a_log = any(key.endswith((b":log", b":events")) for key in keys)
        yield Asked(
            command,
            decode(command, reply),
            int(seconds) * 1_000_000 + int(micros),
            history,
            Ends(ends[0], ends[1], parse_position(ends[2].encode())) if about_a_log else None,
            namespace_of(keys[0]),
        )


def _raw(value: Any) -> Any:
    """What came from a server, as it came; nothing at all is written down like an object without fields."""
    if isinstance(value, list | dict):
        return [_raw(item) for item in value]
    return value.encode("latin-1") if isinstance(value, str) else value


def disagreements(done: Iterable[Asked]) -> Iterator[str]:
    """Each answer, and each log, that is not what the law says, and what the law says."""
    laws = Laws()
    for each in done:
        lawful, ends = laws.apply(each)
        if lawful != each.reply:
            yield f"{each.command}\nanswers {each.reply}\nby the law {lawful}"
        elif ends != each.ends:
            yield f"{each.command}\nanswers {each.reply}\nand leaves {each.ends}\nby the law {ends}"


@define
class Laws:
    """All that the laws make of what has been asked so far, in all slots of a server."""

    _slots: dict[Any, Any] = field(factory=dict[Any, Any])
    _clock_us: int = 0

    def apply(self, each: Asked) -> tuple[Any, Ends | None]:
        """Do the same; return the lawful answer, and the ends of the log."""
        slot = each.command.slot
        slots = (slot.here, slot.there) if isinstance(slot, Crossing) else (slot,)
        names = [(each.namespace, name) for name in slots]
        met = [self._met(name, each.history) for name in names]
        now_us = self._now_us(each)
        state, reply = each.command.apply(tuple(met) if isinstance(slot, Crossing) else met[0], now_us)
        after: list[Any] = list(state or (None, None)) if isinstance(slot, Crossing) else [state]
        if isinstance(reply, GroupUpdated):
            after = [_stamped(after[0], each)]
        self._slots.update(zip(names, after, strict=True))
        self._clock_us = each.at_us
        return _as_delayed(reply, each, now_us), None if each.ends is None else Ends.of(_log(after[-1]))

    def _met(self, name: Any, history: str) -> Any:
        state = self._slots.get(name)
        return evolve(state, history=history) if isinstance(state, PartitionState) else state

    def _now_us(self, each: Asked) -> int:
        """What the clock said, as far as it shows; at any rate not before it did so last, nor after it did so next."""
        earliest_us = self._clock_us if self._clock_us <= each.at_us else 0  # it may have been put back
        return min(max(_told_us(each), earliest_us), each.at_us)


def _told_us(each: Asked) -> int:
    match each.reply:
        case Claimed() | Released():
            return each.reply.epoch
        case GroupUpdated():
            return each.reply.generation
        case PartitionSurveyed():
            return each.reply.now_us
        case Committed():
            return each.at_us  # the time of the delays that it stores, if it stores any
        case _:
            return each.ends.last[0] * 1_000 if each.ends else 0


def _as_delayed(lawful: Any, each: Asked, now_us: int) -> Any:
    """A script looks at the clock once more for delays; a claim may say anything of them that lies in between."""
    if not (isinstance(lawful, Claimed) and isinstance(each.reply, Claimed)):
        return lawful
    most, told = dict(lawful.progress.delays), dict(each.reply.progress.delays)
    least = dict(delays_left(lawful.progress.delays, (each.at_us - now_us) // 1_000 + SLACK_MS))
    fits = all(least.get(at, 0) <= told.get(at, 0) <= most.get(at, 0) + SLACK_MS for at in {*most, *told})
    return evolve(lawful, progress=evolve(lawful.progress, delays=each.reply.progress.delays)) if fits else lawful


def _stamped(group: GroupData, each: Asked) -> GroupData:
    """The event has a stamp of its own: a server of 7.0 looks at its clock once more for it, after the generation."""
    if each.ends is None or not group.events.last[0] < each.ends.last[0] <= each.at_us // 1_000:
        return group
    *before, (_, fields) = group.events.entries
    last = (each.ends.last[0], 0)
    return evolve(group, events=evolve(group.events, entries=(*before, (format_position(last), fields)), last=last))


def _log(state: Any) -> Log:
    return state.log if isinstance(state, PartitionState) else state.events if isinstance(state, GroupData) else Log()
