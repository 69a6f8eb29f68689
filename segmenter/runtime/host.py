"""What the runtime takes from the machine it runs on: injected, so that simulations bring their own."""

from __future__ import annotations

import asyncio
import random
import secrets
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol

from attrs import frozen

from segmenter.core.group import ProcessInfo
from segmenter.core.lanes import KeyLanes
from segmenter.errors import HandlerStuck, SegmenterError
from segmenter.runtime.identity import this_process

__all__ = ["Host", "Placement", "check_real_thread", "in_task", "in_thread"]


Failed = Callable[[BaseException], None]


class Placement(Protocol):
    """Runs a coroutine apart from user code; awaiting what it returns waits for its end."""

    def __call__(self, coroutine: Coroutine[Any, Any, None], failed: Failed) -> Callable[[], Coroutine[Any, Any, None]]:
        """Start it; ``failed`` is told what it was ended by, or kept from beginning, if it does not simply return."""
        ...


def check_real_thread(starter: int) -> None:
    """Return if this thread is one of the operating system's own.

    Args:
        starter: the native number of the thread that has started this one.

    Raises:
        SegmenterError: it is a greenlet in the thread of its starter.
    """
    if threading.get_native_id() == starter:
        raise SegmenterError(
            "threads are greenlets in this process, as after gevent.monkey.patch_all() or eventlet.monkey_patch(), and "
            "segmenter needs threads of the operating system: run it in a process that is not patched, such as a "
            "worker of gunicorn -k gthread"
        )


def in_thread(coroutine: Coroutine[Any, Any, None], failed: Failed) -> Callable[[], Coroutine[Any, Any, None]]:
    """Run the coroutine in a thread and event loop of its own, so that blocking user code does not silence it."""
    end: Future[None] = Future()
    starter = threading.get_native_id()

    def run() -> None:
        end.set_running_or_notify_cancel()  # from now on nobody can cancel it
        try:
            check_real_thread(starter)
            asyncio.run(coroutine)
        except BaseException as error:  # whatever it is: without it, memberships are not kept up
            coroutine.close()
            failed(error)
        finally:
            end.set_result(None)

    async def ended() -> None:
        await asyncio.wrap_future(end)  # no worker thread: while the interpreter exits, none can be started

    threading.Thread(target=run, name="segmenter-heart", daemon=True).start()
    return ended


def in_task(coroutine: Coroutine[Any, Any, None], failed: Failed) -> Callable[[], Coroutine[Any, Any, None]]:
    """Run the coroutine as a task of the running loop: for simulations, where time is virtual."""

    async def run() -> None:
        try:
            await coroutine
        except Exception as error:
            failed(error)

    task = asyncio.get_running_loop().create_task(run())

    async def ended() -> None:
        await task

    return ended


def _boot_clock() -> Callable[[], float]:
    """A clock that goes on while the machine sleeps, so that a laptop's lid does not stretch a lease."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if boottime is None else partial(time.clock_gettime, boottime)


def _nothing(_stuck: HandlerStuck) -> None:
    """Leave it to the application."""


@frozen
class Host:
    """The machine, as the runtime knows it."""

    clock: Callable[[], float] = _boot_clock()  # seconds; readable in any thread
    nonce: Callable[[], str] = lambda: secrets.token_hex(6)  # unique for ever
    chance: Callable[[], float] = random.random  # from 0 to 1
    process: Callable[[], ProcessInfo] = this_process
    place_heart: Placement = in_thread
    lanes: Callable[..., KeyLanes] = KeyLanes  # how the lanes of a partition are made
    awaited: Callable[[], AbstractContextManager[None]] = nullcontext  # around what a thread of blocking code waits for
    on_stuck: Callable[[HandlerStuck], None] = _nothing  # the event loop stands still; called in another thread
