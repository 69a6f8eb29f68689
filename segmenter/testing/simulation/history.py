"""What happened in a simulation, as data: what processes did and heard, what the server executed, what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar, overload

from attrs import define, field, frozen

from segmenter.core.command import Command, PartitionSlot, Slot
from segmenter.core.observations import Observation
from segmenter.core.partition import PartitionState
from segmenter.testing.simulation.plan import Plan

__all__ = [
    "Answered",
    "Began",
    "Ended",
    "Event",
    "Executed",
    "Happened",
    "History",
    "Outcome",
    "Replied",
    "RolledBack",
    "Told",
]

Outcome = Literal["acked", "given back", "never settled", "refused", "parked", "rejected", "killed its process"]


@frozen
class Happened:
    """Something went wrong, or ended."""

    at: float
    what: str


@frozen
class Answered:
    """A send ended: ``sent`` under an id, ``unknown``, or ``lost`` after it had been acknowledged."""

    at: float
    key: str
    number: int
    outcome: Literal["sent", "unknown", "lost"]
    id: str = ""


@frozen
class Began:
    """A handler started."""

    at: float
    delivery: int
    process: str
    member: str
    key: str
    number: int
    partition: int
    epoch: int
    ordinal: int
    id: str
    attempt: int


@frozen
class Ended:
    """A handler ended, and what it made of its message; ``refused`` says that settling it was too late."""

    at: float
    delivery: int
    outcome: Outcome


@frozen
class Executed:
    """The server executed a command; this is the order in which it did."""

    at: float
    command: Command[Any, Any]
    before: Any
    after: Any
    reply: Any
    clock_us: int = 0  # the server's time


@frozen
class Replied:
    """A reply reached a process; the request had been sent at ``sent``."""

    at: float
    process: str
    sent: float
    command: Command[Any, Any]
    reply: Any


@frozen
class RolledBack:
    """The server lost the end of what a slot had been."""

    at: float
    slot: Slot
    before: Any
    after: Any


@frozen
class Told:
    """A consumer observed something."""

    at: float
    process: str
    observation: Observation


Event = Happened | Answered | Began | Ended | Executed | Replied | RolledBack | Told

E = TypeVar("E")


@define
class History:
    """All that happened, in order."""

    plan: Plan
    events: list[Event] = field(factory=list[Event])
    rest_at: float = 0.0  # when the last fault was over
    owned_at: float | None = None  # when every partition was owned by a living member after that
    drained_at: float | None = None  # and when everything was settled and stored

    @overload
    def of(self, kind: type[E], /) -> Iterator[E]: ...

    @overload
    def of(self, *kinds: type[Any]) -> Iterator[Any]: ...

    def of(self, *kinds: type[Any]) -> Iterator[Any]:
        """The events of some kinds."""
        return (event for event in self.events if isinstance(event, kinds))

    def partitions(self) -> Iterator[tuple[int, float, PartitionState, PartitionState]]:
        """Every change of a partition, rollbacks included: its number, when, and the state before and after."""
        for event in self.of(Executed, RolledBack):
            slot = event.command.slot if isinstance(event, Executed) else event.slot
            if isinstance(slot, PartitionSlot) and event.before is not None and event.after is not None:
                yield slot.partition, event.at, event.before, event.after
