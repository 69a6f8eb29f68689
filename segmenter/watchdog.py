"""The watchdog of a process: ends it when its event loop, or all of Python, stands still.

The heart sees a loop that stands still only while there is a consumer. And code in C that keeps the interpreter's lock,
such as a regular expression, silences every thread. So a thread watches the loop, and a timer of ``faulthandler``,
which needs no lock, watches that thread.
"""

from __future__ import annotations

import asyncio
import faulthandler
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

from segmenter.errors import HandlerStuck
from segmenter.runtime.stacks import stack_summary
from segmenter.serving import leave

__all__ = ["watchdog"]

CHECK_S = 1.0  # between two checks
ASLEEP_S = 5.0  # between two checks: the whole process, or its machine, was stopped


@contextmanager
def watchdog(limit_s: float) -> Generator[None]:
    """End the process, with exit code 1, once the running event loop, or all of Python, has stood still for so long.

    An error names the functions that the loop is in; if Python stands still, ``faulthandler`` writes the stacks of all
    threads to standard error.
    """
    check = _LoopCheck(limit_s)
    _restart_timer(limit_s)
    thread = threading.Thread(target=check.run, name="segmenter-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        check.ended.set()
        thread.join(CHECK_S)
        faulthandler.cancel_dump_traceback_later()


def _restart_timer(limit_s: float) -> None:
    with suppress(Exception):  # standard error is closed or replaced: there is nowhere to write to
        faulthandler.dump_traceback_later(limit_s, exit=True)


class _LoopCheck:
    """Checks in a thread of its own that the loop of the thread that made it still turns."""

    def __init__(self, limit_s: float) -> None:
        self.ended = threading.Event()
        self._limit_s = limit_s
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
        self._turned_at = self._checked_at = time.monotonic()

    def run(self) -> None:
        """Check until ``ended`` is set."""
        while not self.ended.wait(CHECK_S):
            _restart_timer(self._limit_s)
            self._check(time.monotonic())
            with suppress(RuntimeError):  # the loop has just been closed
                self._loop.call_soon_threadsafe(self._turned)

    def _check(self, now: float) -> None:
        if now - self._checked_at > ASLEEP_S:  # the loop, too, has only just been able to turn again
            self._turned_at = now
        self._checked_at = now
        if now - self._turned_at > self._limit_s:
            where = stack_summary(self._loop_thread)
            leave(HandlerStuck(f"the event loop stood still for more than {self._limit_s:g} s in {where}"))

    def _turned(self) -> None:
        self._turned_at = time.monotonic()
