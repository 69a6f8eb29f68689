"""The way from blocking code into an event loop: a thread that runs one, and calls that wait for it.

A wait ends at once when an exception is raised in the thread that waits, such as ``KeyboardInterrupt``; what it waited
for is cancelled then.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Generic, TypeVar

from segmenter.errors import ConsumerDead, NotHere
from segmenter.runtime.home import Process
from segmenter.runtime.host import check_real_thread

__all__ = ["Portal"]

R = TypeVar("R")
Around = Callable[[], AbstractContextManager[None]]

EXIT_S = 6.0  # that a process which has not closed it waits for the farewell when it exits
JOIN_S = 1.0  # for the thread, once its loop is told to end


class Portal:
    """A thread with an event loop of its own, from the first call to ``close``."""

    def __init__(self, namespace: str, farewell: Callable[[], Awaitable[None]], around: Around = nullcontext) -> None:
        """Take whom it serves, what is awaited before the loop ends, and what surrounds in it what a call waits for."""
        self._namespace = namespace
        self._process: Process | None = None  # that the thread lives in
        self._farewell = farewell
        self._around = around
        self._lock = threading.Lock()  # so that what is submitted comes before the end of the loop, or is refused
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ended = asyncio.Event()
        self.closed = False

    def check(self) -> None:
        """Return if this is the process of the thread, or there is none yet.

        Raises:
            NotHere: it is not.
        """
        if self._process is not None:
            self._process.check()

    # --- calls ------------------------------------------------------------------------------------------------------

    def call(self, start: Callable[[], Awaitable[R]], timeout_s: float | None = None) -> R:
        """Have something awaited in the loop, and return what comes of it.

        Raises:
            NotHere: called in a forked child, or in the thread of the loop, which would wait for itself.
            ConsumerDead: it was closed.
        """
        wait = _Wait(start, self._around)
        try:
            return self._submit(wait).result(timeout_s)
        except CancelledError:
            raise _closed() from None
        finally:
            wait.end()

    def tell(self, callback: Callable[[], object]) -> None:
        """Have something called in the loop, and do not wait; nothing happens once it was closed."""
        with self._lock:
            if self._loop is not None and not self.closed:
                self._loop.call_soon_threadsafe(callback)

    def _submit(self, wait: _Wait[R]) -> Future[R]:
        self._check_caller()
        with self._lock:
            if self.closed:
                raise _closed()
            if self._loop is None:
                self._loop = self._begin()
            return asyncio.run_coroutine_threadsafe(wait.awaited(), self._loop)

    def _check_caller(self) -> None:
        self.check()
        if threading.current_thread() is self._thread:  # its number may be another's, once it has ended
            raise NotHere("called in the Segmenter's own thread, as observers are: call it from another one")

    # --- the thread -------------------------------------------------------------------------------------------------

    def _begin(self) -> asyncio.AbstractEventLoop:
        begun: Future[asyncio.AbstractEventLoop] = Future()
        given = (begun, threading.get_native_id())
        self._thread = threading.Thread(target=self._run, args=given, name="segmenter", daemon=True)
        self._thread.start()
        loop = begun.result()
        self._settle()
        atexit.register(self._exit)
        return loop

    def _settle(self) -> None:
        self._process = Process(f"the Segmenter of namespace {self._namespace!r}")

    @contextmanager
    def attend(self) -> Generator[None]:
        """Serve the loop that runs in this thread, instead of one of its own; whoever runs that loop ends it."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.current_thread()
        self._settle()
        try:
            yield
        finally:
            with self._lock:
                self.closed = True

    def _run(self, begun: Future[asyncio.AbstractEventLoop], starter: int) -> None:
        async def live() -> None:
            begun.set_result(asyncio.get_running_loop())
            await self._ended.wait()

        try:
            check_real_thread(starter)
            asyncio.run(live())
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    def close(self, timeout_s: float | None = None) -> None:
        """Say farewell, and end the loop and the thread. May be called twice; does nothing in a forked child."""
        if self.closed or (self._process is not None and not self._process.current):
            return
        self._check_caller()
        try:
            if self._loop is not None:
                self.call(self._farewell, timeout_s)
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            if self._loop is not None and not self.closed:
                self._loop.call_soon_threadsafe(self._ended.set)
            self.closed = True
        if self._thread is not None:
            self._thread.join(JOIN_S)
        atexit.unregister(self._exit)

    def _exit(self) -> None:
        """The interpreter exits, and nobody has closed it."""
        with suppress(Exception):
            self.close(EXIT_S)


class _Wait(Generic[R]):
    """What a thread waits for in the loop; there before it is begun, since an interruption may come at any point."""

    def __init__(self, start: Callable[[], Awaitable[R]], around: Around) -> None:
        self._start = start
        self._around = around
        self._ended = False  # nobody waits any more
        self._task: asyncio.Task[Any] | None = None  # while it is awaited
        self._loop: asyncio.AbstractEventLoop

    async def awaited(self) -> R:
        """Await it, in the loop, unless nobody waits any more."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        try:
            if self._ended:
                raise asyncio.CancelledError
            with self._around():
                return await self._start()
        finally:
            self._task = None

    def end(self) -> None:
        """Nobody waits any more, in the thread that did; of no effect once it is done."""
        self._ended = True  # before the look at the task, as that is set before the look at this
        if (task := self._task) is not None:
            self._loop.call_soon_threadsafe(task.cancel)


def _closed() -> ConsumerDead:
    return ConsumerDead("the Segmenter was closed: make a new one")
