"""Plain functions of the user's, called in threads."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import Any

__all__ = ["NotCalled", "ThreadCall"]

Returned = tuple[Any, BaseException | None]  # what a function returned, or what it raised


class NotCalled(Exception):
    """The function was not called: it was recalled before a thread was free, or no thread can be started."""


class ThreadCall:
    """One call of a plain function, from waiting for a thread to its return.

    A thread cannot be cancelled. If the task that awaits ``run`` is cancelled, ``run`` goes on until the function has
    returned: until then the function is at work. Cancelled once more, as by the end of the event loop, it ends.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.began_at = math.inf  # when the function was called, by the clock
        self._clock = clock
        self._recalled = False
        self._job: Future[Returned] | None = None

    @property
    def waits(self) -> bool:
        """Return whether the function has yet to be called."""
        return self.began_at == math.inf

    def recall(self) -> bool:
        """Prevent the call unless the function is at work already; return whether it is prevented."""
        if self._job is not None and self._job.cancel():
            self._recalled = True
        return self._recalled

    async def run(self, executor: Executor, function: Callable[..., object], *args: object) -> object:
        """Call the function, with the context variables of here, and await what it returns if that is awaitable.

        Raises:
            NotCalled: it was not called.
            BaseException: what it raised; ``StopIteration`` as a ``RuntimeError``, as from any coroutine.
        """
        context = copy_context()

        def call() -> Returned:
            if self._recalled:  # a pool keeps what it could not start a thread for
                return None, NotCalled("no thread could be started in time")
            self.began_at = self._clock()
            try:
                return context.run(function, *args), None
            except BaseException as error:  # as a value: no future carries a StopIteration
                return None, error

        result, error = await self._returned(executor, call)
        if error is not None:
            raise error
        return await result if inspect.isawaitable(result) else result

    async def _returned(self, executor: Executor, call: Callable[[], Returned]) -> Returned:
        try:
            self._job = job = executor.submit(call)
        except RuntimeError as error:  # no thread can be started, or the interpreter is about to exit
            self._recalled = True
            raise NotCalled(str(error)) from error
        waiting = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if self._recalled:
                raise NotCalled("it was recalled") from None
            if self.recall():
                raise
        return await waiting
