"""Making a failing plan smaller: fewer faults, fewer messages, fewer of everything, as long as it still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import evolve

from segmenter.testing.simulation.plan import Plan

__all__ = ["shrunk"]

LIMIT_TRIES = 400


def shrunk(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """Return the smallest plan found that still fails; greedy, with a limit on the tries."""
    tries = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(plan):
            tries += 1
            if tries > LIMIT_TRIES:
                return plan
            if fails(candidate):
                plan, smaller = candidate, True
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Simpler plans, the boldest first."""
    faults = plan.faults
    for size in (len(faults) // 2, 1):
        for start in range(0, len(faults), size) if size else ():
            yield evolve(plan, faults=faults[:start] + faults[start + size :])
    for messages in sorted({plan.messages // 2, plan.messages - 1}):
        if messages >= 1:
            yield evolve(plan, messages=messages)
    for name in ("keys", "partitions", "workers", "concurrency"):
        for fewer in sorted({1, getattr(plan, name) - 1}):
            if 1 <= fewer < getattr(plan, name):
                yield evolve(plan, **{name: fewer})
    for plainer in (
        evolve(plan, fails=0.0),
        evolve(plan, hangs=0.0),
        evolve(plan, seats=False),
        evolve(plan, partition_size=1000),
    ):
        if plainer != plan:
            yield plainer
