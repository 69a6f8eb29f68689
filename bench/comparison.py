"""How do we compare with others that carry messages over Redis? The same small job for each, in the same run.

Each sends messages by key and has them handled and settled by one and by two consumers, which are processes. Then one
of two consumers is killed half-way with SIGKILL, and what was handled is compared with what was sent. No comment is
made on that: what an order or a loss means depends on what a library sets out to do.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen
from rich.console import Console
from rich.table import Table

from bench.environments import adapter_command
from bench.measure import Unmeasured, own_server

__all__ = ["Compared", "Facts", "compare", "table"]

# name, program, and how many times the messages of the others it takes to last long enough to be measured
ADAPTERS = (
    ("segmenter, batches", "ours_batch.py", 40),
    ("segmenter", "ours.py", 40),
    ("FastStream, batches", "faststream_batch.py", 10),
    ("FastStream", "faststream_single.py", 1),
    ("taskiq-redis", "taskiq_streams.py", 1),
    ("redisaq", "redisaq_partitions.py", 1),
    ("streaQ", "streaq_tasks.py", 1),
    ("BullMQ", "bullmq.mjs", 1),
    ("groupmq", "groupmq.mjs", 1),
)
COUNT, COUNT_SHORT = 20_000, 5_000
COUNT_KILLED = 3_000
ROUNDS, ROUNDS_SHORT = 3, 1
LIMIT_S = 20.0  # for one way to handle everything
SETTLED_S = 4.0  # for two consumers to agree on who does what
QUIET_S = 20.0  # without progress, after which what has not come counts as missing
LIMIT_KILLED_S = 60.0  # the same, with progress


@frozen
class Facts:
    """What came of the messages when a consumer was killed half-way."""

    sent: int
    handled: int  # different ones
    again: int  # deliveries beyond the first
    overtaken: int  # first deliveries that came after a later message of their key
    seconds: float  # from the kill to the last first delivery


@define
class Compared:
    """What was measured of one library."""

    name: str
    count: int  # of messages
    about: dict[str, Any] = Factory(dict)
    send: list[float] = Factory(list)  # messages a second
    handle: dict[int, list[float]] = Factory(dict)  # consumers -> messages a second
    killed: Facts | None = None
    not_measured: str | None = None


def compare(server: str, talk: Console, *, short: bool) -> list[Compared]:
    """Run all of them, in turn in each round."""
    rounds, count = (ROUNDS_SHORT, COUNT_SHORT) if short else (ROUNDS, COUNT)
    compared = {program: Compared(name, count * times) for name, program, times in ADAPTERS}
    for number in range(rounds):
        for program, found in compared.items():
            talk.print(f"peers: round {number + 1} of {rounds}, {found.name}", style="dim")
            _attempt(found, partial(_rates, program, found, server))
    for program, found in compared.items():
        talk.print(f"peers: one of two consumers killed, {found.name}", style="dim")
        _attempt(found, partial(_killed, program, found, server))
    return [*compared.values()]


def _attempt(found: Compared, measure: Callable[[], None]) -> None:
    try:
        if found.not_measured is None:
            measure()
    except (Unmeasured, subprocess.SubprocessError, OSError, ValueError) as error:
        found.not_measured = str(error)


# --- rates ----------------------------------------------------------------------------------------------------------


def _rates(program: str, found: Compared, server: str) -> None:
    count = found.count
    command = adapter_command(program)
    found.about = json.loads(_output([*command, "about"]))
    for consumers in (1, 2):
        with own_server(server) as url:
            found.send.append(count / float(_output([*command, "send", url, str(count)])))
            with _consuming(command, url, consumers) as running:
                found.handle.setdefault(consumers, []).append(_rate(running, count))


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * LIMIT_S, check=False)
    if done.returncode != 0:
        raise Unmeasured((done.stderr.strip().splitlines() or ["it failed without a word"])[-1])
    return done.stdout.strip().splitlines()[-1]


def _rate(running: list[Consumer], count: int) -> float:
    """Messages a second, from the first count that was told to the last one, within the limit."""
    deadline = time.monotonic() + LIMIT_S
    while sum(each.count for each in running) < count and time.monotonic() < deadline:
        _pause(0.002)
    told = sorted(point for each in running for point in each.told)
    if len(told) < 2 or told[-1][0] == told[0][0]:
        raise Unmeasured(f"{sum(each.count for each in running)} of {count} messages were handled in {LIMIT_S:g} s")
    return (sum(each.count for each in running) - told[0][1]) / (told[-1][0] - told[0][0])


class Consumer:
    """A consumer in a process of its own, and the counts that it told."""

    def __init__(self, command: Sequence[str], url: str, seen: Path | None) -> None:
        environment = {**os.environ, **({"SEEN": str(seen)} if seen else {})}
        self.process = subprocess.Popen(
            [*command, "consume", url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self.told: list[tuple[float, int]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def count(self) -> int:
        """How many messages it has handled."""
        return self.told[-1][1] if self.told else 0

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip().isdigit():
                self.told.append((time.perf_counter(), int(line)))

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def _consuming(command: Sequence[str], url: str, consumers: int, seen: Path | None = None) -> Iterator[list[Consumer]]:
    running = [Consumer(command, url, seen) for _ in range(consumers)]
    try:
        yield running
    finally:
        for each in running:
            each.kill()


# --- a kill ---------------------------------------------------------------------------------------------------------


def _killed(program: str, found: Compared, server: str) -> None:
    command = adapter_command(program)
    with tempfile.TemporaryDirectory() as folder, own_server(server) as url:
        seen = Path(folder) / "seen"
        _output([*command, "send", url, "0"])  # whatever has to be there before consumers come
        with _consuming(command, url, 2, seen) as running:
            _pause(SETTLED_S)
            sending = subprocess.Popen([*command, "send", url, str(COUNT_KILLED)], stdout=subprocess.DEVNULL)
            _wait(seen, COUNT_KILLED // 2)
            running[0].kill()
            at = time.monotonic()
            ended = _wait(seen, COUNT_KILLED)
            if sending.wait(LIMIT_S) != 0:
                raise Unmeasured("its sender failed")
        found.killed = _facts(_lines(seen), ended - at)


def _wait(seen: Path, count: int) -> float:
    """Wait until so many different messages were handled, or the time is over; return when the last one was."""
    handled, last = 0, time.monotonic()
    deadline = last + LIMIT_KILLED_S
    while handled < count and time.monotonic() < min(last + QUIET_S, deadline):
        _pause(0.02)
        now = len(set(_lines(seen)))
        if now != handled:
            handled, last = now, time.monotonic()
    return last


def _lines(seen: Path) -> list[tuple[str, int]]:
    found = re.findall(r"^(key-\d+) (\d+)$", seen.read_text() if seen.exists() else "", re.MULTILINE)
    return [(key, int(number)) for key, number in found]


def _facts(handled: list[tuple[str, int]], seconds: float) -> Facts:
    latest: dict[str, int] = {}
    first: set[tuple[str, int]] = set()
    overtaken = 0
    for key, number in handled:
        if (key, number) not in first:
            first.add((key, number))
            overtaken += number < latest.get(key, -1)
            latest[key] = max(number, latest.get(key, -1))
    return Facts(COUNT_KILLED, len(first), len(handled) - len(first), overtaken, seconds)


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


# --- what came out --------------------------------------------------------------------------------------------------


def table(compared: Sequence[Compared]) -> Table:
    """Figures, and facts beside them."""
    shown = Table(title="peers, messages a second; and one of two consumers killed half-way", title_justify="left")
    for heading in ("library", "send", "1 consumer", "2 consumers", "missing", "again", "overtaken", "recovery s"):
        shown.add_column(heading, justify="left" if heading == "library" else "right", no_wrap=True)
    for found in compared:
        name = f"{found.name} {next(iter(found.about.get('versions', {}).values()), '')}"
        if found.not_measured is not None:
            shown.add_row(name, f"not measured: {found.not_measured}")
        else:
            shown.add_row(name, *_figures(found))
    return shown


def _figures(found: Compared) -> Iterator[str]:
    for rates in (found.send, found.handle[1], found.handle[2]):
        yield f"{statistics.median(rates):,.0f}"
    if found.killed is not None:
        killed = found.killed
        yield from (
            f"{killed.sent - killed.handled}",
            f"{killed.again}",
            f"{killed.overtaken}",
            f"{killed.seconds:.1f}",
        )
