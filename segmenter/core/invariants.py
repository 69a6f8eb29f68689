"""What must hold, numbered as in ``specs/protocol.md``; every test that runs the core asks the same functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from segmenter.core.assignor import assign, moves
from segmenter.core.group import GroupState
from segmenter.core.log import parse_position
from segmenter.core.partition import Lane, PartitionState, Progress

__all__ = [
    "Violation",
    "check_group",
    "check_lane",
    "check_leases",
    "check_order",
    "check_producers",
    "check_progress",
    "check_tenures",
    "check_trimming",
]


class Violation(AssertionError):
    """An invariant does not hold; the message begins with its number."""


def _hold(invariant: str, holds: bool, *facts: object) -> None:
    if not holds:
        raise Violation(f"{invariant}: {', '.join(map(str, facts))}")


def check_lane(before: PartitionState | None, after: PartitionState | None, group: str) -> None:
    """INV-1, INV-2 and INV-3 over one step of a lane under one incarnation of its partition."""
    old, new = _lane(before, group), _lane(after, group)
    if before is None or after is None or old is None or new is None or before.incarnation != after.incarnation:
        return
    _hold("INV-2 epochs rise", new.epoch >= old.epoch, old, new)
    changed_hands = (old.owner, old.claim) != (new.owner, new.claim)
    _hold("INV-1 one owner for an epoch", not changed_hands or new.epoch > old.epoch, old, new)
    forward = parse_position(new.progress.offset) >= parse_position(old.progress.offset)
    there = parse_position(old.progress.offset) <= before.log.last  # or the log lost its end, and progress follows
    _hold("INV-3 the offset goes back only with the epoch", forward or not there or new.epoch > old.epoch, old, new)


def _lane(state: PartitionState | None, group: str) -> Lane | None:
    return state.lanes.get(group) if state is not None else None


def check_progress(progress: Progress, settled: Iterable[int], first: int = 0) -> None:
    """INV-4: what progress counts as settled is settled; ordinals below ``first`` were before the group's beginning."""
    done = set(settled)
    counted = set(range(first, progress.read)).union(*(range(start, end) for start, end in progress.ranges))
    _hold("INV-4 only what is settled counts as settled", counted <= done, sorted(counted - done))
    apart = all(start > progress.read for start, _ in progress.ranges)
    _hold("INV-4 ranges lie ahead of the watermark", apart, progress)


def check_order(starts: Mapping[str, Sequence[int]]) -> None:
    """INV-5 and INV-6: the first starts of each key's messages come in the order in which they were sent."""
    for key, numbers in starts.items():
        firsts = list(dict.fromkeys(numbers))
        _hold("INV-6 a message first starts after the one before it", firsts == sorted(firsts), key, firsts)


def check_trimming(before: PartitionState, after: PartitionState) -> None:
    """INV-9: nothing is trimmed that a registered group has yet to settle."""
    trimmed = after.log.first_ordinal > before.log.first_ordinal
    least = min((lane.progress.read for lane in before.lanes.values()), default=None)
    kept = least is not None and after.log.first_ordinal <= max(least, before.log.first_ordinal)
    _hold("INV-9 trimming stays behind the slowest group", not trimmed or kept, least, after.log.first_ordinal)


def check_tenures(granted: Iterable[tuple[str, int, str]]) -> None:
    """INV-1 over (owner, epoch, claim) of each grant of a lane: no two claims are granted one (owner, epoch)."""
    tenures: dict[tuple[str, int], str] = {}
    for owner, epoch, claim in granted:
        first = tenures.setdefault((owner, epoch), claim)
        _hold("INV-1 no two tenures share an owner and an epoch", first == claim, owner, epoch, first, claim)


def check_producers(appended: Mapping[str, Sequence[tuple[int, int, int]]]) -> None:
    """INV-10 over (epoch, number, ordinal) of each producer's records, in the order of the log."""
    for producer, records in appended.items():
        numbers = [(epoch, number) for epoch, number, _ in records]
        _hold("INV-10 a number stands at one place", len(set(numbers)) == len(numbers), producer, numbers)
        _hold("INV-10 numbers rise with places", numbers == sorted(numbers), producer, numbers)


def check_group(before: GroupState | None, after: GroupState | None) -> None:
    """INV-8 and INV-11 over one write of a group's document; generations rise."""
    if after is None or before is None or after.version == before.version:
        return
    _hold("the generation rises", after.generation > before.generation, before.generation, after.generation)
    strangers = set(after.assignment) - set(after.members) - set(after.returning) - {None}
    _hold("INV-8 partitions are meant for members", not strangers, strangers)
    seated = {member.seat for member in after.members.values()} & set(after.away)
    _hold("INV-8 nobody sits in a seat that is away", not seated, seated)
    if after.assignment == before.assignment or after.state == "removed":
        return
    seats = {name: after.members[name].seat for name in after.members}
    sat = {name: member.seat for name, member in before.members.items()}
    sat |= {away.member: seat for seat, away in before.away.items()}
    successor = {name: _successor(name, seat, seats) for name, seat in sat.items()}
    previous = [successor.get(name, name) if name is not None else None for name in before.assignment]
    if list(after.assignment) == previous:
        return  # a seat changed hands, and nothing moved
    _hold("INV-11 the assignment is balanced", after.balanced, after.assignment)
    stay = (*after.eligible, *after.returning)
    fewest = moves(previous, assign(after.eligible, previous, after.returning), stay)
    _hold("INV-11 as few move as can be", moves(previous, after.assignment, stay) == fewest, after.assignment)


def _successor(name: str, seat: str | None, seats: Mapping[str, str | None]) -> str:
    """The member that sits in a former member's seat now, or itself."""
    heirs = [heir for heir, its in seats.items() if seat is not None and its == seat]
    return heirs[0] if heirs and name not in seats else name


def check_leases(starts: Iterable[tuple[float, float]]) -> None:
    """INV-12 over (started at, lease until): nothing starts after the lease."""
    for started, until in starts:
        _hold("INV-12 nothing starts after the lease", started <= until, started, until)
