"""What a producer remembers of the sends that were acknowledged, so that it can name those that a server lost."""

from __future__ import annotations

from collections import deque

from segmenter.core.log import parse_position

__all__ = ["Receipts"]

LIMIT_RECEIPTS = 1_000  # batches remembered


class Receipts:
    """The batches acknowledged under one epoch of a producer; the oldest are forgotten."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int, bytes]] = deque(maxlen=LIMIT_RECEIPTS)

    def add(self, first: int, count: int, first_id: bytes) -> None:
        """Remember a batch of numbers ``first`` and following, and where it stands."""
        self._batches.append((first, count, first_id))

    def above(self, last: int) -> list[str]:
        """Return the ids of the messages numbered above ``last``, as far as they are remembered, oldest first."""
        return [
            entry_id
            for first, count, first_id in self._batches
            for number, entry_id in enumerate(_ids_of(first_id, count), first)
            if number > last
        ]

    def clear(self) -> None:
        """Forget all: a new epoch begins."""
        self._batches.clear()


def _ids_of(first: bytes, count: int) -> list[str]:
    """Return the ids of a batch, which stands in the log contiguously."""
    ms, seq = parse_position(first)
    return [f"{ms}-{number}" for number in range(seq, seq + count)]
