"""Runs simulations: ``python -m segmenter.testing.simulation 42`` tells a seed's story, ``0 2000`` checks a range."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from segmenter.core.invariants import Violation
from segmenter.testing.simulation import Plan, check, plan_of, shrunk, simulate, story_of

REPORTED = 100  # seeds from one line to the next


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


def told(seed: int) -> int:
    """Tell the story of a seed."""
    plan = plan_of(seed)
    broken = violation(plan)
    print(f"{story_of(simulate(plan))}\n{broken or 'every promise was kept'}", flush=True)
    return int(bool(broken))


def checked(seeds: range) -> int:
    """Check a range of seeds, and tell the smallest story of the first one that fails."""
    failed = 0
    for count, seed in enumerate(seeds, 1):
        broken = violation(plan_of(seed))
        if broken and not failed:
            print(failing(plan_of(seed), broken), flush=True)
        failed += bool(broken)
        if count % REPORTED == 0 or count == len(seeds):
            print(f"{count} seeds, {failed} failed", flush=True)
    return int(failed > 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every promise was kept, 1 if one was broken, 2 if the question makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m segmenter.testing.simulation", description=__doc__)
    parser.add_argument("seed", type=int, help="whose story to tell, or the first of a range to check")
    parser.add_argument("end", type=int, nargs="?", help="the seed after the last of the range")
    asked = parser.parse_args(arguments)
    if asked.end is None:
        return told(asked.seed)
    if asked.end <= asked.seed:
        parser.error(f"no seed is from {asked.seed} up to, not including, {asked.end}: give the smaller one first")
    return checked(range(asked.seed, asked.end))


if __name__ == "__main__":
    sys.exit(main())
