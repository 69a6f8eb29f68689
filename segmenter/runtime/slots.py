"""Slots: whoever handles one message, or batch, after the other; those of a partition are a crew."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from segmenter.core.message import Message
from segmenter.runtime.holding import Holding
from segmenter.runtime.threads import ThreadCall

__all__ = ["Crew", "Slot", "Why", "portions_of"]

Why = Literal["overdue", "drained", "lost", "closing"]


class Crew:
    """The slots at work for one holding."""

    __slots__ = ("beginning", "cancel_at", "holding", "overdue", "slots")

    def __init__(self, holding: Holding) -> None:
        self.holding = holding
        self.slots: set[Slot] = set()
        self.beginning = 0  # slots that were started, and have not had their first turn
        self.overdue = 0  # handlers that were cancelled for the time they took, and are still there
        self.cancel_at = math.inf  # when those still at work are cancelled, since the partition is to move

    def recall(self) -> None:
        """Prevent the calls that wait for a thread: nothing is tried any more that has not begun."""
        for slot in self.slots:
            if slot.call is not None:
                slot.call.recall()


class Slot:
    """Whoever handles one message at a time.

    It is one task as long as the handlers leave that as it was. One whose task a handler has cancelled, or in whose
    context a handler has set something, is **spent**: a new one, with a fresh task, takes what is left of its portions.
    """

    __slots__ = (
        "_begun",
        "call",
        "cancelled_at",
        "crew",
        "messages",
        "portions",
        "spent",
        "started_at",
        "stuck",
        "task",
        "why",
    )

    def __init__(self, crew: Crew, portions: Iterator[list[Message]] | None) -> None:
        self.crew = crew
        self.started_at = math.inf  # the handler that is at work
        self.portions = portions  # taken together, and still to be handled
        self.call: ThreadCall | None = None  # of a handler that is a plain function
        self.messages: list[Message] = []
        self.cancelled_at = math.inf
        self.why: Why | None = None  # it was cancelled
        self.stuck = False
        self.spent = False
        self.task: asyncio.Task[None]
        self._begun = False

    def begin(self) -> None:
        """It has its first turn, or will never have one."""
        if not self._begun:
            self._begun = True
            self.crew.beginning -= 1

    def put_back(self, portions: Iterable[list[Message]]) -> None:
        """Have portions handled before those that are left."""
        self.portions = chain(portions, self.portions or ())

    @property
    def called_at(self) -> float:
        """When the handler that is at work was called; ``inf`` if none is, or it waits for a thread."""
        return self.started_at if self.call is None else self.call.began_at


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
