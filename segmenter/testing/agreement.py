"""A backend beside the laws of the core: both are asked the same commands, and must answer and look alike.

A backend stamps ids, epochs and generations with a clock of its own, so these differ between the two. ``canonical`` is
the one place that knows: it puts in the place of each of them the order of its first appearance in its slot.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import attrs
from attrs import evolve

from segmenter.core.command import Command, Crossing, Cursor, GroupSlot, PartitionSlot, Read, Slot
from segmenter.core.creation import CreateLane, CreatePartition, DropPartition
from segmenter.core.group import GroupData, LoadGroup
from segmenter.core.layout import LoadStream
from segmenter.core.log import START, Producer
from segmenter.core.partition import Claimed, Lane, PartitionState, Probe, Probed
from segmenter.core.survey import SurveyGroup, SurveyPartition
from segmenter.port import Backend

__all__ = ["HOUR_MS", "Law", "OverPort", "Terms", "World", "canonical", "mapped"]

R = TypeVar("R")

STAMP = 10**12  # what a clock made is above it; what a test chooses is below
STAMPED_ID = re.compile(rb"\d{13,}-\d+")
STAMPED_NUMBER = re.compile(rb"\d{13,}")
HOUR_MS = 3_600_000  # what a claim says of delays is compared to the hour
LIMIT_ENTRIES = 2_000  # of one log that are compared


# --- the same words for both ----------------------------------------------------------------------------------------


class Terms:
    """The stamps that one world has used in one slot, in the order of their first appearance."""

    def __init__(self) -> None:
        self.known: list[object] = []

    def canonical(self, leaf: object) -> object:
        """The order of a stamp; anything else as it is."""
        if not is_stamp(leaf):
            return leaf
        if leaf not in self.known:
            self.known.append(leaf)
        return ("stamp", self.known.index(leaf))

    def counterpart(self, leaf: object, other: Terms) -> object:
        """The stamp of this world that stands for one of the other; one that no clock made is the same in both."""
        if not is_stamp(leaf):
            return leaf
        if leaf not in other.known:
            other.known.append(leaf)
            self.known.append(leaf)
        return self.known[other.known.index(leaf)]


def is_stamp(leaf: object) -> bool:
    """Whether a clock made it."""
    if isinstance(leaf, bytes):
        return bool(STAMPED_ID.fullmatch(leaf) or STAMPED_NUMBER.fullmatch(leaf))
    return is_position(leaf) or (isinstance(leaf, int) and leaf > STAMP)


def is_position(value: Any) -> bool:
    """Whether it is an id that a clock made, as two integers."""
    if value.__class__ is not tuple or len(value) != len(("ms", "seq")):
        return False
    return isinstance(value[0], int) and value[0] > STAMP


def mapped(value: Any, leaf: Callable[[object], object]) -> Any:
    """The same value with ``leaf`` applied to all that is not made of other things."""
    kind: Any = value.__class__
    if attrs.has(kind):
        value = timeless(value)
        return kind(**{name: mapped(getattr(value, name), leaf) for name in attrs.fields_dict(kind)})
    if kind is dict:
        return {key: mapped(value[key], leaf) for key in sorted(value)}
    if is_position(value):
        return leaf(b"%d-%d" % value)
    if kind in (list, tuple):
        return tuple(mapped(item, leaf) for item in value)
    return leaf(value)


def timeless(value: Any) -> Any:
    """Return the same value without the times by which the two worlds differ."""
    match value:
        case Producer():
            return evolve(value, seen_ms=0)
        case Lane():
            return evolve(value, delayed_at_us=min(value.delayed_at_us, 1))
        case Claimed() if value.progress.delays:  # some of each has passed, and less than an hour
            delays = [(ordinal, -(-delay_ms // HOUR_MS) * HOUR_MS) for ordinal, delay_ms in value.progress.delays]
            return evolve(value, progress=evolve(value.progress, delays=tuple(delays)))
        case _:
            return value


def canonical(value: Any, terms: Terms) -> Any:
    """A reply or a state in words that do not depend on the world."""
    if isinstance(value, PartitionState):
        value = evolve(value, history="")  # of the server, not of the slot
    return mapped(value or None, terms.canonical)


# --- the two worlds -------------------------------------------------------------------------------------------------


class World(Protocol):
    """A backend that is compared with the laws."""

    history: str

    def execute(self, command: Command[Any, R]) -> R:
        """Have it executed."""
        ...

    def seen(self, slot: Slot, law: Law) -> tuple[Any, Any]:
        """What it holds in a slot, and what the law says: seen by the same eyes."""
        ...

    def lose_history(self) -> None:
        """Have it say that it may have lost something, if that can be done."""
        ...

    def seal(self, slot: PartitionSlot) -> bool:
        """Seal a partition, which no command does yet; return whether that can be done."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Law:
    """The laws themselves."""

    def __init__(self, history: str = "") -> None:
        self.slots: dict[Slot, Any] = {}
        self.history = history
        self._ticks = itertools.count(1_700_000_000_000_000, 1_000)

    def execute(self, command: Command[Any, R]) -> R:
        """Apply the command."""
        after, reply = command.apply(self._held(command.slot), next(self._ticks))
        crossing = isinstance(command.slot, Crossing)
        slots, states = ((command.slot.here, command.slot.there), after) if crossing else ((command.slot,), (after,))
        self.slots.update(zip(slots, states or (), strict=True))
        return reply

    def _held(self, slot: Slot | Crossing) -> Any:
        if isinstance(slot, Crossing):
            return self._held(slot.here), self._held(slot.there)
        state = self.slots.get(slot)
        return evolve(state, history=self.history) if isinstance(state, PartitionState) else state

    def state(self, slot: Slot) -> Any:
        """What a slot holds; ``None`` if it is as if nothing ever had been in it."""
        state = self.slots.get(slot)
        return None if state == GroupData() else state


class OverPort:
    """Any backend, seen through nothing but its port. ``history`` only says whether it has one to lose."""

    def __init__(self, backend: Backend, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._session = runner.run(backend.session())
        self.history = self._history()

    def _history(self) -> str:
        slot = PartitionSlot("history", 0)
        self.execute(CreatePartition(slot, "born"))
        self.execute(CreateLane(slot, "g", b"earliest"))
        probed = self.execute(Probe(slot, "g"))
        self.execute(DropPartition(slot))
        return "" if isinstance(probed, Probed) and probed.intact else "known"

    def execute(self, command: Command[Any, R]) -> R:
        """Have it executed, and wait for the answer."""

        async def ask() -> R:
            return await self._session.execute(command)

        return self._runner.run(ask())

    def seen(self, slot: Slot, law: Law) -> tuple[Any, Any]:
        """Surveys, and the entries of a log."""
        looks: list[Command[Any, Any]] = [LoadStream(slot)] if not isinstance(slot, PartitionSlot | GroupSlot) else []
        if isinstance(slot, PartitionSlot):
            looks = [SurveyPartition(slot)]
        elif isinstance(slot, GroupSlot):
            looks = [LoadGroup(slot), SurveyGroup(slot)]
        mine = [self.execute(look) for look in looks]
        lawful = [law.execute(look) for look in looks]
        return (mine, self._entries(slot)), (lawful, _entries_of(law.state(slot)))

    def _entries(self, slot: Slot) -> list[Any]:
        if not isinstance(slot, PartitionSlot | GroupSlot):
            return []

        async def read() -> Any:
            return await self._session.read(Read((Cursor(slot, START),), LIMIT_ENTRIES, 0.0))

        return [(at, tuple(fields)) for at, fields in self._runner.run(read()).get(slot, ())]

    def lose_history(self) -> None:
        """It is a server that others use."""

    def seal(self, slot: PartitionSlot) -> bool:
        """It cannot be done."""
        return False

    def close(self) -> None:
        """Let go of it."""
        self._runner.run(self._session.aclose())


def _entries_of(state: Any) -> list[Any]:
    log = state.log if isinstance(state, PartitionState) else state.events if isinstance(state, GroupData) else None
    return list(log.entries) if log is not None else []
