"""Whether a user's handlers keep order, and lose nothing, whatever befalls the processes that run them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from attrs import evolve

from segmenter.errors import InvalidArgument
from segmenter.testing.ordering.play import FAULTS, Played, Simulation
from segmenter.testing.ordering.processes import Messages
from segmenter.testing.simulation.plan import Plan
from segmenter.testing.simulation.shrinking import shrunk

if TYPE_CHECKING:
    from segmenter.worker import Worker

__all__ = ["check_ordering"]

LIMIT_TRIES = 60  # to make a story smaller


def check_ordering(
    worker: Worker,
    messages: Messages | None = None,
    *,
    faults: Collection[str] = FAULTS,
    seeds: Iterable[int] = range(20),
    outcome: Callable[[], object] | None = None,
    reset: Callable[[], object] = lambda: None,
) -> None:
    """Play a worker's handlers through faults, seed by seed, and fail if a promise is broken.

    Processes that run them join, leave, die and stand still, with networks that lose, double and delay; handlers fail
    before their work and after it. Whatever happens, messages of a key must be handled one after the other in their
    order, none must be lost, no two processes may work in a partition that was handed over, and nothing may be done
    again without a cause. What a handler has started must have ended when it returns: a task that is left behind is
    overtaken by the next message of the key, and lost with its process.

    Args:
        worker: whose handlers are played, as ``Simulation`` does.
        messages: stream, key and value of each; numbers under a few keys without them.
        faults: the kinds that may happen: ``join``, ``crash``, ``leave``, ``pause``, ``block``, ``cut off``, ``lossy``,
            ``late``, ``doubled``, ``slow``, ``fail``.
        seeds: each is a story of its own.
        outcome: returns what the handlers have brought about; it must be what it is without faults, so that what is
            done again changes nothing. Where something was set aside, it is not compared.
        reset: called before each story, to undo what the one before has brought about.

    Raises:
        AssertionError: a promise was broken; with the seed, the smallest story found, and how to play it again.
        InvalidArgument: as for ``Simulation``.
    """
    chosen = list(seeds)
    if not chosen:
        raise InvalidArgument("there are no seeds: nothing would be played")
    for seed in chosen:
        simulation = Simulation(worker, seed, messages, faults=faults, outcome=outcome or _nothing)
        _Case(simulation, compares=outcome is not None, reset=reset).check()


def _nothing() -> None:
    """No outcome is looked at."""


class _Case:
    """One seed."""

    def __init__(self, simulation: Simulation, *, compares: bool, reset: Callable[[], object]) -> None:
        self._simulation = simulation
        self._compares = compares
        self._reset = reset
        self._tries = 0

    def check(self) -> None:
        """Raise ``AssertionError`` with the smallest story, if a promise is broken."""
        plan = self._simulation.plan
        broken = self._broken(plan)
        if broken is None:
            return
        promise = broken.partition(":")[0]
        small = shrunk(plan, lambda smaller: self._still(smaller, promise))
        self._reset()
        story = self._simulation.play(small).story
        again = f"Play it again: check_ordering(..., seeds=[{plan.seed}])"
        raise AssertionError(f"seed {plan.seed}: {self._broken(small)}\n\n{story}\n\n{again}")

    def _still(self, plan: Plan, promise: str) -> bool:
        self._tries += 1
        return self._tries <= LIMIT_TRIES and (self._broken(plan) or "").startswith(promise)

    def _broken(self, plan: Plan) -> str | None:
        played = self._play(plan)
        return played.broken or (self._changed(plan, played) if self._compares else None)

    def _changed(self, plan: Plan, played: Played) -> str | None:
        calm = self._play(_calm(plan))
        if played.set_aside > calm.set_aside or played.outcome == calm.outcome:
            return None
        return f"outcome: {played.outcome!r}, and without faults {calm.outcome!r}"

    def _play(self, plan: Plan) -> Played:
        self._reset()
        return self._simulation.play(plan)


def _calm(plan: Plan) -> Plan:
    """The same messages, and nothing that goes wrong."""
    return evolve(plan, fails=0.0, faults=())
