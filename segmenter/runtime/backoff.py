"""How long to wait before something that failed is tried again.

Twice as long each time, up to a limit, and each time a random share of that: a server that comes back is not met by
everybody at once (Brooker, "Exponential Backoff And Jitter", 2015, the variant with equal jitter).
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["LIMIT_S", "Backoff"]

FIRST_S = 0.05
LIMIT_S = 1.0


class Backoff:
    """The waits of one line of attempts; ``reset`` when one succeeds."""

    def __init__(self, chance: Callable[[], float], limit_s: float = LIMIT_S) -> None:
        """Take the source of chance, numbers from 0 to 1, and the longest wait."""
        self._chance = chance
        self._limit_s = limit_s
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        longest_s = min(self._limit_s, FIRST_S * 2.0**self._failures)
        self._failures = min(self._failures + 1, 32)
        return longest_s * (1 + self._chance()) / 2

    def reset(self) -> None:
        """Something succeeded."""
        self._failures = 0
