"""Two worker processes on one file; one is killed in the middle, and nothing is lost or out of order."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from segmenter import Segmenter, Stream

BILLING = Path(__file__).with_name("billing.py")
KEYS = 20
AHEAD = 5  # rounds that are sent before the first of them is handled
LIMIT_S = 60


@contextmanager
def two_workers(url: str, bills: Path) -> Generator[list[subprocess.Popen[bytes]]]:
    environment = os.environ | {"SEGMENTER_URL": url, "BILLS": str(bills)}
    workers = [subprocess.Popen([sys.executable, str(BILLING)], env=environment) for _ in range(2)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def lines(bills: Path) -> list[tuple[int, str, int]]:
    """Process, key and number of each message handled, in the order of handling."""
    found = [line.split() for line in bills.read_text().splitlines()]
    return [(int(process), key, int(number)) for process, key, number in found]


async def play(url: str, bills: Path) -> int:
    """Send round after round, until both have handled some and one is killed; return how many rounds there were."""
    async with Segmenter(url, namespace="shop") as seg, asyncio.timeout(LIMIT_S):
        orders = await seg.register_stream("orders", partitions=4)
        with two_workers(url, bills) as (first, second):
            rounds = itertools.count()
            while {process for process, _, _ in lines(bills)} != {first.pid, second.pid}:
                await send(orders, number := next(rounds))
                await handled_but(bills, AHEAD, number)
            first.kill()  # as by kill -9, with more to come
            for _ in range(10):
                await send(orders, next(rounds))
            while (await seg.describe("orders", "billing")).lag:  # noqa: ASYNC110 - other processes tell nobody
                await asyncio.sleep(0.01)
    return next(rounds)


async def handled_but(bills: Path, ahead: int, number: int) -> None:
    """Wait until all but some rounds are handled: SQLite lets whoever writes all the time keep others from writing."""
    while len(lines(bills)) < KEYS * (number - ahead):  # noqa: ASYNC110 - other processes tell nobody
        await asyncio.sleep(0.01)


async def send(orders: Stream[bytes], number: int) -> None:
    await orders.send_many([(f"k{key}", b"k%d %d" % (key, number)) for key in range(KEYS)])


def test_a_worker_is_killed_and_nothing_is_lost_or_out_of_order(tmp_path: Path) -> None:
    bills = tmp_path / "bills"
    bills.touch()
    rounds = asyncio.run(play(f"sqlite://{tmp_path}/streams.db", bills))
    handled: dict[str, list[int]] = defaultdict(list)
    for _, key, number in lines(bills):
        if number not in handled[key]:
            handled[key].append(number)
    assert handled == {f"k{key}": [*range(rounds)] for key in range(KEYS)}
    again = len(lines(bills)) - KEYS * rounds
    assert again < KEYS * rounds / 2, "what is done again is what was in flight, or not yet stored"
