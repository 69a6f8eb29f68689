"""Running something until a signal ends it: the first has it drain, the second ends the process at once."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType

from segmenter.errors import HandlerStuck
from segmenter.logs import Log
from segmenter.runtime.whereabouts import whereabouts

__all__ = ["HANG_UP", "INTERRUPTED", "ending_signals", "leave", "run_here", "serve", "standstill_watched"]

INTERRUPTED = 130  # the exit code after a second signal
ASLEEP_S = 5.0
REARM_S = 1.0  # how often the watch over the interpreter is told that it runs
HANG_UP = getattr(signal, "SIGHUP", None)  # that a terminal has closed; there is none on Windows

_log = Log("segmenter.worker")


def serve(run: Callable[[], Awaitable[None]], stop: Callable[[], None]) -> None:
    """Run in an event loop of its own, of uvloop if that is installed, with signal handlers.

    If a handler is stuck, the process ends with exit code 1.

    Args:
        run: returns when everything has ended.
        stop: asks for that; called in the event loop.
    """

    async def main() -> None:
        try:
            await run()
        except HandlerStuck as stuck:
            leave(stuck)

    run_here(main, stop)


def run_here(run: Callable[[], Awaitable[None]], stop: Callable[[], None]) -> None:
    """Run like ``serve``, whatever is raised; in other threads than the main one, without signal handlers."""

    async def main() -> None:
        with _signals(asyncio.get_running_loop(), stop):
            await run()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a process to end: SIGHUP among them, unless it was started with ``nohup``."""
    hang_up = () if HANG_UP is None or signal.getsignal(HANG_UP) is signal.SIG_IGN else (HANG_UP,)
    return (signal.SIGTERM, signal.SIGINT, *hang_up)


@contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Generator[None]:
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        """Run between two steps of whatever runs, so that the second signal ends a loop that is blocked, too."""
        if number == HANG_UP and received:
            return  # when a terminal closes, both the shell and the kernel say so
        received.append(number)
        if len(received) > 1:
            os._exit(INTERRUPTED)
        loop.call_soon_threadsafe(_asked_to_end, number, stop)

    here = threading.current_thread() is threading.main_thread()
    former = {number: signal.signal(number, handle) for number in (ending_signals() if here else ())}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _asked_to_end(number: int, stop: Callable[[], None]) -> None:
    _log.info("%s: handlers that are at work may end; once more ends at once", signal.Signals(number).name)
    stop()


@contextmanager
def standstill_watched(limit_s: float) -> Generator[None]:
    """End the process, with exit code 1, once the running event loop, or all of Python, has stood still for so long.

    The heart sees a loop that stands still only while there is a consumer. And code in C that keeps the interpreter's
    lock, such as a regular expression, silences every thread. What watches for that is a thread of ``faulthandler``,
    which needs no lock, and writes the stacks of all threads to standard error.
    """
    loop, thread, ended = asyncio.get_running_loop(), threading.get_ident(), threading.Event()
    turned_at = looked_at = time.monotonic()

    def turned() -> None:
        nonlocal turned_at
        turned_at = time.monotonic()

    def watch() -> None:
        nonlocal turned_at, looked_at
        while not ended.wait(REARM_S):
            now = time.monotonic()
            if now - looked_at > ASLEEP_S:  # the whole process stood still, and its loop is about to turn
                turned_at = now
            looked_at = now
            _watch_the_lock(limit_s)
            if now - turned_at > limit_s:
                leave(HandlerStuck(f"the event loop stood still for more than {limit_s:g} s in {whereabouts(thread)}"))
            with suppress(RuntimeError):  # it has just been closed
                loop.call_soon_threadsafe(turned)

    _watch_the_lock(limit_s)
    watching = threading.Thread(target=watch, name="segmenter-watch", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join(REARM_S)
        faulthandler.cancel_dump_traceback_later()


def _watch_the_lock(limit_s: float) -> None:
    with suppress(Exception):  # standard error is closed or replaced: there is nowhere to write to
        faulthandler.dump_traceback_later(limit_s, exit=True)


def leave(stuck: HandlerStuck) -> None:
    """End the process, in any thread, although user code goes on, which would keep the interpreter from ending."""
    _log.critical("%s", stuck)
    sys.stderr.write(f"segmenter: {stuck}\n")
    sys.stderr.flush()
    sys.stdout.flush()
    logging.shutdown()
    os._exit(1)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return None
    return new_event_loop
