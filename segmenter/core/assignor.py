"""Which member each partition is meant for: balanced, with the fewest moves, and the same for whoever computes it.

Every member of M gets floor(P/M) or ceil(P/M) partitions. A partition *moves* if the member that has it stays and
does not keep it. With quota q(m), member m keeps at most min(held(m), q(m)), so at least
sum(held(m) - min(held(m), q(m))) partitions move, and keeping exactly that many reaches the bound: what is free is as
much as what is missing. The bound is smallest if the P mod M larger quotas go to those who hold most, since a larger
quota saves a move only where held(m) is above the smaller one. (The idea of Kafka's sticky assignor, KIP-54.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

__all__ = ["assign", "is_balanced", "moves"]

Assignment = Sequence[str | None]


def assign(members: Collection[str], previous: Assignment) -> tuple[str | None, ...]:
    """Return the next member of each partition, ``None`` everywhere if there are no members.

    Args:
        members: in any order.
        previous: the member that each partition was meant for; it may be gone, or ``None``.
    """
    if not members:
        return (None,) * len(previous)
    room = _quotas(members, previous)
    kept = [_keep(name, room) for name in previous]
    takers = [name for name in sorted(room) for _ in range(room[name])]
    taker = iter(takers)
    return tuple(name if name is not None else next(taker) for name in kept)


def _quotas(members: Collection[str], previous: Assignment) -> dict[str, int]:
    """How many partitions each member gets; those who hold most come first, ties go by name."""
    held = Counter(previous)
    small, larger = divmod(len(previous), len(members))
    ranked = sorted(members, key=lambda name: (-held[name], name))
    return {name: small + (rank < larger) for rank, name in enumerate(ranked)}


def _keep(name: str | None, room: dict[str, int]) -> str | None:
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
