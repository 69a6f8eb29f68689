"""The tables of the machine, row by row and over the whole product of states and symbols."""

from __future__ import annotations

import inspect
import itertools

import pytest
from attrs import evolve

from segmenter.core import machine
from segmenter.core import signals as sig
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.group import GroupState, Membership
from segmenter.core.machine import IllegalTransition
from segmenter.core.member import Hold, Member
from segmenter.core.partition import Claim, Claimed, Progress, Release
from segmenter.core.transitions import IGNORED, STANDINGS, TABLE, Action, Standing, State, Symbol, Turn

SLOT, P0 = GroupSlot("orders", "g"), PartitionSlot("orders", 0)
CLAIM = Claim(P0, "g", "a", 1, 7, "a.1", "gone")
RELEASE = Release(P0, "g", "a", 7)
PENDING = {State.CLAIMING: CLAIM, State.ABANDONING: CLAIM, State.RELEASING: RELEASE}
DOCUMENT = GroupState(1, 1000, "v1", 1, "ready", {"a": Membership(), "b": Membership()}, assignment=("b",))

# What each action asks for, in its order.
ASKS = {
    Action.NONE: [],
    Action.CLAIM: ["Claim"],
    Action.REPEAT: ["the same"],
    Action.ABANDON: ["Release"],
    Action.FETCH: ["Fetch", "Granted"],
    Action.STOP: ["Stop"],
    Action.RELEASE: ["Release"],
    Action.WAIT: [],
    Action.REFRESH: ["LoadGroup"],
    Action.FREED: ["Announce"],
    Action.LOSE: ["Drop", "Lost", "LoadGroup"],
}


def step_in(state: State) -> machine._Step:
    hold = Hold(state, epoch=7, owner="b", met=1, pending=PENDING.get(state))
    member = Member("a", SLOT, 1.0, 0.1, DOCUMENT, standing=Standing.STABLE, holds=(hold,))
    step = machine._Step(member, 5.0)
    step.grant = Claimed(8, Progress(), b"0-0", 0, 0, "born")
    return step


def name_of(effect: sig.Effect) -> str:
    match effect:
        case sig.Execute(command, again):
            return "the same" if command in (CLAIM, RELEASE) and again else type(command).__name__
        case sig.Emit(observation):
            return type(observation).__name__
        case _:
            return type(effect).__name__


def edge(state: State, symbol: Symbol) -> str:
    return f"{state.name}-to-{TABLE[state, symbol][0].name}-on-{symbol.name}".lower()


PRODUCT = [*itertools.product(State, Symbol)]
MISSING = [pair for pair in PRODUCT if pair not in TABLE]


def named(pair: tuple[State, Symbol]) -> str:
    return f"{pair[0].name}-{pair[1].name}".lower()


@pytest.mark.parametrize(("state", "symbol"), TABLE, ids=itertools.starmap(edge, TABLE))
def test_a_row_leads_where_it_says_and_asks_for_what_it_says(state: State, symbol: Symbol) -> None:
    step = step_in(state)
    step._symbol(0, symbol)
    after, action = TABLE[state, symbol]
    assert step.member.holds[0].state is after
    assert [name_of(effect) for effect in step.effects] == ASKS[action]


@pytest.mark.parametrize("pair", [pair for pair in MISSING if pair[1] in IGNORED], ids=named)
def test_a_symbol_that_may_come_at_any_time_changes_nothing_without_a_row(pair: tuple[State, Symbol]) -> None:
    step = step_in(pair[0])
    before = step.member
    step._symbol(0, pair[1])
    assert (step.member, step.effects) == (before, [])


@pytest.mark.parametrize("pair", [pair for pair in MISSING if pair[1] not in IGNORED], ids=named)
def test_a_symbol_that_cannot_come_is_an_error_that_changes_nothing(pair: tuple[State, Symbol]) -> None:
    """A runtime that loses count must hear of it at once rather than go on with a wrong idea of what it owns."""
    step = step_in(pair[0])
    before = step.member
    with pytest.raises(IllegalTransition, match=f"{pair[1].name} in {pair[0].name}"):
        step._symbol(0, pair[1])
    assert (step.member, step.effects) == (before, [])


def test_the_whole_product_is_either_a_row_or_ignored_or_an_error() -> None:
    refused = [pair for pair in MISSING if pair[1] not in IGNORED]
    ignored = [pair for pair in MISSING if pair[1] in IGNORED]
    assert len(TABLE) + len(ignored) + len(refused) == len(State) * len(Symbol) == 105
    assert {symbol for _, symbol in TABLE} == set(Symbol)
    assert {action for _, action in TABLE.values()} == set(Action)


def test_an_illegal_event_leaves_the_member_as_it_was() -> None:
    member = step_in(State.FREE).member
    with pytest.raises(IllegalTransition):
        machine.advance(member, sig.Drained(0), 5.0)
    assert member == step_in(State.FREE).member


def reachable(start: State) -> set[State]:
    found, frontier = {start}, [start]
    while frontier:
        state = frontier.pop()
        after = {row[0] for (before, _), row in TABLE.items() if before is state} - found
        found |= after
        frontier += after
    return found


def test_every_state_is_reached_from_free() -> None:
    assert reachable(State.FREE) == set(State)


@pytest.mark.parametrize("state", State, ids=lambda s: s.name.lower())
def test_every_state_leads_back_to_free(state: State) -> None:
    assert State.FREE in reachable(state)


@pytest.mark.parametrize(
    "state", [s for s in State if s not in (State.FREE, State.RELEASING)], ids=lambda s: s.name.lower()
)
def test_every_state_can_be_revoked_or_is_on_its_way_out(state: State) -> None:
    """Otherwise a rebalance waits for ever for somebody who does not know that it should give up."""
    leaves = {State.DRAINING, State.ABANDONING}
    assert state in leaves or TABLE[state, Symbol.REVOKED][0] in {State.FREE, *leaves}


@pytest.mark.parametrize("state", [s for s in State if s is not State.FREE], ids=lambda s: s.name.lower())
def test_a_member_that_may_not_act_drops_every_state_at_once(state: State) -> None:
    assert TABLE[state, Symbol.DROPPED][0] is State.FREE


@pytest.mark.parametrize("state", [State.CLAIMING, State.RELEASING, State.ABANDONING], ids=lambda s: s.name.lower())
def test_a_lost_answer_is_followed_by_another_question(state: State) -> None:
    """Where a command is under way, its loss must not end the matter."""
    assert TABLE[state, Symbol.UNANSWERED][1] in {Action.REPEAT, Action.ABANDON}


def test_every_action_is_a_method_and_every_such_method_an_action() -> None:
    methods = {name for name, _ in inspect.getmembers(machine._Step, inspect.isfunction) if name.startswith("_do_")}
    assert methods == {f"_do_{action.name.lower()}" for action in Action}


# --- membership ---


def standing_at(standing: Standing) -> machine._Step:
    return machine._Step(evolve(step_in(State.FREE).member, standing=standing), 5.0)


@pytest.mark.parametrize(
    ("standing", "turn"),
    STANDINGS,
    ids=[f"{s.name}-to-{after.name}-on-{t.name}".lower() for (s, t), after in STANDINGS.items()],
)
def test_a_turn_of_the_membership_leads_where_it_says(standing: Standing, turn: Turn) -> None:
    step = standing_at(standing)
    step._turn(turn, "left")
    after = STANDINGS[standing, turn]
    assert step.member.standing is after
    said = [name_of(effect) for effect in step.effects]
    assert said == {Standing.STABLE: ["Admitted"], Standing.OUTSIDE: ["Departed"]}.get(after, [])


@pytest.mark.parametrize(
    ("standing", "turn"),
    [pair for pair in itertools.product(Standing, Turn) if pair not in STANDINGS],
    ids=lambda part: part.name.lower(),
)
def test_a_turn_without_a_row_changes_nothing(standing: Standing, turn: Turn) -> None:
    step = standing_at(standing)
    before = step.member
    step._turn(turn)
    assert (step.member, step.effects) == (before, [])


def test_every_standing_is_reached_from_outside_and_leads_back() -> None:
    found = {Standing.OUTSIDE}
    for _ in Standing:
        found |= {after for (before, _), after in STANDINGS.items() if before in found}
    assert found == set(Standing)
    assert {before for (before, _), after in STANDINGS.items() if after is Standing.OUTSIDE} == found - {
        Standing.OUTSIDE
    }
    assert {turn for _, turn in STANDINGS} == set(Turn)


@pytest.mark.parametrize("state", [State.OWNED, State.DRAINING], ids=lambda s: s.name.lower())
def test_whoever_is_expelled_drops_what_it_holds_before_it_departs(state: State) -> None:
    step = step_in(state)
    step._turn(Turn.EXPELLED, "expelled")
    assert [name_of(effect) for effect in step.effects] == ["Drop", "Lost", "Departed"]
    assert step.member.idle
