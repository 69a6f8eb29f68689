"""Whatever happens within small bounds, in every order: what must hold holds, and what is bound to happen happens.

And the explorer finds what it is there for: each seeded fault, with a short story.
"""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from segmenter.core.partition import Claim, Commit, CommitReply, PartitionState, settle
from segmenter.core.transitions import TABLE, Action, State, Symbol
from tests.exploration.bounds import ALL_FAULTS, SMALL, Bounds
from tests.exploration.components import components
from tests.exploration.explorer import Explored, Found, explore
from tests.exploration.habits import Habits
from tests.exploration.liveness import check_liveness

JOIN = Bounds("one comes", ("a", "a"), present=1, joins=1)


def explored_fully(bounds: Bounds, habits: Habits | None = None) -> Explored:
    explored = explore(bounds, habits or Habits(), limit=100_000)
    check_liveness(explored)
    return explored


def found(bounds: Bounds, habits: Habits) -> Found:
    with pytest.raises(Found) as caught:
        explored_fully(bounds, habits)
    return caught.value


# --- what the protocol is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", SMALL, ids=lambda bounds: bounds.name.replace(" ", "-"))
def test_within_small_bounds_all_that_must_hold_holds_and_everything_settles(bounds: Bounds) -> None:
    explored = explored_fully(bounds)
    assert len(explored.states) > 100
    assert explored.edges > len(explored.states)
    assert expected(bounds) <= set(explored.edges_per_action)


def expected(bounds: Bounds) -> set[str]:
    """What must have happened of what may be done about messages that make trouble."""
    actions = set(bounds.trouble) | {what for what, _ in bounds.asks}
    for may, kinds in (
        (bounds.restarts, {"mark", "park", "join"}),
        (bounds.cancels, {"cancel"}),
        (bool(bounds.asks), {"look", "seek", "FetchLetters -> Letters"}),
        ("fail" in bounds.trouble and bounds.attempts > 1, {"wait"}),
        ("asked twice" in bounds.kinds and bounds.asks and bounds.faults, {"late Redrive -> Requested"}),
    ):
        actions |= kinds if may else set()
    return actions


def test_the_small_bounds_take_in_every_kind_of_fault() -> None:
    assert frozenset().union(*(bounds.kinds for bounds in SMALL if bounds.faults)) == ALL_FAULTS


def test_the_small_bounds_take_in_every_kind_of_trouble() -> None:
    assert frozenset().union(*(bounds.trouble for bounds in SMALL)) == {"fail", "reject", "kill"}
    assert {what for bounds in SMALL for what, _ in bounds.asks} == {"redrive", "discard"}


def test_the_same_bounds_give_the_same_graph() -> None:
    """Counts are compared with those of a specification, so they must not depend on anything else."""
    first, second = explore(JOIN), explore(JOIN)
    assert first.states == second.states
    assert first.edges_per_action == second.edges_per_action
    assert first.edges == sum(len(ways) for ways in first.ways)


# --- what the explorer finds ------------------------------------------------------------------------------------------


def _unfenced(commit: Commit, state: PartitionState, now_us: int) -> tuple[PartitionState, CommitReply]:
    lane = state.lanes[commit.group]
    lane, reply = settle(state, lane, lane.number + commit.number, commit.progress, commit.moves, now_us)
    return state.with_lane(commit.group, lane), reply


def _greedy(claim: Claim, state: PartitionState, now_us: int) -> Any:
    return evolve(claim, evict=state.lanes[claim.group].owner).apply(state, now_us)


def test_a_commit_without_the_fence_is_found() -> None:
    error = found(Bounds("one leaves", ("a",), leaves=1, faults=1), Habits(laws={Commit: _unfenced}))
    assert error.what.startswith("INV-1 only the owner commits")
    assert "Commit 0 at epoch" in error.story[-1]
    assert len(error.story) <= 10


def test_a_claim_that_ignores_a_live_owner_is_found() -> None:
    error = found(JOIN, Habits(laws={Claim: _greedy}))
    assert error.what == "INV-7 one holder at a time: a holds [0, 1], b holds [1]"
    assert "b starts up" in error.story
    assert error.story[-1].startswith("b: Claim 1 at epoch")
    assert len(error.story) <= 9


def test_a_lease_that_is_not_heeded_on_waking_is_found() -> None:
    asleep = Bounds("a pause", ("a",), faults=1, kinds=frozenset({"pause"}))
    error = found(asleep, Habits(heeds_lease=False))
    assert error.what == "INV-12 nothing starts after the lease: a starts 0/0"
    assert error.story == ["a falls asleep", "a tick", "a tick", "a wakes", "a starts 0"]


def test_a_release_while_a_handler_runs_is_found() -> None:
    error = found(JOIN, Habits(awaits_handlers=False))
    assert error.what == "INV-7 partition 1 is free, and a handler of it still runs"
    assert error.story[0] == "a starts 1/0"
    assert error.story[-1] == "a: Release 1 at epoch 1"
    assert len(error.story) <= 10


def test_a_last_commit_that_is_not_repeated_is_found() -> None:
    lossy = Bounds("a late request", ("a",), faults=1, kinds=frozenset({"slow request"}))
    error = found(lossy, Habits(repeats_commits=False))
    assert error.what.startswith("for ever, 1 messages of partition 0 are not settled")
    assert error.story[-2:] == ["a: no answer to Commit 0 at epoch 1", "a tick"]


ORPHANS = Bounds("a late claim", ("", ""), faults=2, kinds=frozenset({"slow request", "pause"}))
UNASKED = {**TABLE, (State.FREE, Symbol.WANTED): (State.FREE, Action.NONE)}
GIVEN_UP = {(State.ABANDONING, Symbol.UNANSWERED): (State.FREE, Action.NONE)}


def test_an_owner_that_does_not_know_that_it_owns_is_found() -> None:
    """Its claim got no answer and was given up, but went through; and nobody may tell it."""
    error = found(ORPHANS, Habits(table=UNASKED | GIVEN_UP))
    assert error.what.startswith("for ever, partition 1 is held by [], and a0 owns it")
    assert "late: Claim 1 at epoch 1 -> Claimed" in error.story
    assert "b: announces Wanted 1 -> Announced" in error.story
    assert error.story[-1] == "a tick"
    assert len(error.story) <= 24


def test_a_transition_that_is_missing_is_found() -> None:
    error = found(JOIN, Habits(table={key: row for key, row in TABLE.items() if key[1] is not Symbol.RELEASED}))
    assert error.what == "RELEASED in RELEASING (partition 1)"


# --- the explorer itself ----------------------------------------------------------------------------------------------


def test_a_story_is_a_shortest_way_and_every_line_of_it_is_a_step() -> None:
    explored = explore(JOIN)
    story = explored.story(len(explored.states) - 1)
    at = {0}
    for line in story:
        at = {
            explored.numbers[step.to]
            for number in at
            for step in explored.model.steps(explored.states[number])
            if step.label == line
        }
    assert len(explored.states) - 1 in at


def test_a_state_has_the_smallest_names_already() -> None:
    """Otherwise one state would be explored under several names, and there would be no end to it."""
    explored = explore(JOIN)
    for state in explored.states:
        assert explored.model.draft(state).seal() == state


GRAPHS: list[tuple[list[list[int]], set[frozenset[int]]]] = [
    ([[]], {frozenset({0})}),
    ([[1], [0]], {frozenset({0, 1})}),
    ([[1], [2, 3], [0], [4], [3]], {frozenset({0, 1, 2}), frozenset({3, 4})}),
    ([[1, 2], [3], [3], []], {frozenset({number}) for number in range(4)}),
]


@pytest.mark.parametrize(("leads", "parts"), GRAPHS)
def test_components_are_those_that_lead_to_each_other(leads: list[list[int]], parts: set[frozenset[int]]) -> None:
    ways = [[(to, "") for to in leading] for leading in leads]
    assert {frozenset(component) for component in components(ways)} == parts
