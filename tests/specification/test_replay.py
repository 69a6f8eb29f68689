"""What simulated runs did to their lanes is what the laws say, and can be told in the words of the specification."""

from __future__ import annotations

import pytest
from attrs import evolve

from segmenter.core.partition import Committed, Fenced
from segmenter.testing.simulation import History, plan_of, simulate
from segmenter.testing.simulation.history import Executed
from tests.specification.traces import check_replay, recorded, stored

SEEDS = range(40)


def _with_a_wrong_answer(history: History) -> History:
    """The history, but that its last commit was refused."""
    *events, last = [event for event in history.of(Executed) if event.reply == Committed()]
    return History(history.plan, [*events, evolve(last, reply=Fenced(None, 0))])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_replayed_gives_the_same_states_and_replies(seed: int) -> None:
    assert check_replay(simulate(plan_of(seed))) > 0


def test_an_answer_that_is_not_by_the_law_is_noticed() -> None:
    history = simulate(plan_of(2))
    assert check_replay(history) > 0
    with pytest.raises(AssertionError):
        check_replay(_with_a_wrong_answer(history))


@pytest.mark.parametrize(("seed", "partition"), [(3, 3), (12, 0), (7, 1), (10, 1)])
def test_the_traces_that_are_kept_are_what_their_seeds_do(seed: int, partition: int) -> None:
    """If this fails since simulations run differently now, write them anew (see CONTRIBUTING.md)."""
    assert dict(stored())[f"seed-{seed}-partition-{partition}"] == recorded(simulate(plan_of(seed)), partition)
