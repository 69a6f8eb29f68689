"""What handlers are at: which are called, and which tasks they started and may have left behind.

A handler that starts a task and returns has settled its message before the work is done: the next message of the key
overtakes it, and a crash loses it. So a delivery counts as finished when the last task that was started in it
has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from random import Random
from typing import Any

from attrs import define, field

import segmenter
from segmenter.core.command import GroupSlot
from segmenter.core.message import Message
from segmenter.runtime.outcomes import Invoke
from segmenter.runtime.threads import ThreadCall
from segmenter.testing.ordering.events import Call, Ended, Event, Finished, Place, Started

__all__ = ["MadeUp", "Work", "watch_tasks"]

DAWDLE_S = 0.04  # before and after a handler's work, at most, so that faults strike in between
OURS = tuple(segmenter.__path__)


class MadeUp(Exception):
    """A failure that the simulation has made up, before a handler's work or after it."""


@define
class _Delivery:
    """A call of a handler."""

    finish: Callable[[], None]
    returned: bool = False
    tasks: set[asyncio.Task[Any]] = field(factory=set[asyncio.Task[Any]])

    def take(self, task: asyncio.Task[Any]) -> None:
        """Count a task in."""
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        self.look()

    def look(self) -> None:
        """Finish, if nothing is left to do."""
        if self.returned and not self.tasks:
            self.finish()


_DELIVERY: ContextVar[_Delivery | None] = ContextVar("delivery", default=None)


def watch_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have the tasks that handlers start counted; those that the library starts for itself are none of theirs."""

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        delivery = _DELIVERY.get()
        code = getattr(coroutine, "cr_code", None)
        if delivery is not None and code is not None and not code.co_filename.startswith(OURS):
            delivery.take(task)
        return task

    loop.set_task_factory(factory)  # type: ignore[arg-type] # newer ones name all options


class Work:
    """Notes the calls of a process's handlers, makes them take time, and has some of them fail."""

    def __init__(self, process: str, seed: int, fails: float, note: Callable[[Event], None], count: Any) -> None:
        self._process = process
        self._seed = seed
        self._fails = fails
        self._note = note
        self._count = count  # of all deliveries
        self._loop = asyncio.get_running_loop()

    async def call(
        self, slot: GroupSlot, attempts: int, invoke: Invoke, taken: list[Message], thread: ThreadCall | None
    ) -> None:
        """Call a handler that may be tried so many times."""
        number, first = next(self._count), taken[0]
        chance = Random(f"{self._seed}/{self._process}/{first.id}/{first.attempt}")
        # What has failed for other reasons too is not made to fail once more, or it might be set aside.
        fails = first.attempt == 1 and attempts > 2 and chance.random() < self._fails  # noqa: PLR2004
        delivery = _Delivery(lambda: self._note(Finished(self._loop.time(), number)))
        self._note(self._started(number, slot, taken))
        token, outcome = _DELIVERY.set(delivery), "returned"
        try:
            await self._work(partial(invoke, taken, thread), chance, fails)
        except BaseException as error:
            outcome = repr(error)
            raise
        finally:
            _DELIVERY.reset(token)
            self._note(Ended(self._loop.time(), number, outcome))
            delivery.returned = True
            delivery.look()

    async def _work(self, invoke: Callable[[], Awaitable[object]], chance: Random, fails: bool) -> None:
        early = chance.random() < 0.5  # noqa: PLR2004
        await asyncio.sleep(chance.random() * DAWDLE_S)
        if fails and early:
            raise MadeUp("before it began")
        await invoke()
        await asyncio.sleep(chance.random() * DAWDLE_S)
        if fails:
            raise MadeUp("when all was done")

    def _started(self, number: int, slot: GroupSlot, taken: list[Message]) -> Started:
        calls = tuple(
            Call(Place(slot.stream, each.partition, each.id), each.key, each.ordinal, each.attempt) for each in taken
        )
        fence = taken[0].fence
        return Started(self._loop.time(), number, self._process, slot, fence.partition, fence.epoch, calls)
