"""Running something until a signal ends it: the first has it drain, the second ends the process at once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import FrameType

from segmenter.errors import HandlerStuck
from segmenter.logs import Log

__all__ = ["HANG_UP", "INTERRUPTED", "ending_signals", "leave", "run_here", "serve"]

INTERRUPTED = 130  # the exit code after a second signal
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
