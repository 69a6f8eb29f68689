"""What ``segmenter top`` shows, apart from how it is drawn: groups as they are now, their rates, and what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from attrs import field, frozen

from segmenter.core.events import Asked, Changed, Freed, Wanted
from segmenter.errors import NonExistentGroup, NonExistentStream, StreamLost
from segmenter.history import Heard
from segmenter.segmenter import Segmenter
from segmenter.snapshot import GroupSnapshot

__all__ = ["Group", "Look", "Rates", "told", "watch"]

CATALOGUE_S = 5.0  # between two looks for groups that are new
WAIT_S = 1.0  # for something to happen, before looking anew
SMOOTH = 0.5  # how much of a rate the last look makes

Name = tuple[str, str]  # stream, group


@frozen
class Rates:
    """Messages a second."""

    sent: float = 0.0
    settled: float = 0.0

    def then(self, sent: float, settled: float) -> Rates:
        """Follow the latest figures, without jumping."""
        return Rates(
            self.sent + SMOOTH * (max(0.0, sent) - self.sent),
            self.settled + SMOOTH * (max(0.0, settled) - self.settled),
        )


@frozen
class Group:
    """A group as it is now."""

    snapshot: GroupSnapshot
    at: float = 0.0  # of the look, in seconds of the local clock
    rates: Mapping[int, Rates] = field(factory=dict[int, Rates])  # of each partition
    beaten: Mapping[str, tuple[int, float]] = field(factory=dict[str, tuple[int, float]])  # member -> beat, seen when

    @property
    def name(self) -> Name:
        """Stream and group."""
        return self.snapshot.stream, self.snapshot.group

    @property
    def total(self) -> Rates:
        """The rates of all partitions together."""
        rates = self.rates.values()
        return Rates(sum(rate.sent for rate in rates), sum(rate.settled for rate in rates))

    def silence_s(self, member: str | None) -> float | None:
        """How long ago a member was last heard; ``None`` if it is no member."""
        beaten = self.beaten.get(member or "")
        return None if beaten is None else self.at - beaten[1]

    def then(self, snapshot: GroupSnapshot, at: float) -> Group:
        """The group at the next look."""
        elapsed_s = max(at - self.at, 1e-3)
        before = {partition.partition: partition for partition in self.snapshot.partitions}
        rates: dict[int, Rates] = {}
        for now in snapshot.partitions:
            old = before.get(now.partition, now)
            settled = now.settled - old.settled
            sent = settled + now.lag - old.lag
            rates[now.partition] = self.rates.get(now.partition, Rates()).then(sent / elapsed_s, settled / elapsed_s)
        return Group(snapshot, at, rates, _beaten(self.beaten, snapshot, at))


def _beaten(
    before: Mapping[str, tuple[int, float]], snapshot: GroupSnapshot, at: float
) -> dict[str, tuple[int, float]]:
    beaten: dict[str, tuple[int, float]] = {}
    for member in snapshot.members:
        known = before.get(member.id)
        beaten[member.id] = known if known is not None and known[0] == member.beat else (member.beat, at)
    return beaten


@frozen
class Look:
    """All that is shown."""

    groups: tuple[Group, ...]
    news: tuple[Heard, ...] = ()


async def watch(
    segmenter: Segmenter,
    stream: str | None = None,
    group: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[Look, None]:
    """Yield a look whenever something happens, and every second.

    Args:
        segmenter: where to look.
        stream: only its groups.
        group: only groups of this name.
        clock: seconds, for rates and silences.
    """
    known: dict[Name, Group] = {}
    names = await _names(segmenter, stream, group)
    while True:
        known = await _looked(segmenter, names, known, clock)
        yield Look(tuple(known.values()))
        if not names:
            await asyncio.sleep(WAIT_S)
            names = await _names(segmenter, stream, group)
            continue
        listed_at = clock()
        async with aclosing(segmenter.hear(names, wait=WAIT_S)) as hearing:
            async for heard in hearing:
                known = await _looked(segmenter, names, known, clock)
                yield Look(tuple(known.values()), tuple(heard))
                if clock() - listed_at >= CATALOGUE_S:
                    before, names = names, await _names(segmenter, stream, group)
                    listed_at = clock()
                    if names != before:
                        break


async def _names(segmenter: Segmenter, stream: str | None, group: str | None) -> list[Name]:
    streams = await segmenter.streams() if stream is None else [stream]
    found = await asyncio.gather(*map(segmenter.groups, streams), return_exceptions=True)
    names: list[Name] = []
    for name, groups in zip(streams, found, strict=True):
        if isinstance(groups, BaseException):
            if stream is not None or not isinstance(groups, NonExistentStream):
                raise groups
            continue
        names += [(name, it) for it in groups if group in (None, it)]
    return names


async def _looked(
    segmenter: Segmenter, names: list[Name], known: Mapping[Name, Group], clock: Callable[[], float]
) -> dict[Name, Group]:
    found = await asyncio.gather(*(segmenter.describe(*name) for name in names), return_exceptions=True)
    groups: dict[Name, Group] = {}
    for name, snapshot in zip(names, found, strict=True):
        if isinstance(snapshot, GroupSnapshot):
            before = known.get(name) or Group(snapshot, clock())
            groups[name] = before.then(snapshot, clock())
        elif not isinstance(snapshot, NonExistentStream | NonExistentGroup | StreamLost):
            raise snapshot
    return groups


def told(heard: Heard) -> str:
    """What happened, as a sentence."""
    match heard.event:
        case Changed(cause=cause, member=member):
            return f"{cause} {member}".rstrip()
        case Freed(partition, _, member):
            return f"partition {partition} handed back by {member}"
        case Wanted(partition, _, member):
            return f"partition {partition} is wanted of {member}"
        case Asked(partition):
            return f"the owner of partition {partition} is asked to look after what is parked"
