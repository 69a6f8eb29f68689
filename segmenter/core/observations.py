"""What happened, as data: the one source of logging, of the live view, and of traces that are checked."""

from __future__ import annotations

from attrs import frozen

__all__ = [
    "Admitted",
    "Congested",
    "Departed",
    "Gap",
    "Granted",
    "HandedBack",
    "Lost",
    "Missing",
    "Observation",
    "Reassigned",
    "Stalled",
    "Truncation",
]


@frozen
class Admitted:
    """The consumer is a member of its group."""

    member: str


@frozen
class Departed:
    """The consumer is no longer a member."""

    member: str
    reason: str  # left, expelled, displaced, removed, lost


@frozen
class Reassigned:
    """The group's document changed."""

    member: str
    generation: int
    mine: frozenset[int]


@frozen
class Granted:
    """The consumer owns a partition."""

    member: str
    partition: int
    epoch: int
    former: str | None  # whom it took it from, if anybody owned it


@frozen
class HandedBack:
    """The consumer released a partition, after everything in flight had ended."""

    member: str
    partition: int
    epoch: int  # under which it had been held


@frozen
class Lost:
    """The consumer lost a partition without having released it."""

    member: str
    partition: int
    epoch: int


@frozen
class Missing:
    """A partition, or the group's lane in it, is not there: deleted, evicted or wiped."""

    member: str
    partition: int


@frozen
class Gap:
    """Messages were dropped from the log before the group had settled them."""

    member: str
    partition: int
    count: int


@frozen
class Truncation:
    """The server lost the end of a log: messages that had been read for the group are there no more."""

    member: str
    partition: int
    after: str  # id of the last message that is left of what had been read
    until: str  # id of the last message that had been read
    count: int


@frozen
class Congested:
    """So much is set aside in a partition that it is read no further: have it redriven, replayed or discarded."""

    member: str
    partition: int
    parked: int
    dead: int


@frozen
class Stalled:
    """Nothing has moved for a while since nothing is acknowledged."""

    member: str
    keys: tuple[str, ...]


Membership = Admitted | Departed | Reassigned
Holding = Congested | Granted | HandedBack | Lost | Stalled
Loss = Gap | Missing | Truncation
Observation = Membership | Holding | Loss
