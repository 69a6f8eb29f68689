"""The figures of one account or of many: counts, shares and spreads, from the audit wherever it knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Self

from attrs import asdict, field, frozen

from tests.audit.records import Claimed, Other, Record, Released
from tests.chaos.account import Account
from tests.chaos.checks import broken, stale_commits

__all__ = ["Figures", "Spread", "figures"]


@frozen
class Figures:
    """What is published of a run, or of several together; the lists hold milliseconds."""

    messages: int = 0
    faults: Counter[str] = field(factory=Counter[str])
    lost: int = 0
    reordered: int = 0
    doubled: int = 0
    stale_accepted: int = 0
    stale_refused: int = 0
    rolled_back: int = 0
    repeated_appends: int = 0
    redelivered: int = 0
    acknowledged_late: int = 0
    handoffs_ms: tuple[float, ...] = ()
    recoveries_ms: tuple[float, ...] = ()
    broken: tuple[str, ...] = ()

    def __add__(self, other: Self) -> Figures:
        """Return the figures of both together."""
        mine, theirs = asdict(self, recurse=False), asdict(other, recurse=False)
        return Figures(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def redelivered_share(self) -> float:
        """Which share of messages was handed out more than once, counting every time."""
        return self.redelivered / self.messages if self.messages else 0.0


@frozen
class Spread:
    """Percentiles of a list."""

    count: int
    median: float
    p90: float
    p99: float
    longest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Return the percentiles, by the nearest rank; nothing of nothing."""
        ranked = sorted(values)
        if not ranked:
            return None
        at = [ranked[min(len(ranked) - 1, int(share * len(ranked)))] for share in (0.5, 0.9, 0.99)]
        return cls(len(ranked), *(round(value, 1) for value in (*at, ranked[-1])))


def figures(account: Account, faults: Counter[str]) -> Figures:
    """The figures of a run."""
    logs = account.appended()
    done = {(it.partition, it.id) for it in account.handled if it.done_ns is not None}
    stood = {(partition, entry.id) for partition, log in logs.items() for entry in log}
    answers = Counter((record.command, record.answer) for _, record in account.of(Other))
    sends = Counter((entry.key, entry.number) for log in logs.values() for entry in log)
    return Figures(
        messages=len(stood),
        faults=faults,
        lost=len(stood - done) + sum((it.partition, it.id) not in stood for it in account.sent),
        reordered=_reordered(account),
        doubled=sum(count - 1 for count in sends.values()),
        stale_accepted=len(stale_commits(account)),
        stale_refused=answers["commit", "Fenced"],
        rolled_back=answers["commit", "RolledBack"],
        repeated_appends=answers["append", "Duplicate"],
        redelivered=len(account.handled) - len({(it.partition, it.id) for it in account.handled}),
        acknowledged_late=sum(it.refused for it in account.handled),
        handoffs_ms=tuple(_handoffs_ms(account)),
        recoveries_ms=tuple(_recoveries_ms(account)),
        broken=tuple(broken(account)),
    )


def _reordered(account: Account) -> int:
    """First starts of a key's messages that came after the first start of a later one."""
    highest: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    wrong = 0
    for it in account.handled:
        if (it.key, it.number) not in seen:
            seen.add((it.key, it.number))
            wrong += it.number < highest.get(it.key, -1)
            highest[it.key] = max(it.number, highest.get(it.key, -1))
    return wrong


def _handoffs_ms(account: Account) -> Iterator[float]:
    """From each release by an owner to the next claim, by the server's clock."""
    for of_partition in account.audit.values():
        released: int | None = None
        for record in of_partition:
            if isinstance(record, Released) and not record.evicted:
                released = record.at_us
            elif isinstance(record, Claimed) and released is not None:
                yield (record.at_us - released) / 1000
                released = None


def _recoveries_ms(account: Account) -> Iterator[float]:
    """From each kill to the next claim of each partition that the killed worker owned."""
    for ending in account.endings:
        members = account.members.get(ending.name, ())
        if ending.cause == "killed" and members:
            for of_partition in account.audit.values():
                yield from _recovery_ms(of_partition, members, ending.at_us)


def _recovery_ms(of_partition: Sequence[Record], members: Sequence[str], killed_us: int) -> Iterator[float]:
    owner = ""
    for record in of_partition:
        if isinstance(record, Claimed):
            if record.at_us > killed_us and owner in members:
                yield (record.at_us - killed_us) / 1000
                return
            owner = record.member
        elif isinstance(record, Released):
            owner = ""
