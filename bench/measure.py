"""Alternating rounds on a server of their own, medians, and where the processor's time went.

A busy machine slows the wall clock down, and not evenly; so every round runs each way once, one after the other, and
beside the rate stand two figures that load hardly touches: microseconds of processor time for each message, of the
client and of the server.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from attrs import Factory, define, evolve, field, frozen
from rich.console import Console

from tests.servers import Server, newest, oldest

__all__ = ["Contest", "Place", "Result", "Run", "Unmeasured", "Way", "binary_of", "own_server", "run", "server_cpu_s"]

ROUNDS = 5


@define
class Run:
    """What one way made of one round."""

    value: float = 0.0
    client_us: float | None = None  # of processor time, for each message
    server_us: float | None = None


@define
class Place:
    """Where a round takes place."""

    url: str
    short: bool
    number: int = 0  # of the round
    server: redis.Redis = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.server = redis.Redis.from_url(self.url)

    def fresh_namespace(self) -> str:
        """Make up one that was not used before."""
        return f"bench-{time.monotonic_ns()}"

    def count(self, count: int) -> int:
        """How many messages to take: fewer in the short form."""
        return count // 4 if self.short else count

    @contextmanager
    def timing(self, count: int, *, frozen: bool = True) -> Iterator[Run]:
        """Measure a job of so many messages, as messages a second.

        What was made before is left alone by the garbage collector unless ``frozen`` is false, for all ways alike:
        so does ``segmenter run``.
        """
        made = Run()
        gc.collect()
        (gc.freeze if frozen else gc.unfreeze)()
        server_s = server_cpu_s(self.server)
        began, client_s = time.perf_counter(), time.process_time()
        yield made
        took_s, client_s = time.perf_counter() - began, time.process_time() - client_s
        made.value = count / took_s
        made.client_us = client_s / count * 1e6
        made.server_us = (server_cpu_s(self.server) - server_s) / count * 1e6


Way = Callable[[Place], Run]


@frozen
class Contest:
    """A question, and the same job done in several ways; the first is the yardstick."""

    question: str
    ways: dict[str, Way]
    unit: str = "messages/s"
    floors: dict[str, float] = Factory(dict)  # way -> the least ratio to the yardstick that will do
    limits: dict[str, float] = Factory(dict)  # way -> the greatest one
    rounds: int = ROUNDS
    yardstick: bool = True  # whether the first way is one, or they are steps of one whole


@frozen
class Result:
    """What came out."""

    contest: Contest
    runs: dict[str, list[Run]]
    failures: dict[str, str] = Factory(dict)  # way -> why it could not be measured

    def median(self, way: str) -> float:
        """The median of its values."""
        return statistics.median(run.value for run in self.runs[way])

    def cost(self, way: str, whose: str) -> float | None:
        """The least processor time of ``client_us`` or ``server_us``: load only ever adds to it."""
        costs = [getattr(run, whose) for run in self.runs[way]]
        return min((cost for cost in costs if cost is not None), default=None)

    def spent(self, way: str) -> float | None:
        """The processor time of a message, client and server, against the yardstick's; load hardly touches this one."""
        base = next(iter(self.contest.ways))
        if base not in self.runs or not self.contest.yardstick:
            return None
        ours, theirs = ([self.cost(name, whose) for whose in ("client_us", "server_us")] for name in (way, base))
        if None in (*ours, *theirs):
            return None
        return sum(filter(None, ours)) / sum(filter(None, theirs))

    def ratio(self, way: str) -> float | None:
        """Against the yardstick: the median of the rounds' own ratios, as both met the same minute."""
        base = next(iter(self.contest.ways))
        if not self.contest.yardstick or base not in self.runs or not all(run.value for run in self.runs[base]):
            return None
        pairs = zip(self.runs[way], self.runs[base], strict=True)
        return statistics.median(run.value / against.value for run, against in pairs)


def binary_of(version: str) -> str:
    """The server of ``"8.2"``, or of ``"7.0"`` as Debian has it.

    Raises:
        ServerMissing: it is not installed.
    """
    return oldest() if version == "7.0" else newest()


@contextmanager
def own_server(version: str) -> Iterator[str]:
    """A fresh Redis of a version on loopback."""
    server = Server(binary_of(version))
    try:
        yield server.url
    finally:
        server.stop()


def run(contest: Contest, place: Place, talk: Console) -> Result:
    """Run the rounds, one way after the other in each, so that a slow minute hits all alike."""
    runs: dict[str, list[Run]] = {}
    failures: dict[str, str] = {}
    for number in range(contest.rounds):
        for name, way in contest.ways.items():
            talk.print(f"{contest.question}: round {number + 1} of {contest.rounds}, {name}", style="dim")
            try:
                runs.setdefault(name, []).append(way(evolve(place, number=number)))
            except Unmeasured as error:
                failures[name] = str(error)
    return Result(contest, {name: made for name, made in runs.items() if name not in failures}, failures)


class Unmeasured(Exception):
    """This way cannot be measured here; the message says why."""


def server_cpu_s(server: redis.Redis) -> float:
    """The processor time that a server has used."""
    used = server.info("cpu")
    return float(used["used_cpu_sys"] + used["used_cpu_user"])
