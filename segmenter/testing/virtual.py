"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it.

The real runtime runs on it unchanged, hours of a cluster's life in seconds, and the same way each time. Nothing may
do real input or output on it: the memory backend is all it needs. While something is at work in a thread, time stands
still (``freeze``).

Several processes may live in one loop. Whatever is started within ``Thread.context`` belongs to that thread of a
process and stands still while it is stopped, as under SIGSTOP: its callbacks wait, and time passes.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Self, TypeVar

from segmenter.core.group import ProcessInfo
from segmenter.runtime.host import Host, in_task

__all__ = ["Deadlock", "Thread", "Virtual", "VirtualLoop", "run_virtually", "virtual_host"]

T = TypeVar("T")


class Deadlock(Exception):
    """Nothing is ready, no timer is set, and nothing from outside can come: it would wait for ever."""


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]
    """Lets time pass instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.frozen = 0  # functions that are at work in threads

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(None if self.frozen and timeout != 0 else 0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.now += max(0.0, timeout)
        return []


class _Call:
    """A callback of a thread, which waits while the thread stands still; ``handle`` may cancel it meanwhile."""

    __slots__ = ("arguments", "callback", "context", "handle", "thread")

    def __init__(
        self, thread: Thread, callback: Callable[..., object], arguments: tuple[Any, ...], context: Context
    ) -> None:
        self.thread = thread
        self.callback = callback
        self.arguments = arguments
        self.context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        if self.thread.stopped:
            self.thread.waiting.append(self)
        elif self.handle is None or not self.handle.cancelled():
            self.callback(*self.arguments)


class Thread:
    """Something that can be stopped and go on without noticing: a process, or a thread of it."""

    def __init__(self, main: Thread | None = None) -> None:
        """Take the thread that runs the event loop of the same process, if it is another one."""
        self.main = main or self
        self.stopped = False
        self.waiting: list[_Call] = []

    @property
    def context(self) -> Context:
        """A context to start tasks in that belong to this thread."""
        context = copy_context()
        context.run(_THREAD.set, self)
        return context

    def stop(self) -> None:
        """Stand still from now on."""
        self.stopped = True

    def go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run what has been waiting, in its order, and then whatever comes."""
        self.stopped = False
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            loop.call_soon(call, context=call.context)


_THREAD: ContextVar[Thread | None] = ContextVar("thread", default=None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which starts at 0."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now

    def freeze(self) -> None:
        """Let no time pass, but wait for what comes from threads, until ``thaw`` is called as often."""
        self._virtual.frozen += 1

    def thaw(self) -> None:
        """Undo ``freeze``; in the thread of the loop, as that."""
        self._virtual.frozen -= 1

    def call_soon(  # type: ignore[override, unused-ignore]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Arrange for a call in the next turn, or when the thread that asks goes on."""
        call = _call_of_thread(callback, args, context)
        if call is None:
            return super().call_soon(callback, *args, context=context)
        call.handle = super().call_soon(call, context=call.context)
        return call.handle

    def call_soon_threadsafe(  # type: ignore[override, unused-ignore]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Arrange for a call in the thread that runs the event loop of the process that asks."""
        if self._virtual.frozen:
            return super().call_soon_threadsafe(callback, *args, context=context)
        thread = _THREAD.get()
        return self.call_soon(callback, *args, context=thread.main.context if thread and not context else context)

    def call_at(  # type: ignore[override, unused-ignore]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Arrange for a call at a time, or when the thread that asks goes on."""
        call = _call_of_thread(callback, args, context)
        if call is None:
            return super().call_at(when, callback, *args, context=context)
        handle = super().call_at(when, call, context=call.context)
        call.handle = handle
        return handle


def _call_of_thread(callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> _Call | None:
    thread = _THREAD.get() if context is None else context.get(_THREAD)
    if thread is None or isinstance(callback, _Call):
        return None
    return _Call(thread, callback, args, context or copy_context())


def virtual_host(loop: asyncio.AbstractEventLoop, prefix: str = "") -> Host:
    """A host on a loop's time: the heart is a task of it, and ids count up, so that a run repeats exactly.

    Its processes have no name, since that of the machine would be another one elsewhere.
    """
    counter = itertools.count(1)
    chance = random.Random(prefix).random
    return Host(
        clock=loop.time,
        nonce=lambda: f"{prefix}{next(counter)}",
        chance=chance,
        process=ProcessInfo,
        place_heart=in_task,
    )


class Virtual:
    """Virtual time that goes on from one call to the next; enter it with ``with``."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._runner.close()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop whose clock it is."""
        return self._runner.get_loop()

    @property
    def now(self) -> float:
        """Virtual seconds since it began."""
        return self.loop.time()

    def run(self, coroutine: Coroutine[Any, Any, T], *, limit_s: float = 86_400.0) -> T:
        """Run a coroutine to its end, and return its result; tasks that it leaves behind go on with the next call.

        Raises:
            TimeoutError: it took longer than ``limit_s`` virtual seconds.
        """

        async def bounded() -> T:
            async with asyncio.timeout(limit_s):
                return await coroutine

        return self._runner.run(bounded())


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]], *, limit_s: float = 86_400.0) -> T:
    """Run a coroutine function to its end on virtual time, and return its result.

    Args:
        main: called once the loop runs.
        limit_s: virtual seconds after which it is cancelled with ``TimeoutError``.
    """

    async def begun() -> T:
        return await main()

    with Virtual() as virtual:
        return virtual.run(begun(), limit_s=limit_s)
