"""Assignment: every partition once, balanced within one, the fewest moves, the same for whoever computes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import combinations, product
from operator import eq
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.core.assignor import assign, is_balanced, moves

Assignment = tuple[str | None, ...]

NAMES = tuple(f"m{number:02}" for number in range(81))
MOST_PARTITIONS, MOST_MEMBERS = 64, 80


def _fewest_moves(members: Sequence[str], previous: Assignment) -> int:
    """The closed form: who holds most gets the larger quotas, and whatever is held beyond a quota moves."""
    if not members:
        return 0
    counts = Counter(previous)
    held = sorted((counts[name] for name in members), reverse=True)
    small, larger = divmod(len(previous), len(members))
    return sum(max(0, count - small - (rank < larger)) for rank, count in enumerate(held))


def _check(members: Sequence[str], previous: Assignment) -> Assignment:
    """Assign, and hold the outcome to all laws at once."""
    following = assign(members, previous)
    assert is_balanced(members, following)
    assert moves(previous, following, members) == _fewest_moves(members, previous)
    return following


@cache
def _settled() -> list[tuple[tuple[str, ...], Assignment]]:
    """Every size there is, assigned from nothing."""
    sizes = product(range(1, MOST_PARTITIONS + 1), range(MOST_MEMBERS + 1))
    return [(NAMES[:size], assign(NAMES[:size], (None,) * partitions)) for partitions, size in sizes]


def _positions(members: Sequence[str]) -> list[str]:
    """The first, which has a larger share if anyone has, the last, which has a smaller one, and the middle."""
    return sorted({members[0], members[len(members) // 2], members[-1]}) if members else []


def test_from_nothing_every_partition_has_a_member_at_every_size() -> None:
    """A partition that nobody is meant for is a stream that stands still for some of its keys."""
    for members, settled in _settled():
        assert is_balanced(members, settled)
        assert len(set(settled) - {None}) == min(len(members), len(settled))


@pytest.mark.parametrize("newcomer", ["a first name", "m40-and-a-half", "z last name"])
def test_a_join_moves_what_the_newcomer_takes_and_nothing_else(newcomer: str) -> None:
    """Each further move would stop and restart a partition for nobody's good, whatever the newcomer is called."""
    for members, settled in _settled():
        following = _check((*members, newcomer), settled)
        taken = {partition for partition, name in enumerate(following) if name == newcomer}
        changed = {partition for partition in range(len(settled)) if following[partition] != settled[partition]}
        assert changed == taken
        assert len(taken) == len(settled) // (len(members) + 1)


@pytest.mark.parametrize("leavers", [1, 2])
def test_a_leave_takes_nothing_from_those_who_stay(leavers: int) -> None:
    """A consumer's restart, or a machine that takes two with it, must not make the others pause."""
    for members, settled in _settled():
        for gone in combinations(_positions(members), leavers):
            stay = tuple(name for name in members if name not in gone)
            following = assign(stay, settled)
            assert is_balanced(stay, following)
            assert moves(settled, following, stay) == 0


@pytest.mark.parametrize("partitions", range(1, 6))
@pytest.mark.parametrize("size", range(1, 5))
def test_no_balanced_assignment_moves_fewer_at_small_sizes(partitions: int, size: int) -> None:
    """Brute force: all previous assignments, with free and deserted partitions, against all balanced ones."""
    members = NAMES[:size]
    balanced = [choice for choice in product(members, repeat=partitions) if is_balanced(members, choice)]
    for previous in product((None, "departed", *members), repeat=partitions):
        stay = sum(name in members for name in previous)
        fewest = stay - max(sum(map(eq, previous, choice)) for choice in balanced)
        assert moves(previous, _check(members, previous), members) == fewest


@pytest.mark.parametrize(("partitions", "size"), [(1024, 7), (1024, 1000), (1000, 1024), (4096, 333), (65_536, 4096)])
def test_large_groups_move_no_more_than_the_closed_form(partitions: int, size: int) -> None:
    """Skewed on purpose: a tenth of the members holds nearly everything, and some have gone."""
    random = Random(partitions + size)
    names = [f"m{number}" for number in range(size + size // 4)]
    few = names[: len(names) // 10 + 1]
    previous = tuple(random.choice((None, *names) if random.random() < 0.1 else few) for _ in range(partitions))
    _check(random.sample(names, size), previous)


@given(
    members=st.lists(st.sampled_from(NAMES), unique=True, max_size=12),
    previous=st.lists(st.sampled_from((None, "departed", *NAMES[:14])), max_size=40).map(tuple),
)
def test_any_previous_assignment_becomes_a_balanced_one_and_then_stays(
    members: list[str], previous: Assignment
) -> None:
    """A group that never settled would hand its partitions round for ever."""
    following = _check(members, previous)
    assert assign(members, following) == following


@given(
    members=st.lists(st.sampled_from(NAMES), unique=True, max_size=12).flatmap(
        lambda names: st.tuples(st.just(names), st.permutations(names))
    ),
    previous=st.lists(st.sampled_from((None, "departed", *NAMES[:14])), max_size=40).map(tuple),
)
def test_the_order_in_which_members_are_listed_does_not_matter(
    members: tuple[list[str], list[str]], previous: Assignment
) -> None:
    """Two consumers that computed different assignments from one document would fight for ever."""
    listed, shuffled = members
    assert assign(listed, previous) == assign(shuffled, previous) == assign(set(listed), previous)


@given(steps=st.lists(st.sets(st.sampled_from(NAMES[:9])), max_size=12), partitions=st.integers(1, 24))
def test_every_step_of_a_group_that_comes_and_goes_is_balanced(steps: list[set[str]], partitions: int) -> None:
    """Also where everybody left for a while, and where those who return find others in their place."""
    assignment: Assignment = (None,) * partitions
    for members in steps:
        assignment = _check(sorted(members), assignment)


def test_those_who_hold_most_keep_most_and_ties_go_by_name() -> None:
    """The smallest example in which the larger quota, given to another, would cost a move."""
    assert assign(["a", "b"], ("b", "b", None)) == ("b", "b", "a")
    assert assign(["b", "a"], (None, None, None)) == ("a", "a", "b")


@pytest.mark.parametrize(
    "assignment",
    [("a", "b", None), ("a", "b", "departed"), ("a", "a", "a"), (None, None, None)],
    ids=["a partition without a member", "one with a stranger", "a member without its share", "nothing"],
)
def test_what_is_not_balanced_is_told(assignment: Assignment) -> None:
    assert not is_balanced(["a", "b"], assignment)
    assert not is_balanced([], ("a", None))


# --- those that are away ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partitions", range(1, 5))
@pytest.mark.parametrize("away", [("x",), ("x", "y")])
@pytest.mark.parametrize("members", [("a",), ("a", "b")])
def test_who_is_away_keeps_up_to_a_share_and_gets_no_more_at_small_sizes(
    partitions: int, away: tuple[str, ...], members: tuple[str, ...]
) -> None:
    """Brute force: of all assignments that are balanced and give none to who is away, none moves fewer."""
    holders = (*members, *away)
    choices = [choice for choice in product(holders, repeat=partitions) if is_balanced(members, choice, away)]
    for previous in product((None, "departed", *holders), repeat=partitions):
        following = assign(members, previous, away)
        assert is_balanced(members, following, away)
        assert assign(members, following, away) == following
        fair = [
            choice
            for choice in choices
            if all(new == old or new not in away for old, new in zip(previous, choice, strict=True))
        ]
        assert following in fair
        fewest = min(moves(previous, choice, holders) for choice in fair)
        assert moves(previous, following, holders) == fewest


def test_who_is_away_keeps_everything_while_nobody_is_there() -> None:
    assert assign([], ("x", "y", "departed", None), ["x", "y"]) == ("x", "y", None, None)
    assert is_balanced([], ("x", "y", None), ["x", "y"])
    assert not is_balanced([], ("x", "departed"), ["x"])


def test_a_seat_that_is_away_and_has_little_leaves_the_rest_to_those_who_are_there() -> None:
    """What others give up must not wait for somebody who is away."""
    assert assign(["a"], ("x", None, None, None, "a"), ["x"]) == ("x", "a", "a", "a", "a")
    assert assign(["a", "b"], ("x", "x", "x", "x", "a", "b"), ["x"]).count("x") == 2
