"""What a consumer knows of its group and of each partition: the state of its machine (``machine.py``)."""

from __future__ import annotations

from typing import Any, Literal
from zlib import crc32

from attrs import Factory, frozen

from segmenter.core.command import Command, GroupSlot
from segmenter.core.group import GroupState, ProcessInfo, UpdateGroup
from segmenter.core.signals import Silent
from segmenter.core.transitions import Standing, State

__all__ = ["Hold", "Member", "Reason", "Vacancy"]

JITTER_S = 0.05  # at most, before a lost race is run again

Reason = Literal["", "left", "expelled", "displaced", "removed", "lost", "session"]


@frozen
class Hold:
    """What a member knows about one partition."""

    state: State = State.FREE
    epoch: int = 0  # of the lane, as far as known; my own while I own it
    floor: int = 0  # the highest epoch ever known of the lane: a claim asks for one above it
    owner: str | None = None
    since: float = 0.0  # when this owner was first met at this epoch
    met: int = 0  # how many claims have met it
    poke_at: float | None = None  # when to look again
    pending: Command[Any, Any] | None = None  # claim or release without an answer


@frozen
class Vacancy:
    """A seat that is away, as far as a member has seen that itself."""

    member: str  # that sat there
    since: float  # when the document first said so


def _free(member: Member) -> tuple[Hold, ...]:
    return (Hold(),) * member.document.partitions


@frozen
class Member:
    """One consumer in its group. ``machine.advance`` is its only way to change."""

    me: str  # unique for ever: a member that was out comes back under another id
    slot: GroupSlot
    session_s: float
    rebalance_delay_s: float
    document: GroupState
    seat: str | None = None
    immediate: bool = False  # take a seat over without waiting for its former holder to fall silent
    process: ProcessInfo = ProcessInfo()
    window: int = 0  # messages of a partition that may be in flight ahead of its progress
    standing: Standing = Standing.OUTSIDE
    reason: Reason = ""  # why it is outside again
    forever: bool = False  # it leaves, and gives its seat up
    holds: tuple[Hold, ...] = Factory(_free, takes_self=True)
    learned_at: float = 0.0  # when this document was first seen
    loading: bool = False
    changing: UpdateGroup | None = None  # not answered yet
    retry_at: float | None = None  # after a lost race, no change of the document is tried before
    silent: Silent = Silent((), 0)
    vacancies: tuple[Vacancy, ...] = ()
    behind: int = 0  # a generation that a lane has seen, and the document has not
    tokens: int = 0  # made so far

    @property
    def timer(self) -> float | None:
        """When the machine wants a ``Tick``; ``None`` if it waits for nothing but events."""
        times = [hold.poke_at for hold in self.holds if hold.poke_at is not None]
        if self.retry_at is not None:
            times.append(self.retry_at)
        elif self.standing is Standing.STABLE and self.changing is None:
            times += [] if self.document.balanced else [self.balance_at]
            times += [vacancy.since + self.session_s for vacancy in self.vacancies]
        return min(times, default=None)

    @property
    def session_ms(self) -> int:
        """Its session time-out, as documents state it."""
        return round(self.session_s * 1000)

    def overdue(self, now: float) -> tuple[str, ...]:
        """Those that left more than a session ago, by this member's clock or by the server's, and are not back."""
        away = {it.member: self.document.away_for_us(it) for it in self.document.away.values()}
        long_ago = [name for name, us in away.items() if us >= self.session_s * 1e6]
        seen = [vacancy.member for vacancy in self.vacancies if now >= vacancy.since + self.session_s]
        return tuple(sorted({*long_ago, *seen} & set(away)))

    @property
    def balance_at(self) -> float:
        """When membership will have been quiet for long enough; each member waits a little longer or shorter."""
        return self.learned_at + self.rebalance_delay_s + self.jitter_s

    @property
    def jitter_s(self) -> float:
        """A share of ``JITTER_S`` that differs between members and from time to time."""
        return JITTER_S * crc32(f"{self.me}/{self.tokens}".encode()) / 2**32

    @property
    def idle(self) -> bool:
        """Whether it owns nothing and waits for no answer about any partition."""
        return all(hold.state is State.FREE for hold in self.holds)
