"""Beats and deaths: how a member proves that it lives, how it learns who does not, and when it must stop itself.

No clock of the server is compared with anything. Each beat raises the member's score to the next number of the
group's own count. If a beat of mine was answered with number *n* a session ago, and I have beaten without a break
since, then a member whose score is still below *n* has not been heard for a session. One range query per beat shows
all deaths, and nobody keeps state about anybody else.

The other side of the same coin is the lease: a member whose beats go unanswered stops before anyone can have
declared it dead. It counts from the moment the beat was *sent*, and stops at 0.8 of a session; those who watch it
count a full session from a moment that is later.
"""

from __future__ import annotations

from attrs import evolve, frozen

from segmenter.core.command import Command, Gone, GroupSlot
from segmenter.core.group import GroupData, GroupState

__all__ = ["BEATS_PER_SESSION", "LEASE_SHARE", "Beat", "Beaten", "NotMember", "Pulse"]

BEATS_PER_SESSION = 5
LEASE_SHARE = 0.8  # of a session


@frozen
class Beaten:
    """The beat counts; the document comes along if it is not the one you know."""

    number: int
    document: GroupState | None
    silent: tuple[str, ...]


@frozen
class NotMember:
    """You are not a member (any more): nothing was done."""

    document: GroupState


@frozen
class Beat(Command[GroupData, Beaten | NotMember | Gone]):
    """Prove to be alive, and learn what changed and who fell silent."""

    slot: GroupSlot
    member: str
    known: str  # version of the document that the member has
    silent_below: int  # from Pulse.silent_below; 0 asks for nobody

    def apply(self, state: GroupData | None, now_us: int) -> tuple[GroupData | None, Beaten | NotMember | Gone]:
        if state is None or state.document is None:
            return state, Gone()
        if self.member not in state.scores:
            return state, NotMember(state.document)
        number = state.beats + 1
        scores = {**state.scores, self.member: number}
        # A count below the number that was answered to me has been rolled back, and is evidence against nobody.
        below = self.silent_below if number > self.silent_below else 0
        silent = tuple(sorted(name for name, score in scores.items() if score < below))
        document = state.document if state.document.version != self.known else None
        return evolve(state, scores=scores, beats=number), Beaten(number, document, silent)


@frozen
class Pulse:
    """A member's own answered beats: the evidence for its lease and against others. Times are local seconds."""

    session_s: float
    chain: tuple[tuple[float, int], ...] = ()  # (answered at, number), unbroken, oldest first
    lease_from: float | None = None  # when the last answered beat was sent

    @property
    def interval_s(self) -> float:
        """Time from one beat to the next."""
        return self.session_s / BEATS_PER_SESSION

    @property
    def lease_until(self) -> float:
        """Nothing is handed out, started or committed later than this."""
        return float("-inf") if self.lease_from is None else self.lease_from + LEASE_SHARE * self.session_s

    def silent_below(self, now: float) -> int:
        """The number below which a score is a session old, or 0 while there is no such number."""
        old = [number for answered, number in self.chain if answered <= now - self.session_s]
        return old[-1] if old else 0

    def silent(self, reply: Beaten) -> tuple[str, ...]:
        """The members that an answer shows to be silent: nobody if the count has gone back since the last one.

        What the server lost then are beats of the others as well, and they are as likely to be alive.
        """
        gone_back = bool(self.chain) and reply.number <= self.chain[-1][1]
        return () if gone_back else reply.silent

    def answered(self, sent: float, now: float, number: int) -> Pulse:
        """Return the pulse after a beat sent at ``sent`` was answered at ``now``.

        A gap of more than half a session, or a count that was rolled back, starts the chain anew.
        """
        broken = bool(self.chain) and (now - self.chain[-1][0] > self.session_s / 2 or number <= self.chain[-1][1])
        chain = () if broken else self.chain
        horizon = now - self.session_s
        recent = tuple(link for link in chain if link[0] > horizon)
        oldest = tuple(link for link in chain if link[0] <= horizon)[-1:]
        return evolve(self, chain=(*oldest, *recent, (now, number)), lease_from=sent)
