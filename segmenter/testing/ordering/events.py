"""What happened while a user's handlers were played, as data."""

from __future__ import annotations

from attrs import frozen

from segmenter.core.command import GroupSlot
from segmenter.testing.simulation.history import Executed, Happened

__all__ = ["Call", "Died", "Ended", "Event", "Finished", "Lost", "Place", "Started"]


@frozen
class Place:
    """Where a message stands."""

    stream: str
    partition: int
    id: str


@frozen
class Call:
    """A message in the hands of a handler."""

    place: Place
    key: str
    ordinal: int
    attempt: int


@frozen
class Started:
    """A handler was called, with one message or with a batch."""

    at: float
    delivery: int
    process: str
    slot: GroupSlot
    partition: int
    epoch: int
    calls: tuple[Call, ...]


@frozen
class Ended:
    """A handler has returned, or raised something."""

    at: float
    delivery: int
    outcome: str  # "returned", or what it raised

    @property
    def well(self) -> bool:
        """Whether that settles the message."""
        return self.outcome == "returned"


@frozen
class Finished:
    """A handler has ended, and so have all tasks that it started: only now its work is done."""

    at: float
    delivery: int


@frozen
class Lost:
    """A process has noticed that it lost a partition before it let go."""

    at: float
    process: str
    slot: GroupSlot
    partition: int


@frozen
class Died:
    """A process is no more, and what it was at will not be finished."""

    at: float
    process: str


Event = Started | Ended | Finished | Lost | Died | Executed | Happened
