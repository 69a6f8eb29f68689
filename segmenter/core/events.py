"""What the members of a group tell each other: a short log that wakes them within a millisecond.

Nothing depends on it for safety. A member that misses an announcement finds out at its next beat; the log is capped,
and keeps the causes of the latest rebalances for whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from segmenter.core.command import Entry
from segmenter.core.log import Log

__all__ = ["LIMIT_EVENTS", "Announcement", "Asked", "Changed", "Freed", "Wanted", "announcement_of", "limited"]

LIMIT_EVENTS = 1000
LIMIT_DIGITS = 16  # of a number: epochs are microseconds


@frozen
class Changed:
    """The document has a new version; ``concerned`` members gain or lose partitions by it."""

    version: str
    cause: str  # joined, leaving, left, expired, balanced, ...
    member: str  # whom the cause is about
    concerned: tuple[str, ...] = ()
    generation: int = 0  # set by the write itself

    def fields(self, generation: int) -> Sequence[bytes]:
        """The event as flat fields of a log entry, under the generation that the write was given."""
        return _flat(
            e="changed",
            v=self.version,
            c=self.cause,
            m=self.member,
            n=" ".join(self.concerned),
            g=str(generation),
        )


@frozen
class Freed:
    """A partition was released at this epoch: whoever it is meant for may claim it."""

    partition: int
    epoch: int
    member: str  # who released it
    since: int = 0  # the epoch of its claim, which tells the history when that was; 0: it had been granted no claim

    def fields(self) -> Sequence[bytes]:
        """The event as flat fields of a log entry."""
        return _flat(e="freed", p=str(self.partition), x=str(self.epoch), m=self.member, s=str(self.since))


@frozen
class Wanted:
    """A partition is held by a member that it is no longer meant for, perhaps without its knowledge."""

    partition: int
    epoch: int
    member: str  # the owner

    def fields(self) -> Sequence[bytes]:
        """The event as flat fields of a log entry."""
        return _flat(e="wanted", p=str(self.partition), x=str(self.epoch), m=self.member)


@frozen
class Asked:
    """The owner of a partition is asked for something: a request for what is parked lies in the lane."""

    partition: int

    def fields(self) -> Sequence[bytes]:
        """The event as flat fields of a log entry."""
        return _flat(e="asked", p=str(self.partition))


Announcement = Freed | Wanted | Asked


def _flat(**fields: str) -> Sequence[bytes]:
    return tuple(part.encode() for pair in fields.items() for part in pair)


def limited(events: Log) -> Log:
    """Keep the latest events only."""
    return events.without_first(len(events.entries) - LIMIT_EVENTS)


def announcement_of(entry: Entry) -> Changed | Announcement | None:
    """Read an event back; ``None`` for a kind that only a later version knows, and for what another program wrote.

    An event is advice only, so nothing is lost with one that cannot be read.
    """
    try:
        flat = [part.decode() for part in entry[1]]
        return _event_of(dict(zip(flat[::2], flat[1::2], strict=True)))
    except (KeyError, ValueError):  # a field is missing, is no UTF-8, or is no number
        return None


def _event_of(fields: dict[str, str]) -> Changed | Announcement | None:
    match fields["e"]:
        case "changed":
            concerned = tuple(fields["n"].split())
            return Changed(fields["v"], fields["c"], fields["m"], concerned, _number(fields["g"]))
        case "freed":
            return Freed(_number(fields["p"]), _number(fields["x"]), fields["m"], _number(fields.get("s", "0")))
        case "wanted":
            return Wanted(_number(fields["p"]), _number(fields["x"]), fields["m"])
        case "asked":
            return Asked(_number(fields["p"]))
        case _:
            return None


def _number(text: str) -> int:
    """Return a number as it is written here: with ASCII digits only, and as small as a script of the server counts."""
    if not (text.isascii() and text.isdigit() and len(text) <= LIMIT_DIGITS):
        raise ValueError(text)
    return int(text)
