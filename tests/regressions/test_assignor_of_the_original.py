"""The original's assignor, as arithmetic: where it failed, and that ours does not.

It gave each member round(P/M) consecutive partitions and the last one what was left. Where the rounding goes up there
may be less than nothing left (a panic); where it goes down, or up by a little, the last one's share may be any size.
"""

from __future__ import annotations

from collections import Counter
from math import floor

import pytest

from segmenter.core.assignor import assign, is_balanced, moves

SIZES = [(partitions, members) for partitions in range(1, 65) for members in range(1, partitions + 1)]


def _shares_in_the_original(partitions: int, members: int) -> list[int]:
    """How many partitions each member had; a negative last share is a slice out of range."""
    share = floor(partitions / members + 0.5)
    return [share] * (members - 1) + [partitions - share * (members - 1)]


PANICKED = [size for size in SIZES if min(_shares_in_the_original(*size)) < 0]
UNBALANCED = [
    size
    for size in SIZES
    if size not in PANICKED and max(_shares_in_the_original(*size)) - min(_shares_in_the_original(*size)) > 1
]


def test_it_failed_in_two_thirds_of_all_sizes() -> None:
    """The figures that we publish about it: 64 partitions over 43 members gave 42 of them one and the last one 22."""
    assert (len(SIZES), len(PANICKED), len(UNBALANCED)) == (2080, 384, 1082)
    assert _shares_in_the_original(64, 43) == [1] * 42 + [22]


@pytest.mark.parametrize("sizes", [PANICKED, UNBALANCED, SIZES], ids=["panicked", "unbalanced", "all"])
def test_ours_covers_and_balances_them_from_nothing(sizes: list[tuple[int, int]]) -> None:
    """A panic took the whole process down; a share of 22 to the others' one was the group's speed limit."""
    for partitions, size in sizes:
        members = [f"m{number}" for number in range(size)]
        held = Counter(assign(members, (None,) * partitions))
        assert set(held) == set(members)
        assert sum(held.values()) == partitions
        assert max(held.values()) - min(held.values()) <= 1


def test_ours_covers_and_balances_them_while_members_come_and_go_one_by_one() -> None:
    """The original cut the list anew: the first member's leave made 74 % of what the others had change hands."""
    for partitions in range(1, 65):
        members = [f"m{number}" for number in range(partitions)]
        assignment: tuple[str | None, ...] = (None,) * partitions
        for size in (*range(1, partitions + 1), *range(partitions, 0, -1)):
            present = members[:size]
            following = assign(present, assignment)
            assert is_balanced(present, following)
            assert moves(assignment, following, present) <= partitions // size
            assignment = following
