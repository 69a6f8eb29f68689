"""Which member each partition is meant for: balanced, with the fewest moves, and the same for whoever computes it.

Each of M members has a quota q(m) of floor(P/M) or ceil(P/M) of the P partitions. A partition *moves* if the member
that has it stays and loses it. Why no balanced assignment moves fewer partitions than this one:

    moves  >=  sum over the members that stay of max(0, held(m) - q(m))

since m keeps at most min(held(m), q(m)). If everyone keeps exactly that, the bound is reached: the quotas add up to P,
so there is room for every partition left over. And a larger quota lowers the bound, by one, only where held(m) exceeds
floor(P/M): it is lowest if the P mod M larger quotas go to those who hold most. (Kafka's sticky assignor, KIP-54, has
the same aim and searches for it; where any member may take any partition, one pass does.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

__all__ = ["assign", "is_balanced", "moves"]

Assignment = Sequence[str | None]


def assign(members: Collection[str], previous: Assignment) -> tuple[str | None, ...]:
    """Return the next member of each partition, ``None`` everywhere if there are no members.

    Sizes differ by at most one, so with fewer partitions than members some get none. It takes O(P + M log M).

    Args:
        members: each once, in any order.
        previous: the member that each partition was meant for; it may be gone, or ``None``.
    """
    if not members:
        return (None,) * len(previous)
    room = _quotas(members, previous)
    kept = [_keep(name, room) for name in previous]
    takers = (name for name, places in room.items() for _ in range(places))  # in order of rank, whoever computes it
    return tuple(next(takers) if name is None else name for name in kept)


def _quotas(members: Collection[str], previous: Assignment) -> dict[str, int]:
    """How many partitions each member gets; those who hold most come first, ties go by name."""
    held = Counter(previous)
    small, larger = divmod(len(previous), len(members))
    ranked = sorted(members, key=lambda name: (-held[name], name))
    return {name: small + (rank < larger) for rank, name in enumerate(ranked)}


def _keep(name: str | None, room: dict[str, int]) -> str | None:
    """Take up one place of this member, or leave the partition over if it is gone or has no room."""
    if name is None or room.get(name, 0) == 0:
        return None
    room[name] -= 1
    return name


def is_balanced(members: Collection[str], assignment: Assignment) -> bool:
    """Whether every partition has one of the members and none has two more than another."""
    if not members:
        return all(name is None for name in assignment)
    held = Counter(assignment)
    sizes = [held[name] for name in members]
    return sum(sizes) == len(assignment) and max(sizes) - min(sizes) <= 1


def moves(previous: Assignment, following: Assignment, members: Collection[str]) -> int:
    """How many partitions leave a member that stays."""
    stay = set(members)
    return sum(old in stay and old != new for old, new in zip(previous, following, strict=True))
