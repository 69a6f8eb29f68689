"""What goes wrong and when, drawn from a seed: the same seed always gives the same plan, though not the same run.

Faults are dealt like cards: every kind once before any comes again, so that a short run has all of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from attrs import frozen

__all__ = ["KINDS", "Fault", "plan"]

# How long each lasts, in seconds; a session is 0.6.
KINDS: dict[str, tuple[float, float]] = {
    "worker killed": (0, 0),
    "another worker killed": (0, 0),
    "worker told to leave": (0, 0),
    "worker joins": (0, 0),
    "worker stopped, for less than a session": (0.1, 0.5),
    "worker stopped, for longer": (0.9, 2.0),
    "producer killed": (0, 0),
    "connections reset": (0, 0),
    "replies dropped": (0, 0),
    "requests come once more, late": (2.0, 6.0),
    "half of all cut off, for less than a session": (0.1, 0.5),
    "half of all cut off, for longer": (0.9, 2.0),
    "connections killed by the server": (0, 0),
    "server paused": (0.1, 0.9),
    "server hangs": (0.1, 1.2),
    "server killed and restarted": (0, 0),
    "scripts flushed": (0, 0),
    "memory full": (0.3, 1.5),
}
CALM_S = 2.0  # before the first


@frozen
class Fault:
    """Something that goes wrong."""

    at_s: float  # after the beginning
    kind: str
    for_s: float
    chance: float  # below 1: whom it strikes, and how hard


def plan(seed: int, seconds: float, every_s: float) -> tuple[Fault, ...]:
    """The faults of a run: all that begin before ``seconds``, one every ``every_s`` on average."""
    chance = random.Random(seed)
    faults: list[Fault] = []
    at_s = CALM_S
    for kind in _dealt(chance):
        if at_s >= seconds:
            break
        faults.append(Fault(round(at_s, 3), kind, round(chance.uniform(*KINDS[kind]), 3), chance.random()))
        at_s += every_s * chance.uniform(0.4, 1.6)
    return tuple(faults)


def _dealt(chance: random.Random) -> Iterator[str]:
    while True:
        yield from chance.sample(list(KINDS), len(KINDS))
