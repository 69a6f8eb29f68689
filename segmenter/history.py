"""Who owned what, and why: the latest rebalances of a group, from the log in which its members tell each other.

That log is capped and holds no claims. But an epoch is the time of the server at which a partition was claimed: a lane
has that of its present owner, and whoever hands a partition back tells since when it was his.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime

from attrs import evolve, frozen

from segmenter.core.command import Cursor, Entry, GroupSlot, Read
from segmenter.core.entries import time_of
from segmenter.core.events import LIMIT_EVENTS, Announcement, Changed, Freed, announcement_of
from segmenter.core.group import LoadGroup
from segmenter.core.log import START, format_position
from segmenter.port import Session
from segmenter.snapshot import GroupSnapshot

__all__ = ["Heard", "Move", "Rebalance", "hear", "load_history"]


@frozen
class Move:
    """A partition that was handed back, or claimed, or one after the other; times are by the server's clock."""

    partition: int
    former: str | None = None  # who handed it back
    released: datetime | None = None
    owner: str | None = None  # who claimed it
    taken: datetime | None = None


@frozen
class Rebalance:
    """A change of a group's document, and what followed from it until the next one."""

    at: datetime  # by the server's clock
    cause: str  # created, readied, joined, leaving, left, expired, balanced, paused, resumed, ...
    member: str  # whom the cause is about; empty if it was an operator
    generation: int
    concerned: tuple[str, ...]  # members that gained or lost partitions
    # By partition; the claims of a member that fell silent are not among them: it told nobody.
    moves: tuple[Move, ...] = ()

    @property
    def released(self) -> tuple[int, ...]:
        """The partitions that were handed back."""
        return tuple(sorted({move.partition for move in self.moves if move.released}))

    @property
    def taken(self) -> tuple[int, ...]:
        """The partitions that were claimed."""
        return tuple(sorted({move.partition for move in self.moves if move.taken}))

    @property
    def seconds(self) -> float:
        """From the change to the last of these."""
        moments = [at for move in self.moves for at in (move.released, move.taken) if at is not None]
        return max(0.0, (max(moments) - self.at).total_seconds()) if moments else 0.0


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
    return time_of(entry[0])


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
    claims = {Move(it.partition, owner=it.owner, taken=_at(it.epoch)) for it in group.partitions if it.owner}
    for entry in entries:
        event = announcement_of(entry)
        if isinstance(event, Changed):
            known.append(Rebalance(_moment(entry), event.cause, event.member, event.generation, event.concerned))
        elif isinstance(event, Freed) and known:
            released = Move(event.partition, event.member, _at(event.epoch))
            known[-1] = evolve(known[-1], moves=(*known[-1].moves, released))
            if event.since:
                claims.add(Move(event.partition, owner=event.member, taken=_at(event.since)))
    return _with_claims(known, claims)


def _with_claims(known: list[Rebalance], claims: Iterable[Move]) -> list[Rebalance]:
    """The rebalances, each with the claims that were granted after it began, and before the next one did."""
    began = [rebalance.at for rebalance in known]
    for claim in sorted(claims, key=lambda claim: (_taken(claim), claim.partition)):
        place = bisect_right(began, _taken(claim)) - 1
        if place >= 0:
            known[place] = _completed(known[place], claim)
    return [evolve(it, moves=tuple(sorted(it.moves, key=lambda move: move.partition))) for it in known]


def _completed(rebalance: Rebalance, claim: Move) -> Rebalance:
    """The rebalance with a claim: the end of a hand-over that waits for one, or one from an owner that said nothing."""
    moves = rebalance.moves
    for place, move in enumerate(moves):
        if move.partition == claim.partition and move.taken is None and move.released is not None:
            whole = evolve(move, owner=claim.owner, taken=claim.taken)
            return evolve(rebalance, moves=(*moves[:place], whole, *moves[place + 1 :]))
    return evolve(rebalance, moves=(*moves, claim))


def _taken(claim: Move) -> datetime:
    assert claim.taken is not None  # noqa: S101 - that is what a claim is
    return claim.taken


def _at(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch / 1e6, UTC)
