"""Whether a log still is what it was: what a group can tell has been lost when it takes a partition up again.

A position alone does not show a loss: after a server has lost the end of a log, new messages get ids that are later
than those that were lost. Ordinals show it: the first message after a place that was reached must have the ordinal
that was to come next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from attrs import frozen

from segmenter.core.command import Entry
from segmenter.core.log import parse_position
from segmenter.core.partition import Claimed, Progress

__all__ = ["Cut", "Memory", "Seen", "cut_by_claim", "reaches_beyond", "what_is_left"]


@frozen
class Cut:
    """The end of a log that is lost: ``count`` messages after one id, up to another."""

    after: bytes
    until: bytes  # empty if nobody remembers it
    count: int


@frozen
class Seen:
    """How far a log has been read: the last id, and the ordinal that comes next."""

    position: bytes
    next: int

    def cut_by(self, entries: Sequence[Entry], before: Seen) -> Cut | None:
        """Return what is lost up to this place, as the entries show that follow ``before``, and reach it."""
        index = bisect_right(entries, parse_position(self.position), key=lambda entry: parse_position(entry[0]))
        after = entries[index - 1][0] if index else before.position
        count = self.next - before.next - index
        return Cut(after, self.position, count) if count > 0 else None

    def reached_by(self, seen: Seen) -> bool:
        """Whether reading has come as far again, so that what is lost before is known."""
        return parse_position(seen.position) >= parse_position(self.position)


@frozen
class Memory:
    """The places of an earlier hold that are still to be compared, the first one first, and what was missed so far.

    There may be two: how far progress was stored, and how far the log was read. Between them, messages may have come
    in after the loss, and before anybody noticed it.
    """

    places: tuple[Seen, ...] = ()
    missed: int = 0

    def compare(self, entries: Sequence[Entry], before: Seen, after: Seen) -> tuple[Memory, Cut | None]:
        """Return what remains to be compared, and what the entries between two places show to be lost."""
        lost: Cut | None = None
        memory = self
        while memory.places and memory.places[0].reached_by(after):
            cut = memory.places[0].cut_by(entries, before)
            more = cut.count - memory.missed if cut else 0
            if cut is not None and more > 0:
                lost = Cut(lost.after if lost else cut.after, cut.until, (lost.count if lost else 0) + more)
            memory = Memory(memory.places[1:], memory.missed + max(0, more))
        return memory, lost


def _ahead(grant: Claimed) -> int:
    """The ordinal up to which something was finished ahead of the progress."""
    return max([end for _, end in grant.progress.ranges], default=0)


def reaches_beyond(grant: Claimed) -> bool:
    """Whether the progress speaks of messages beyond the end of the log."""
    return parse_position(grant.progress.offset) > parse_position(grant.end) or _ahead(grant) > grant.added


def cut_by_claim(grant: Claimed, memory: Memory) -> Cut | None:
    """Return what a claim shows to be lost: what was committed, or read before, lies beyond the end of the log.

    Of what was finished ahead of the progress, the lane tells the ordinal and not the id.
    """
    places = [Seen(grant.progress.offset, grant.progress.read), *memory.places]
    reached = max(places, key=lambda place: parse_position(place.position))
    if parse_position(reached.position) <= parse_position(grant.end) and not reaches_beyond(grant):
        return None
    ahead = _ahead(grant)
    until = reached.position if reached.next >= ahead else b""
    return Cut(grant.end, until, max(reached.next, ahead) - grant.added)


def what_is_left(grant: Claimed) -> Progress:
    """Return the progress to go on from: messages that are gone, at either end of the log, are passed over."""
    progress = grant.progress
    if parse_position(progress.offset) > parse_position(grant.end):
        return Progress(grant.end, grant.added)
    gap = grant.first > progress.read
    read, end = (grant.first if gap else progress.read), grant.added
    spans = [(max(start, read), min(beyond, end)) for start, beyond in progress.ranges]
    ranges = tuple([span for span in spans if span[0] < span[1]])

    def left(pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple([pair for pair in pairs if pair[0] < end and not (gap and pair[0] < read)])

    return Progress(progress.offset, read, ranges, left(progress.attempts), delays=left(progress.delays))
