"""The checks of histories fail where a promise is broken: each on a true history with one thing made wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from segmenter.core.beats import Beat
from segmenter.core.invariants import Violation
from segmenter.core.partition import Claim, Claimed, Commit, Committed, PartitionState
from segmenter.core.retention import Append, Appended
from segmenter.testing.simulation import History, Plan, check, simulate
from segmenter.testing.simulation import checks as c
from segmenter.testing.simulation.history import Answered, Began, Ended, Event, Executed, Replied

PLAN = Plan(seed=4, partitions=2, keys=3, messages=20, workers=2)


@pytest.fixture(scope="module")
def true() -> History:
    history = simulate(PLAN)
    check(history)
    return history


def _without(history: History, wrong: Callable[[Event], bool]) -> History:
    return evolve(history, events=[event for event in history.events if not wrong(event)])


def _first(history: History, right: Callable[[Event], bool]) -> int:
    return next(index for index, event in enumerate(history.events) if right(event))


def _replaced(history: History, index: int, *events: Event) -> History:
    return evolve(history, events=[*history.events[:index], *events, *history.events[index + 1 :]])


def _executed(event: Event, command: type, reply: type) -> bool:
    return isinstance(event, Executed) and isinstance(event.command, command) and isinstance(event.reply, reply)


def test_a_message_that_no_handler_settled_is_lost(true: History) -> None:
    index = _first(true, lambda event: isinstance(event, Ended))
    with pytest.raises(Violation, match="P4 nothing is lost"):
        c.nothing_is_lost(_without(true, lambda event: event is true.events[index]))


def test_an_acknowledged_send_that_is_nowhere_is_lost(true: History) -> None:
    index = _first(true, lambda event: isinstance(event, Answered))
    event = true.events[index]
    assert isinstance(event, Answered)
    with pytest.raises(Violation, match="P4 what is acknowledged"):
        c.nothing_is_lost(_replaced(true, index, evolve(event, id="1-1")))


def test_a_message_that_was_never_sent_is_made_up(true: History) -> None:
    index = _first(true, lambda event: isinstance(event, Began))
    event = true.events[index]
    assert isinstance(event, Began)
    with pytest.raises(Violation, match="P4 what is handed out"):
        c.nothing_is_made_up(_replaced(true, index, evolve(event, number=99)))


def test_a_message_that_stands_twice_is_doubled(true: History) -> None:
    index = _first(true, lambda event: _executed(event, Append, Appended))
    event = true.events[index]
    assert isinstance(event, Executed)
    state: PartitionState = event.after
    twice = evolve(state, log=state.log.append([state.log.entries[-1][1]], 0))
    with pytest.raises(Violation, match="P5"):
        c.nothing_is_doubled(_replaced(true, index, event, evolve(event, before=state, after=twice)))


def test_a_key_out_of_order_is_found(true: History) -> None:
    starts = [event for event in true.of(Began) if event.key == "k0"]
    swapped = {id(starts[0]): starts[1], id(starts[1]): starts[0]}
    events = [swapped.get(id(event), event) for event in true.events]
    with pytest.raises(Violation, match="INV-6"):
        c.keys_are_in_order(evolve(true, events=events))


def test_what_was_stored_and_starts_again_is_found(true: History) -> None:
    again = next(true.of(Began))
    with pytest.raises(Violation, match="P6 what is stored"):
        c.nothing_stored_is_done_again(evolve(true, events=[*true.events, again]))


def test_what_starts_again_without_a_cause_is_found(true: History) -> None:
    index = _first(true, lambda event: isinstance(event, Began))
    with pytest.raises(Violation, match="P6 repetition"):
        c.repetition_is_bounded(_replaced(true, index, true.events[index], true.events[index]))


def test_handlers_of_two_owners_at_once_are_found(true: History) -> None:
    index = _first(true, lambda event: isinstance(event, Began))
    event = true.events[index]
    assert isinstance(event, Began)
    other = evolve(event, delivery=-1, member="another", epoch=event.epoch + 1)
    with pytest.raises(Violation, match="INV-7"):
        c.graceful_owners_do_not_overlap(_replaced(true, index, event, other))


def test_a_start_after_the_lease_is_found(true: History) -> None:
    with pytest.raises(Violation, match="INV-12"):
        c.nothing_starts_after_the_lease(
            _without(true, lambda event: isinstance(event, Replied) and isinstance(event.command, Beat))
        )


def test_a_commit_of_somebody_else_is_found(true: History) -> None:
    index = _first(true, lambda event: _executed(event, Commit, Committed))
    event = true.events[index]
    assert isinstance(event, Executed)
    assert isinstance(event.command, Commit)
    foreign = evolve(event, command=evolve(event.command, member="another"))
    with pytest.raises(Violation, match="INV-1"):
        c.only_the_owner_commits(_replaced(true, index, foreign))


def test_a_commit_without_a_claim_is_found(true: History) -> None:
    with pytest.raises(Violation, match="INV-1"):
        c.only_the_owner_commits(_without(true, lambda event: _executed(event, Claim, Claimed)))


def test_a_law_broken_in_one_step_is_found(true: History) -> None:
    index = _first(true, lambda event: _executed(event, Claim, Claimed))
    event = true.events[index]
    assert isinstance(event, Executed)
    backwards = evolve(event, before=event.after, after=event.before)
    with pytest.raises(Violation, match="INV-"):
        c.the_laws_hold_at_every_step(_replaced(true, index, backwards))


def test_progress_that_nobody_made_is_found(true: History) -> None:
    with pytest.raises(Violation, match="INV-4"):
        c.progress_is_what_handlers_settled(_without(true, lambda event: isinstance(event, Ended)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"owned_at": None}, "all partitions are owned"),
        ({"owned_at": 1000.0}, "owned in time"),
        ({"drained_at": None}, "everything is settled"),
        ({"events": []}, "has an end"),
    ],
)
def test_a_cluster_that_does_not_come_to_rest_is_found(true: History, change: dict[str, Any], said: str) -> None:
    with pytest.raises(Violation, match=said):
        c.everything_comes_to_rest(evolve(true, **change))


def test_no_check_is_left_without_a_test() -> None:
    """A check that cannot fail is worth nothing."""
    here = Path(__file__).read_text()
    assert [each.__name__ for each in c.CHECKS if f"c.{each.__name__}(" not in here] == []
