"""What must hold of what happened, in words that a user can act on. These functions know nothing of how it works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

from attrs import define, field, frozen

from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.entries import parts_of
from segmenter.core.forward import Forward, Forwarded
from segmenter.core.log import Log
from segmenter.core.partition import Claim, Claimed, Commit, Committed, PartitionState, Release, Released
from segmenter.testing.ordering.events import Call, Died, Ended, Event, Finished, Lost, Place, Started
from segmenter.testing.simulation.history import Executed
from segmenter.testing.simulation.shelving import counts

__all__ = ["Account", "broken_promise"]


@define(slots=False)
class Account:
    """All that happened, and what stands in the logs in the end."""

    events: Sequence[Event]
    slots: Sequence[GroupSlot]
    logs: dict[PartitionSlot, Log]
    rested: bool

    @cached_property
    def names(self) -> dict[Place, str]:
        """Each message as key/number, counted from 1 in the order of its key."""
        named: dict[Place, str] = {}
        for slot, log in self.logs.items():
            counts: Counter[bytes] = Counter()
            for at, fields in log.entries:
                key, _, _ = parts_of(fields)
                counts[key] += 1
                named[Place(slot.stream, slot.partition, at.decode())] = f"{key.decode()}/{counts[key]}"
        return named

    def name(self, call: Call) -> str:
        """A message's name."""
        return self.names.get(call.place, call.key)

    @cached_property
    def aside(self) -> set[tuple[GroupSlot, Place]]:
        """What each group has set aside."""
        found: set[tuple[GroupSlot, Place]] = set()
        for event in self.events:
            if isinstance(event, Executed) and isinstance(event.command, Commit | Release):
                slot, moves = event.command.slot, event.command.moves
                for letter in (*moves.park, *moves.bury):
                    place = Place(slot.stream, slot.partition, letter.entry_id.decode())
                    found.add((GroupSlot(slot.stream, event.command.group), place))
        return found


def broken_promise(account: Account) -> str | None:
    """Return the first promise that was broken, if one was."""
    for check in (_in_order, _exclusive, _owned, _bounded, _settled, _lost):
        for complaint in check(account):
            return complaint
    return None


# --- who is at work -------------------------------------------------------------------------------------------------


@frozen
class _Busy:
    """A delivery whose work is not done."""

    started: Started
    ended: set[str] = field(factory=set[str])  # how, once it has

    @property
    def how(self) -> str:
        """What it is still at."""
        return "a task that its handler left behind is at work" if self.ended else "its handler is at work"


class _AtWork:
    """Which deliveries are not finished, step by step; or not settled, if that is what counts."""

    def __init__(self, *, until_settled: bool = False) -> None:
        self.busy: dict[int, _Busy] = {}
        self._until_settled = until_settled

    def take(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case Started():
                self.busy[event.delivery] = _Busy(event)
            case Ended():
                if event.delivery in self.busy:
                    self.busy[event.delivery].ended.add(event.outcome)
            case Finished():
                self.busy.pop(event.delivery, None)
            case Died():
                self.busy = {n: each for n, each in self.busy.items() if each.started.process != event.process}
            case Executed(command=Forward() as forward, reply=Forwarded()) if self._until_settled:
                passed_on = [n for n, each in self.busy.items() if _passed_on(each.started, forward.commit)]
                self.busy = {n: each for n, each in self.busy.items() if n not in passed_on}
            case _:
                pass


def _in_order(account: Account) -> Iterator[str]:
    """P1: messages of a key first start in their order, and while nothing of the key is at work in the same process."""
    highest: dict[tuple[GroupSlot, int, str], Call] = {}
    seen: set[tuple[GroupSlot, Place]] = set()
    work = _AtWork(until_settled=True)
    for event in account.events:
        if isinstance(event, Started):
            yield from _overlaps(account, event, work)
            for call in event.calls:
                before = highest.get((event.slot, event.partition, call.key))
                if (event.slot, call.place) not in seen and before is not None and call.ordinal < before.ordinal:
                    yield f"order: {account.name(call)} first starts after {account.name(before)}"
                seen.add((event.slot, call.place))
                if before is None or call.ordinal > before.ordinal:
                    highest[event.slot, event.partition, call.key] = call
        work.take(event)


def _overlaps(account: Account, event: Started, work: _AtWork) -> Iterator[str]:
    keys = {call.key: call for call in event.calls}
    for busy in work.busy.values():
        other = busy.started
        if (other.slot, other.process, other.partition) == (event.slot, event.process, event.partition):
            for call in other.calls:
                if call.key in keys:
                    what = f"{account.name(keys[call.key])} starts in {event.process}"
                    yield f"order: {what} while {account.name(call)} is not done: {busy.how}"


def _exclusive(account: Account) -> Iterator[str]:
    """P2, INV-7: nobody is at work in a partition that another one was given, unless it was taken away from him."""
    work = _AtWork()
    taken: set[tuple[GroupSlot, int, str]] = set()  # by the process that lost it
    evicted: set[tuple[GroupSlot, int, int]] = set()  # by the epoch that was ended
    for event in account.events:
        match event:
            case Started():
                for busy in work.busy.values():
                    other = busy.started
                    same = (other.slot, other.partition) == (event.slot, event.partition)
                    lost = (other.slot, other.partition, other.process) in taken
                    lost |= (other.slot, other.partition, other.epoch) in evicted
                    if same and other.epoch != event.epoch and not lost:
                        where = f"partition {event.partition} of {event.slot.stream}"
                        what = f"{event.process} works in {where}, which {other.process} has handed over"
                        yield f"one owner: {what} while {account.name(other.calls[0])} is not done there: {busy.how}"
            case Lost(_, process, slot, partition):
                taken.add((slot, partition, process))
            case Executed(command=Claim() as claim, before=PartitionState() as before, reply=Claimed()):
                lane = before.lanes[claim.group]
                if lane.owner is not None:
                    evicted.add((GroupSlot(claim.slot.stream, claim.group), claim.slot.partition, lane.epoch))
            case _:
                pass
        work.take(event)


def _owned(account: Account) -> Iterator[str]:
    """INV-1: what is committed is committed by who was granted the partition last."""
    owners: dict[tuple[PartitionSlot, str], tuple[str, int] | None] = {}
    for event in account.events:
        match event:
            case Executed(command=Claim() as claim, reply=Claimed(epoch)):
                owners[claim.slot, claim.group] = (claim.member, epoch)
            case Executed(command=Release() as release, reply=Released()):
                owners[release.slot, release.group] = None
            case Executed(command=Commit() as commit, reply=Committed()):
                if owners.get((commit.slot, commit.group)) != (commit.member, commit.epoch):
                    yield f"one owner: {commit.member} commits in {commit.slot}, which is not its own"
            case _:
                pass


def _bounded(account: Account) -> Iterator[str]:
    """P6: a message starts once, and again only if it failed, or if its partition was taken meanwhile."""
    starts: Counter[tuple[GroupSlot, Place]] = Counter()
    allowed: Counter[tuple[GroupSlot, Place]] = Counter()
    calls: dict[int, Started] = {}
    for event in account.events:
        match event:
            case Started():
                calls[event.delivery] = event
                for call in event.calls:
                    starts[event.slot, call.place] += 1
                    if starts[event.slot, call.place] > 1 + allowed[event.slot, call.place]:
                        yield f"repetition: {account.name(call)} starts once more in {event.process}, for no reason"
            case Ended() if not event.well:
                for call in calls[event.delivery].calls:
                    allowed[calls[event.delivery].slot, call.place] += 1
            case Executed(command=Claim() as claim, reply=Claimed()):
                for slot, place in starts:
                    here = (place.stream, place.partition) == (claim.slot.stream, claim.slot.partition)
                    allowed[slot, place] += here and slot.group == claim.group
            case _:
                pass


# --- in the end -----------------------------------------------------------------------------------------------------


def _settled(account: Account) -> Iterator[str]:
    """P8: everything is settled in the end."""
    if not account.rested:
        yield "an end: long after the faults were over, messages are still not settled, or not sent"


def _lost(account: Account) -> Iterator[str]:
    """P4: each message was handled to the end by each group, or passed on, or is set aside."""
    books = _Books()
    for event in account.events:
        books.take(event)
    for slot in account.slots:
        for at, name in account.names.items():
            if at.stream == slot.stream and (slot, at) not in books.done | account.aside:
                yield f"no loss: {name} of {slot.stream} counts as settled for {slot.group}: {books.why(slot, at)}"


class _Books:
    """Which messages are done for whom, and what became of the others."""

    def __init__(self) -> None:
        self.done: set[tuple[GroupSlot, Place]] = set()
        self._started: dict[int, Started] = {}
        self._well: set[int] = set()

    def take(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case Started():
                self._started[event.delivery] = event
            case Ended() if event.well:
                self._well.add(event.delivery)
            case Finished() if event.delivery in self._well:
                self.done.update(_places(self._started[event.delivery]))
            case Executed(command=Forward() as forward, reply=Forwarded()):
                self._pass_on(forward.commit)
            case _:
                pass

    def _pass_on(self, commit: Commit) -> None:
        """What is settled by what was sent in its place needs no handler that returns."""
        for delivery, started in self._started.items():
            if delivery not in self._well and _passed_on(started, commit):
                self.done.update(_places(started))

    def why(self, slot: GroupSlot, place: Place) -> str:
        """What became of a message that is not done."""
        for delivery in self._well:
            if (slot, place) in _places(self._started[delivery]):
                where = self._started[delivery].process
                return f"its handler returned in {where}, and left a task behind that never ended"
        return "no handler was called with it and returned"


def _places(started: Started) -> list[tuple[GroupSlot, Place]]:
    return [(started.slot, call.place) for call in started.calls]


def _passed_on(started: Started, commit: Commit) -> bool:
    """Whether all of a delivery was settled by a message sent in its place; what its handler does later is extra."""
    here = PartitionSlot(started.slot.stream, started.partition)
    same = (started.slot.group, here) == (commit.group, commit.slot)
    return same and all(counts(commit.progress, call.ordinal) for call in started.calls)
