"""What to read next: a cursor for each partition that has room, and one for the group's events."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from segmenter.core.command import Cursor, Entry, PartitionSlot, Read, ReadReply
from segmenter.core.lanes import KeyLanes

__all__ = ["LIMIT_CURSORS", "Plan", "has_room", "plan"]

LIMIT_CURSORS = 64  # of one read; with more partitions they take turns


def has_room(lanes: KeyLanes, messages: int, size_bytes: int) -> bool:
    """Whether more of a partition may be read: unsettled messages and their bytes are below the read-ahead."""
    below = lanes.backlog.count < messages and lanes.backlog.size_bytes < size_bytes
    return below and not (lanes.mark.scattered or lanes.parking.full or lanes.parking.pressing)


@frozen
class Plan:
    """A read, and the holds that it was planned for."""

    read: Read
    holds: tuple[KeyLanes, ...]

    def matching(self, reply: ReadReply) -> list[tuple[KeyLanes, Sequence[Entry]]]:
        """Return what came for each hold that still is at the place it was asked for.

        A partition that has meanwhile been given up, or taken anew, has another hold or none: whoever takes the
        entries in must see that this one is still the present one. Reading has no effect on the server, so nothing is
        lost by what is dropped.
        """
        return [
            (lanes, entries)
            for cursor, lanes in zip(self.read.cursors[1:], self.holds, strict=True)
            if (entries := reply.get(cursor.log)) and lanes.backlog.position == cursor.after
        ]


def plan(events: Cursor, holds: Sequence[KeyLanes], *, turn: int, count: int, wait_s: float) -> Plan:
    """Plan the next read over the events and the holds given; ``turn`` rotates among more than the limit."""
    if len(holds) > LIMIT_CURSORS:
        first = turn * LIMIT_CURSORS % len(holds)
        holds = (*holds, *holds)[first : first + LIMIT_CURSORS]
    cursors = [Cursor(PartitionSlot(lanes.stream, lanes.partition), lanes.backlog.position) for lanes in holds]
    return Plan(Read((events, *cursors), count, wait_s), tuple(holds))
