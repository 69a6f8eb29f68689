"""The partitions that a consumer holds, and the turns they take in handing out.

There may be a thousand, of which few have something going on. These are **lively**: each turn of the pump looks after
them, and the others wait until they are stirred. Which of them may be read further is remembered as well.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator

from segmenter.core.message import Message
from segmenter.runtime.holding import Holding

__all__ = ["Holdings"]


class Holdings:
    """All holdings by partition; ``available`` is set while one of them may have something to hand out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.available = asyncio.Event()
        self.available_at = -math.inf  # when that was set
        self.offered: Callable[[Holding], None] | None = None  # told of it instead, if there is somebody to tell
        self._clock = clock
        self._held: dict[int, Holding] = {}
        self._lively: dict[Holding, None] = {}
        self._roomy: dict[Holding, None] = {}
        self._candidates: deque[Holding] = deque()
        self._paused: set[int] = set()

    def __iter__(self) -> Iterator[Holding]:
        return iter(tuple(self._held.values()))

    @property
    def partitions(self) -> list[int]:
        """The numbers of the partitions held."""
        return sorted(self._held)

    def at(self, partition: int, epoch: int | None = None) -> Holding | None:
        """The holding of a partition, if there is one, and under that epoch."""
        holding = self._held.get(partition)
        return holding if holding is not None and epoch in (None, holding.grant.epoch) else None

    def add(self, holding: Holding) -> None:
        """Hold a partition."""
        holding.paused = holding.partition in self._paused
        self._held[holding.partition] = holding
        self.stir(holding)

    def remove(self, partition: int) -> Holding:
        """Hold it no more."""
        holding = self._held.pop(partition)
        self._unlist(holding)
        self._lively.pop(holding, None)
        self._roomy.pop(holding, None)
        return holding

    def pause(self, partitions: set[int]) -> None:
        """Hand out nothing of these, now or when they come."""
        self._apply(self._paused | partitions)

    def resume(self, partitions: set[int]) -> None:
        """Undo ``pause``."""
        self._apply(self._paused - partitions)

    def _apply(self, paused: set[int]) -> None:
        self._paused = paused
        for holding in self:
            holding.paused = holding.partition in paused
            if holding.paused:
                self._unlist(holding)
            self.consider(holding)
            self.stir(holding)
        if not self._candidates:
            self.available.clear()

    # --- what a turn looks after ------------------------------------------------------------------------------------

    @property
    def lively(self) -> tuple[Holding, ...]:
        """Those that something is going on with."""
        return tuple(self._lively)

    def stir(self, holding: Holding) -> None:
        """Something has happened with a holding: the coming turn shall look after it."""
        self._lively[holding] = None

    def settle_down(self) -> None:
        """Leave those alone that nothing is going on with any more."""
        for holding in self.lively:
            if holding.at_rest:
                del self._lively[holding]

    def with_room(self, messages: int, size_bytes: int) -> list[Holding]:
        """Those that may be read further."""
        for holding in self._lively:
            if holding.wants_more(messages, size_bytes):
                self._roomy[holding] = None
            else:
                self._roomy.pop(holding, None)
        return list(self._roomy)

    def due(self, commit_interval_s: float, patience_s: float) -> Iterator[float | None]:
        """When something is to be done with one of them, be it committed, handed out again or taken back."""
        for holding in self._lively:
            oldest = holding.lanes.oldest_start
            yield holding.dirty_since + commit_interval_s
            yield holding.lanes.due
            yield None if oldest is None else oldest + patience_s

    # --- handing out ------------------------------------------------------------------------------------------------

    def consider(self, holding: Holding) -> None:
        """Let a holding take its turn, if it has something that may start."""
        lanes = holding.lanes
        due = lanes.due is not None and lanes.due <= self._clock()
        if holding.listed or holding.paused or holding.hooks or not (lanes.startable or due):
            return
        if self.offered is not None:
            self.offered(holding)
        else:
            holding.listed = True
            self._candidates.append(holding)
            if not self.available.is_set():
                self.available_at = self._clock()
                self.available.set()

    def next(self, now: float, lease_until: float) -> Message | None:
        """Hand out one message, of the holdings in turn."""
        while self._candidates:
            holding = self._candidates[0]
            clear = now < holding.clear_until or holding.clear(now, lease_until)
            if clear and (message := holding.lanes.next()) is not None:
                self._candidates.rotate(-1)
                self._lively[holding] = None
                return message
            self._unlist(holding)
        self.available.clear()
        return None

    def take(self, limit: int, now: float, lease_until: float, *, one_partition: bool) -> list[Message]:
        """Hand out a batch of up to ``limit`` messages, of several holdings in turn."""
        taken: list[Message] = []
        while self._candidates and len(taken) < limit and not (taken and one_partition):
            holding = self._candidates[0]
            clear = holding.clear(now, lease_until)
            some = holding.lanes.take(limit - len(taken), whole_batch=True) if clear else []
            if some:
                taken += some
                self._candidates.rotate(-1)
                self.stir(holding)
            else:
                self._unlist(holding)
        if not self._candidates:
            self.available.clear()
        return taken

    def _unlist(self, holding: Holding) -> None:
        if holding.listed:
            holding.listed = False
            if self.offered is None:
                self._candidates.remove(holding)
