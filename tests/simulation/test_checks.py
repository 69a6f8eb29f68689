"""The checks of histories fail where a promise is broken: each on a true history with one thing made wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from segmenter.core.aside import Aside, Request
from segmenter.core.beats import Beat
from segmenter.core.invariants import Violation
from segmenter.core.letters import Purge, Redrive, Replay
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Lane, PartitionState
from segmenter.core.retention import Append, Appended
from segmenter.testing.simulation import Fault, History, Plan, check, simulate
from segmenter.testing.simulation import checks as c
from segmenter.testing.simulation import shelving as s
from segmenter.testing.simulation.history import Answered, Began, Ended, Event, Executed, Replied
from segmenter.testing.simulation.process import GROUP

PLAN = Plan(seed=4, partitions=2, keys=3, messages=20, workers=2)
SHELVING = evolve(
    PLAN,
    messages=40,
    parked=0.15,
    rejected=0.15,
    deadly=0.05,
    faults=(Fault(0.8, "redrive", 0, 0.1), Fault(4.71, "replay", 0, 0.0), Fault(8.0, "purge", 0, 0.0)),
)


@pytest.fixture(scope="module")
def true() -> History:
    history = simulate(PLAN)
    check(history)
    return history


@pytest.fixture(scope="module")
def shelved() -> History:
    """Messages were parked, dead and deadly, and an operator did everything there is to do."""
    history = simulate(SHELVING)
    check(history)
    assert {event.outcome for event in history.of(Ended)} >= {"parked", "rejected", "killed its process"}
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


def test_two_claims_under_one_epoch_are_noticed(true: History) -> None:
    index = _first(true, lambda event: _executed(event, Claim, Claimed))
    event = true.events[index]
    assert isinstance(event, Executed)
    assert isinstance(event.command, Claim)
    twice = evolve(event, command=evolve(event.command, claim="another"))
    with pytest.raises(Violation, match="INV-1 no two tenures"):
        c.tenures_are_apart(_replaced(true, index, event, twice))


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


# --- what is set aside ----------------------------------------------------------------------------------------------


def _moving(history: History, what: str) -> int:
    """A commit that parks, buries or unparks something."""

    def moves(event: Event) -> bool:
        if not isinstance(event, Executed) or not isinstance(event.command, Commit):
            return False
        return isinstance(event.reply, Committed) and bool(getattr(event.command.moves, what))

    return _first(history, moves)


def _clears(event: Event, command: type) -> bool:
    """Whether dead letters went by a command of this kind."""
    if not isinstance(event, Executed) or not isinstance(event.command, command):
        return False
    return len(event.after.lanes[GROUP].aside.dead) < len(event.before.lanes[GROUP].aside.dead)


def _with_aside(history: History, index: int, change: Callable[[Lane], Aside]) -> History:
    """Have a command leave something else aside."""
    event = history.events[index]
    assert isinstance(event, Executed)
    lane = event.after.lanes[GROUP]
    changed = event.after.with_lane(GROUP, evolve(lane, aside=change(lane)))
    return _replaced(history, index, evolve(event, after=changed))


def test_a_letter_in_two_places_is_found(shelved: History) -> None:
    index = _moving(shelved, "park")
    with pytest.raises(Violation, match="INV-5 a letter is in one place"):
        s.letters_are_in_one_place(_with_aside(shelved, index, lambda it: evolve(it.aside, dead=it.aside.parked)))


def test_a_letter_that_will_be_read_once_more_is_found(shelved: History) -> None:
    def ahead(lane: Lane) -> Aside:
        return evolve(lane.aside, parked=(evolve(lane.aside.parked[0], ordinal=999),))

    with pytest.raises(Violation, match="INV-5 what is set aside counts"):
        s.letters_are_in_one_place(_with_aside(shelved, _moving(shelved, "park"), ahead))


def test_a_parked_letter_that_nobody_settled_and_that_is_gone_is_lost(shelved: History) -> None:
    index = _moving(shelved, "unpark")
    gone = shelved.events[index]
    assert isinstance(gone, Executed)
    assert isinstance(gone.command, Commit)
    ordinals = {ordinal for ordinal, _ in gone.command.moves.unpark}
    theirs = {event.delivery for event in shelved.of(Began) if event.ordinal in ordinals}
    with pytest.raises(Violation, match="P4 what was parked"):
        s.letters_are_not_lost(
            _without(shelved, lambda e: isinstance(e, Ended) and e.outcome == "acked" and e.delivery in theirs)
        )


def test_a_dead_letter_that_is_gone_without_a_word_is_lost(shelved: History) -> None:
    index = _first(shelved, lambda event: _clears(event, Purge))
    event = shelved.events[index]
    assert isinstance(event, Executed)
    by_nobody = evolve(event, command=Redrive(event.command.slot, GROUP, Request("redrive", None, "t")))
    with pytest.raises(Violation, match="P4 a dead letter"):
        s.letters_are_not_lost(_replaced(shelved, index, by_nobody))


def test_a_replay_that_leaves_nothing_in_the_log_is_found(shelved: History) -> None:
    index = _first(shelved, lambda event: _clears(event, Replay))
    event = shelved.events[index]
    assert isinstance(event, Executed)
    nowhere = evolve(event, after=evolve(event.after, log=event.before.log))
    with pytest.raises(Violation, match="P4 what is replayed"):
        s.letters_are_not_lost(_replaced(shelved, index, nowhere))


@pytest.mark.parametrize(("outcome", "said"), [("parked", "P1 what is parked"), ("rejected", "P1 what is dead")])
def test_what_is_set_aside_without_a_reason_is_found(shelved: History, outcome: str, said: str) -> None:
    with pytest.raises(Violation, match=said):
        s.letters_are_not_lost(_without(shelved, lambda e: isinstance(e, Ended) and e.outcome == outcome))


def test_a_message_that_overtakes_a_parked_one_is_found(shelved: History) -> None:
    parked = next(event for event in shelved.of(Ended) if event.outcome == "parked")
    began = next(event for event in shelved.of(Began) if event.delivery == parked.delivery)
    index = shelved.events.index(parked)
    overtaking = evolve(began, delivery=-1, ordinal=began.ordinal + 1, number=began.number + 1)
    with pytest.raises(Violation, match="INV-6 nothing overtakes"):
        s.nothing_overtakes_what_is_parked(_replaced(shelved, index, parked, overtaking))


def test_a_parked_message_that_starts_unasked_is_found(shelved: History) -> None:
    def unasked(event: Event) -> Event:
        if isinstance(event, Executed) and isinstance(event.after, PartitionState) and GROUP in event.after.lanes:
            lane = event.after.lanes[GROUP]
            return evolve(
                event, after=event.after.with_lane(GROUP, evolve(lane, aside=evolve(lane.aside, requests=())))
            )
        return event

    with pytest.raises(Violation, match="P1 what is parked starts when that was asked for"):
        s.nothing_overtakes_what_is_parked(evolve(shelved, events=[unasked(event) for event in shelved.events]))


def test_a_message_that_kills_on_and_on_is_found(shelved: History) -> None:
    index = _first(shelved, lambda event: isinstance(event, Ended) and event.outcome == "killed its process")
    with pytest.raises(Violation, match="P8 deaths are bounded"):
        s.deaths_are_bounded(_replaced(shelved, index, *[shelved.events[index]] * 5))


def test_a_request_that_nobody_heeds_is_found(shelved: History) -> None:
    last = (
        len(shelved.events)
        - 1
        - _first(
            evolve(shelved, events=shelved.events[::-1]),
            lambda event: isinstance(event, Executed) and isinstance(event.after, PartitionState),
        )
    )
    with pytest.raises(Violation, match="P8 what is asked is done"):
        s.what_is_asked_is_done(
            _with_aside(shelved, last, lambda it: evolve(it.aside, requests=(Request("redrive", None, "t"),)))
        )


def test_no_check_is_left_without_a_test() -> None:
    """A check that cannot fail is worth nothing."""
    here = Path(__file__).read_text()
    assert [each.__name__ for each in c.CHECKS if f".{each.__name__}(" not in here] == []
