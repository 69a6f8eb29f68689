"""Functions of the user's that are told when partitions come and go."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from attrs import field, frozen

from segmenter.core.observations import Observation
from segmenter.runtime.holding import Holding

__all__ = ["Hook", "Hooks", "call_hook"]

Hook = Callable[[int], Awaitable[None] | None]
Observer = Callable[[Observation], None]


@frozen
class Hooks:
    """Each is called with a partition; what it returns, if it is a coroutine, is awaited."""

    on_assigned: Hook | None = None  # before anything of it is handed out
    on_revoked: Hook | None = None  # when it is to be given up, before it is released
    on_lost: Hook | None = None  # when it is gone already
    observers: list[Observer] = field(factory=list[Observer])


def call_hook(hook: Hook | None, holding: Holding, ended: Callable[[Holding], None]) -> None:
    """Call a hook; while its coroutine runs, the holding is neither handed out nor released.

    A hook that fails is reported through the event loop's exception handler and changes nothing.
    """
    loop = asyncio.get_running_loop()

    def done(task: asyncio.Task[None]) -> None:
        holding.hooks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _report(loop, error)
        ended(holding)

    try:
        result = hook(holding.partition) if hook is not None else None
    except Exception as error:
        _report(loop, error)
        return
    if inspect.iscoroutine(result):
        task = loop.create_task(result)
        holding.hooks.add(task)
        task.add_done_callback(done)


def _report(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    loop.call_exception_handler({"message": "a hook of a consumer failed", "exception": error})
