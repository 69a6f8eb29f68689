"""Which member each partition is meant for: balanced, with the fewest moves, and the same for whoever computes it.

Each of M members has a quota q(m) of floor(P/M) or ceil(P/M) of the P partitions. A partition *moves* if the member
that has it stays and loses it. Why no balanced assignment moves fewer partitions than this one:

    moves  >=  sum over the members that stay of max(0, held(m) - q(m))

since m keeps at most min(held(m), q(m)). If everyone keeps exactly that, the bound is reached: the quotas add up to P,
so there is room for every partition left over. And a larger quota lowers the bound, by one, only where held(m) exceeds
floor(P/M): it is lowest if the P mod M larger quotas go to those who hold most. (Kafka's sticky assignor, KIP-54, has
the same aim and searches for it; where any member may take any partition, one pass does.)

Some are *away*: they keep what they have as if they were there, up to the quota of a member, and get no more. Who holds
no more than the floor keeps all of it; the others share what is left, and the bound holds among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

__all__ = ["assign", "is_balanced", "moves"]

Assignment = Sequence[str | None]


def assign(members: Collection[str], previous: Assignment, away: Collection[str] = ()) -> tuple[str | None, ...]:
    """Return the next member of each partition, ``None`` where there is nobody.

    Sizes differ by at most one, so with fewer partitions than members some get none. It takes O(P + M log M) where
    nobody is away.

    Args:
        members: each once, in any order.
        previous: the member that each partition was meant for; it may be gone, or ``None``.
        away: those that keep some of what they have and get no more.
    """
    if not members:
        return tuple([name if name in away else None for name in previous])
    room = _quotas(members, previous, away)
    kept = [_keep(name, room) for name in previous]
    takers = (name for name, places in room.items() for _ in range(places))  # in order of rank, whoever computes it
    return tuple(next(takers) if name is None else name for name in kept)


def _quotas(members: Collection[str], previous: Assignment, away: Collection[str]) -> dict[str, int]:
    """How many partitions each member gets; those who hold most come first, ties go by name."""
    held = Counter(previous)
    sharing, left, quotas = {*members, *away}, len(previous), dict[str, int]()
    while short := [name for name in away if name in sharing and held[name] <= left // len(sharing)]:
        quotas |= {name: held[name] for name in short}  # all that they have, so there is no room for more
        sharing -= set(short)
        left -= sum(held[name] for name in short)
    small, larger = divmod(left, len(sharing))
    ranked = sorted(sharing, key=lambda name: (-held[name], name))
    return {name: small + (rank < larger) for rank, name in enumerate(ranked)} | quotas


def _keep(name: str | None, room: dict[str, int]) -> str | None:
    """Take up one place of this member, or leave the partition over if it is gone or has no room."""
    if name is None or room.get(name, 0) == 0:
        return None
    room[name] -= 1
    return name


def is_balanced(members: Collection[str], assignment: Assignment, away: Collection[str] = ()) -> bool:
    """Whether every partition has one of the members and none has two more than another.

    Those that are away may have fewer, and no more than a member may have.
    """
    if not members:
        return all(name is None or name in away for name in assignment)
    held = Counter(assignment)
    sizes = [held[name] for name in members]
    theirs = [held[name] for name in away]
    return sum(sizes) + sum(theirs) == len(assignment) and max([*sizes, *theirs]) - min(sizes) <= 1


def moves(previous: Assignment, following: Assignment, members: Collection[str]) -> int:
    """How many partitions leave a member that stays."""
    stay = set(members)
    return sum(old in stay and old != new for old, new in zip(previous, following, strict=True))
