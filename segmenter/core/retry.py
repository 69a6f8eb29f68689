"""When a message that failed is tried again, and when no more.

The waits grow by a factor up to a maximum, and each is shortened by a random share of itself, so that messages that
failed together do not come back together.
"""

from __future__ import annotations

from attrs import field, frozen

from segmenter.config import DAY_S, between, seconds

__all__ = ["Again", "Decision", "Exhausted", "Retry"]

LIMIT_ATTEMPTS = 1_000_000


@frozen
class Again:
    """Try once more, after a while."""

    delay_s: float


@frozen
class Exhausted:
    """Do not try any more."""


Decision = Again | Exhausted


@frozen
class Retry:
    """How often a message is tried, and how long it waits in between; durations are seconds or ``timedelta``.

    Args:
        attempts: how often at most, the first included.
        initial: the wait after the first attempt.
        maximum: the longest wait.
        factor: by what each wait exceeds the one before.
        jitter: the random share of each wait, from 0 to 1.

    Raises:
        InvalidArgument: a value cannot be.
    """

    attempts: int = field(default=5, validator=between(1, LIMIT_ATTEMPTS))
    initial: float = field(default=0.2, converter=seconds, validator=between(0.0, DAY_S))
    maximum: float = field(default=30.0, converter=seconds, validator=between(0.0, DAY_S))
    factor: float = field(default=2.0, validator=between(1.0, 100.0))
    jitter: float = field(default=0.5, validator=between(0.0, 1.0))

    def allows(self, attempt: int) -> bool:
        """Whether an attempt of this number may be run; a higher one comes of attempts that ended their process."""
        return attempt <= self.attempts

    def after(self, attempt: int, chance: float) -> Decision:
        """Return what follows the failure of an attempt; ``chance`` is a number from 0 to 1."""
        return Again(self.delay_s(attempt, chance)) if self.allows(attempt + 1) else Exhausted()

    def delay_s(self, attempt: int, chance: float) -> float:
        """Return the seconds to wait after an attempt of this number, the first being 1."""
        steps = min(attempt - 1, 150)  # so that the power stays within a float
        longest_s = min(self.maximum, self.initial * self.factor**steps)
        return longest_s * (1.0 - self.jitter * chance)
