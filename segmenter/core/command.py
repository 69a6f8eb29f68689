"""What a backend is asked: commands that change one slot, and reads that change nothing.

A command carries everything that its outcome depends on except the state of its slot and the server's clock.
``apply`` is the law: the memory backend runs it, the Redis backend runs a script of the same name that must agree
with it on every reply and every state, and the hypothesis machines hold the two side by side.

Expected outcomes are reply values, one small class each, so that a caller matches all of them. A command that finds
its slot empty answers ``Gone``: only commands whose name begins with Create or Update bring something into being.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen

__all__ = [
    "Command",
    "Crossing",
    "Cursor",
    "Entry",
    "Gone",
    "GroupSlot",
    "PartitionSlot",
    "Read",
    "ReadReply",
    "Slot",
    "StreamSlot",
]

# An entry of any log: its id as the server writes it ("ms-seq"), and a flat sequence of field, value, field, value.
# To be unpacked or indexed only: a backend may hand out the lists that it parsed.
Entry = tuple[bytes, Sequence[bytes]]


@frozen(order=True)
class StreamSlot:
    """Where the configuration of a stream lives."""

    stream: str


@frozen(order=True)
class GroupSlot:
    """Where a group's document, its beats and its event log live."""

    stream: str
    group: str


@frozen(order=True)
class PartitionSlot:
    """Where one partition lives: its log, its producers and the lane of every group."""

    stream: str
    partition: int


@frozen(order=True)
class Crossing:
    """Two partitions that one command changes together; they may be the same."""

    here: PartitionSlot
    there: PartitionSlot

    @property
    def within(self) -> bool:
        """Whether both are one."""
        return self.here == self.there


Slot = StreamSlot | GroupSlot | PartitionSlot

S = TypeVar("S")
R = TypeVar("R", covariant=True)


class Command(ABC, Generic[S, R]):
    """A request to one slot holding a state ``S``, answered by a reply ``R``; executed as one indivisible step."""

    __slots__ = ()

    slot: Any  # declared by each command with the kind of slot it addresses

    @abstractmethod
    def apply(self, state: S | None, now_us: int) -> tuple[S | None, R]:
        """Return the slot's next state and the reply.

        Args:
            state: what the slot holds; ``None`` if nothing was ever created there.
            now_us: the server's clock in microseconds since 1970. It stamps ids and epochs; no decision compares it
                with a clock of a client.
        """


@frozen
class Gone:
    """The thing that was addressed is not there: never created, removed, evicted or wiped."""


@frozen
class Cursor:
    """A place in a log to read on from: entries with an id greater than ``after`` come next.

    A ``PartitionSlot`` names the log of messages, a ``GroupSlot`` the group's log of events.
    """

    log: PartitionSlot | GroupSlot
    after: bytes


@frozen
class Read:
    """Ask for entries of several logs at once, without any effect on them.

    Answered as soon as any log has entries beyond its cursor, or after ``wait_s`` seconds with nothing.
    """

    cursors: tuple[Cursor, ...]
    count: int  # of entries, for each log
    wait_s: float


# Only logs that had something appear.
ReadReply = Mapping[PartitionSlot | GroupSlot, Sequence[Entry]]
