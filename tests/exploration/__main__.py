"""Explore, from the command line: ``python -m tests.exploration`` the bounds of CI, ``--soak`` larger ones."""

from __future__ import annotations

import argparse
import sys

from tests.exploration.bounds import LARGE, SMALL, Bounds
from tests.exploration.explorer import Explored, Found, explore
from tests.exploration.liveness import check_liveness

LOGGED = 100_000  # states from one line to the next where nobody watches
HEAD = f"{'bounds':<48}{'states':>10}{'edges':>10}{'seconds':>9}"


def main() -> int:
    """Print a table, and the shortest story of whatever must not be; tell how it went by the exit code."""
    arguments = _arguments()
    all_of_them = LARGE if arguments.soak else SMALL
    chosen = [bounds for bounds in all_of_them if arguments.only in bounds.name]
    if not chosen:
        names = [bounds.name for bounds in all_of_them]
        print(f"no bounds have {arguments.only!r} in their name; there are", *names, sep="\n  ")
        return 2
    print(HEAD, flush=True)
    failures = [bounds.name for bounds in chosen if not _sound(bounds, with_actions=arguments.actions)]
    print(f"{len(chosen)} bounds, {len(failures)} violated" + "".join(f"\n  {name}" for name in failures))
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.exploration", description=__doc__)
    parser.add_argument("--soak", action="store_true", help="larger bounds, minutes each")
    parser.add_argument("--only", default="", metavar="TEXT", help="bounds with this in their name")
    parser.add_argument("--actions", action="store_true", help="count the edges of each action as well")
    return parser.parse_args()


def _sound(bounds: Bounds, *, with_actions: bool) -> bool:
    try:
        explored = explore(bounds, progress=_show)
        if bounds.live:
            check_liveness(explored)
    except Found as found:
        print(f"{found}\n", flush=True)
        return False
    print(f"\r{_row(explored)}{'':20}" if sys.stdout.isatty() else _row(explored), flush=True)
    for action, count in sorted(explored.edges_per_action.items()) if with_actions else ():
        print(f"    {action:<54}{count:>10}")
    return True


def _row(explored: Explored) -> str:
    numbers = f"{len(explored.states):>10,}{explored.edges:>10,}{explored.seconds:>9.1f}"
    return f"{explored.model.bounds.name:<48}{numbers}"


def _show(explored: Explored) -> None:
    """A line that the next one replaces where somebody watches; in a log, a line now and then."""
    line = f"{_row(explored)}  {len(explored.states) - explored.looked_at:,} to look at"
    if sys.stdout.isatty():
        print(f"\r{line}", end="", flush=True)
    elif explored.looked_at % LOGGED == 0:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
