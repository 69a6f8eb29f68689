"""A worker for blocking code: its handlers are plain functions, and find the blocking API wherever they look."""

# It is the async Worker, as seen from the threads of its handlers.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial, wraps
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from attrs import evolve

from segmenter.config import Duration
from segmenter.errors import ConsumerDead, HandlerStuck, InvalidArgument, NotHere, SegmenterError
from segmenter.handlers import Handler, Handlers
from segmenter.port import Backend
from segmenter.runtime.host import Host
from segmenter.runtime.threads import ThreadCall
from segmenter.segmenter import Segmenter as AsyncSegmenter
from segmenter.serving import leave, run_here
from segmenter.sync.facade import HOOK_THREADS, in_thread
from segmenter.sync.segmenter import HOOKS, Segmenter
from segmenter.worker import Worker as AsyncWorker

if TYPE_CHECKING:
    from segmenter.testing.rehearsal import Rehearsal

__all__ = ["Worker"]

Lifespan = Callable[["Worker"], AbstractContextManager[Any]]


class Worker(Handlers):
    """Handlers of streams, to be run by ``segmenter run module:worker``, by ``main()``, or by ``run()``.

    Args:
        url: where the streams live, as for ``Segmenter``; read when the worker runs.
        namespace: as for ``Segmenter``.
        group: of the handlers that name none.
        lifespan: called with the worker when it starts; the context manager that it returns is entered before the
            first message and left after the last, in threads like those of the handlers, which find what it yields in
            ``worker.state``.
        backend: an instance to use instead of a URL.
        host: the clock and the place for the heart; simulations bring their own.
        threads: how many handlers run at once, at most.
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
        super().__init__(namespace, group)
        self._inner = InLoop(
            url,
            namespace=namespace,
            lifespan=None if lifespan is None else wraps(lifespan)(partial(_InThread, lifespan, self)),
            backend=backend,
            host=host,
            threads=threads,
            lifespan_timeout=lifespan_timeout,
        )
        self._inner.handlers = self.handlers

    def _check_handler(self, function: object) -> None:
        if inspect.iscoroutinefunction(function):
            raise InvalidArgument(f"handler {function!r} is async: take segmenter.Worker, or make it a plain function")

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Handle messages until ``stop()`` is called or a handler's consumer fails.

        In the main thread SIGTERM and Ctrl-C do what ``stop()`` does, and a second one ends the process at once, with
        exit code 130; in other threads signals are left alone.

        Raises:
            NonExistentStream: a stream was not registered within 30 s.
            HandlerStuck: a handler took longer than it may, and does still; this process should be replaced.
            RetriesExhausted: a handler has failed too often, with ``on_exhausted="halt"``.
            SegmenterError: what else ended a consumer.
            InvalidArgument: there is no handler, or no URL.
            NotHere: an event loop runs in this thread.
        """
        self._run_here(self._inner.run)

    def _run_here(self, run: Callable[[], Awaitable[None]]) -> None:
        if asyncio._get_running_loop() is not None:
            raise NotHere("an event loop runs in this thread: use segmenter.Worker there, and await its run()")
        run_here(run, self._inner.request_stop)

    def stop(self, *, forever: bool = False) -> None:
        """Start no more handlers, let those at work end (``drain_timeout``), hand over, and return when all is done.

        Call it in another thread than that of ``run()``. Nothing happens if it does not run. A handler must not call
        this, since it would wait for itself.

        Args:
            forever: give the handlers' ``instance_id`` up, too: their partitions go to others at once. Otherwise they
                wait for a restart under that name until a session has passed.
        """
        if (seen := self._inner.seen) is not None:
            with suppress(ConsumerDead):  # it has just ended
                seen._portal.call(lambda: self._inner.stop(forever=forever))

    def request_stop(self) -> None:
        """Ask it to end as by ``stop``, without waiting for that; handlers may do so."""
        if (seen := self._inner.seen) is not None:
            seen._portal.tell(self._inner.request_stop)

    def main(self) -> None:
        """Run until SIGTERM or SIGINT, draining; a second signal ends the process at once, with exit code 130.

        For the last line of a program. If a handler is stuck, the process ends with exit code 1.

        Raises:
            SegmenterError: as for ``run``.
        """
        try:
            self._run_here(self._inner.run_as_process)
        except HandlerStuck as stuck:
            leave(stuck)

    # --- while it runs ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> Any:
        """What ``lifespan`` has yielded."""
        return self._inner.state

    @property
    def segmenter(self) -> Segmenter:
        """The Segmenter that it runs on, for handlers that send.

        Raises:
            SegmenterError: it does not run.
        """
        if self._inner.seen is None:
            raise SegmenterError("the worker does not run")
        return self._inner.seen

    @property
    def healthy(self) -> bool:
        """Whether it runs and no consumer has ended; for a liveness probe, together with an answer at all."""
        return self._inner.healthy

    @property
    def ready(self) -> bool:
        """Whether it is a member of every group, and not stopping; for a readiness probe."""
        return self._inner.ready

    def test(self) -> Rehearsal:
        """Return a place to try the handlers in: without a server, on virtual time. Enter it with ``with``.

        Streams are there as soon as they are named by a handler or sent to. See ``segmenter.testing.Rehearsal``.
        """
        from segmenter.testing.rehearsal import Outside, Rehearsal  # noqa: PLC0415 - brings an event loop, for tests

        return Rehearsal(self._inner, Outside)

    def in_loop(self) -> AsyncWorker:
        """The worker as an event loop runs it, for whoever has one."""
        return self._inner


class InLoop(AsyncWorker):
    """The worker in the thread of the loop."""

    def __init__(self, url: str | None, **options: Any) -> None:
        super().__init__(url, **options)
        self.seen: Segmenter | None = None  # what it runs on, as its handlers see it
        self.executor: Executor  # of hooks and the lifespan
        self._door: Segmenter

    def door(self, backend: Backend | None, host: Host | None) -> AsyncSegmenter:
        """Return the Segmenter whose messages are in the hands of other threads than the loop's."""
        self._door = Segmenter(self._url, namespace=self.namespace, backend=backend, host=host)
        return self._door._inner

    async def run_on(
        self, segmenter: AsyncSegmenter, executor: Executor, handlers: Sequence[Handler] | None = None
    ) -> None:
        """Run over what has just come through the door."""
        self.check_idle()
        # Not among the handlers: a partition is given up by a hook while they have every thread.
        own = ThreadPoolExecutor(HOOK_THREADS, "segmenter-hook") if isinstance(executor, ThreadPoolExecutor) else None
        with self._door._portal.attend():
            self.seen, self.executor = self._door, own or executor
            try:
                given = self.handlers.values() if handlers is None else handlers
                await super().run_on(segmenter, executor, [_hooked(handler, self.executor) for handler in given])
            finally:
                self.seen = None
                if own is not None:
                    own.shutdown(wait=False)


def _hooked(handler: Handler, executor: Executor) -> Handler:
    """The handler with its hooks in threads, as it is itself."""
    given = {name: getattr(handler.hooks, name) for name in HOOKS}
    threaded: dict[str, Any] = {name: in_thread(hook, executor) for name, hook in given.items() if hook}
    return evolve(handler, hooks=evolve(handler.hooks, **threaded))


class _InThread:
    """A lifespan for blocking code, in threads in which it may block."""

    def __init__(self, lifespan: Lifespan, worker: Worker, inner: InLoop) -> None:
        self._lifespan = lifespan
        self._worker = worker
        self._executor = inner.executor

    async def __aenter__(self) -> Any:
        self._manager = await self._call(self._lifespan, self._worker)
        return await self._call(self._manager.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return bool(await self._call(self._manager.__exit__, kind, error, trace))

    async def _call(self, function: Callable[..., Any], *args: object) -> Any:
        return await ThreadCall(monotonic).run(self._executor, function, *args)
