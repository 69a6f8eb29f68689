"""A worker: functions that handle the messages of streams, in order per key, with retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import ContextVar
from copy import copy
from typing import TYPE_CHECKING, Any

from attrs import evolve

from segmenter.config import DAY_S, Duration, seconds
from segmenter.errors import InvalidArgument, SegmenterError
from segmenter.handlers import Handler, Handlers
from segmenter.port import Backend
from segmenter.runtime.host import Host
from segmenter.runtime.lifespans import Stopped, entered
from segmenter.runtime.observers import name_of
from segmenter.segmenter import Segmenter
from segmenter.serving import leave, serve
from segmenter.shift import Shift
from segmenter.watchdog import watchdog

if TYPE_CHECKING:
    from segmenter.testing.rehearsal import Rehearsal

__all__ = ["Worker"]

LIMIT_THREADS = 1_024
WATCHDOG_S = 10.0  # beyond max_processing_time, before a process that stands still is ended

Lifespan = Callable[["Worker"], AbstractAsyncContextManager[Any]]

# Which of several that share their handlers is at work here: in a simulation, each process runs one.
ACTING: ContextVar[Worker | None] = ContextVar("acting", default=None)


def _limit(lifespan_timeout: Duration) -> float:
    limit_s = seconds(lifespan_timeout)
    if not 0 < limit_s <= DAY_S:
        raise InvalidArgument(f"lifespan_timeout is {lifespan_timeout!r}: it must be a number from 0 to {DAY_S:g}")
    return limit_s


class Worker(Handlers):
    """Handlers of streams, to be run by ``segmenter run module:worker``, by ``main()``, or by ``await run()``.

    Args:
        url: where the streams live, as for ``Segmenter``; read when the worker runs.
        namespace: as for ``Segmenter``.
        group: of the handlers that name none.
        lifespan: called with the worker when it starts; the async context manager that it returns is entered before
            the first message and left after the last; handlers find what it yields in ``worker.state``.
        backend: an instance to use instead of a URL.
        host: the clock and the place for the heart; simulations bring their own.
        threads: how many handlers that are plain functions run at once, at most.
        lifespan_timeout: seconds that entering the lifespan may take, and that leaving it may.

    Raises:
        InvalidArgument: the namespace, the group or a number is invalid.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str = "default",
        group: str | None = None,
        lifespan: Lifespan | None = None,
        backend: Backend | None = None,
        host: Host | None = None,
        threads: int = 32,
        lifespan_timeout: Duration = 300.0,
    ) -> None:
        if not 1 <= threads <= LIMIT_THREADS:
            raise InvalidArgument(f"threads is {threads!r}: it must be a number from 1 to {LIMIT_THREADS}")
        super().__init__(namespace, group)
        self._url = url
        self._lifespan_timeout_s = _limit(lifespan_timeout)
        self._lifespan = lifespan
        self._backend = backend
        self._host = host
        self._threads = threads
        self._state: Any = None
        self._segmenter: Segmenter | None = None
        self._shift: Shift | None = None
        self._stopping: asyncio.Event | None = None  # while it runs
        self._ended: asyncio.Event

    # --- running ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Handle messages until ``stop()`` is called or a handler's consumer fails; installs no signal handlers.

        If it is cancelled, handlers that are at work are cancelled, and the partitions are handed over.

        Raises:
            NonExistentStream: a stream was not registered within 30 s.
            HandlerStuck: a handler went on after it was cancelled, and does still; this process should be replaced.
            RetriesExhausted: a handler has failed too often, with ``on_exhausted="halt"``.
            SegmenterError: what else ended a consumer.
            InvalidArgument: there is no handler, or no URL.
        """
        executor = ThreadPoolExecutor(self._threads, "segmenter-handler")
        try:
            await self.run_on(self.door(self._backend, self._host), executor)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def door(self, backend: Backend | None, host: Host | None) -> Segmenter:
        """Return a Segmenter for ``run_on``."""
        return Segmenter(self._url, namespace=self.namespace, backend=backend, host=host)

    async def run_on(self, segmenter: Segmenter, executor: Executor, handlers: Sequence[Handler] | None = None) -> None:
        """Run as ``run`` does, over a Segmenter, which is closed at the end; plain functions run in the executor."""
        self.check_idle()
        handlers = tuple(self.handlers.values()) if handlers is None else handlers
        if not handlers:
            raise InvalidArgument("the worker has no handlers: decorate a function with @worker.handler(stream)")
        self._stopping, self._ended = asyncio.Event(), asyncio.Event()
        try:
            async with AsyncExitStack() as stack:
                self._segmenter = await stack.enter_async_context(segmenter)
                if self._lifespan is not None:
                    self._state = await stack.enter_async_context(self._entered(self._lifespan, segmenter.host))
                self._shift = Shift(handlers, segmenter, executor, self._stopping)
                await self._shift.run()
        except Stopped:
            pass
        finally:
            self._ended.set()
            self._stopping = self._shift = self._segmenter = self._state = None

    def _entered(self, lifespan: Lifespan, host: Host) -> AbstractAsyncContextManager[Any]:
        assert self._stopping is not None  # noqa: S101 - it runs
        name, limit_s = name_of(lifespan), self._lifespan_timeout_s
        return entered(lifespan(self), name, limit_s, stopping=self._stopping, on_stuck=host.on_stuck)

    def check_idle(self) -> None:
        """Return if it does not run."""
        if self._stopping is not None:
            raise SegmenterError("the worker is running already")

    async def stop(self, *, forever: bool = False) -> None:
        """Start no more handlers, let those at work end (``drain_timeout``), hand over, and return when all is done.

        Nothing happens if it does not run. A handler must not await this, since it would wait for itself.

        Args:
            forever: give the handlers' ``instance_id`` up, too: their partitions go to others at once. Otherwise they
                wait for a restart under that name until a session has passed.
        """
        if self._stopping is not None:
            if self._shift is not None:
                self._shift.forever = forever
            self._stopping.set()
            await self._ended.wait()

    def request_stop(self) -> None:
        """Ask it to end as by ``stop``, without waiting for that; handlers may do so."""
        stopping = self._acting._stopping
        if stopping is not None:
            stopping.set()

    def main(self) -> None:
        """Run until SIGTERM or SIGINT, draining; a second signal ends the process at once, with exit code 130.

        For the last line of a program. If a handler is stuck, the process ends with exit code 1.

        Raises:
            SegmenterError: as for ``run``.
        """
        serve(self.run_as_process, self.request_stop)

    async def run_as_process(self) -> None:
        """Run as ``run`` does, in a process of its own.

        The process ends with exit code 1 once its event loop, or the whole interpreter, has stood still for longer
        than ``max_processing_time`` and ``lifespan_timeout``: it can neither handle messages nor hand over, and has to
        be replaced.
        """
        host, self._host = self._host, evolve(self._host or Host(), on_stuck=leave)
        limits_s = [handler.options.max_processing_time_s for handler in self.handlers.values()]
        if self._lifespan is not None:
            limits_s.append(self._lifespan_timeout_s)
        try:
            with watchdog(max(limits_s, default=0.0) + WATCHDOG_S):
                await self.run()
        finally:
            self._host = host

    # --- while it runs ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        """What ``lifespan`` has yielded."""
        return self._acting._state

    @property
    def segmenter(self) -> Segmenter:
        """The Segmenter that it runs on, for handlers that send.

        Raises:
            SegmenterError: it does not run.
        """
        segmenter = self._acting._segmenter
        if segmenter is None:
            raise SegmenterError("the worker does not run")
        return segmenter

    @property
    def healthy(self) -> bool:
        """Whether it runs and no consumer has ended; for a liveness probe, together with an answer at all."""
        return self._shift is not None and self._shift.healthy

    @property
    def ready(self) -> bool:
        """Whether it is a member of every group, and not stopping; for a readiness probe."""
        return self._shift is not None and self._shift.ready

    @property
    def _acting(self) -> Worker:
        """The one of all that share these handlers that is at work in this context; this one, unless it is said."""
        acting = ACTING.get()
        return acting if acting is not None and acting.handlers is self.handlers else self

    def understudy(self) -> Worker:
        """Return another one with the same handlers, which may run beside this one."""
        return copy(self)

    def test(self) -> Rehearsal:
        """Return a place to try the handlers in: without a server, on virtual time. Enter it with ``with``.

        Streams are there as soon as they are named by a handler or sent to. See ``segmenter.testing.Rehearsal``.
        """
        from segmenter.testing.rehearsal import Inline, Rehearsal  # noqa: PLC0415 - brings an event loop, for tests only

        return Rehearsal(self, Inline)
