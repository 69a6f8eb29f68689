"""Assignment: every partition once, balanced within one, the fewest moves, the same for whoever computes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from segmenter.core.assignor import assign, is_balanced, moves

Assignment = tuple[str | None, ...]

NAMES = tuple(f"m{number:02}" for number in range(81))


def _fewest_moves(members: Sequence[str], previous: Assignment) -> int:
    """The closed form: who holds most gets the larger quotas, and whatever is held beyond a quota moves."""
    held = sorted((Counter(previous)[name] for name in members), reverse=True)
    small, larger = divmod(len(previous), len(members))
    return sum(max(0, count - small - (rank < larger)) for rank, count in enumerate(held))


def _all_balanced(members: Sequence[str], partitions: int) -> Iterator[Assignment]:
    return (choice for choice in product(members, repeat=partitions) if is_balanced(members, choice))


def _check(members: Sequence[str], previous: Assignment) -> Assignment:
    following = assign(members, previous)
    assert is_balanced(members, following)
    assert moves(previous, following, members) == (_fewest_moves(members, previous) if members else 0)
    return following


def test_every_size_up_to_64_partitions_and_80_members_is_balanced_through_joins_and_leaves() -> None:
    """Exhaustive: from nothing, after a join, after the first, a middle and the last member leave."""
    for partitions in range(1, 65):
        for size in range(81):
            members = NAMES[:size]
            settled = _check(members, (None,) * partitions)
            if size < 80:
                _check(NAMES[: size + 1], settled)
            for gone in {0, size // 2, size - 1} if size else ():
                _check(members[:gone] + members[gone + 1 :], settled)


def test_no_balanced_assignment_moves_fewer_at_small_sizes() -> None:
    """Brute force over every previous assignment, departed owners and free partitions included."""
    for partitions in range(1, 5):
        for size in range(1, 4):
            members = NAMES[:size]
            candidates = list(_all_balanced(members, partitions))
            for previous in product((None, "departed", *members), repeat=partitions):
                fewest = min(moves(previous, candidate, members) for candidate in candidates)
                assert moves(previous, assign(members, previous), members) == fewest


@given(
    st.lists(st.sampled_from(NAMES), unique=True, max_size=12),
    st.lists(st.sampled_from((None, "departed", *NAMES[:14])), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_members_are_listed_does_not_matter(
    members: list[str], previous: list[str | None], random: Random
) -> None:
    """Two consumers that computed different assignments from one document would fight for ever."""
    following = _check(members, tuple(previous))
    shuffled = sorted(members, key=lambda _: random.random())
    assert assign(shuffled, previous) == following


def test_a_balanced_assignment_stays_as_it_is() -> None:
    settled = assign(NAMES[:5], (None,) * 13)
    assert assign(NAMES[:5], settled) == settled
