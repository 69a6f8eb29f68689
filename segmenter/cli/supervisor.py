"""Worker processes: started, restarted when they crash, told to end."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from segmenter.cli.codes import Exit
from segmenter.runtime.backoff import Backoff
from segmenter.serving import HANG_UP, ending_signals

__all__ = ["Supervisor"]

LIMIT_RESTART_S = 30.0  # the longest wait before a worker that keeps crashing is started again
STABLE_S = 60.0  # a worker that ran for so long has not just crashed again
LIMIT_STOP_S = 120.0  # then a worker that was told to end is killed
LOOK_S = 0.5  # between two looks at the files
LIMIT_FILES = 20_000
IN_VAIN = (Exit.USAGE, Exit.SEAT_TAKEN)  # to start it again would come to the same

Talk = Callable[[str], None]


class Place:
    """One worker process after the other."""

    def __init__(self, number: int, command: Sequence[str], talk: Talk, *, reload: bool) -> None:
        self.number = number
        self.code: int | None = None
        self._command = command
        self._talk = talk
        self._reload = reload
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._changed = asyncio.Event()  # there is a reason to start again at once

    async def keep(self) -> int:
        """Keep a process running until it is told to stop, or cannot be started at all; return its exit code."""
        loop, backoff = asyncio.get_running_loop(), Backoff(random.random, LIMIT_RESTART_S)
        while True:
            began = loop.time()
            code = await self._run()
            if self._stopping or (code in IN_VAIN and not self._reload):
                return self._given_up(code)
            if self._changed.is_set():
                continue
            if loop.time() - began > STABLE_S:
                backoff.reset()
            wait_s = None if code in IN_VAIN else backoff.next_s()
            when = "when a file changes" if wait_s is None else f"in {wait_s:.1f} s"
            self._talk(f"worker {self.number} ended with {_told(code)}: it is started again {when}")
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            if self._stopping:
                return Exit.OK

    def _given_up(self, code: int) -> int:
        """The code, and a word about what is not started again while others go on."""
        if code == Exit.SEAT_TAKEN and not self._stopping:
            self._talk(
                f"worker {self.number} is not started again: another process has its instance_id, and they would "
                "displace each other for ever; give each worker process an instance_id of its own, or none"
            )
        return code

    async def _run(self) -> int:
        self._changed.clear()
        # A group of its own, so that a terminal's Ctrl-C is told to it once; a pipe, so that it notices our end.
        process = await asyncio.create_subprocess_exec(*self._command, stdin=subprocess.PIPE, process_group=0)
        self._process = process
        if self._stopping:
            self.signal()
        return await process.wait()

    def signal(self) -> None:
        """Pass a signal on."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Have the process end, and start no other; a second call is not a second signal."""
        if not self._stopping:
            self._stopping = True
            self._changed.set()
            self.signal()

    def restart(self) -> None:
        """Have the process end, and start another."""
        self._changed.set()
        self.signal()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


class Supervisor:
    """Keeps a number of worker processes running until a signal comes."""

    def __init__(self, commands: Sequence[Sequence[str]], talk: Talk, *, reload: bool) -> None:
        self._places = [Place(number, command, talk, reload=reload) for number, command in enumerate(commands)]
        self._talk = talk
        self._reload = reload
        self._signals = 0
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Return the exit code: 0 if all ended as they were told to, and 130 if that had to be hurried.

        Whoever has lost its instance_id to another process leaves the others at work.
        """
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, self._signalled, number)
        watching = loop.create_task(self._watch()) if self._reload else None
        keeping = [loop.create_task(place.keep()) for place in self._places]
        try:
            await self._first_to_end_all(keeping)
            for place in self._places:
                place.stop()
            await self._all_ended(keeping)
        finally:
            for place in self._places:
                place.kill()
            if watching is not None:
                watching.cancel()
        return self._exit_code([task.result() if task.done() else Exit.ERROR for task in keeping])

    @staticmethod
    async def _first_to_end_all(keeping: Sequence[asyncio.Task[int]]) -> None:
        """Wait until a worker has ended in such a way that all are to end, or none is left."""
        left = set(keeping)
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if any(task.result() != Exit.SEAT_TAKEN for task in done):
                return

    async def _all_ended(self, keeping: Sequence[asyncio.Task[int]]) -> None:
        hurry = asyncio.ensure_future(self._hurry.wait())
        ended = asyncio.ensure_future(asyncio.wait(keeping))
        await asyncio.wait((hurry, ended), timeout=LIMIT_STOP_S, return_when=asyncio.FIRST_COMPLETED)
        if hurry.done():  # they have got the second signal, too
            await asyncio.wait(keeping, timeout=1.0)
        hurry.cancel()
        ended.cancel()

    def _signalled(self, number: int) -> None:
        if number == HANG_UP and self._signals:
            return  # when a terminal closes, both the shell and the kernel say so
        self._signals += 1
        if self._signals == 1:
            self._talk("workers may end what they are at; once more ends them at once")
            for place in self._places:
                place.stop()
        else:
            for place in self._places:
                place.signal()
            self._hurry.set()

    def _exit_code(self, codes: Sequence[int]) -> int:
        if self._signals > 1:
            return Exit.INTERRUPTED
        if Exit.USAGE in codes:
            return Exit.USAGE
        stayed = [code for code in codes if code != Exit.SEAT_TAKEN]
        if not stayed:
            return Exit.SEAT_TAKEN
        # One that was still starting ends by the signal itself.
        return Exit.OK if all(code in {Exit.OK, -signal.SIGTERM} for code in stayed) else Exit.ERROR

    async def _watch(self) -> None:
        """Start the workers anew when a Python file below the current directory changes."""
        seen = await asyncio.to_thread(_files)
        while True:
            await asyncio.sleep(LOOK_S)
            now = await asyncio.to_thread(_files)
            if now != seen:
                seen = now
                self._talk("files have changed: the workers are started anew")
                for place in self._places:
                    place.restart()


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _files() -> dict[Path, float]:
    """When the Python files below the current directory were changed; environments and hidden folders aside."""
    found: dict[Path, float] = {}
    folders = [Path.cwd()]
    while folders and len(found) < LIMIT_FILES:
        with suppress(OSError):
            for path in folders.pop().iterdir():
                if path.name.startswith((".", "__pycache__")) or (path / "pyvenv.cfg").exists():
                    continue
                if path.is_dir():
                    folders.append(path)
                elif path.suffix == ".py":
                    found[path] = path.stat().st_mtime
    return found
