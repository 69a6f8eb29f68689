"""The law of a partition: who owns it for a group, under which epoch, and how far the group has come.

A partition's slot holds its log, its producers and one **lane** for each group. The group's document is advice, the
lane is law: an operation carries (owner, epoch) and is refused unless both equal what the lane holds. The epoch rises
with every change of hands, so it is a fencing token (Kleppmann, "How to do distributed locking", 2016): whatever a
former owner sends late is refused, here and in a store of the user's that keeps the highest token it has seen.

``history`` identifies a run of the server during which nothing it acknowledged was lost. When it changes, a suffix
may be missing, and what was answered before cannot be relied on.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, field, frozen

from segmenter.core.aside import NO_MOVES, Aside, Moves, Request, Summary
from segmenter.core.command import Command, Gone, PartitionSlot
from segmenter.core.delays import Delays, delays_left
from segmenter.core.log import START, Log, Producer, format_position, parse_position

__all__ = [
    "NOT_TRYING",
    "Behind",
    "Changed",
    "Claim",
    "Claimed",
    "Commit",
    "CommitReply",
    "Committed",
    "Fenced",
    "Held",
    "Lane",
    "PartitionState",
    "Probe",
    "Probed",
    "Progress",
    "Release",
    "Released",
    "RolledBack",
    "Truncated",
    "start_of",
]

Ranges = tuple[tuple[int, int], ...]  # half-open, in order, apart from each other
NOT_TRYING = -1


@frozen
class Progress:
    """How far a group has come in a partition.

    Everything before ordinal ``read`` is settled, and ``offset`` is the id of the last of it. ``ranges`` were settled
    ahead of it, out of order; ``attempts`` counts the deliveries of messages that have been given back. ``trying`` is
    the ordinal of a message that is handled alone, since something before it may have killed its process. ``delays``
    says how long, from the moment at which the progress was taken, messages wait for their next attempt.
    """

    offset: bytes = START
    read: int = 0
    ranges: Ranges = ()
    attempts: tuple[tuple[int, int], ...] = ()  # (ordinal, deliveries so far)
    trying: int = NOT_TRYING
    delays: Delays = ()

    def tried(self) -> Progress:
        """Return it with an attempt of the message that was being tried, which did not come to an end."""
        if self.trying == NOT_TRYING:
            return self
        attempts = dict(self.attempts)
        attempts[self.trying] = attempts.get(self.trying, 0) + 1
        return evolve(self, attempts=tuple(sorted(attempts.items())), trying=NOT_TRYING)


@frozen
class Lane:
    """A group's hold on a partition."""

    progress: Progress
    owner: str | None = None
    epoch: int = 0
    generation: int = 0
    claim: str = ""  # the last claim granted, so that a repeated one gets the same answer
    history: str = ""  # the server's history when it was granted
    number: int = 0  # of the last commit applied in this epoch
    unclean: int = 0  # how often an owner ended without saying what became of the messages in its hands ...
    horizon: int = 0  # ... all of which were below this ordinal, or being redriven; what is past is forgotten
    aside: Aside = Aside()
    delayed_at_us: int = 0  # the server's time when the delays of the progress were stored; 0 where there are none

    def suspected(self, log: Log, window: int) -> Lane:
        """Return it after an unclean end: one of the messages that were in flight may have been the cause of it."""
        ahead = sum(end - start for start, end in self.progress.ranges)
        horizon = min(log.added, self.progress.read + ahead + window)
        progress, unclean = self.progress.tried(), self.unclean + 1
        return evolve(self, progress=progress, unclean=unclean, horizon=max(self.horizon, horizon))

    def clear_of_what_comes(self, log: Log) -> Lane:
        """Return it with nothing parked where messages will be: a log that has lost its end counts on from less."""
        aside = self.aside.clear_of(log.added)
        if aside is self.aside:
            return self
        return evolve(self, aside=aside, progress=evolve(self.progress, attempts=(), delays=()), delayed_at_us=0)

    def progress_at(self, now_us: int) -> Progress:
        """Return the progress with what is left of its delays."""
        elapsed_ms = (now_us - self.delayed_at_us) // 1000
        return evolve(self.progress, delays=delays_left(self.progress.delays, elapsed_ms))


@frozen
class PartitionState:
    """All that a partition's slot holds."""

    incarnation: str
    layout: int = 0
    sealed: int | None = None  # the layout that took over, once nothing more may be appended
    history: str = ""  # the server's own, given by the backend
    log: Log = Log()
    producers: Mapping[str, Producer] = field(factory=dict[str, Producer])
    lanes: Mapping[str, Lane] = field(factory=dict[str, Lane])

    def with_lane(self, group: str, lane: Lane) -> PartitionState:
        """Return the state with the group's lane replaced."""
        return evolve(self, lanes={**self.lanes, group: lane})


def start_of(log: Log, start: bytes) -> Progress:
    """Resolve where a group begins: ``b"earliest"``, ``b"latest"``, or an id: what comes after it is read."""
    if start == b"latest":
        return Progress(format_position(log.last), log.added)
    if start == b"earliest":
        start = START
    index = log.index_after(start)
    offset = log.entries[index - 1][0] if index else START
    return Progress(offset, log.first_ordinal + index)


# --- ownership ------------------------------------------------------------------------------------------------------


@frozen
class Claimed:
    """The partition is yours under ``epoch``."""

    epoch: int
    progress: Progress
    end: bytes  # id of the log's last entry
    first: int  # ordinal of the oldest entry that is left; above progress.read, messages were lost to trimming
    added: int  # entries ever added; below progress.read, the end of the log was lost
    incarnation: str
    unclean: int = 0
    horizon: int = 0
    aside: Summary = Summary()


@frozen
class Held:
    """Somebody else owns it."""

    owner: str
    epoch: int


@frozen
class Changed:
    """It is not at the epoch you named."""

    owner: str | None
    epoch: int


@frozen
class Behind:
    """The lane has seen a later generation than yours: read the group's document again."""

    generation: int


@frozen
class Claim(Command[PartitionState, Claimed | Held | Changed | Behind | Gone]):
    """Become the owner of a partition for a group."""

    slot: PartitionSlot
    group: str
    member: str
    generation: int
    if_epoch: int
    claim: str  # fresh for each claim, the same when it is repeated
    evict: str | None = None  # an owner that may be replaced: one that cannot come back
    floor: int = 0  # the new epoch is above it: the highest that the member knows, whatever the server's clock says
    window: int = 0  # how many messages ahead of its progress a former owner may have had in flight

    def apply(
        self, state: PartitionState | None, now_us: int
    ) -> tuple[PartitionState | None, Claimed | Held | Changed | Behind | Gone]:
        lane = state.lanes.get(self.group) if state else None
        if state is None or lane is None:
            return state, Gone()
        if lane.claim == self.claim:
            return self._granted(state, lane, now_us)
        if lane.generation > self.generation:
            return state, Behind(lane.generation)
        if lane.epoch != self.if_epoch:
            return state, Changed(lane.owner, lane.epoch)
        if lane.owner not in (None, self.member, self.evict):
            return state, Held(lane.owner, lane.epoch)
        if lane.owner not in (None, self.member):
            lane = lane.suspected(state.log, self.window)
        lane = evolve(
            lane,
            progress=evolve(lane.progress, trying=NOT_TRYING),
            owner=self.member,
            epoch=max(lane.epoch + 1, now_us, self.floor + 1),
            generation=self.generation,
            claim=self.claim,
            history=state.history,
            number=0,
        )
        return self._granted(state, lane, now_us)

    def _granted(self, state: PartitionState, lane: Lane, now_us: int) -> tuple[PartitionState, Claimed]:
        log, lane = state.log, lane.clear_of_what_comes(state.log)
        progress = lane.progress_at(now_us)
        lane = evolve(lane, delayed_at_us=min(lane.delayed_at_us, now_us))  # a clock that was set back counts anew
        end = format_position(log.last)
        bounds = (end, log.first_ordinal, log.added)
        suspicion = (lane.unclean, lane.horizon)
        claimed = Claimed(lane.epoch, progress, *bounds, state.incarnation, *suspicion, lane.aside.summary)
        return state.with_lane(self.group, lane), claimed


# --- progress -------------------------------------------------------------------------------------------------------


@frozen
class Committed:
    """The progress is stored."""


@frozen
class Fenced:
    """You are not the owner at that epoch; nothing was done."""

    owner: str | None
    epoch: int


@frozen
class RolledBack:
    """The server may have lost what it acknowledged since the claim: claim again and go on from what is stored."""


@frozen
class Truncated:
    """The progress lies beyond the end of the log: the messages it speaks of are no longer there."""

    end: bytes


CommitReply = Committed | Fenced | RolledBack | Truncated | Gone


def settle(
    state: PartitionState, lane: Lane, number: int, progress: Progress, moves: Moves, now_us: int
) -> tuple[Lane, CommitReply]:
    """The law shared by Commit and Release, once the lane is known to be the caller's."""
    if lane.history != state.history:
        return lane, RolledBack()
    if number <= lane.number:
        return lane, Committed()
    if parse_position(progress.offset) > state.log.last:
        return lane, Truncated(format_position(state.log.last))
    aside = lane.aside.moved(moves)
    suspicious = progress.read < lane.horizon or aside.requests
    unclean, horizon = (lane.unclean, lane.horizon) if suspicious else (0, 0)
    lane = evolve(lane, number=number, progress=progress, unclean=unclean, horizon=horizon, aside=aside)
    return evolve(lane, delayed_at_us=now_us if progress.delays else 0), Committed()


@frozen
class Commit(Command[PartitionState, CommitReply]):
    """Store progress, replacing what was stored. Repeating a number changes nothing."""

    slot: PartitionSlot
    group: str
    member: str
    epoch: int
    number: int  # 1, 2, 3 ... within the epoch
    progress: Progress
    moves: Moves = NO_MOVES

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, CommitReply]:
        lane = state.lanes.get(self.group) if state else None
        if state is None or lane is None:
            return state, Gone()
        if (lane.owner, lane.epoch) != (self.member, self.epoch):
            return state, Fenced(lane.owner, lane.epoch)
        lane, reply = settle(state, lane, self.number, self.progress, self.moves, now_us)
        return state.with_lane(self.group, lane), reply


@frozen
class Released:
    """Nobody owns the partition now; whoever claims it next names ``epoch``."""

    epoch: int


@frozen
class Release(Command[PartitionState, Released | Fenced | Gone]):
    """Give a partition up, with the last progress; or make sure that an unanswered claim can no longer succeed.

    The epoch rises even if nobody owned the partition, so that a claim still under way fails. Progress is stored by
    the law of Commit, and dropped where that law refuses it: the partition is free in either case.
    """

    slot: PartitionSlot
    group: str
    member: str
    epoch: int
    number: int = 0  # 0: no progress to store
    progress: Progress = Progress()
    evict: str | None = None  # the owner that the unanswered claim would have replaced
    start: bytes = b""  # move the group to this place (see ``start_of``), forgetting what is finished or counted
    moves: Moves = NO_MOVES
    window: int = 0  # above 0: something that does not end is in flight, at most so far ahead of the progress

    def apply(
        self, state: PartitionState | None, now_us: int
    ) -> tuple[PartitionState | None, Released | Fenced | Gone]:
        lane = state.lanes.get(self.group) if state else None
        if state is None or lane is None:
            return state, Gone()
        if lane.epoch != self.epoch or lane.owner not in (None, self.member, self.evict):
            return state, Fenced(lane.owner, lane.epoch)
        if lane.owner == self.member:
            lane, _ = settle(state, lane, self.number, self.progress, self.moves, now_us)
        if self.window:
            lane = lane.suspected(state.log, self.window)
        if self.start:
            lane = _moved_to(start_of(state.log, self.start), lane, state.log)
        epoch = max(lane.epoch + 1, now_us)
        freed = evolve(lane, owner=None, epoch=epoch, claim="", number=0)
        return state.with_lane(self.group, freed), Released(epoch)


def _moved_to(progress: Progress, lane: Lane, log: Log) -> Lane:
    """What is parked and in the log from there on will be read once more."""
    again = {entry_id for entry_id, _ in log.after(progress.offset, len(log.entries))}
    aside = lane.aside.without_parked(again).clear_of(progress.read)
    return evolve(lane, progress=progress, unclean=0, horizon=0, aside=aside, delayed_at_us=0)


@frozen
class Probed:
    """What an owner checks between commits."""

    owner: str | None
    epoch: int
    intact: bool  # the history is that of the claim
    progress: Progress
    end: bytes
    first: int  # ordinal of the oldest entry that is left
    added: int  # entries ever added
    incarnation: str
    parked: int = 0  # letters
    dead: int = 0
    requests: tuple[Request, ...] = ()


@frozen
class Probe(Command[PartitionState, Probed | Gone]):
    """Look at a lane and at both ends of its log, changing nothing."""

    slot: PartitionSlot
    group: str

    def apply(self, state: PartitionState | None, now_us: int) -> tuple[PartitionState | None, Probed | Gone]:
        lane = state.lanes.get(self.group) if state else None
        if state is None or lane is None:
            return state, Gone()
        intact = lane.history == state.history
        log, aside = state.log, lane.aside
        bounds = (format_position(log.last), log.first_ordinal, log.added)
        counts = (len(aside.parked), len(aside.dead), aside.requests)
        return state, Probed(lane.owner, lane.epoch, intact, lane.progress, *bounds, state.incarnation, *counts)
