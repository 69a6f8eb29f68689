"""After repeated unclean ends of owners: one message at a time, each only once its mark is stored.

Any of the messages that were in flight may have killed its process. The next owners therefore hand out one at a time,
and store first which one it is; so whoever takes over from one that died in the attempt finds the mark, counts the
attempt, and in the end knows the culprit, while the others get done.

The culprit may also be a parked message that was being redriven, behind the watermark. So the suspicion lasts as long
as a request stands, and what is redriven then goes out one at a time as well.
"""

from __future__ import annotations

from segmenter.core.message import Message
from segmenter.core.partition import NOT_TRYING, Progress

__all__ = ["LIMIT_UNCLEAN", "Caution"]

LIMIT_UNCLEAN = 2  # unclean ends before it begins: one alone may have had any cause


class Caution:
    """The mark of one hold."""

    def __init__(self, unclean: int = 0, horizon: int = 0, *, asked: bool = False) -> None:
        """Take what the claim tells: the unclean ends, their horizon, and whether there were requests."""
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

    def mark(self, message: Message) -> None:
        """Have it stored that a message is the next one to be tried."""
        self._next, self._stored, self.trying = message, False, message.ordinal

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
