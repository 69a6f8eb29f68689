"""Order per key among the messages in hand: those of a key are linked in the order of the log.

Only the head of a chain may start. A message has one link, one entry in a queue and one in a dictionary, and there is
no object per key.
"""

# Message and Chains are one mechanism in two files: the links and states of a message are kept from here.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from segmenter.core.delays import Delays, delays_until, due_times
from segmenter.core.message import DELAYED, FORWARDED, HELD, READY, STALE, STARTED, Message

__all__ = ["Chains"]


class Chains:
    """The chains of one partition. They hold something exactly while something linked is not settled."""

    __slots__ = ("_delayed", "_fresh", "_left", "_ready", "inherited", "started", "tails")

    def __init__(self, delays: Delays, now: float) -> None:
        self.inherited = due_times(delays, now)  # of messages that a former owner delayed, until it is their turn
        self.started: dict[Message, float] = {}  # handed out -> when, oldest first
        self.tails: dict[bytes, Message] = {}  # key -> the last of its chain
        self._fresh: deque[Message] = deque()
        self._ready: list[tuple[int, Message]] = []  # by ordinal
        self._delayed: list[tuple[float, int, Message]] = []  # by due time
        self._left = False  # what is handed out does not count any more

    def __contains__(self, key: bytes) -> bool:
        return key in self.tails

    # --- links ------------------------------------------------------------------------------------------------------

    def link(self, message: Message) -> None:
        """Put a message behind those of its key."""
        before = self.tails.get(message.raw_key)
        if before is not None:
            message._before = before
            before._after = message
        self.tails[message.raw_key] = message

    def unlink(self, message: Message) -> None:
        """Take the head of a chain out; the next one may start."""
        after = message._after
        if after is None:
            del self.tails[message.raw_key]
            return
        after._before = message._after = None
        if after._state == HELD:
            self.make_ready(after)

    def cut(self, message: Message) -> list[Message]:
        """Take a whole chain out, head first."""
        del self.tails[message.raw_key]
        chain = [message]
        while (after := chain[-1]._after) is not None:
            after._before = chain[-1]._after = None
            chain.append(after)
        return chain

    def replace(self, message: Message, attempt: int) -> Message:
        """Put a new delivery in the place of a message, and of the later ones of its key that went with it."""
        message._state = STALE
        del self.started[message]
        again = message.redelivered(attempt)
        again._before, again._after = message._before, message._after
        message._before = message._after = None
        if again._before is not None:
            again._before._after = again
        after = again._after
        if after is None:
            self.tails[message.raw_key] = again
            return again
        after._before = again
        if after._state == STARTED:
            self.replace(after, after.attempt)._state = HELD
        return again

    def again(self, message: Message, until: float | None) -> None:
        """Put the next delivery in the place of a message; it may start at once, or later."""
        again = self.replace(message, message.attempt + 1)
        if until is None:
            self.make_ready(again)
        else:
            self.delay(again, until)

    def send_off(self, message: Message) -> None:
        """A message is left to what is sent in its place: its time does not run out meanwhile."""
        message._state = FORWARDED
        del self.started[message]
        self.started[message] = math.inf

    def bring_back(self, message: Message, now: float, *, done: bool) -> bool:
        """It is in hand again; false if there is no hand any more."""
        if message._state != FORWARDED:
            return False
        del self.started[message]
        if self._left and not done:
            message._state = STALE
            return False
        message._state, self.started[message] = STARTED, now
        return True

    def leave(self, *, forwarded_too: bool = False) -> None:
        """What is handed out does not count any more, but for what is left to something that is sent."""
        self._left = True
        for message in [*self.started]:
            if forwarded_too or message._state != FORWARDED:
                message._state = STALE
                del self.started[message]

    # --- turns ------------------------------------------------------------------------------------------------------

    def make_ready(self, message: Message) -> None:
        """A message may start, before those with higher ordinals."""
        message._state = READY
        heappush(self._ready, (message.ordinal, message))

    def queue(self, message: Message) -> None:
        """A message is to be looked at after those that may start."""
        self._fresh.append(message)

    def delay(self, message: Message, until: float) -> None:
        """A message may start later."""
        message._state = DELAYED
        heappush(self._delayed, (until, message.ordinal, message))

    def delay_inherited(self, message: Message, now: float) -> bool:
        """Delay a message whose turn it is if a former owner did, and the delay is not over; return whether it is."""
        until = self.inherited.pop(message.ordinal, now)
        if until <= now:
            return False
        self.delay(message, until)
        return True

    def delays(self, clock: Callable[[], float]) -> Delays:
        """How long messages still wait for their next attempt."""
        if not (self._delayed or self.inherited):
            return ()
        delayed = [(ordinal, until) for until, ordinal, message in self._delayed if message._state == DELAYED]
        return delays_until([*self.inherited.items(), *delayed], clock())

    def wake(self, now: float) -> None:
        """Those whose time has come may start."""
        while self._delayed and self._delayed[0][0] <= now:
            message = heappop(self._delayed)[2]
            if message._state == DELAYED:
                self.make_ready(message)

    @property
    def due(self) -> float | None:
        """When the next delayed one may start."""
        return self._delayed[0][0] if self._delayed else None

    @property
    def waiting(self) -> bool:
        """Whether ``pop`` has something."""
        return bool(self._ready or self._fresh)

    def pop(self) -> Message:
        """The next one to look at; what was parked meanwhile is stale."""
        return heappop(self._ready)[1] if self._ready else self._fresh.popleft()

    def start(self, message: Message, now: float, batch: int) -> None:
        """A message is handed out."""
        message._state = STARTED
        message.batch = batch
        self.started[message] = now
