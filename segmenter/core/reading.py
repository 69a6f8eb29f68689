"""What to read next: a cursor for each partition that has room, and one for the group's events."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from segmenter.core.command import Cursor, Entry, PartitionSlot, Read, ReadReply
from segmenter.core.lanes import KeyLanes

__all__ = ["Plan", "has_room", "plan"]

LIMIT_FLOWING = 64  # partitions of one read, while there is something to read: else an answer would be huge
LIMIT_ENTRIES = 32_000  # of one answer


def has_room(lanes: KeyLanes, messages: int, size_bytes: int) -> bool:
    """Whether more of a partition may be read: unsettled messages and their bytes are below the read-ahead."""
    below = lanes.backlog.count < messages and lanes.backlog.size_bytes < size_bytes
    stopped = lanes.backlog.corrupt is not None or lanes.mark.scattered
    return below and not (stopped or lanes.parking.full or lanes.parking.pressing)


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


def plan(events: Cursor, holds: Sequence[KeyLanes], *, flowing: int, count: int, wait_s: float) -> Plan:
    """Plan the next read over the events and the holds given.

    Args:
        events: how far the events of the group were read.
        holds: what may be read further.
        flowing: how many reads in a row have brought something. While they do, some of many holds are asked at a time,
            in turn; otherwise all, so that whichever is written to next ends the wait.
        count: how many entries of each, at most.
        wait_s: how long to wait, if there is nothing.
    """
    if flowing and len(holds) > LIMIT_FLOWING:
        first = flowing * LIMIT_FLOWING % len(holds)
        holds, wait_s = (*holds, *holds)[first : first + LIMIT_FLOWING], 0.0
    cursors = [Cursor(PartitionSlot(lanes.stream, lanes.partition), lanes.backlog.position) for lanes in holds]
    share = LIMIT_ENTRIES // max(1, len(holds))
    return Plan(Read((events, *cursors), min(count, share), wait_s), tuple(holds))
