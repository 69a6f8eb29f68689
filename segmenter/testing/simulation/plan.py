"""What a simulation does to its cluster: drawn from a seed, and plain data, so that it can be made smaller."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from attrs import frozen

__all__ = ["FAULTS", "Fault", "Plan", "drawn_from", "plan_of"]

# What may happen, how often, and what ``amount`` (0 to 1) means.
FAULTS = {
    "join": (3, "a worker joins"),
    "crash": (3, "a worker dies without a word"),
    "leave": (2, "a worker is shut down"),
    "restart in seat": (2, "a worker registers under the seat of another, which lives or not"),
    "pause": (3, "a process stands still for up to 2.5 sessions"),
    "block": (2, "user code blocks the event loop for up to 2.5 sessions, while the heart beats"),
    "cut off": (3, "a process has no network for up to 2 sessions"),
    "lossy": (3, "requests and replies get lost for a second"),
    "late": (3, "requests arrive up to a session late, after their senders gave them up, for a second"),
    "doubled": (2, "requests arrive twice, the second time late, for a second"),
    "slow": (2, "requests and replies take up to half a session for a second"),
    "clock": (1, "the server's clock jumps by up to an hour, either way"),
    "group rolled back": (2, "the group's slot is what it was up to a second ago"),
    "partition rolled back": (2, "a partition's slot is what it was up to a second ago, under a new history"),
    "memory full": (1, "the server takes in no more messages for up to 1.5 seconds"),
    "redrive": (3, "an operator asks for what is parked under a key, or for all of it"),
    "discard": (1, "an operator throws away what is parked under a key"),
    "replay": (2, "an operator sends the dead letters once more"),
    "purge": (1, "an operator throws the dead letters away"),
}
FIRST_S, LAST_S = 0.3, 3.0  # within which everything happens


@frozen
class Fault:
    """Something that happens to the cluster."""

    at: float  # seconds from the start
    kind: str
    target: int  # which process or partition, counted over those that live then
    amount: float  # 0 to 1; what it means is told in ``FAULTS``


@frozen
class Plan:
    """One simulated cluster, and what happens to it; the same plan always runs the same way."""

    seed: int
    partitions: int = 3
    keys: int = 6
    messages: int = 40
    workers: int = 2
    seats: bool = False
    concurrency: int = 2  # handlers at once in a worker
    fails: float = 0.0  # share of deliveries whose handler gives the message back
    hangs: float = 0.0  # share of deliveries that are never settled
    parked: float = 0.0  # share of messages that fail for good at first, and are parked
    rejected: float = 0.0  # share of messages that fail for good at first, and become dead letters
    deadly: float = 0.0  # share of messages that kill whoever handles them, until they are parked
    partition_size: int = 1000
    faults: tuple[Fault, ...] = ()


def plan_of(seed: int, faults: int | None = None) -> Plan:
    """Draw a plan; ``faults`` says how many things happen (2 to 8 if it is not given)."""
    random = Random(seed)
    count = random.randint(2, 8) if faults is None else faults
    drawn = drawn_from(random, list(FAULTS), count)
    return Plan(
        seed=seed,
        partitions=random.randint(1, 4),
        keys=random.randint(1, 8),
        messages=random.randint(20, 60),
        workers=random.randint(1, 3),
        seats=random.choice([False, False, False, True]),
        concurrency=random.choice([1, 1, 2, 4]),
        fails=random.choice([0.0, 0.0, 0.1]),
        hangs=random.choice([0.0, 0.0, 0.02]),
        parked=random.choice([0.0, 0.05, 0.1]),
        rejected=random.choice([0.0, 0.0, 0.1]),
        deadly=random.choice([0.0, 0.0, 0.0, 0.03]),
        partition_size=random.choice([1000, 1000, 12]),
        faults=drawn,
    )


def drawn_from(random: Random, kinds: Sequence[str], count: int) -> tuple[Fault, ...]:
    """Draw so many faults of some kinds, in the order of their moments."""
    drawn = [
        Fault(round(random.uniform(FIRST_S, LAST_S), 3), kind, random.randrange(12), round(random.random(), 3))
        for kind in random.choices(kinds, [FAULTS[kind][0] for kind in kinds], k=count)
    ]
    return tuple(sorted(drawn, key=lambda fault: fault.at))
