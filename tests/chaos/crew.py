"""The processes of a run: started, signalled and ended by their ids, and none of them outlives it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import asdict, define, field, frozen

from tests.chaos.worker import Job

__all__ = ["Crew", "Ending", "Hand"]

ROOT = Path(__file__).parents[2]
LEAVE_S = 20.0  # a process that does not end by then, though asked to, is killed, which counts against it


@frozen
class Ending:
    """How a process ended: by itself, by a kill of ours, or because it was asked to."""

    name: str
    cause: str  # killed, asked, itself
    status: int
    said: str  # the end of what it said
    at_us: int  # wall clock, as the server's

    @property
    def as_it_should(self) -> bool:
        """Whether nothing is wrong with that; one that was asked before it could listen ends by the signal."""
        return self.cause == "killed" or (self.cause == "asked" and self.status in {0, -signal.SIGTERM})


@define
class Hand:
    """A process."""

    name: str
    process: subprocess.Popen[bytes]
    words: Path
    cause: str = "itself"
    ended_us: int = 0

    @property
    def runs(self) -> bool:
        """Whether it is there, and nothing has been done to end it."""
        return self.cause == "itself" and self.process.poll() is None

    def end(self) -> None:
        """Kill it, and let go of it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


@define
class Crew:
    """All processes of a run, by name; on leaving the block every one of them is ended."""

    folder: Path
    hands: dict[str, Hand] = field(factory=dict[str, Hand])
    _leaving: list[asyncio.Task[None]] = field(factory=list[asyncio.Task[None]])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hand in self.hands.values():
            hand.end()

    def start(self, program: str, url: str, *, rate: float, fenced: bool) -> Hand:
        """Start a worker or a producer."""
        number = len(self.hands)
        name = f"{program}-{number}"
        job = Job(url, str(self.folder / f"{name}.notes"), number, rate, fenced)
        words = self.folder / f"{name}.words"
        (self.folder / f"{name}.notes").touch()
        command = [sys.executable, "-m", f"tests.chaos.{program}", json.dumps(asdict(job))]
        with words.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
        hand = self.hands[name] = Hand(name, process, words)
        return hand

    def running(self, program: str) -> list[Hand]:
        """Those of a program that nothing has been done to end."""
        return [hand for hand in self.hands.values() if hand.name.startswith(program) and hand.runs]

    def kill(self, hand: Hand) -> None:
        """End it in the middle of whatever it does."""
        hand.cause, hand.ended_us = "killed", time.time_ns() // 1000
        hand.end()

    def ask_to_end(self, hand: Hand) -> None:
        """Have it leave; ``all_left`` waits for that."""
        hand.cause = "asked"
        hand.process.terminate()
        self._leaving.append(asyncio.create_task(self._left(hand)))

    async def _left(self, hand: Hand) -> None:
        try:
            await asyncio.to_thread(hand.process.wait, LEAVE_S)
        except subprocess.TimeoutExpired:
            hand.cause = "itself"  # it did not come to an end, which is a fault of its own
            hand.end()

    async def all_left(self) -> None:
        """Wait for all who were asked to end."""
        await asyncio.gather(*self._leaving)

    def stop(self, hand: Hand) -> None:
        """Have it stand still."""
        hand.process.send_signal(signal.SIGSTOP)

    def go_on(self, hand: Hand) -> None:
        """Have it go on."""
        hand.process.send_signal(signal.SIGCONT)

    def endings(self) -> Iterator[Ending]:
        """How those ended that have ended."""
        for hand in self.hands.values():
            status = hand.process.poll()
            if status is not None:
                said = hand.words.read_text(errors="replace")[-2_000:]
                yield Ending(hand.name, hand.cause, status, said, hand.ended_us)
