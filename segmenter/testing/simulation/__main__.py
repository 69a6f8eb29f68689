"""Runs simulations: ``python -m segmenter.testing.simulation 42`` tells a seed's story, ``0 2000`` checks a range."""

from __future__ import annotations

import sys

from segmenter.core.invariants import Violation
from segmenter.testing.simulation import Plan, check, plan_of, shrunk, simulate, story_of


def violation(plan: Plan) -> str:
    """What a plan's history breaks; nothing if it keeps every promise."""
    try:
        check(simulate(plan))
    except Violation as broken:
        return str(broken)
    return ""


def failing(plan: Plan, broken: str) -> str:
    """The smallest story found that breaks the same promise."""
    promise = broken.split(":", maxsplit=1)[0]
    small = shrunk(plan, lambda plan: violation(plan).startswith(promise))
    return f"seed {plan.seed} breaks {violation(small)}\n{story_of(simulate(small))}"


def main(arguments: list[str]) -> int:
    """One seed: its story. Two: a range, with the smallest story of the first one that fails."""
    seeds = [int(argument) for argument in arguments]
    say = sys.stdout.write
    if len(seeds) == 1:
        plan = plan_of(seeds[0])
        say(story_of(simulate(plan)) + "\n")
        say(f"{violation(plan) or 'every promise was kept'}\n")
        return int(bool(violation(plan)))
    failed = 0
    for count, seed in enumerate(range(*seeds), 1):
        broken = violation(plan_of(seed))
        if broken and not failed:
            say(failing(plan_of(seed), broken) + "\n")
        failed += bool(broken)
        if count % 100 == 0:
            say(f"{count} seeds, {failed} failed\n")
            sys.stdout.flush()
    say(f"{seeds[1] - seeds[0]} seeds, {failed} failed\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
