"""Functions of the user's that are called when partitions come and go.

The hooks of a partition run one after the other, each for ``max_processing_time`` at most. While one runs, nothing of
its partition is delivered, and the partition is not released. An ``on_assigned`` that fails is called again after a
while that grows, since messages must not be handled before the state that it loads is there; the other two are not.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

from attrs import field, frozen

from segmenter.cancellation import all_ended
from segmenter.config import ConsumerOptions
from segmenter.core.command import GroupSlot
from segmenter.core.failure import text_of
from segmenter.core.observations import HookFailed, Observation
from segmenter.errors import HandlerStuck
from segmenter.runtime.backoff import Backoff
from segmenter.runtime.failures import hook_stuck, hook_timed_out
from segmenter.runtime.holding import Holding
from segmenter.runtime.observers import Observer, name_of

__all__ = ["GRACE_S", "Hook", "HookCalls", "Hooks"]

Hook = Callable[[int], Awaitable[object] | None]
Name = Literal["on_assigned", "on_revoked", "on_lost"]

GRACE_S = 5.0  # that a hook may take to end once it was cancelled
LIMIT_RETRY_S = 30.0  # the longest wait before on_assigned is called again


@frozen
class Hooks:
    """Each hook is called with a partition; what it returns is awaited if it is awaitable."""

    on_assigned: Hook | None = None  # before anything of it is delivered
    on_revoked: Hook | None = None  # when it is to be given up, before it is released
    on_lost: Hook | None = None  # when it is gone already
    observers: list[Observer] = field(factory=list[Observer])


class HookCalls:
    """Calls the hooks of one consumer."""

    def __init__(
        self,
        slot: GroupSlot,
        hooks: Hooks,
        options: ConsumerOptions,
        chance: Callable[[], float],
        observe: Callable[[Observation], None],
        ended: Callable[[Holding], None],
        stuck: Callable[[HandlerStuck], None],
    ) -> None:
        """Take whom to tell of what a hook does, when one has ended, and when one does not end."""
        self._slot = slot
        self._hooks = hooks
        self._limit_s = options.max_processing_time_s
        self._drain_timeout_s = options.drain_timeout_s
        self._chance = chance
        self._observe = observe
        self._has_ended = ended
        self._stuck = stuck
        self._tasks: set[asyncio.Task[None]] = set()
        self._pausing: set[asyncio.Task[None]] = set()  # until on_assigned is called again

    def assigned(self, holding: Holding) -> None:
        """Call ``on_assigned``."""
        self._call("on_assigned", holding, 0.0)

    def revoked(self, holding: Holding) -> None:
        """Call ``on_revoked`` once a hook that is at work has ended; that one is cancelled after ``drain_timeout``."""
        self._call("on_revoked", holding, self._drain_timeout_s)

    def lost(self, holding: Holding) -> None:
        """Call ``on_lost`` once a hook that is at work has been cancelled and has ended."""
        self._call("on_lost", holding, 0.0)

    async def aclose(self) -> None:
        """Give hooks that are at work a while to end; then cancel them."""
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=min(GRACE_S, self._limit_s))
        finally:
            for task in self._tasks:
                task.cancel()
            await all_ended(self._tasks)

    # --- from the call of a hook to its end -------------------------------------------------------------------------

    def _call(self, name: Name, holding: Holding, patience_s: float) -> None:
        hook: Hook | None = getattr(self._hooks, name)
        earlier = frozenset(holding.hooks)
        for task in earlier & self._pausing:
            task.cancel()
        called = _NOT_CALLED
        if not earlier:
            called = _call(hook, holding.partition)
            if called is _RETURNED:
                return
        task = asyncio.get_running_loop().create_task(self._run(name, hook, holding, earlier, patience_s, called))
        self._tasks.add(task)
        holding.hooks.add(task)
        task.add_done_callback(partial(self._ended, holding))

    def _ended(self, holding: Holding, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        holding.hooks.discard(task)
        if not task.cancelled():
            task.result()
        self._has_ended(holding)

    async def _run(
        self,
        name: Name,
        hook: Hook | None,
        holding: Holding,
        earlier: frozenset[asyncio.Task[None]],
        patience_s: float,
        called: _Called,
    ) -> None:
        """Call a hook until it succeeds, or once if it is not ``on_assigned``."""
        await _ended_within(earlier, patience_s)
        backoff = Backoff(self._chance, LIMIT_RETRY_S)
        while True:
            awaitable, error = _call(hook, holding.partition) if called is _NOT_CALLED else called
            if awaitable is not None:
                error = await self._awaited(name, awaitable)
            if error is None:
                return
            again = name == "on_assigned" and not holding.draining
            wait_s = backoff.next_s() if again else None
            about = (holding.member, holding.partition, name, name_of(hook))
            self._observe(HookFailed(*about, text_of(error), wait_s))
            if wait_s is None:
                return
            await self._pause(wait_s)
            called = _NOT_CALLED

    async def _pause(self, wait_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine of one
        self._pausing.add(task)
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._pausing.discard(task)

    async def _awaited(self, name: Name, awaitable: Awaitable[object]) -> BaseException | None:
        """Return what an awaitable raises; a timeout once the limit is over."""
        running = asyncio.get_running_loop().create_task(_error_of(awaitable))
        try:
            await asyncio.wait([running], timeout=self._limit_s)
        except asyncio.CancelledError:
            await self._end(name, running)
            raise
        if running.done():
            return running.result()
        await self._end(name, running)
        return hook_timed_out(name, self._limit_s)

    async def _end(self, name: Name, running: asyncio.Task[Any]) -> None:
        """Cancel a hook; one that goes on costs its process."""
        running.cancel()
        await asyncio.wait([running], timeout=GRACE_S)
        if not running.done():
            self._stuck(hook_stuck(self._slot, name, name_of(getattr(self._hooks, name))))


_Called = tuple[Awaitable[object] | None, BaseException | None]  # what is to be awaited, and what was raised
_RETURNED: _Called = (None, None)
_NOT_CALLED: _Called = (None, RuntimeError("not called"))


def _call(hook: Hook | None, partition: int) -> _Called:
    try:
        result: object = None if hook is None else hook(partition)
    except KeyboardInterrupt:  # Ctrl-C is meant for the program, wherever it arrives
        raise
    except BaseException as error:
        return None, error
    return (result, None) if inspect.isawaitable(result) else _RETURNED


async def _error_of(awaitable: Awaitable[object]) -> BaseException | None:
    """Await something; return what it raised, since a task would pass a ``SystemExit`` on to the event loop."""
    try:
        await awaitable
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error
    return None


async def _ended_within(tasks: frozenset[asyncio.Task[None]], patience_s: float) -> None:
    """Wait for hooks that are at work; cancel them after a while."""
    if not tasks:
        return
    if patience_s:
        await asyncio.wait(tasks, timeout=patience_s)
    for task in tasks:
        task.cancel()
    await all_ended(tasks)
