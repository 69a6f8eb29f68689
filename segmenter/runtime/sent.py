"""Where messages stand that were sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import cast, overload

from attrs import define

__all__ = ["Place", "Sent", "SentMany"]

Place = tuple[int, int, int]  # partition, milliseconds and sequence number of the first of a batch, which is contiguous


@define(unsafe_hash=True, repr=False)
class Sent:
    """A message stands in the stream, for good as far as the server keeps what it acknowledges.

    Immutable by convention only, as one is made for each send.
    """

    partition: int
    _ms: int
    _sequence: int

    @property
    def id(self) -> str:
        """Its id in the partition's log, milliseconds and a sequence number; written out for those who ask."""
        return f"{self._ms}-{self._sequence}"

    def __repr__(self) -> str:
        return f"Sent(partition={self.partition}, id={self.id!r})"


class SentMany(Sequence[Sent]):
    """Where many messages stand, in the order given; nothing of it is made before somebody looks, and few do."""

    def __init__(self, count: int, places: Sequence[tuple[Sequence[int], Place]]) -> None:
        self._count = count
        self._places = places  # indexes, and where the first of them stands

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Sent: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sent]: ...
    def __getitem__(self, index: int | slice) -> Sent | Sequence[Sent]:
        return cast("list[Sent]", self.known)[index]

    def __repr__(self) -> str:
        return repr(list(self))

    @cached_property
    def known(self) -> list[Sent | None]:
        """Each, and ``None`` for those of which nothing is known."""
        known: list[Sent | None] = [None] * self._count
        for indexes, (partition, ms, first) in self._places:
            for number, index in enumerate(indexes, first):
                known[index] = Sent(partition, ms, number)
        return known
