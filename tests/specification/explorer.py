"""All states that the code reaches within bounds, each once in the words of the specification."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from attrs import field, frozen

from tests.specification.bounds import Bounds
from tests.specification.mirror import mirrored
from tests.specification.steps import steps
from tests.specification.values import Value, states_in
from tests.specification.world import World, first

__all__ = ["Explored", "explore", "in_dump"]

VARIABLES = ("group", "lane", "processes", "late", "settled", "past", "clock", "faults", "leaves")

State = tuple[Value, ...]


@frozen
class Explored:
    """The states, and how many steps of each kind lead from them."""

    states: frozenset[State]
    actions: Counter[str] = field(factory=Counter[str])


def _state(world: World) -> State:
    variables = mirrored(world)
    return tuple(variables[name] for name in VARIABLES)


def explore(bounds: Bounds) -> Explored:
    """Explore breadth first. Of the worlds that are one state to the specification, the first is gone on with."""
    beginning = first(bounds)
    seen, actions, ahead = {_state(beginning)}, Counter[str](), [beginning]
    while ahead:
        found = []
        for world in ahead:
            for action, after in steps(world):
                actions[action] += 1
                state = _state(after)
                if state not in seen:
                    seen.add(state)
                    found.append(after)
        ahead = found
    return Explored(frozenset(seen), actions)


def in_dump(dump: Path) -> frozenset[State]:
    """The states that TLC has found."""
    return frozenset(tuple(state[name] for name in VARIABLES) for state in states_in(dump))
