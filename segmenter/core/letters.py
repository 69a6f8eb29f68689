"""Commands about what a lane has set aside: to look at it, to ask for it, to send it once more, to throw it away."""

from __future__ import annotations

from attrs import evolve, frozen

from segmenter.core.aside import Letter, Request, Shelf
from segmenter.core.command import Command, Gone, PartitionSlot
from segmenter.core.log import Record
from segmenter.core.partition import Lane, PartitionState

__all__ = ["Letters", "ListLetters", "Purge", "Purged", "Redrive", "Replay", "Replayed", "Requested"]


def _lane(state: PartitionState | None, group: str) -> Lane | None:
    return state.lanes.get(group) if state else None


@frozen
class Letters:
    """A page of a shelf, by ordinal, and how many letters lie on it under the key that was asked for.

    It may be longer than was asked for: what has the ordinal of its last letter, after a loss, is not left behind.
    """

    letters: tuple[Letter, ...]
    total: int


@frozen
class ListLetters(Command[PartitionState, Letters | Gone]):
    """Look at a shelf, changing nothing."""

    slot: PartitionSlot
    group: str
    shelf: Shelf
    count: int
    after: int | None = None  # ordinal: the letters behind it; all of them, if None
    key: bytes | None = None  # of all keys, if None

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Letters | Gone]:
        lane = _lane(state, self.group)
        if lane is None:
            return state, Gone()
        shelf = lane.aside.parked if self.shelf == "parked" else lane.aside.dead
        matching = [letter for letter in shelf if self.key in (None, letter.key)]
        behind = [letter for letter in matching if self.after is None or letter.ordinal > self.after]
        last = {letter.ordinal for letter in behind[: self.count][-1:]}
        page = [letter for n, letter in enumerate(behind) if n < self.count or letter.ordinal in last]
        return state, Letters(tuple(page), len(matching))


@frozen
class Requested:
    """The owner will see to it, whoever that is by then; it concerns so many letters."""

    letters: int


@frozen
class Redrive(Command[PartitionState, Requested | Gone]):
    """Ask the owner to take parked letters up again in their order, or to discard them; none are parked: no request."""

    slot: PartitionSlot
    group: str
    request: Request

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Requested | Gone]:
        lane = _lane(state, self.group)
        if state is None or lane is None:
            return state, Gone()
        concerned = sum(self.request.key in (None, letter.key) for letter in lane.aside.parked)
        if concerned:
            state = state.with_lane(self.group, evolve(lane, aside=lane.aside.asked(self.request)))
        return state, Requested(concerned)


@frozen
class Replayed:
    """So many dead letters stand at the end of the log now, as new messages."""

    count: int


@frozen
class Replay(Command[PartitionState, Replayed | Gone]):
    """Send dead letters once more: at the end of the log, so the order of their keys is given up.

    Those that are not dead letters any more are passed over, so that a repetition sends nothing twice.
    """

    slot: PartitionSlot
    group: str
    letters: tuple[Letter, ...]

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Replayed | Gone]:
        lane = _lane(state, self.group)
        if state is None or lane is None:
            return state, Gone()
        sent = lane.aside.still_dead(self.letters)
        if not sent:
            return state, Replayed(0)
        records = [Record(letter.key, letter.data, letter.headers).fields for letter in sent]
        log, aside = state.log.append(records, now_us), lane.aside.without_dead(sent)
        return evolve(state, log=log).with_lane(self.group, evolve(lane, aside=aside)), Replayed(len(sent))


@frozen
class Purged:
    """So many dead letters are gone for ever."""

    count: int


@frozen
class Purge(Command[PartitionState, Purged | Gone]):
    """Throw dead letters away."""

    slot: PartitionSlot
    group: str
    letters: tuple[Letter, ...] | None = None  # all of them, if None

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Purged | Gone]:
        lane = _lane(state, self.group)
        if state is None or lane is None:
            return state, Gone()
        gone = lane.aside.dead if self.letters is None else lane.aside.still_dead(self.letters)
        left = lane.aside.without_dead(gone)
        return state.with_lane(self.group, evolve(lane, aside=left)), Purged(len(lane.aside.dead) - len(left.dead))
