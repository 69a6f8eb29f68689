"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it.

The real runtime runs on it unchanged, hours of a cluster's life in seconds, and the same way each time. Nothing may
do real input or output on it: the memory backend is all it needs.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from segmenter.runtime.host import Host, in_task

__all__ = ["Deadlock", "VirtualLoop", "run_virtually", "virtual_host"]

T = TypeVar("T")


class Deadlock(Exception):
    """Nothing is ready, no timer is set, and nothing from outside can come: it would wait for ever."""


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]
    """Lets time pass instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which starts at 0."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now


def virtual_host(loop: asyncio.AbstractEventLoop, prefix: str = "") -> Host:
    """A host on a loop's time: the heart is a task of it, and ids count up, so that a run repeats exactly."""
    counter = itertools.count(1)
    chance = random.Random(prefix).random
    return Host(clock=loop.time, nonce=lambda: f"{prefix}{next(counter)}", chance=chance, place_heart=in_task)


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]], *, limit_s: float = 86_400.0) -> T:
    """Run a coroutine function to its end on virtual time, and return its result.

    Args:
        main: called once the loop runs.
        limit_s: virtual seconds after which it is cancelled with ``TimeoutError``.
    """

    async def bounded() -> T:
        async with asyncio.timeout(limit_s):
            return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(bounded())
