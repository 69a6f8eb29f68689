"""A set of ordinals that mostly lie side by side, kept as half-open ranges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["RangeSet"]


class RangeSet:
    """Ranges in order, apart from each other. Adding costs one bisection; memory is the number of ranges."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts = [start for start, _ in ranges]
        self._ends = [end for _, end in ranges]

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, ordinal: int) -> bool:
        index = bisect_right(self._starts, ordinal) - 1
        return index >= 0 and ordinal < self._ends[index]

    def as_tuple(self) -> tuple[tuple[int, int], ...]:
        """The ranges, as they are stored."""
        return tuple(zip(self._starts, self._ends, strict=True))

    def add(self, ordinal: int) -> None:
        """Add an ordinal, joining the ranges that it connects."""
        index = bisect_right(self._starts, ordinal)
        extends_left = index > 0 and self._ends[index - 1] == ordinal
        extends_right = index < len(self._starts) and self._starts[index] == ordinal + 1
        if extends_left and extends_right:
            self._ends[index - 1] = self._ends.pop(index)
            del self._starts[index]
        elif extends_left:
            self._ends[index - 1] = ordinal + 1
        elif extends_right:
            self._starts[index] = ordinal
        else:
            self._starts.insert(index, ordinal)
            self._ends.insert(index, ordinal + 1)

    def drop_below(self, ordinal: int) -> None:
        """Forget everything below an ordinal."""
        while self._starts and self._starts[0] < ordinal:
            if self._ends[0] > ordinal:
                self._starts[0] = ordinal
                return
            del self._starts[0], self._ends[0]
