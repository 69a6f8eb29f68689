"""Noticing that a consumer stands still: messages are handed out, and nothing becomes of them."""

from __future__ import annotations

import math

from segmenter.runtime.holdings import Holdings

__all__ = ["Standstill"]

STALLED_S = 1.0  # without a message handed out or settled, while some are in flight: worth a word


class Standstill:
    """Tells the keys that everything waits for, once each time that nothing moves; handlers may take long."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._moved_at = math.inf  # inf once it was told

    @property
    def at(self) -> float:
        """When it will be one, unless something moves."""
        return self._moved_at + STALLED_S

    def moved(self, now: float) -> None:
        """A message was handed out or settled."""
        if self._holdings.offered is None:
            self._moved_at = now

    def keys(self, now: float) -> tuple[str, ...]:
        """The keys waited for, if it is one and has not been told."""
        if now < self.at:
            return ()
        self._moved_at = math.inf
        idle = not self._holdings.available.is_set()
        return tuple(key for holding in self._holdings for key in holding.lanes.waiting_keys) if idle else ()
