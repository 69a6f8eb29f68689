"""Who is in a group, who is away, and what may happen to either."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

__all__ = [
    "CONTESTED_US",
    "LIMIT_DISPLACEMENTS",
    "Away",
    "Balanced",
    "CaughtUp",
    "Displacement",
    "Expired",
    "GroupEvent",
    "How",
    "Joined",
    "Leaving",
    "Left",
    "Membership",
    "Paused",
    "ProcessInfo",
    "Readied",
    "Removed",
    "Removing",
    "Resumed",
    "SessionChanged",
    "Vacated",
]

How = Literal["left", "expired", "displaced"]

LIMIT_DISPLACEMENTS = 3  # of one instance_id that are remembered; so many within the next is a contest
CONTESTED_US = 60_000_000
LIMIT_TEXT = 64  # characters of what a process says of itself


def _printable(text: object) -> str:
    return "".join(character if character.isprintable() else "?" for character in str(text)[:LIMIT_TEXT])


@frozen
class ProcessInfo:
    """The process of a member, as it describes itself: for people, never for a decision."""

    host: str = field(default="", converter=_printable)
    pid: int = 0
    version: str = field(default="", converter=_printable)  # of the library

    def __str__(self) -> str:
        return f"host {self.host or 'unknown'}, pid {self.pid}"


@frozen
class Membership:
    """A member as the document knows it."""

    seat: str | None = None  # a name that outlives the process, so that a restart takes its partitions up again
    leaving: bool = False
    returning: bool = False  # it leaves, and its partitions stay meant for its seat
    process: ProcessInfo = ProcessInfo()


@frozen
class Away:
    """A seat whose member has left in order: its partitions stay meant for that member until its seat is taken again.

    ``since`` is the generation of the write that made it; 0 while that is the latest write.
    """

    member: str
    since: int = 0


@frozen
class Displacement:
    """A member lost its seat to another process. ``at`` is a generation, as in ``Away.since``."""

    member: str  # that was displaced
    by: ProcessInfo
    at: int = 0


# --- what may happen to a group -------------------------------------------------------------------------------------


@frozen
class Joined:
    """A member with a fresh id came; with a ``seat`` that is taken, it displaces the member that sat there."""

    member: str
    seat: str | None = None
    immediate: bool = False  # do not wait for the displaced member to fall silent
    process: ProcessInfo = ProcessInfo()


@frozen
class Leaving:
    """A member drains: it stays, but takes nothing on. Its partitions stay meant for its seat, if it has one."""

    member: str
    forever: bool = False  # it gives its seat up: what it had is meant for others at once


@frozen
class Left:
    """A member is gone of its own will and owns nothing."""

    member: str


@frozen
class Vacated:
    """Seats whose members left were not taken again for a session."""

    members: tuple[str, ...]  # that sat there


@frozen
class Expired:
    """Members were silent for a session."""

    members: tuple[str, ...]


@frozen
class CaughtUp:
    """A lane has seen a generation that the document, rolled back, is behind."""

    generation: int


@frozen
class Balanced:
    """Membership has been quiet: even the assignment out."""


@frozen
class SessionChanged:
    """The session time-out is to be another one; it changes nothing while there are members."""

    session_ms: int


@frozen
class Readied:
    """Every partition has a lane for the group."""


@frozen
class Paused:
    """An operator wants nothing processed: the members stay, and hand every partition back."""


@frozen
class Resumed:
    """They may go on."""


@frozen
class Removing:
    """The group is being removed; its members stop."""


@frozen
class Removed:
    """The lanes are gone; the document stays as a tombstone, so that members do not create the group anew."""


GroupEvent = (
    Joined
    | Leaving
    | Left
    | Vacated
    | Expired
    | CaughtUp
    | Balanced
    | SessionChanged
    | Readied
    | Paused
    | Resumed
    | Removing
    | Removed
)
