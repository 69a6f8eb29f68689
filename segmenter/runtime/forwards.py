"""Messages of one partition that wait to be settled by what is sent in their place."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from attrs import frozen

from segmenter.config import LIMIT_BATCH
from segmenter.core.forward import Outgoing
from segmenter.core.lanes import KeyLanes
from segmenter.core.message import Message
from segmenter.errors import InvalidArgument, SegmenterError, StreamFull

__all__ = ["Forwards"]

WAIT_S = 0.1  # for room in the other partition, before asking again


@frozen
class _Waiting:
    """A message, what goes in its place, and who waits for that."""

    message: Message
    outgoing: Outgoing
    future: asyncio.Future[None]


class Forwards:
    """Those of one holding: one batch to one destination at a time, with the commit that settles it."""

    def __init__(self, lanes: KeyLanes, place: object, touched: Callable[[], None]) -> None:
        self._lanes = lanes
        self._place = place
        self._touched = touched
        self._waiting: deque[_Waiting] = deque()
        self._under_way: list[_Waiting] = []
        self._not_before = -math.inf

    def add(self, message: Message, outgoing: Outgoing) -> asyncio.Future[None]:
        """Take one in.

        Raises:
            InvalidArgument: it goes to another server.
        """
        if outgoing.place is not self._place:
            raise InvalidArgument(
                f"{outgoing.there.stream!r} was opened by another Segmenter, so no single step reaches both: "
                "open it with the Segmenter of this consumer, or send and then acknowledge"
            )
        self._lanes.forward(message)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(message, outgoing, future))
        self._touched()
        return future

    def due(self, now: float) -> bool:
        """Whether some should be sent."""
        return bool(self._waiting) and now >= self._not_before

    @property
    def pending(self) -> bool:
        """Return whether anything is to be sent, or under way."""
        return bool(self._waiting or self._under_way)

    @property
    def ordinals(self) -> list[int]:
        """What the batch under way settles."""
        return [each.message.ordinal for each in self._under_way]

    def take(self) -> Outgoing:
        """Begin with the next batch: the first one, and those behind it that go the same way."""
        first = self._waiting[0].outgoing
        while self._waiting and len(self._under_way) < LIMIT_BATCH and first.goes_with(self._waiting[0].outgoing):
            self._under_way.append(self._waiting.popleft())
        return first.joined([each.outgoing for each in self._under_way[1:]])

    def done(self) -> None:
        """The batch under way, if there is one, is settled and sent."""
        for each in self._end():
            self._lanes.forwarded(each.message, done=True)
            if not each.future.done():
                each.future.set_result(None)

    def refused(self, error: SegmenterError, now: float) -> None:
        """Nothing of the batch under way was sent: it waits for room, or its messages are in hand again."""
        batch = self._end()
        if isinstance(error, StreamFull) and batch[0].outgoing.waits:
            self._waiting.extendleft(reversed(batch))
            self._not_before = now + WAIT_S
            asyncio.get_running_loop().call_later(WAIT_S, self._touched)
            return
        for each in batch:
            self._lanes.forwarded(each.message, done=False)
        _fail(batch, error)

    def lost(self, error: SegmenterError) -> None:
        """The partition belongs to somebody else."""
        _fail([*self._end(), *self._waiting], error)
        self._waiting.clear()

    def _end(self) -> list[_Waiting]:
        batch, self._under_way = self._under_way, []
        return batch


def _fail(batch: list[_Waiting], error: SegmenterError) -> None:
    for each in batch:
        if not each.future.done():
            each.future.set_exception(error)
            each.future.exception()  # whoever waits gets it; nobody may be waiting any more
