"""What must hold of all that is set aside, asked of the history alone: of parked keys, dead letters and poison."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from attrs import field, frozen

from segmenter.core.aside import Letter, Place
from segmenter.core.caution import LIMIT_UNCLEAN
from segmenter.core.command import PartitionSlot
from segmenter.core.invariants import Violation
from segmenter.core.letters import Purge, Replay
from segmenter.core.parking import BEHIND
from segmenter.core.partition import Commit, Lane, PartitionState, Progress, Release
from segmenter.testing.simulation.fates import LIMIT_ATTEMPTS
from segmenter.testing.simulation.history import Began, Ended, Executed, History, RolledBack
from segmenter.testing.simulation.process import GROUP

__all__ = ["CHECKS", "accounted", "counts", "demand", "discarded"]

Id = tuple[int, str]  # partition, id of an entry


def demand(number: str, true: bool, *facts: object) -> None:
    """Raise ``Violation`` unless it is true."""
    if not true:
        raise Violation(f"{number}: {', '.join(map(str, facts))}")


def counts(progress: Progress, ordinal: int) -> bool:
    """Whether a progress counts a message as settled."""
    return ordinal < progress.read or any(start <= ordinal < end for start, end in progress.ranges)


def _lane(state: object) -> Lane:
    return state.lanes.get(GROUP, Lane(Progress())) if isinstance(state, PartitionState) else Lane(Progress())


# --- where letters are ----------------------------------------------------------------------------------------------


@frozen
class Step:
    """A command that changed what a lane has set aside."""

    executed: Executed
    partition: int
    before: Lane
    after: Lane

    @property
    def taken(self) -> list[Letter]:
        """What is no longer parked."""
        return _gone(self.before.aside.parked, self.after.aside.parked)

    @property
    def cleared(self) -> list[Letter]:
        """What is no dead letter any more."""
        return _gone(self.before.aside.dead, self.after.aside.dead)

    def may_discard(self, letter: Letter) -> bool:
        """Whether that was asked for."""
        return _asked(self.before, "discard", letter.key)


def _gone(before: tuple[Letter, ...], after: tuple[Letter, ...]) -> list[Letter]:
    left = {letter.place for letter in after}
    return [letter for letter in before if letter.place not in left]


def _asked(lane: Lane, what: str, key: bytes) -> bool:
    return any(request.what == what and request.key in (None, key) for request in lane.aside.requests)


def _step(event: Executed) -> Step | None:
    slot = event.command.slot
    before, after = _lane(event.before), _lane(event.after)
    if isinstance(slot, PartitionSlot) and before.aside is not after.aside:
        return Step(event, slot.partition, before, after)
    return None


def _steps(history: History) -> Iterator[Step]:
    return (step for event in history.of(Executed) if (step := _step(event)) is not None)


def accounted(history: History) -> set[Id]:
    """The messages that no handler settled, and that are not lost: set aside, discarded, purged or sent once more."""
    ids = {(step.partition, letter.entry_id.decode()) for step in _steps(history) for letter in _disposed(step)}
    last = {partition: after for partition, _, _, after in history.partitions()}
    for partition, state in last.items():
        aside = _lane(state).aside
        ids |= {(partition, letter.entry_id.decode()) for letter in (*aside.parked, *aside.dead)}
    return ids


def _disposed(step: Step) -> list[Letter]:
    return [*step.cleared, *(letter for letter in step.taken if step.may_discard(letter))]


def discarded(event: Executed) -> list[Letter]:
    """What a command has taken from where it was parked, while it was asked to discard it."""
    step = _step(event)
    return [letter for letter in step.taken if step.may_discard(letter)] if step else []


def letters_are_in_one_place(history: History) -> None:
    """INV-5: what is set aside counts as settled, and is either parked or dead."""
    for partition, _, _, after in history.partitions():
        lane = _lane(after)
        places = [letter.place for letter in (*lane.aside.parked, *lane.aside.dead)]
        demand("INV-5 a letter is in one place", len(set(places)) == len(places), partition, places)
        unsettled = [place for place in places if not counts(lane.progress, place[0])]
        demand("INV-5 what is set aside counts as settled", not unsettled, partition, unsettled)


def letters_are_not_lost(history: History) -> None:
    """P4: a letter comes from a handler, or from behind a parked one; it goes by a handler, or because it was asked."""
    ended = _Outcomes()
    for event in history.of(Began, Ended, Executed):
        if not isinstance(event, Executed):
            ended.take(event)
        elif (step := _step(event)) is not None:
            for letter in step.taken:
                done = ended.has(step.partition, letter, "acked", "rejected") or step.may_discard(letter)
                demand("P4 what was parked is not lost", done, step.executed.command, letter)
            for letter in step.cleared:
                asked = isinstance(step.executed.command, Purge | Replay)
                demand("P4 a dead letter is not lost", asked, step.executed.command, letter)
            _check_new(step, ended)
            _check_replayed(step)


class _Outcomes:
    """What handlers made of each message, so far."""

    def __init__(self) -> None:
        self._began: dict[int, Began] = {}
        self._of: dict[tuple[int, int], set[str]] = defaultdict(set)

    def take(self, event: Began | Ended) -> None:
        """Take in what a handler did."""
        if isinstance(event, Began):
            self._began[event.delivery] = event
        else:
            began = self._began[event.delivery]
            self._of[began.partition, began.ordinal].add(event.outcome)

    def has(self, partition: int, letter: Letter, *outcomes: str) -> bool:
        """Whether it came to one of these."""
        return bool(self._of[partition, letter.ordinal] & set(outcomes))


def _check_new(step: Step, ended: _Outcomes) -> None:
    for letter in _gone(step.after.aside.parked, step.before.aside.parked):
        earlier = [*step.before.aside.parked, *step.after.aside.parked]
        behind = any(other.key == letter.key and other.ordinal < letter.ordinal for other in earlier)
        parked = ended.has(step.partition, letter, "parked") or (letter.reason == BEHIND and behind)
        demand("P1 what is parked was parked, or is behind it", parked, step.executed.command, letter)
    for letter in _gone(step.after.aside.dead, step.before.aside.dead):
        rejected = ended.has(step.partition, letter, "rejected")
        demand("P1 what is dead was rejected", rejected, step.executed.command, letter)


def _check_replayed(step: Step) -> None:
    if isinstance(step.executed.command, Replay):
        added = step.executed.after.log.added - step.executed.before.log.added
        demand("P4 what is replayed stands in the log", added == len(step.cleared), step.executed.command, added)


# --- who may start --------------------------------------------------------------------------------------------------


@frozen
class _Hold:
    """What handlers made of messages under one epoch."""

    done: set[int] = field(factory=set[int])  # ordinals
    parked: set[Place] = field(factory=set[Place])  # which is not stored yet


class _Parked:
    """Which keys are parked, from the view of each owner: what is stored, and what it has done since."""

    def __init__(self) -> None:
        self.lanes: dict[int, Lane] = {}
        self._void: dict[int, int] = defaultdict(int)  # epochs up to this one may not know what is stored
        self._holds: dict[tuple[int, int], _Hold] = defaultdict(_Hold)
        self._began: dict[int, Began] = {}

    def begin(self, began: Began) -> None:
        self._began[began.delivery] = began

    def end(self, event: Ended) -> None:
        began = self._began[event.delivery]
        hold = self._holds[began.partition, began.epoch]
        if event.outcome in ("acked", "rejected"):
            hold.done.add(began.ordinal)
            hold.parked.discard((began.ordinal, began.key.encode()))
        elif event.outcome == "parked":
            hold.parked.add((began.ordinal, began.key.encode()))

    def store(self, event: Executed | RolledBack) -> None:
        slot = event.command.slot if isinstance(event, Executed) else event.slot
        if not isinstance(slot, PartitionSlot):
            return
        lane = self.lanes[slot.partition] = _lane(event.after)
        if isinstance(event, RolledBack):
            self._void[slot.partition] = _lane(event.before).epoch
        elif isinstance(event.command, Commit | Release):
            stored = {letter.place for letter in lane.aside.parked}.union(event.command.moves.unpark)
            self._holds[slot.partition, event.command.epoch].parked.difference_update(stored)

    def current(self, began: Began) -> bool:
        """Whether it was handed out by the owner, who can know what is stored."""
        lane = self.lanes.get(began.partition)
        return lane is not None and lane.epoch == began.epoch > self._void[began.partition]

    def before(self, began: Began) -> list[Place]:
        """What is parked before a message."""
        lane, hold = self.lanes[began.partition], self._holds[began.partition, began.epoch]
        key = began.key.encode()
        stored = {letter.place for letter in lane.aside.parked if not _asked(lane, "discard", key)}
        places = {place for place in stored | hold.parked if place[0] not in hold.done}
        return sorted(place for place in places if place[1] == key and place[0] < began.ordinal)


def nothing_overtakes_what_is_parked(history: History) -> None:
    """P1, INV-6: behind a parked message nothing of its key starts, and what is parked starts in order, if asked."""
    parked = _Parked()
    for event in history.of(Began, Ended, Executed, RolledBack):
        match event:
            case Began():
                parked.begin(event)
                if parked.current(event):
                    before = parked.before(event)
                    demand("INV-6 nothing overtakes what is parked", not before, event, before)
                    _check_asked(parked.lanes[event.partition], event)
            case Ended():
                parked.end(event)
            case _:
                parked.store(event)


def _check_asked(lane: Lane, event: Began) -> None:
    key = event.key.encode()
    lies = (event.ordinal, key) in {letter.place for letter in lane.aside.parked}
    demand("P1 what is parked starts when that was asked for", not lies or _asked(lane, "redrive", key), event)


# --- poison ---------------------------------------------------------------------------------------------------------


def deaths_are_bounded(history: History) -> None:
    """P8: until it is parked, a message kills no more than it takes to become careful, and to count its attempts.

    So it is for each time that it is redriven. What the server forgets in a rollback has to be found out again.
    """
    deaths: Counter[Id] = Counter()
    began: dict[int, Id] = {}
    forgotten: Counter[int] = Counter()
    for event in history.of(Began, Ended, Executed, RolledBack):
        match event:
            case Began():
                began[event.delivery] = (event.partition, event.id)
            case Executed(command=Commit() | Release() as command):
                lying = _lane(event.after).aside.parked if command.moves.heeded else command.moves.park
                for letter in lying:
                    deaths.pop((command.slot.partition, letter.entry_id.decode()), None)
            case Ended(outcome="killed its process"):
                id_ = began[event.delivery]
                deaths[id_] += 1
                limit = (LIMIT_UNCLEAN + LIMIT_ATTEMPTS) * (1 + forgotten[id_[0]])
                demand("P8 deaths are bounded", deaths[id_] <= limit, event, deaths[id_], limit)
            case RolledBack(slot=PartitionSlot() as slot):
                forgotten[slot.partition] += 1
            case _:
                pass


def what_is_asked_is_done(history: History) -> None:
    """P8: in the end no request is left."""
    for partition, state in {number: after for number, _, _, after in history.partitions()}.items():
        demand("P8 what is asked is done", not _lane(state).aside.requests, partition, _lane(state).aside.requests)


CHECKS = (
    letters_are_in_one_place,
    letters_are_not_lost,
    nothing_overtakes_what_is_parked,
    deaths_are_bounded,
    what_is_asked_is_done,
)
