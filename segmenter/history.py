"""Who owned what, and why: the latest rebalances of a group, from the log in which its members tell each other.

That log is capped and holds no claims. But the epoch of a lane is the time of the server at which it last changed
hands, so for each partition that has not moved since, its claim is known as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime

from attrs import evolve, frozen

from segmenter.core.command import Cursor, Entry, GroupSlot, Read
from segmenter.core.events import LIMIT_EVENTS, Announcement, Changed, Freed, announcement_of
from segmenter.core.group import LoadGroup
from segmenter.core.log import START, format_position, parse_position
from segmenter.port import Session
from segmenter.snapshot import GroupSnapshot

__all__ = ["Heard", "Rebalance", "hear", "load_history"]


@frozen
class Rebalance:
    """A change of a group's document, and what followed from it until the next one."""

    at: datetime  # by the server's clock
    cause: str  # created, readied, joined, leaving, left, expired, balanced, paused, resumed, ...
    member: str  # whom the cause is about; empty if it was an operator
    generation: int
    concerned: tuple[str, ...]  # members that gained or lost partitions
    released: tuple[int, ...] = ()  # partitions that were handed back
    taken: tuple[int, ...] = ()  # partitions that were claimed, as far as they have not moved again
    seconds: float = 0.0  # until the last of these


@frozen
class Heard:
    """Something that the members of a group told each other, or an operator told them."""

    at: datetime  # by the server's clock
    stream: str
    group: str
    event: Changed | Announcement


async def hear(session: Session, slots: Sequence[GroupSlot], wait_s: float) -> AsyncGenerator[list[Heard], None]:
    """Yield what the members of groups tell each other, from now on: as it comes, and an empty list if nothing does.

    Args:
        session: nothing else may read through it.
        slots: the groups'.
        wait_s: seconds after which an empty list is yielded.
    """
    loaded = await asyncio.gather(*(session.execute(LoadGroup(slot)) for slot in slots))
    places = {slot: format_position(reply.end) for slot, reply in zip(slots, loaded, strict=True)}
    while True:
        read = Read(tuple(Cursor(slot, after) for slot, after in places.items()), LIMIT_EVENTS, wait_s)
        reply = await session.read(read)
        heard: list[Heard] = []
        for slot, entries in reply.items():
            if isinstance(slot, GroupSlot):
                places[slot] = entries[-1][0]
                told = ((_moment(entry), announcement_of(entry)) for entry in entries)
                heard += [Heard(at, slot.stream, slot.group, event) for at, event in told if event is not None]
        yield sorted(heard, key=lambda it: it.at)


def _moment(entry: Entry) -> datetime:
    return datetime.fromtimestamp(parse_position(entry[0])[0] / 1000, UTC)


async def load_history(session: Session, slot: GroupSlot, group: GroupSnapshot) -> list[Rebalance]:
    """Return the rebalances that are still known, the latest one last.

    Args:
        session: nothing else may read through it.
        slot: the group's.
        group: how it stands now.
    """
    reply = await session.read(Read((Cursor(slot, START),), LIMIT_EVENTS, 0.0))
    return history_of(reply.get(slot, ()), group)


def history_of(entries: Sequence[Entry], group: GroupSnapshot) -> list[Rebalance]:
    """Return what the events of a group and its present lanes tell."""
    known: list[Rebalance] = []
    claims = sorted((it.epoch / 1e6, it.partition) for it in group.partitions if it.owner is not None)
    for entry in entries:
        at, event = _moment(entry), announcement_of(entry)
        if isinstance(event, Changed):
            known[-1:] = _with_claims(known[-1:], claims, at.timestamp())
            known.append(Rebalance(at, event.cause, event.member, event.generation, event.concerned))
        elif isinstance(event, Freed) and known:
            last = known[-1]
            spent_s = (at - last.at).total_seconds()
            known[-1] = evolve(last, released=tuple(sorted({*last.released, event.partition})), seconds=spent_s)
    known[-1:] = _with_claims(known[-1:], claims, float("inf"))
    return known


def _with_claims(last: list[Rebalance], claims: Iterable[tuple[float, int]], until_s: float) -> list[Rebalance]:
    """The rebalance with the claims that were granted after it began, and before the next one did."""
    if not last:
        return []
    began_s = last[0].at.timestamp()
    granted = [(at_s, number) for at_s, number in claims if began_s <= at_s < until_s]
    seconds = max([last[0].seconds, *(at_s - began_s for at_s, _ in granted)])
    return [evolve(last[0], taken=tuple(sorted(number for _, number in granted)), seconds=seconds)]
