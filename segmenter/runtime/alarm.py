"""What wakes a pump: somebody who calls, or the time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

__all__ = ["Alarm"]

SHORTEST_S = 0.001  # so that a time that has passed cannot make a loop without an end


class Alarm:
    """Rings when it is told to, or at the time it is set to, whichever comes first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.at = math.inf
        self._clock = clock
        self._ringing = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """Ring now."""
        self._ringing.set()

    def set(self, at: float) -> None:
        """Ring at a time, instead of the one that was set before."""
        self.cancel()
        self.at = at
        delay_s = max(SHORTEST_S, at - self._clock())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ringing.set)

    def cancel(self) -> None:
        """Do not ring at the time that was set."""
        if self._timer is not None:
            self._timer.cancel()

    async def wait(self) -> None:
        """Return when it has rung since the last call."""
        await self._ringing.wait()
        self._ringing.clear()
