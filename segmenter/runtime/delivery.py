"""Messages that a consumer takes from its pump, under its lease.

While messages wait, the application has to read, settle or wait here within ``max_processing_time`` and two heartbeats,
as within Kafka's ``max.poll.interval.ms``. Otherwise its loop has ended by an exception, was forgotten, or hangs, and
the partitions would stand still forever.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager

from segmenter.config import ConsumerOptions
from segmenter.core.beats import BEATS_PER_SESSION
from segmenter.core.message import Message
from segmenter.runtime.heart import STUCK_BEATS
from segmenter.runtime.holding import Holding
from segmenter.runtime.holdings import Holdings
from segmenter.runtime.lease import Lease
from segmenter.runtime.standstill import Standstill

__all__ = ["Delivery"]


class Delivery:
    """Hands out messages to one application, or to the handlers that are attended to."""

    def __init__(self, holdings: Holdings, lease: Lease, clock: Callable[[], float], options: ConsumerOptions) -> None:
        self.closed = False  # nothing is handed out any more
        self.standstill = Standstill(holdings)
        self._holdings = holdings
        self._lease = lease
        self._clock = clock
        # The heartbeats let what the application holds be taken back before its consumer leaves.
        grace_s = STUCK_BEATS * options.session_timeout_s / BEATS_PER_SESSION
        self._patience_s = options.max_processing_time_s + grace_s
        self._active_at = clock()  # when the application last read, settled, or ended a wait
        self._has_some = False  # it got messages when it last asked
        self._waiting = 0  # tasks and threads of the application that wait here

    @property
    def open(self) -> bool:
        """Whether messages may be started, those handed out before included; readable in any thread."""
        return not self.closed and self._lease.valid

    @property
    def _until(self) -> float:
        """Until when anything may be handed out or started."""
        return -math.inf if self.closed else self._lease.until

    def may_start(self, holding: Holding, now: float) -> bool:
        """Whether messages of a holding may be started at this time, those handed out before included."""
        return now < holding.clear_until or holding.clear(now, self._until)

    def next(self) -> Message | None:
        """Hand out one message that may start now; nothing once the lease is over."""
        self._active_at = now = self._clock()
        message = self._holdings.next(now, self._until)
        self._has_some = message is not None
        if message is not None:
            self.standstill.moved(now)
        return message

    def take(self, limit: int, *, one_partition: bool = False) -> list[Message]:
        """Hand out a batch of what may start now; nothing once the lease is over."""
        self._active_at = now = self._clock()
        taken = self._holdings.take(limit, now, self._until, one_partition=one_partition)
        self._has_some = bool(taken)
        if taken:
            self.standstill.moved(now)
        return taken

    async def available(self, timeout_s: float | None) -> None:
        """Wait until ``take`` may have something, or the pump has ended, or the time is over."""
        with self.waiting():
            if timeout_s is None:
                await self._holdings.available.wait()
                return
            try:
                async with asyncio.timeout(timeout_s):
                    await self._holdings.available.wait()
            except TimeoutError:
                pass

    def pause(self, partitions: set[int]) -> None:
        """Hand out and read nothing more of these partitions, now or when they are owned."""
        self._holdings.pause(partitions)

    def resume(self, partitions: set[int]) -> None:
        """Undo ``pause``."""
        self._holdings.resume(partitions)

    # --- whether the application reads --------------------------------------------------------------------------------

    def note_activity(self) -> None:
        """The application has settled something."""
        self._active_at = self._clock()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Count the application as active for as long as it waits for something of this consumer."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            self._active_at = self._clock()

    @property
    def read_overdue_at(self) -> float:
        """When the consumer has to leave because messages wait, unless the application reads or settles before."""
        watched = self._holdings.offered is None and not self.closed and not self._waiting
        if not (watched and self._holdings.available.is_set()):
            return math.inf
        if any(holding.forwards.pending for holding in self._holdings):
            return math.inf  # whoever waits for that asks for nothing meanwhile
        # What waits may have been taken back from it: then it has been expected since it got that.
        since = self._active_at if self._has_some else max(self._active_at, self._holdings.available_at)
        return since + self._patience_s
