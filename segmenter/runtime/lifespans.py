"""The lifespan of a worker: an async context manager of the user's, entered and left in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from segmenter.errors import HandlerStuck, LifespanTimeout
from segmenter.runtime.hooks import GRACE_S

__all__ = ["Stopped", "entered"]

R = TypeVar("R")


class Stopped(Exception):
    """The worker was asked to stop before its lifespan was entered."""


@asynccontextmanager
async def entered(
    manager: AbstractAsyncContextManager[R],
    name: str,
    limit_s: float,
    *,
    stopping: asyncio.Event,
    on_stuck: Callable[[HandlerStuck], None],
) -> AsyncGenerator[R]:
    """Enter a lifespan, and leave it in the same task, each within a time limit.

    Args:
        manager: what the user's lifespan has returned.
        name: what the lifespan is called in errors.
        limit_s: how long entering may take, and how long leaving may.
        stopping: once it is set, entering is cut short.
        on_stuck: called when the lifespan ignores its cancellation.

    Raises:
        LifespanTimeout: it took too long.
        Stopped: it was cut short.
    """
    limit = _Limit(name, limit_s, on_stuck)
    value = await limit.within("entering", manager.__aenter__(), stopping)
    try:
        yield value
    except BaseException as error:
        if not await limit.within("leaving", manager.__aexit__(type(error), error, error.__traceback__)):
            raise
    else:
        await limit.within("leaving", manager.__aexit__(None, None, None))


class _Limit:
    """Awaits parts of a lifespan in the task that calls: scopes that it opens must be closed there."""

    def __init__(self, name: str, limit_s: float, on_stuck: Callable[[HandlerStuck], None]) -> None:
        self._name = name
        self._limit_s = limit_s
        self._on_stuck = on_stuck

    async def within(self, what: str, part: Awaitable[R], stopping: asyncio.Event | None = None) -> R:
        """Return what a part of the lifespan does, unless it takes too long or is to stop."""
        loop = asyncio.get_running_loop()
        watching: asyncio.Task[Any] | None = None
        last = loop.call_later(self._limit_s + GRACE_S, self._ignored, what)
        scope = asyncio.timeout(self._limit_s)
        try:
            async with scope:
                if stopping is not None:
                    watching = loop.create_task(stopping.wait())
                    watching.add_done_callback(lambda task: None if task.cancelled() else scope.reschedule(loop.time()))
                return await part
        except TimeoutError as error:
            if not scope.expired():
                raise  # its own
            if stopping is not None and stopping.is_set():
                raise Stopped from None
            raise LifespanTimeout(
                f"{what} lifespan {self._name} took longer than lifespan_timeout, {self._limit_s:g} s: "
                "give what it waits for a timeout of its own, or raise lifespan_timeout"
            ) from error
        finally:
            last.cancel()
            if watching is not None:
                watching.cancel()

    def _ignored(self, what: str) -> None:
        self._on_stuck(
            HandlerStuck(
                f"{what} lifespan {self._name} ignored its cancellation after lifespan_timeout, {self._limit_s:g} s: "
                "this process should be replaced"
            )
        )
