"""What becomes of messages, by how their handler ended."""

# Acknowledging is one call less in this way, for every message.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Sequence

from attrs import field, frozen

from segmenter.config import OnExhausted
from segmenter.core.command import GroupSlot
from segmenter.core.failure import Rejected, outcome_of, text_of
from segmenter.core.message import Message
from segmenter.core.observations import DeadLettered, Halted, Observation, Parked, Retried
from segmenter.core.retry import Again, Exhausted, Retry
from segmenter.errors import ConsumerError, PartitionLost, RetriesExhausted, StaleDelivery
from segmenter.logs import Log
from segmenter.runtime.failures import in_vain, retries_exhausted
from segmenter.runtime.threads import ThreadCall

__all__ = ["Handling", "Invoke", "Outcomes"]

# Calls the handler with messages that were handed out together; where that takes a thread, by the call given.
Invoke = Callable[[list[Message], ThreadCall | None], Awaitable[object]]

_log = Log("segmenter.worker")


@frozen(kw_only=True)
class Handling:
    """How the messages of a consumer are handled."""

    name: str  # of the handler, for the log
    invoke: Invoke
    threaded: bool = False  # it is a plain function
    key_concurrency: int = 1
    batch: int | None = None
    retry: Retry = field(factory=Retry)
    on_exhausted: OnExhausted = "park"
    max_processing_time_s: float = 300.0
    grace_s: float = 5.0  # that a handler may take to end once it was cancelled
    drain_timeout_s: float = 25.0
    window: int = 2_000  # messages of a partition that may be in flight ahead of its progress


class Outcomes:
    """Settles, gives back and sets aside. What the handler has decided itself, by ``ack`` and the like, stands."""

    def __init__(
        self,
        slot: GroupSlot,
        handling: Handling,
        *,
        chance: Callable[[], float],
        member: Callable[[], str],
        observe: Callable[[Observation], None],
        halt: Callable[[RetriesExhausted], None],
    ) -> None:
        self._slot = slot
        self._handling = handling
        self._chance = chance
        self._member = member
        self._observe = observe
        self._halt = halt
        self._under_way: list[Message] = []  # of which the handler has ended

    def returned(self, messages: Sequence[Message]) -> None:
        """The handler returned: they are done."""
        for message in messages:
            try:
                message._lanes.settle(message)
            except (StaleDelivery, PartitionLost) as decided:
                _log.debug("not acknowledged: %s", decided)
                self._keep_an_eye_on(message)

    def failed(self, message: Message, error: BaseException) -> None:
        """The handler raised, whatever it is: the attempt has failed, or the message is rejected."""
        outcome = outcome_of(error, cancelled=CancelledError)
        if isinstance(outcome, Rejected):
            self._dead_letter(message, outcome.reason)
            return
        self._log_failure(message, error)
        self._keep_an_eye_on(message)
        self._count(message, text_of(error))

    def batch_failed(self, messages: Sequence[Message], error: BaseException) -> None:
        """The handler of a batch raised, which counts for none of its messages: each is tried alone."""
        extra = {"stream": self._slot.stream, "group": self._slot.group, "partition": messages[0].partition}
        extra |= {"handler": self._handling.name, "messages": len(messages)}
        words = "handler failed on a batch handler=%s messages=%d: each is tried alone"
        _log.warning(words, self._handling.name, len(messages), exc_info=error, extra=extra)
        for message in messages:
            self._keep_an_eye_on(message)

    def look_after(self) -> None:
        """Of messages that wait for what is sent in their place: one where that failed has failed itself."""
        waiting, self._under_way = self._under_way, []
        for message in waiting:
            if message.current:
                self.failed(message, in_vain())
            else:
                self._keep_an_eye_on(message)

    def _keep_an_eye_on(self, message: Message) -> None:
        """Its handler has ended without waiting for what it forwards: nobody else would notice if that fails."""
        if message.under_way:
            self._under_way.append(message)

    def never_ended(self, messages: Sequence[Message]) -> None:
        """The handler goes on for ever: wherever a message is delivered next, this attempt counts.

        Of a batch none is charged: its partition is released as unclean, so that the culprit is found in the end.
        """
        if len(messages) == 1:
            _still(messages[0].nack)

    def not_allowed(self, message: Message) -> None:
        """The attempt is one too many, and is not run: the earlier ones ended their process, or had no answer."""
        limit = self._handling.retry.attempts
        self._exhausted(message, f"after {message.attempt - 1} attempts (of {limit}) that did not come to an end")

    def _count(self, message: Message, reason: str) -> None:
        match self._handling.retry.after(message.attempt, self._chance()):
            case Again(delay_s):
                if _still(lambda: message.nack(delay_s)):
                    self._observe(Retried(*self._about(message), delay_s, reason))
            case Exhausted():
                self._exhausted(message, reason)

    def _exhausted(self, message: Message, reason: str) -> None:
        match self._handling.on_exhausted:
            case "park":
                self._park(message, reason)
            case "dead_letter":
                self._dead_letter(message, reason)
            case "halt":  # it stays as it is, and its last attempt is not counted: a restart tries once more
                self._observe(Halted(*self._about(message), reason))
                self._halt(retries_exhausted(self._slot, self._handling.name, message, reason))

    def _park(self, message: Message, reason: str) -> None:
        if _still(lambda: message.park(reason)):
            self._observe(Parked(*self._about(message), reason))

    def _dead_letter(self, message: Message, reason: str) -> None:
        if _still(lambda: message.reject(reason)):
            self._observe(DeadLettered(*self._about(message), reason))

    def _about(self, message: Message) -> tuple[str, int, str, str, int]:
        return self._member(), message.partition, message.id, message.key, message.attempt

    def _log_failure(self, message: Message, error: BaseException) -> None:
        extra = {"stream": self._slot.stream, "group": self._slot.group, "partition": message.partition}
        extra |= {"id": message.id, "key": message.key, "attempt": message.attempt, "handler": self._handling.name}
        _log.warning("handler %s failed on %r", self._handling.name, message, exc_info=error, extra=extra)


def _still(settle: Callable[[], object]) -> bool:
    """Decide about a delivery, if it still counts and nobody has decided before."""
    try:
        settle()
    except ConsumerError:
        return False
    return True
