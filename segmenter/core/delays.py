"""Delays of messages that wait for their next attempt, as they are stored: by ordinal, in milliseconds.

An owner measures a delay by its own monotonic clock, which no other process can read. A commit therefore carries what
is left of each delay, and the server adds its time. A claim subtracts what has passed on the server since then, and the
next owner measures the rest by its own clock. No two clocks are compared, except that of a server with that of the
replica that takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["LIMIT_DELAY_MS", "Delays", "delays_left", "delays_until", "due_times"]

Delays = tuple[tuple[int, int], ...]  # (ordinal, milliseconds until the next attempt), by ordinal

LIMIT_DELAY_MS = 10**11  # three years; a longer delay is stored as this


def delays_left(delays: Delays, elapsed_ms: int) -> Delays:
    """Return what is left of stored delays; those that are over are dropped.

    The server's clock may have been set back, by hand or by a failover. Then no time has passed: a delay never becomes
    longer than it was when it was stored. A clock that was set forward ends delays early.
    """
    elapsed_ms = max(0, elapsed_ms)
    return tuple([(ordinal, delay_ms - elapsed_ms) for ordinal, delay_ms in delays if delay_ms > elapsed_ms])


def due_times(delays: Delays, now: float) -> dict[int, float]:
    """Return when each message may start, by the clock that says ``now``."""
    return {ordinal: now + delay_ms / 1000 for ordinal, delay_ms in delays}


def delays_until(due: Iterable[tuple[int, float]], now: float) -> Delays:
    """Return the delays to store, from ordinals and when their messages may start."""
    left = [(ordinal, round(min((at - now) * 1000, LIMIT_DELAY_MS))) for ordinal, at in due]
    return tuple(sorted([(ordinal, delay_ms) for ordinal, delay_ms in left if delay_ms > 0]))
