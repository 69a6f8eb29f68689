"""The server of a simulation: the memory backend, with a clock that may jump, slots that may go back, and a memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from segmenter.core.beats import Beat
from segmenter.core.command import Command, GroupSlot, PartitionSlot, Slot
from segmenter.core.group import LoadGroup
from segmenter.core.layout import LoadStream
from segmenter.core.letters import ListLetters
from segmenter.core.partition import PartitionState, Probe
from segmenter.testing.simulation.history import Executed, RolledBack
from segmenter_memory import Store

__all__ = ["AuditedStore"]

R = TypeVar("R")

BEGINNING_US = 1_700_000_000_000_000
UNTOLD = (
    Beat,
    ListLetters,
    LoadGroup,
    LoadStream,
    Probe,
)  # too frequent to be told; what they change concerns nobody else


class AuditedStore(Store):
    """Tells of every command in the order of execution, and remembers what each slot has been."""

    def __init__(self, tell: Callable[[Any], None]) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(self._now_us)
        self.jumped_us = 0
        self.full_until = 0.0
        self._tell = tell
        self._past: dict[Slot, list[tuple[float, Any]]] = {}  # what a slot became, and when
        self._histories = 0

    def _now_us(self) -> int:
        return BEGINNING_US + self.jumped_us + int(self._loop.time() * 1e6)

    @property
    def full(self) -> bool:
        """Whether it takes in no more messages."""
        return self._loop.time() < self.full_until

    def apply(self, command: Command[Any, R]) -> R:
        """Execute a command as one step, and tell of it."""
        before = self.slots.get(command.slot)
        reply = super().apply(command)
        after = self.slots.get(command.slot)
        now = self._loop.time()
        self._past.setdefault(command.slot, []).append((now, after))
        if not isinstance(command, UNTOLD):
            self._tell(Executed(now, command, before, after, reply, self._now_us()))
        return reply

    def roll_back(self, slot: Slot, by_s: float) -> bool:
        """Make a slot what it was a while ago, if it was anything then; partitions notice by a new history."""
        until = self._loop.time() - by_s
        earlier = [(at, state) for at, state in self._past.get(slot, ()) if at <= until]
        if not earlier or not _usable(earlier[-1][1]):
            return False
        before, after = self.slots[slot], earlier[-1][1]
        self.slots[slot], self._past[slot] = after, earlier
        if isinstance(slot, PartitionSlot):
            self._histories += 1
            self.history = str(self._histories)
        self._tell(RolledBack(self._loop.time(), slot, before, after))
        return True

    def lane_owners(self, group: GroupSlot) -> list[str | None]:
        """Who owns each partition for a group."""
        return [state.lanes[group.group].owner for state in self._partitions(group)]

    def drained(self, group: GroupSlot) -> bool:
        """Whether a group has settled everything there is, and done what was asked of it, and all of that is stored."""
        lanes = [(state.lanes[group.group], state.log.added) for state in self._partitions(group)]
        return all(lane.progress.read == added and not lane.aside.requests for lane, added in lanes)

    def members(self, group: GroupSlot) -> set[str]:
        """Who is a member of a group."""
        document = self.slots[group].document
        return set(document.members) if document is not None else set()

    def _partitions(self, group: GroupSlot) -> list[PartitionState]:
        slots = sorted(slot for slot in self.slots if isinstance(slot, PartitionSlot) and slot.stream == group.stream)
        return [self.slots[slot] for slot in slots]


def _usable(state: Any) -> bool:
    """Whether the group was already made by then: making it again is the user's."""
    if isinstance(state, PartitionState):
        return bool(state.lanes)
    return state is not None and state.document is not None and state.document.state == "ready"
