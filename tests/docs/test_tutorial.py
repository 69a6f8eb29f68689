"""The tutorial, step by step: its programs, its commands, two workers, and what is left when one is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.docs.site import ROOT
from tests.integration.crew import SEGMENTER
from tests.servers import Server, newest

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
PROGRAMS = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)
BILLED = re.compile(r"(customer-\d+) (\d+) by (\d+)")
AT_ONCE, TAKES_S = 8, 0.1  # orders: two of each partition
CUSTOMERS = 20
READS_S = 40  # until a reader has opened another terminal, and typed what comes next
NUMBERS = 10  # for each customer, in place of many more: nobody reads here


class Reader:
    """One who follows the tutorial in a folder of their own."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.billed: list[tuple[str, int, int]] = []
        self.workers: list[asyncio.subprocess.Process] = []
        self._folder = folder
        self._environment = os.environ | {"SEGMENTER_URL": server.url}
        self._news = asyncio.Event()
        self._listening: list[asyncio.Task[None]] = []
        for name, code in PROGRAMS:
            (folder / name).write_text(re.sub(r"range\(\d\d\d\)", f"range({NUMBERS})", code))

    def types(self, command: str, codes: Sequence[int] = (0,)) -> str:
        """Run a command that stands on the page; it ends with one of these."""
        assert command in COMMANDS, f"the tutorial does not say {command!r}"
        program, *words = command.split()
        path = str(SEGMENTER) if program == "segmenter" else sys.executable
        done = subprocess.run(
            [path, *words],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode in codes, done.stderr
        return done.stdout

    async def starts_a_worker(self) -> None:
        command = "segmenter run billing:worker"
        assert command in COMMANDS
        process = await asyncio.create_subprocess_exec(
            SEGMENTER,
            *command.split()[1:],
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.workers.append(process)
        self._listening.append(asyncio.create_task(self._listen(process)))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if said := BILLED.search(line.decode()):
                self.billed.append((said[1], int(said[2]), int(said[3])))
                self._news.set()

    async def sees(self, count: int, by: int | None = None) -> None:
        """Wait for so many different orders to be billed, by one process or by any."""
        async with asyncio.timeout(30):
            while len({(key, number) for key, number, pid in self.billed if by in (None, pid)}) < count:
                self._news.clear()
                await self._news.wait()

    async def leaves(self) -> None:
        for process in self.workers:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.gather(*self._listening)


def test_there_is_work_for_as_long_as_a_reader_takes() -> None:
    (numbers,) = re.findall(r"range\((\d\d\d)\)", PAGE)
    orders = int(numbers) * CUSTOMERS
    assert f"sends {orders:,} orders of {CUSTOMERS} customers" in PAGE
    assert orders * TAKES_S / AT_ONCE >= READS_S


def test_the_tutorial_comes_out_as_it_says(tmp_path: Path) -> None:
    """It uses the names that are on the page, so it has a server of its own."""
    server = Server(newest())
    try:
        asyncio.run(follow(tmp_path, server))
    finally:
        server.stop()


async def follow(folder: Path, server: Server) -> None:
    reader = Reader(folder, server)
    try:
        await play(reader)
    finally:
        await reader.leaves()


async def play(reader: Reader) -> None:
    reader.types("segmenter streams create orders --partitions 4")
    await reader.starts_a_worker()
    await reader.starts_a_worker()
    # A consumer makes the group, so before the first one there is none: that is 3, as the page of the CLI says.
    while len(owners(reader.types("segmenter groups describe orders billing", codes=(0, 3)))) < 2:
        pass
    reader.types("python shop.py")
    assert "billing" in reader.types("segmenter streams describe orders")
    victim = reader.workers[0].pid
    await reader.sees(CUSTOMERS, by=victim)
    reader.workers[0].send_signal(signal.SIGKILL)
    await reader.sees(CUSTOMERS * NUMBERS)
    assert len(owners(reader.types("segmenter groups describe orders billing"))) == 1
    assert "expired" in reader.types("segmenter rebalances orders billing").splitlines()[-1]
    again = len(reader.billed) - CUSTOMERS * NUMBERS
    assert again <= 4 * 4, "only what was in flight or had been finished within a tenth of a second"
    for numbers in firsts(reader.billed).values():
        assert numbers == list(range(NUMBERS)), "in order"


def owners(table: str) -> set[str]:
    return set(re.findall(r"\b\S+-[0-9a-f]{12}\b", table))


def firsts(billed: list[tuple[str, int, int]]) -> dict[str, list[int]]:
    """The numbers of each customer, where they were billed for the first time."""
    seen: dict[str, list[int]] = defaultdict(list)
    for key, number, _ in billed:
        if number not in seen[key]:
            seen[key].append(number)
    return seen
