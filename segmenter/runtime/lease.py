"""The right to act as a member, which lasts as long as beats are answered, and the event loop turns."""

from __future__ import annotations

import math
from collections.abc import Callable

from segmenter.core.beats import Pulse
from segmenter.core.command import GroupSlot
from segmenter.core.signals import Event
from segmenter.runtime.failures import heart_stopped
from segmenter.runtime.heart import Heart, Patient

__all__ = ["Lease"]

HEART_S = 5.0  # at least, that the heart may stand still; it turns five times in a session
ASLEEP_S = 3.0  # between two turns of the pump, which are one second apart at most: the machine slept, or a loop stood


class Lease:
    """A consumer's lease: begun when it is admitted, kept up by the heart."""

    def __init__(
        self,
        heart: Heart,
        slot: GroupSlot,
        session_s: float,
        *,
        clock: Callable[[], float],
        stall_s: float,
        known: Callable[[], str],
        tell: Callable[[Event], None],
        stuck: Callable[[float], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._heart = heart
        self._slot = slot
        self._session_s = session_s
        self._clock = clock
        self.turned_at = clock()  # when the event loop last came by
        self._stall_s = stall_s
        self._known = known
        self._tell = tell
        self._stuck = stuck
        self._failed = failed
        self._patient: Patient | None = None
        self._heart_turns = -1  # how often the heart had turned ...
        self._heart_turned_at = clock()  # ... when that was last seen to have changed
        self._turns_at_begin = -1
        self._ended_at = clock()
        self._looked_at = clock()

    def begin(self, member: str, since: float) -> None:
        """Be a member from now on; ``since`` is when the write that made it one was sent."""
        pulse = Pulse(self._session_s, lease_from=since)
        self._expect_turns()
        self._patient = Patient(
            self._slot,
            member,
            pulse,
            alive=self._turns_in_time,
            known=self._known,
            tell=self._tell,
            stuck=lambda: self._stuck(self._stall_s),
            failed=self._failed,
        )
        self._heart.add(self._patient)

    def _expect_turns(self) -> None:
        """Measure how long the heart stands still, from now on; a last lease in which it did not turn counts too."""
        now = self._clock()
        if self._heart.turns == self._turns_at_begin:
            self._heart_turned_at += now - self._ended_at  # without a lease, it need not turn
        else:
            self._heart_turned_at = now
        self._turns_at_begin = self._heart_turns = self._heart.turns

    def check_heart(self) -> None:
        """Fail if the heart has stood still for a session in which this loop has turned."""
        now = self._clock()
        asleep = now - self._looked_at > ASLEEP_S  # this process has just woken up, and its heart may be about to
        if self._heart.turns != self._heart_turns or asleep:
            self._heart_turns, self._heart_turned_at = self._heart.turns, now
        self._looked_at = now
        if self._patient is not None and now - self._heart_turned_at > max(self._session_s, HEART_S):
            self._failed(heart_stopped(self._slot, "its thread stands still"))

    def _turns_in_time(self) -> bool:
        """Proof of life, asked by the heart: whether the loop that runs the consumer still turns."""
        return self._clock() - self.turned_at < self._stall_s

    def end(self) -> None:
        """Be a member no more."""
        if self._patient is not None:
            self._heart.remove(self._patient)
            self._patient = None
            self._ended_at = self._clock()

    @property
    def until(self) -> float:
        """When it runs out, by the clock, unless another beat is answered; long ago if it has not begun."""
        patient = self._patient
        return -math.inf if patient is None else patient.lease_until

    @property
    def over_at(self) -> float | None:
        """The same; ``None`` if it has not begun."""
        return None if self._patient is None else self._patient.lease_until

    @property
    def valid(self) -> bool:
        """Whether anything may be handed out, started or committed; readable in any thread."""
        return self._clock() < self.until

    @property
    def begun(self) -> bool:
        """Whether it has begun, and was not ended."""
        return self._patient is not None
