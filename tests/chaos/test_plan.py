"""The plan says what is done to a server and its workers; the figures are those of what came of it."""

from __future__ import annotations

from collections import Counter

from tests.chaos.faults import STRIKES
from tests.chaos.figures import Spread, figures
from tests.chaos.plan import KINDS, plan
from tests.chaos.test_checks import TRUE


def test_a_seed_gives_the_same_plan_again_and_all_kinds_of_faults() -> None:
    assert plan(7, 45.0, 1.3) == plan(7, 45.0, 1.3) != plan(8, 45.0, 1.3)
    assert {fault.kind for fault in plan(7, 45.0, 1.3)} == set(KINDS) == set(STRIKES)


def test_the_figures_are_those_of_the_account() -> None:
    of_it = figures(TRUE, Counter(killed=1))
    assert (of_it.messages, of_it.lost, of_it.reordered, of_it.doubled, of_it.stale_accepted) == (3, 0, 0, 0, 0)
    assert (of_it.redelivered, of_it.recoveries_ms, of_it.broken) == (1, (0.005,), ())
    assert Spread.of((of_it + of_it).recoveries_ms) == Spread(2, 0.0, 0.0, 0.0, 0.0)
    assert Spread.of(()) is None
