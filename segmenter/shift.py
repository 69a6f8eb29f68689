"""One run of a worker's handlers: waiting for their streams, handling, and coming to an end together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from attrs import evolve

from segmenter.cancellation import all_ended
from segmenter.core.observations import Admitted, Departed, Observation
from segmenter.errors import NonExistentStream
from segmenter.handlers import Handler
from segmenter.logs import Log
from segmenter.observe import logged
from segmenter.runtime.observers import Observers
from segmenter.runtime.runner import Runner
from segmenter.segmenter import Segmenter

__all__ = ["Shift"]

STREAM_WAIT_S = 30.0  # that a stream may take to be registered
STREAM_LOOK_S = 0.5

_log = Log("segmenter.worker")


class Post:
    """One handler at its place."""

    def __init__(self, handler: Handler, segmenter: Segmenter, executor: Executor, stopping: asyncio.Event) -> None:
        self.admitted = False
        self.task: asyncio.Task[None] | None = None
        self._handler = handler
        self._segmenter = segmenter
        self._executor = executor
        self._stopping = stopping
        self._runner: Runner | None = None

    async def serve(self) -> None:
        """Handle messages until stopped.

        Raises:
            NonExistentStream: nobody has registered the stream in time.
            SegmenterError: what ended it.
        """
        handler = self._handler
        await self._stream_is_there()
        hooks = evolve(handler.hooks, observers=[self._observe, *handler.hooks.observers])
        runner = Runner(
            handler.slot,
            handler.handling(self._executor),
            self._segmenter.host,
            Observers([logged(handler.slot), *hooks.observers]),
            stopping=self._stopping,
        )
        pump = await self._segmenter.open_pump(handler.slot, handler.start, handler.options, hooks, runner.gate)
        self._runner = runner
        await runner.run(pump)

    @property
    def interrupt(self) -> KeyboardInterrupt | None:
        """Ctrl-C, if it has arrived in a handler."""
        return None if self._runner is None else self._runner.interrupt

    def stop(self, within_s: float | None, *, forever: bool) -> None:
        """End as soon as the handlers that are at work have ended, or have had their time."""
        if self._runner is not None:
            its = self._handler.options.drain_timeout_s
            self._runner.stop(its if within_s is None else within_s, forever=forever)
        elif self.task is not None:
            self.task.cancel()

    def _observe(self, observation: Observation) -> None:
        if isinstance(observation, Admitted):
            self.admitted = True
        elif isinstance(observation, Departed):
            self.admitted = False

    async def _stream_is_there(self) -> None:
        loop, stream = asyncio.get_running_loop(), self._handler.slot.stream
        deadline = loop.time() + STREAM_WAIT_S
        told = False
        while True:
            try:
                await self._segmenter.lifecycle.load_stream(stream)
            except NonExistentStream:
                if loop.time() >= deadline:
                    raise
            else:
                return
            if not told:
                words = "handler %s waits up to %g s for stream %r to be registered"
                extra = {"stream": stream, "group": self._handler.slot.group}
                _log.warning(words, self._handler.name, STREAM_WAIT_S, stream, extra=extra)
                told = True
            await asyncio.sleep(STREAM_LOOK_S)


class Shift:
    """All handlers of a worker, from the start to the end of the last one. If one fails, all end."""

    def __init__(
        self, handlers: Sequence[Handler], segmenter: Segmenter, executor: Executor, stopping: asyncio.Event
    ) -> None:
        self._stopping = stopping
        self.forever = False  # whether the handlers' instance_ids are given up when it stops
        self._posts = [Post(handler, segmenter, executor, stopping) for handler in handlers]

    @property
    def healthy(self) -> bool:
        """Whether none has ended."""
        return all(post.task is not None and not post.task.done() for post in self._posts)

    @property
    def ready(self) -> bool:
        """Whether all are members of their groups, and none is to end."""
        return self.healthy and not self._stopping.is_set() and all(post.admitted for post in self._posts)

    async def run(self) -> None:
        """Handle messages until stopped, draining at the end; at once, if this is cancelled.

        Raises:
            SegmenterError: what the first that failed ended with.
        """
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(post.serve()) for post in self._posts]
        for post, task in zip(self._posts, tasks, strict=True):
            post.task = task
        stopped = loop.create_task(self._stopping.wait())
        within_s: float | None = None
        try:
            await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            within_s = 0.0
            raise
        finally:
            stopped.cancel()
            self._end(within_s)
            await all_ended(tasks, on_cancel=lambda: self._end(0.0))
        _raise_first(tasks)
        for post in self._posts:
            if post.interrupt is not None:
                raise post.interrupt

    def _end(self, within_s: float | None) -> None:
        self._stopping.set()
        for post in self._posts:
            if post.task is not None and not post.task.done():
                post.stop(within_s, forever=self.forever)


def _raise_first(tasks: Sequence[asyncio.Task[None]]) -> None:
    failures = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
    for further in failures[1:]:
        _log.error("another handler ended too: %s", further)
    if failures:
        raise failures[0]
