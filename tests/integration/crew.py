"""``segmenter run`` as a process, and what its workers say."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

__all__ = ["Crew", "Said"]

ROOT = Path(__file__).parents[2]
SEGMENTER = Path(sys.executable).with_name("segmenter")
LIMIT_S = 30.0


@frozen
class Said:
    what: str
    key: str
    data: str
    attempt: int
    pid: int
    by: str  # the crew
    at: float


class Crew:
    """Processes by name; everything they said, which also wakes whoever waits for it."""

    def __init__(self, url: str, namespace: str, **options: Any) -> None:
        self.said: list[Said] = []
        self.talk: dict[str, str] = {}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self._environment = {
            **os.environ,
            "SEGMENTER_URL": url,
            "WORKER_NAMESPACE": namespace,
            "WORKER_OPTIONS": json.dumps({"session_timeout": 1.0, "rebalance_delay": 0.05, **options}),
        }
        self._news = asyncio.Event()
        self._listening: list[asyncio.Task[None]] = []

    async def start(
        self, name: str, *arguments: str, target: str = "tests.integration.handlers:worker", where: Path = ROOT
    ) -> None:
        """Start ``segmenter run``."""
        process = await asyncio.create_subprocess_exec(
            SEGMENTER,
            "run",
            target,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            cwd=where,
        )
        self.processes[name] = process
        self.talk[name] = ""
        self._listening += [
            asyncio.create_task(self._listen(name, process)),
            asyncio.create_task(self._listen_to_talk(name, process)),
        ]

    async def _listen(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"}\n"):
                self.said.append(Said(**json.loads(line), by=name, at=asyncio.get_running_loop().time()))
                self._news.set()

    async def _listen_to_talk(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.talk[name] += line.decode()
            self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what has been said makes something true."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"it did not come to hold: {self.said[-5:]} {self.talk}") from None

    def of(self, what: str, *, by: str | None = None, key: str | None = None) -> list[Said]:
        """What was said of one kind."""
        return [said for said in self.said if said.what == what and by in (None, said.by) and key in (None, said.key)]

    def signal(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a process a signal."""
        self.processes[name].send_signal(number)

    async def ended(self, name: str) -> int:
        """Wait for the end of a process; return its exit code."""
        async with asyncio.timeout(LIMIT_S):
            return await self.processes[name].wait()

    async def insisted(self, name: str) -> int:
        """Signal until a process ends; return its exit code.

        A signal that comes while another one is being delivered may go to a thread that does not wake the main one.
        """
        while True:
            self.signal(name)
            done, _ = await asyncio.wait([asyncio.ensure_future(self.ended(name))], timeout=1)
            if done:
                return self.processes[name].returncode or 0

    async def dismiss(self) -> None:
        """End what is left."""
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
        for said in {said.pid for said in self.said}:
            with suppress(ProcessLookupError):
                os.kill(said, signal.SIGKILL)
        await asyncio.gather(*self._listening, return_exceptions=True)
