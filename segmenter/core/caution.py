"""After repeated unclean ends of owners: one message at a time, each only once its mark is stored.

Any of the messages that were in flight may have killed its process. The next owners therefore hand out one at a time,
and store first which one it is; so whoever takes over from one that died in the attempt finds the mark, counts the
attempt, and in the end knows the culprit, while the others get done.

The culprit may also be a parked message that was being redriven, behind the watermark. So the suspicion lasts as long
as a request stands, and what is redriven then goes out one at a time as well.

A process mostly holds several partitions that its predecessor held, all of them under suspicion. They take turns:
otherwise the death that one message causes would count as an attempt of an innocent one in each other partition.
"""

from __future__ import annotations

from collections.abc import Callable

from segmenter.core.message import Message
from segmenter.core.partition import NOT_TRYING, Progress

__all__ = ["LIMIT_UNCLEAN", "Caution", "Turn"]

LIMIT_UNCLEAN = 2  # unclean ends before it begins: one alone may have had any cause


class Turn:
    """Which partition of a process may try a message alone: one at a time, each in its turn."""

    def __init__(self) -> None:
        self._holder: Caution | None = None
        self._last: Caution | None = None  # which held it before, and lets others go first, once
        self._waiting: dict[Caution, None] = {}

    def is_awaited_by(self, caution: Caution) -> bool:
        """Return whether a partition waits for its turn, and will be told."""
        return caution in self._waiting

    def take(self, caution: Caution) -> bool:
        """Return whether it is this one's turn now; if another has it, this one is told when that has ended."""
        if self._holder is None and self._last is caution:
            self._last = None
            return False
        if self._holder is None:
            self._holder = caution
        elif self._holder is not caution:
            self._waiting[caution] = None
        return self._holder is caution

    def give_back(self, caution: Caution) -> None:
        """Let others have it, if this one has."""
        self._waiting.pop(caution, None)
        if self._holder is caution:
            waiting, self._waiting = self._waiting, {}
            self._holder, self._last = None, caution if waiting else None
            for other in waiting:
                other.freed()


def _nothing() -> None:
    """Nobody looks after the partition."""


class Caution:
    """The mark of one hold."""

    def __init__(
        self,
        unclean: int = 0,
        horizon: int = 0,
        *,
        asked: bool = False,
        turn: Turn | None = None,
        freed: Callable[[], None] = _nothing,
    ) -> None:
        """Take what the claim tells: the unclean ends, their horizon, and whether there were requests.

        ``turn`` is shared by the partitions of a process; ``freed`` is called when it may be this one's.
        """
        self.turn = turn or Turn()
        self.freed = freed
        self.suspicious = suspicious = unclean >= LIMIT_UNCLEAN
        self._until = horizon if suspicious else 0  # the watermark from which on all is as usual ...
        self._redriven = suspicious and asked  # ... but for what is redriven
        self.trying = NOT_TRYING  # the mark: an ordinal
        self._next: Message | None = None  # the message that goes out as soon as its mark is stored
        self._stored = False

    def applies(self, watermark: int, *, redriving: bool) -> bool:
        """Whether messages go out one at a time; one that was chosen goes out in any case."""
        return watermark < self._until or self._next is not None or (self._redriven and redriving)

    @property
    def waits(self) -> bool:
        """Whether a mark is not stored yet."""
        return self._next is not None and not self._stored

    @property
    def ready(self) -> bool:
        """Whether a message may go out."""
        return self._next is not None and self._stored

    @property
    def blocked(self) -> bool:
        """Whether nothing can go out before a mark is stored, or a turn of another partition ends."""
        return self.waits or self.turn.is_awaited_by(self)

    def mark(self, message: Message) -> None:
        """Have it stored that a message is the next one to be tried."""
        self._next, self._stored, self.trying = message, False, message.ordinal

    def choose(self, startable: Callable[[], Message | None]) -> bool:
        """Mark the message that may start, if it is this partition's turn; return whether a mark is to be stored."""
        if self.waits or not self.turn.take(self):
            return False
        message = startable()
        if message is None:
            self.turn.give_back(self)
            return False
        self.mark(message)
        return True

    def stored(self, progress: Progress) -> None:
        """A progress of this hold is stored, and with it the mark that it carries."""
        self._stored = self._next is not None and progress.trying == self._next.ordinal

    def take(self) -> Message | None:
        """The message that may go out, once."""
        if not self.ready:
            return None
        message, self._next = self._next, None
        return message

    def tried(self) -> None:
        """The message that was tried came to an end, whatever became of it."""
        self.trying = NOT_TRYING
        self.turn.give_back(self)

    def stop(self) -> None:
        """Nothing more goes out; the message that is tried may still come to an end."""
        if self._next is not None or self.trying == NOT_TRYING:
            self.turn.give_back(self)
