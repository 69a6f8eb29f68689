"""A state of the specification, held by the code: its documents, its lanes, its members."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from segmenter.core.assignor import assign
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.creation import CreateLane
from segmenter.core.group import GroupData, GroupState, GroupUpdated, Membership, UpdateGroup
from segmenter.core.log import Log
from segmenter.core.partition import PartitionState
from tests.specification.bounds import Bounds
from tests.specification.process import Process, Turning, founder, outside
from tests.specification.work import GROUP, log_of

__all__ = ["World", "first", "founding", "replaced"]


@frozen(eq=False)
class World:
    """A state."""

    bounds: Bounds
    group: GroupState
    slots: tuple[PartitionState, ...]
    processes: tuple[Process, ...]
    late: frozenset[Command[Any, Any]]
    settled: tuple[frozenset[int], ...]
    past_group: GroupState
    past_slots: tuple[PartitionState, ...]
    clock: int
    faults: int
    leaves: int

    @property
    def alive(self) -> frozenset[str]:
        """The members that may still act."""
        return frozenset(process.me for process in self.processes if process.present and process.leased)

    @property
    def forgets(self) -> bool:
        """Whether the last change of a slot may be lost."""
        kinds = {"roll back the group", "roll back a lane", "roll back a lane and the clock"}
        return bool(kinds & set(self.bounds.kinds))

    def becomes(self, number: int, after: Process, executed: Command[Any, Any] | None = None) -> World:
        """One process changes; what it had under way and gives up is late."""
        given_up = self.processes[number].requests - after.requests - {executed}
        return evolve(self, processes=replaced(self.processes, number, after), late=self.late | given_up)

    def turned(self, number: int) -> Turning:
        """A turn of one process."""
        return Turning(self.processes[number], self.alive)

    def executes(self, command: Command[Any, Any]) -> tuple[World, Any]:
        """A partition's server executes a command."""
        number = command.slot.partition
        before = self.slots[number]
        after, reply = command.apply(before, self.clock)
        past = replaced(self.past_slots, number, before) if self.forgets and after != before else self.past_slots
        return evolve(self, slots=replaced(self.slots, number, after), past_slots=past), reply

    def writes(self, number: int, turning: Turning) -> World:
        """A process writes the document that it wishes for."""
        member = turning.process.member
        assert member is not None
        assert member.changing is not None
        command = _with_version(member.changing, self._fresh())
        scores = {name: int(name in self.alive) for name in self.group.members}
        data, reply = command.apply(GroupData(self.group, scores, 1), 0)
        assert data is not None
        assert data.document is not None
        assert isinstance(reply, GroupUpdated)
        turning.written(command, reply)
        past = self.group if self.forgets else self.past_group
        return evolve(self.becomes(number, turning.process), group=data.document, past_group=past)

    def _fresh(self) -> str:
        known = [process.member.document.version for process in self.processes if process.member is not None]
        return str(1 + max(map(int, [*known, self.group.version, self.past_group.version])))

    def after_a_fault(self) -> World:
        """One fault fewer may come."""
        return evolve(self, faults=self.faults - 1)

    def may(self, kind: str) -> bool:
        """Whether a fault may come."""
        return self.faults > 0 and kind in self.bounds.kinds


def replaced(items: tuple[Any, ...], number: int, item: Any) -> tuple[Any, ...]:
    """The items with one of them replaced."""
    return (*items[:number], item, *items[number + 1 :])


def _with_version(command: UpdateGroup, version: str) -> UpdateGroup:
    return evolve(
        command, document=evolve(command.document, version=version), event=evolve(command.event, version=version)
    )


# --- the beginning --------------------------------------------------------------------------------------------------


def first(bounds: Bounds) -> World:
    """The state in which everything begins."""
    log = log_of(bounds.messages, bounds.keys)
    processes = [outside(letter, 1, log, bounds.partitions) for letter in "abc"[: bounds.processes]]
    document = founding(bounds)
    processes = [founder(one, document) if one.me in document.members else one for one in processes]
    slots = tuple(_partition(number, log) for number in range(bounds.partitions))
    settled = (frozenset[int](),) * bounds.partitions
    return World(
        bounds=bounds,
        group=document,
        slots=slots,
        processes=tuple(processes),
        late=frozenset(),
        settled=settled,
        past_group=document,
        past_slots=slots,
        clock=0,
        faults=bounds.faults,
        leaves=bounds.leaves,
    )


def founding(bounds: Bounds) -> GroupState:
    """The document with which everything begins."""
    members = [f"{letter}1" for letter in "abc"[: bounds.founders or bounds.processes]]
    assignment = assign(members, [None] * bounds.partitions)
    return GroupState(
        bounds.partitions, 1000, "1", 1, "ready", dict.fromkeys(members, Membership()), assignment=assignment
    )


def _partition(number: int, log: Log) -> PartitionState:
    made, _ = CreateLane(PartitionSlot(GROUP.stream, number), GROUP.group, b"earliest").apply(PartitionState("born"), 0)
    assert made is not None
    return evolve(made, log=log)
