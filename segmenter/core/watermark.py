"""How far a partition is settled: all that is below the watermark, and some ranges ahead of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from segmenter.core.command import Entry
from segmenter.core.partition import Progress, Ranges
from segmenter.core.ranges import RangeSet

__all__ = ["LIMIT_RANGES", "Watermark"]

Reached = tuple[bytes, int, Ranges]  # the first three fields of a progress

LIMIT_RANGES = 1024  # finished ahead of the watermark; at the limit the partition reads no further


class Watermark:
    """The ordinal ``read`` below which all is settled, the id of the last of that, and what was settled ahead of it."""

    __slots__ = ("_ahead", "_ids", "inherited", "offset", "read")

    def __init__(self, progress: Progress) -> None:
        self.read = progress.read
        self.offset = progress.offset
        finished = progress.ranges[-1][1] if progress.ranges else 0
        delayed = progress.delays[-1][0] + 1 if progress.delays else 0
        self.inherited = max(finished, delayed)  # none from here on was finished or delayed before it came
        self._ahead = RangeSet(progress.ranges)
        self._ids: deque[bytes] = deque()  # of the ordinals from ``read`` on that are in hand

    def take_in(self, entry_id: bytes) -> None:
        """The next ordinal is in hand, under this id."""
        self._ids.append(entry_id)

    def finished(self, ordinal: int) -> bool:
        """Whether an ordinal was finished before its turn: by a former owner, or since it is passed over."""
        return ordinal < self.inherited and ordinal in self._ahead

    def unfinished(self, first: int, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of some entries, the first of which has this ordinal, that no former owner had finished."""
        if first >= self.inherited:
            return entries
        return [entry for ordinal, entry in enumerate(entries, first) if not self.finished(ordinal)]

    def pass_over(self, ordinal: int) -> None:
        """Count an ordinal as finished before it is in hand."""
        self._ahead.add(ordinal)
        self.inherited = max(self.inherited, ordinal + 1)

    def settle(self, ordinal: int) -> None:
        """Count an ordinal that is in hand as settled."""
        if ordinal == self.read and not self._ahead:
            self.read += 1
            self.offset = self._ids.popleft()
            return
        self._ahead.add(ordinal)
        self.advance()

    def rise_over(self, ordinal: int, entry_id: bytes) -> None:
        """All is settled up to this ordinal, and nothing of that was in hand."""
        self.read, self.offset = ordinal + 1, entry_id

    def advance(self) -> None:
        """Rise over what was finished ahead."""
        while self._ids and self.read in self._ahead:
            self.read += 1
            self.offset = self._ids.popleft()
        self._ahead.drop_below(self.read)

    @property
    def scattered(self) -> bool:
        """Whether so much was finished out of order that reading on must wait."""
        return len(self._ahead) >= LIMIT_RANGES

    def reached(self, also: Iterable[int] = ()) -> Reached:
        """How far it is now, or will be when some more ordinals in hand are settled."""
        offset, read, ahead = self.offset, self.read, RangeSet(self._ahead.as_tuple())
        for ordinal in also:
            ahead.add(ordinal)
        for entry_id in self._ids if also else ():
            if read not in ahead:
                break
            offset, read = entry_id, read + 1
        ahead.drop_below(read)
        return offset, read, ahead.as_tuple()
