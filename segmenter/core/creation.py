"""Bringing partitions and lanes into being, and removing them. Each of these steps is harmless to repeat."""

from __future__ import annotations

from attrs import evolve, frozen

from segmenter.core.command import Command, Gone, PartitionSlot
from segmenter.core.partition import Lane, PartitionState, start_of

__all__ = ["CreateLane", "CreatePartition", "Created", "DropLane", "DropPartition", "Dropped", "Exists"]


@frozen
class Created:
    """It was not there before; now it is."""


@frozen
class Exists:
    """It was there already and is left as it was; of a partition, with the token of its creation, or "" if unknown."""

    incarnation: str = ""


@frozen
class Dropped:
    """It is gone, or was."""


@frozen
class CreatePartition(Command[PartitionState, Created | Exists]):
    """Bring an empty partition into being."""

    slot: PartitionSlot
    incarnation: str  # a fresh token, so that a stream created anew is not taken for the old one
    layout: int = 0

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Created | Exists]:
        if state is not None:
            return state, Exists(state.incarnation)
        return PartitionState(self.incarnation, self.layout), Created()


@frozen
class DropPartition(Command[PartitionState, Dropped]):
    """Remove a partition with its log, its producers and its lanes."""

    slot: PartitionSlot

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Dropped]:
        return None, Dropped()


@frozen
class CreateLane(Command[PartitionState, Created | Exists | Gone]):
    """Register a group in a partition, from ``start`` (see ``start_of``); an existing lane is left as it was."""

    slot: PartitionSlot
    group: str
    start: bytes

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Created | Exists | Gone]:
        if state is None:
            return None, Gone()
        if self.group in state.lanes:
            return state, Exists()
        return state.with_lane(self.group, Lane(start_of(state.log, self.start))), Created()


@frozen
class DropLane(Command[PartitionState, Dropped]):
    """Remove a group from a partition; from then on it holds nothing back from trimming."""

    slot: PartitionSlot
    group: str

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Dropped]:
        if state is None:
            return None, Dropped()
        lanes = {group: lane for group, lane in state.lanes.items() if group != self.group}
        return evolve(state, lanes=lanes), Dropped()
