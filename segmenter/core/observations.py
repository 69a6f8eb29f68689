"""What happened, as data: the one source of logging, of the live view, and of traces that are checked."""

from __future__ import annotations

from attrs import frozen

__all__ = [
    "Admitted",
    "Congested",
    "Corrupt",
    "DeadLettered",
    "Departed",
    "Gap",
    "Granted",
    "Halted",
    "HandedBack",
    "HandlerStands",
    "HandlerTimedOut",
    "HookFailed",
    "Lost",
    "Missing",
    "Observation",
    "Parked",
    "ReadOverdue",
    "Reassigned",
    "Retried",
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
    reason: str  # left, expelled, displaced, removed, lost, session


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
    until: str  # id of the last message that had been read; empty if nobody remembers it
    count: int


@frozen
class Corrupt:
    """An entry of the log is no message: another program has written it."""

    member: str
    partition: int
    id: str
    reason: str


@frozen
class Congested:
    """So much is set aside in a partition that it is read no further: have it redriven, replayed or discarded."""

    member: str
    partition: int
    parked: int
    dead: int


@frozen
class HookFailed:
    """A hook raised, or did not return in time; until ``on_assigned`` succeeds, its partition delivers nothing."""

    member: str
    partition: int
    hook: str  # on_assigned, on_revoked or on_lost
    function: str
    reason: str
    retry_in_s: float | None  # when on_assigned is called again


@frozen
class ReadOverdue:
    """Messages waited for ``max_processing_time``, and the application read none: the consumer leaves its group."""

    member: str
    after_s: float


@frozen
class Stalled:
    """Nothing has moved for a while since nothing is acknowledged."""

    member: str
    keys: tuple[str, ...]


# --- of handlers: one for each message that does not simply succeed ---------------------------------------------------


@frozen
class Retried:
    """An attempt failed, and the message is tried again after a while; the later ones of its key wait."""

    member: str
    partition: int
    id: str
    key: str
    attempt: int  # the one that failed
    delay_s: float
    reason: str


@frozen
class Parked:
    """A message is set aside with all later ones of its key, until somebody redrives it."""

    member: str
    partition: int
    id: str
    key: str
    attempt: int
    reason: str


@frozen
class DeadLettered:
    """A message is given up, and its key goes on."""

    member: str
    partition: int
    id: str
    key: str
    attempt: int
    reason: str


@frozen
class Halted:
    """A message has failed as often as it may, and the consumer stops for it."""

    member: str
    partition: int
    id: str
    key: str
    attempt: int
    reason: str


@frozen
class HandlerTimedOut:
    """A handler took too long and is cancelled."""

    member: str
    partition: int
    id: str
    key: str
    attempt: int
    after_s: float


@frozen
class HandlerStands:
    """A handler went on after it was cancelled: nothing more of its partition is started in this process."""

    member: str
    partition: int
    id: str
    key: str
    attempt: int


Membership = Admitted | Departed | Reassigned
Holding = Congested | Granted | HandedBack | HookFailed | Lost | Stalled | ReadOverdue
Loss = Corrupt | Gap | Missing | Truncation
Trouble = DeadLettered | Halted | HandlerStands | HandlerTimedOut | Parked | Retried
Observation = Membership | Holding | Loss | Trouble
