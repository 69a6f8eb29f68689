"""``make bench``: every question in its short form, or those that are named, with progress."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench import consume, growth, idle, latency, memory, produce, rebalance, send
from bench.measure import Contest, Place, own_server, run
from bench.report import facts, rows, table

QUESTIONS: dict[str, Callable[[bool], list[Contest]]] = {
    "produce": lambda short: produce.contests(),
    "send": lambda short: send.contests(),
    "consume": lambda short: consume.contests(),
    "latency": lambda short: latency.contests(),
    "rebalance": lambda short: rebalance.contests(),
    "idle": lambda short: idle.contests(),
    "memory": lambda short: memory.contests(),
    "growth": lambda short: growth.contests(short=short),
}


def main() -> None:
    asked = _arguments()
    talk = Console(stderr=True)
    found = []
    known = facts(asked.server, short=not asked.full)
    for name in asked.questions or QUESTIONS:
        for contest in QUESTIONS[name](not asked.full):
            with own_server(asked.server) as url:  # so that no question meets what another one left
                result = run(contest, Place(url, short=not asked.full), talk)
            found += rows(result)
            if sys.stdout.isatty():
                Console().print(table(result))
            else:
                talk.print(table(result))
    written = json.dumps({"measured_on": known, "results": found}, indent=2)
    if asked.json:
        asked.json.write_text(written + "\n")
    elif not sys.stdout.isatty():
        sys.stdout.write(written + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(QUESTIONS)}; all by default")
    parser.add_argument("--full", action="store_true", help="more messages, partitions and members")
    parser.add_argument("--server", choices=("8.2", "7.0"), default="8.2", help="7.0 is Debian's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    asked = parser.parse_args()
    unknown = set(asked.questions) - set(QUESTIONS)
    if unknown:
        parser.error(f"unknown question {', '.join(sorted(unknown))}: choose of {', '.join(QUESTIONS)}")
    return asked


if __name__ == "__main__":
    main()
