"""What the machine of a member is told, and what it asks for. All of it is data."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from segmenter.core.aside import NO_MOVES, Moves
from segmenter.core.command import Command
from segmenter.core.events import Announcement, Changed
from segmenter.core.group import GroupState
from segmenter.core.observations import Observation
from segmenter.core.partition import Claimed, Progress

__all__ = [
    "Drained",
    "Drop",
    "Effect",
    "Emit",
    "Event",
    "Excluded",
    "Execute",
    "Fetch",
    "Heard",
    "Join",
    "Learned",
    "LeaseOver",
    "Leave",
    "Refused",
    "Replied",
    "Silent",
    "Sought",
    "Stop",
    "Tick",
    "Unanswered",
    "Vanished",
]

# --- what it is told ------------------------------------------------------------------------------------------------


@frozen
class Join:
    """Become a member."""


@frozen
class Leave:
    """Stop being one, handing everything over."""

    forever: bool = False  # give the seat up, too


@frozen
class Learned:
    """The document as a beat brought it."""

    document: GroupState


@frozen
class Excluded:
    """A beat was refused: not a member by this document."""

    document: GroupState


@frozen
class Vanished:
    """A beat found no document, not even a tombstone: it was deleted, evicted or wiped."""


@frozen
class LeaseOver:
    """The lease has run out: act no more."""


@frozen
class Replied:
    """A command was answered."""

    command: Command[Any, Any]
    reply: Any


@frozen
class Unanswered:
    """A command got no answer: it may or may not have been executed."""

    command: Command[Any, Any]


@frozen
class Drained:
    """Nothing of a draining partition is in flight; this is what to store with its release."""

    partition: int
    number: int = 0
    progress: Progress = Progress()
    start: bytes = b""  # where the group is to go on, if not behind what is settled
    moves: Moves = NO_MOVES
    window: int = 0  # above 0: something that does not end is in flight, at most so far ahead of the progress


@frozen
class Refused:
    """A commit was refused, or a probe showed that the partition is not mine."""

    partition: int


@frozen
class Sought:
    """The user moves the group to another place in a partition: let it drain first."""

    partition: int


@frozen
class Heard:
    """An entry of the group's event log."""

    event: Changed | Announcement


@frozen
class Silent:
    """Members whose last beats are below a number that was answered to me a session ago."""

    members: tuple[str, ...]
    below: int


@frozen
class Tick:
    """Time has passed (see ``Member.timer``)."""


Membership = Join | Leave | Learned | Excluded | Vanished | LeaseOver | Heard | Silent
Event = Membership | Replied | Unanswered | Drained | Refused | Sought | Tick

# --- what it asks for -----------------------------------------------------------------------------------------------


@frozen
class Execute:
    """Have the backend execute a command, and tell the machine the reply, or that there was none."""

    command: Command[Any, Any]
    again: bool = False  # it had no answer: after a while, which whoever executes it decides


@frozen
class Fetch:
    """Start reading a partition and handing it out."""

    partition: int
    grant: Claimed


@frozen
class Stop:
    """Start nothing more of a partition, and say ``Drained`` when nothing of it is in flight."""

    partition: int


@frozen
class Drop:
    """Forget a partition at once: nothing of it counts any more."""

    partition: int


@frozen
class Emit:
    """Tell whoever watches."""

    observation: Observation


Effect = Execute | Fetch | Stop | Drop | Emit
