"""``make bench``: every question in its short form, or those that are named, with progress."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import asdict
from rich.console import Console
from rich.table import Table

from bench import blocking, comparison, consume, growth, idle, latency, memory, produce, rebalance, send, stages
from bench.measure import Contest, Place, binary_of, own_server, run
from bench.report import facts, rows, table
from tests.servers import ServerMissing

QUESTIONS: dict[str, Callable[[bool], list[Contest]]] = {
    "produce": lambda short: produce.contests(),
    "send": lambda short: send.contests(),
    "consume": lambda short: consume.contests(),
    "blocking": lambda short: blocking.contests(),
    "latency": lambda short: latency.contests(),
    "steps": lambda short: stages.contests(),
    "rebalance": lambda short: rebalance.contests(),
    "idle": lambda short: idle.contests(),
    "memory": lambda short: memory.contests(),
    "growth": lambda short: growth.contests(short=short),
}


PEERS = "peers"
WIDTH = 120  # of tables where there is no terminal
NAMES = (*QUESTIONS, PEERS)


def main() -> None:
    asked = _arguments()
    talk = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH)
    shown = Console() if sys.stdout.isatty() else talk
    written: dict[str, Any] = {"measured_on": facts(asked.server, short=not asked.full), "results": []}
    for name in asked.questions or NAMES:
        if name == PEERS:
            compared = comparison.compare(asked.server, talk, short=not asked.full)
            written["peers"] = [asdict(each) for each in compared]
            shown.print(comparison.table(compared))
        else:
            for results, made in _answers(name, asked, talk):
                written["results"] += results
                shown.print(made)
    text = json.dumps(written, indent=2) + "\n"
    if asked.json:
        asked.json.write_text(text)
    elif not sys.stdout.isatty():
        sys.stdout.write(text)


def _answers(name: str, asked: argparse.Namespace, talk: Console) -> Iterator[tuple[list[dict[str, Any]], Table]]:
    for contest in QUESTIONS[name](not asked.full):
        with own_server(asked.server) as url:  # so that no question meets what another one left
            result = run(contest, Place(url, short=not asked.full), talk)
        yield rows(result), table(result)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--full", action="store_true", help="more messages, partitions and members")
    parser.add_argument("--server", choices=("8.2", "7.0"), default="8.2", help="7.0 is Debian's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    asked = parser.parse_args()
    unknown = set(asked.questions) - set(NAMES)
    if unknown:
        parser.error(f"unknown question {', '.join(sorted(unknown))}: choose of {', '.join(NAMES)}")
    try:
        binary_of(asked.server)
    except ServerMissing as missing:
        parser.error(str(missing))
    return asked


if __name__ == "__main__":
    main()
