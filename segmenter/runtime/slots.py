"""Slots: whoever handles one message, or batch, after the other; those of a partition are a crew."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator
from typing import Literal

from segmenter.core.message import Message
from segmenter.runtime.holding import Holding

__all__ = ["Crew", "Slot", "Why", "portions_of"]

Why = Literal["overdue", "drained", "lost"]


class Crew:
    """The slots at work for one holding."""

    __slots__ = ("beginning", "cancel_at", "holding", "overdue", "slots")

    def __init__(self, holding: Holding) -> None:
        self.holding = holding
        self.slots: set[Slot] = set()
        self.beginning = 0  # slots that were started, and have not had their first turn
        self.overdue = 0  # handlers that were cancelled for the time they took, and are still there
        self.cancel_at = math.inf  # when those still at work are cancelled, since the partition is to move


class Slot:
    """Whoever handles one message at a time."""

    __slots__ = ("_begun", "cancelled_at", "crew", "messages", "started_at", "stuck", "task", "why")

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.started_at = math.inf  # the handler that is at work
        self._begun = False
        self.messages: list[Message] = []
        self.cancelled_at = math.inf
        self.why: Why | None = None  # it was cancelled
        self.stuck = False
        self.task: asyncio.Task[None]

    def begin(self) -> None:
        """It has its first turn, or will never have one."""
        if not self._begun:
            self._begun = True
            self.crew.beginning -= 1


def portions_of(batch: Iterable[Message]) -> Iterator[list[Message]]:
    """Split a batch: what failed before is tried alone, so that it costs nothing but itself."""
    fresh: list[Message] = []
    for message in batch:
        if message.attempt == 1:
            fresh.append(message)
            continue
        if fresh:
            yield fresh
            fresh = []
        yield [message]
    if fresh:
        yield fresh
