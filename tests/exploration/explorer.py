"""Every state that can be reached, breadth first; so the first violation that is found has the shortest story."""

from __future__ import annotations

import gc
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field

from segmenter.core.machine import IllegalTransition
from tests.exploration.bounds import Bounds
from tests.exploration.draft import State
from tests.exploration.habits import SOUND, Habits
from tests.exploration.model import Model, Step

__all__ = ["Explored", "Found", "explore"]

LIMIT_STATES = 5_000_000
PROGRESS = 20_000  # states from one report to the next


class Found(AssertionError):
    """Something that must not be; the message is the shortest story of how it comes about."""

    def __init__(self, bounds: Bounds, what: str, story: list[str]) -> None:
        lines = [f"{number:3}. {line}" for number, line in enumerate(story, 1)]
        super().__init__("\n".join([f"{bounds.name}: {what}", *lines]))
        self.what = what
        self.story = story


@define
class Explored:
    """The graph, as far as it was explored."""

    model: Model
    states: list[State] = field(factory=list[State])
    numbers: dict[State, int] = field(factory=dict[State, int])
    origins: array[int] = field(factory=lambda: array("l"))  # from where each state was reached first
    ways: list[tuple[tuple[int, str], ...]] = field(factory=list)  # to, bound; of each state, without faults
    edges_per_action: Counter[str] = field(factory=Counter[str])
    looked_at: int = 0  # states whose steps are known
    seconds: float = 0.0

    @property
    def edges(self) -> int:
        """How many steps there are."""
        return self.edges_per_action.total()

    def add(self, state: State, origin: int) -> int:
        """The number of a state, a new one if it was not known."""
        number = self.numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
            self.origins.append(origin)
        return number

    def story(self, number: int) -> list[str]:
        """The labels of a shortest way to a state."""
        labels: list[str] = []
        while number > 0:
            origin = self.origins[number]
            labels.append(self.label(origin, number))
            number = origin
        return labels[::-1]

    def label(self, origin: int, to: int) -> str:
        """What a step says."""
        steps = self.model.steps(self.states[origin])
        return next(step.label for step in steps if step.to == self.states[to])


def explore(
    bounds: Bounds,
    habits: Habits = SOUND,
    *,
    limit: int = LIMIT_STATES,
    progress: Callable[[Explored], None] = lambda explored: None,
) -> Explored:
    """Explore everything within bounds.

    Raises:
        Found: something that must not be, with the shortest story that leads there.
    """
    began = time.perf_counter()
    explored = Explored(Model(bounds, habits))
    explored.add(explored.model.first(), -1)
    with _no_garbage():
        for number, _ in enumerate(explored.states):  # which grow meanwhile
            assert number < limit, f"{bounds.name}: more than {limit} states"
            _expand(explored, number)
            explored.looked_at = number + 1
            if explored.looked_at % PROGRESS == 0:
                explored.seconds = time.perf_counter() - began
                progress(explored)
    explored.seconds = time.perf_counter() - began
    return explored


def _expand(explored: Explored, number: int) -> None:
    ways = []
    for step in _steps(explored, number):
        explored.edges_per_action[step.kind] += 1
        to = explored.add(step.to, number)
        if not step.fault:
            ways.append((to, step.bound))
    if explored.model.bounds.live:
        explored.ways.append(tuple(ways))


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Everything is kept, so there is no use in looking for what is not; it took a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _steps(explored: Explored, number: int) -> Iterator[Step]:
    try:
        yield from explored.model.steps(explored.states[number])
    except (AssertionError, IllegalTransition) as error:
        trying = explored.model.trying  # before the story is told, which tries more
        story = [*explored.story(number), trying]
        raise Found(explored.model.bounds, str(error), story) from error
