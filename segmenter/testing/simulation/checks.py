"""What must hold of a history, asked of the history alone: these functions know nothing of how the system works.

Each raises ``Violation`` with the number of the promise or invariant, as in ``specs/protocol.md``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from attrs import frozen

from segmenter.core.beats import LEASE_SHARE, Beat, Beaten
from segmenter.core.command import PartitionSlot
from segmenter.core.entries import parts_of
from segmenter.core.group import GroupUpdated, UpdateGroup
from segmenter.core.invariants import check_group, check_lane, check_tenures, check_trimming
from segmenter.core.letters import Replay
from segmenter.core.observations import Lost
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Lane, PartitionState, Release, Released
from segmenter.testing.simulation.history import (
    Answered,
    Began,
    Ended,
    Executed,
    Happened,
    History,
    Replied,
    RolledBack,
    Told,
)
from segmenter.testing.simulation.process import DRAIN_S, GROUP, MAX_PROCESSING_S, SESSION_S
from segmenter.testing.simulation.shelving import CHECKS as OF_SHELVES
from segmenter.testing.simulation.shelving import accounted, counts, demand, discarded

__all__ = ["CHECKS", "check"]

# From the end of the faults until every partition is owned: a session and two beats, another one after a rollback, and
# what a hand-off may wait for a handler that never settles.
OWNED_S = 2.4 * SESSION_S + MAX_PROCESSING_S + DRAIN_S


def check(history: History) -> None:
    """Check everything.

    Raises:
        Violation: for the first promise that was broken.
    """
    for each in CHECKS:
        each(history)


# --- what stands in the logs ----------------------------------------------------------------------------------------


@frozen
class Entry:
    """A message that stood in a log."""

    partition: int
    id: str
    what: tuple[str, int]  # key, number


def _logs(history: History) -> tuple[list[Entry], list[Entry]]:
    """The messages that stand in the logs in the end, trimmed ones included, and those that a rollback took away."""
    standing: dict[int, list[Entry]] = defaultdict(list)
    lost: list[Entry] = []
    for partition, _, before, after in history.partitions():
        log, added = standing[partition], after.log.added - before.log.added
        if added < 0:
            lost += log[after.log.added :]
            del log[after.log.added :]
        elif added > 0:
            log += [
                Entry(partition, entry_id.decode(), (key.decode(), int(data)))
                for entry_id, fields in after.log.entries[-added:]
                for key, data, _ in [parts_of(fields)]
            ]
    return [entry for log in standing.values() for entry in log], lost


def nothing_is_lost(history: History) -> None:
    """P4: whatever stands in the logs was settled by a handler, or is set aside, or was disposed of by an operator.

    And whatever was acknowledged was appended.
    """
    began = {event.delivery: event for event in history.of(Began)}
    ended = [began[event.delivery] for event in history.of(Ended) if event.outcome == "acked"]
    settled = {(event.partition, event.id) for event in ended} | accounted(history)
    standing, lost = _logs(history)
    missed = {entry.what for entry in standing if (entry.partition, entry.id) not in settled}
    demand("P4 nothing is lost", not missed, "never settled", sorted(missed))
    ids = {entry.id for entry in (*standing, *lost)}
    phantom = [event for event in history.of(Answered) if event.outcome == "sent" and event.id not in ids]
    demand("P4 what is acknowledged stands in a log", not phantom, phantom)


def nothing_is_made_up(history: History) -> None:
    """P4: whatever was handed out had been appended under that id."""
    standing, lost = _logs(history)
    stood = {(entry.partition, entry.id, entry.what) for entry in (*standing, *lost)}
    for event in history.of(Began):
        place = (event.partition, event.id, (event.key, event.number))
        demand("P4 what is handed out was sent", place in stood, event)


def nothing_is_doubled(history: History) -> None:
    """P5: a send stands in its log once, however often it was repeated; and once more for each time it was replayed."""
    times = Counter(entry.what for entry in _logs(history)[0])
    replays = [event.command.letters for event in history.of(Executed) if isinstance(event.command, Replay)]
    replayed = Counter((letter.key.decode(), int(letter.data)) for letters in replays for letter in letters)
    doubled = {what: count for what, count in times.items() if count > 1 + replayed[what]}
    demand("P5 a send stands in the log once", not doubled, doubled)


# --- handlers -------------------------------------------------------------------------------------------------------


def keys_are_in_order(history: History) -> None:
    """P1, INV-6: the first starts of each key's messages come in the order in which they were sent.

    What is discarded has had its turn: where a rollback takes that away, it comes later than what followed it.
    """
    highest: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    for event in history.of(Began, Executed):
        if isinstance(event, Executed):
            seen.update((letter.key.decode(), int(letter.data)) for letter in discarded(event))
        elif (event.key, event.number) not in seen:
            seen.add((event.key, event.number))
            before = highest.get(event.key, -1)
            demand("INV-6 keys are in order", event.number > before, f"{event} after {event.key}/{before}")
            highest[event.key] = event.number


def nothing_stored_is_done_again(history: History) -> None:
    """P6: what is stored as settled is not handed out again, unless it is parked, or a rollback took that away."""
    stored: dict[int, Lane] = {}
    for event in history.of(Executed, RolledBack, Began):
        if isinstance(event, Began):
            demand("P6 what is stored is not done again", not _settled(stored.get(event.partition), event), event)
        else:
            slot = event.command.slot if isinstance(event, Executed) else event.slot
            if isinstance(slot, PartitionSlot) and isinstance(event.after, PartitionState) and event.after.lanes:
                stored[slot.partition] = event.after.lanes[GROUP]


def _settled(lane: Lane | None, began: Began) -> bool:
    if lane is None or not counts(lane.progress, began.ordinal):
        return False
    return (began.ordinal, began.key.encode()) not in {letter.place for letter in lane.aside.parked}


def repetition_is_bounded(history: History) -> None:
    """P6: a message starts once, and again only when it was given back, took too long, or its partition was taken.

    Or when it was parked, and is redriven.
    """
    last: dict[tuple[int, str], float] = {}
    allowed: Counter[tuple[int, str]] = Counter()
    starts: Counter[tuple[int, str]] = Counter()
    open_in: dict[int, set[str]] = defaultdict(set)
    place_of: dict[int, tuple[int, str]] = {}
    for event in history.of(Began, Ended, Executed):
        match event:
            case Began():
                place = place_of[event.delivery] = (event.partition, event.id)
                starts[place] += 1
                allowed[place] += event.at - last.get(place, event.at) >= MAX_PROCESSING_S
                last[place] = event.at
                open_in[event.partition].add(event.id)
                demand("P6 repetition is bounded", starts[place] <= 1 + allowed[place], event, starts[place])
            case Ended(outcome="given back" | "never settled" | "refused" | "parked"):
                allowed[place_of[event.delivery]] += 1
            case Executed(command=Claim() as claim, reply=Claimed()):
                for started in open_in[claim.slot.partition]:
                    allowed[claim.slot.partition, started] += 1
            case _:
                pass


def graceful_owners_do_not_overlap(history: History) -> None:
    """INV-7: of two handlers of a partition under different epochs, the earlier one has ended.

    Unless its owner was evicted, or had lost the partition before it let go, or was forgotten in a rollback. A handler
    that never settles is given up when it has had its time, and does not count.
    """
    running: dict[int, dict[int, Began]] = defaultdict(dict)
    evicted: set[tuple[int, str]] = set()
    for event in history.of(Began, Ended, Executed, RolledBack, Told):
        match event:
            case Began():
                for other in running[event.partition].values():
                    gone = (event.partition, other.member) in evicted or event.at - other.at > DRAIN_S
                    demand("INV-7 handlers do not overlap", other.epoch == event.epoch or gone, other, event)
                running[event.partition][event.delivery] = event
            case Ended():
                for each in running.values():
                    each.pop(event.delivery, None)
            case Told(observation=Lost(member, partition)):
                evicted.add((partition, member))
            case RolledBack(slot=PartitionSlot() as slot):
                evicted |= _forgotten(slot.partition, event.before.lanes[GROUP], event.after.lanes[GROUP])
            case Executed(command=Claim() as claim, before=PartitionState() as before, reply=Claimed()):
                owner = before.lanes[GROUP].owner
                if owner is not None:
                    evicted.add((claim.slot.partition, owner))
            case _:
                pass


def _forgotten(partition: int, before: Lane, after: Lane) -> set[tuple[int, str]]:
    return {(partition, before.owner)} if before.owner is not None and before.epoch != after.epoch else set()


def nothing_starts_after_the_lease(history: History) -> None:
    """INV-12: a handler starts no later than 0.8 of a session after the last answered beat of its member was sent."""
    until: dict[str, float] = defaultdict(float)
    for event in history.of(Replied, Began):
        if isinstance(event, Began):
            demand("INV-12 nothing starts after the lease", event.at <= until[event.member], event, until[event.member])
        elif isinstance(event.command, Beat) and isinstance(event.reply, Beaten):
            member = event.command.member
            until[member] = max(until[member], event.sent + LEASE_SHARE * SESSION_S)
        elif isinstance(event.command, UpdateGroup) and isinstance(event.reply, GroupUpdated):
            for member in event.command.document.members:
                until.setdefault(member, event.sent + LEASE_SHARE * SESSION_S)


# --- the server -----------------------------------------------------------------------------------------------------


def only_the_owner_commits(history: History) -> None:
    """P2, INV-1: a commit goes through only from the member that was granted the partition last, at that epoch."""
    owners: dict[int, tuple[str, int] | None] = {}
    for event in history.of(Executed, RolledBack):
        match event:
            case RolledBack(slot=PartitionSlot() as slot):
                owner = event.after.lanes[GROUP]
                owners[slot.partition] = (owner.owner, owner.epoch) if owner.owner else None
            case Executed(command=Claim() as claim, reply=Claimed(epoch)):
                owners[claim.slot.partition] = (claim.member, epoch)
            case Executed(command=Release() as release, reply=Released()):
                owners[release.slot.partition] = None
            case Executed(command=Commit() as commit, reply=Committed()):
                owner_now = owners.get(commit.slot.partition)
                demand("INV-1 only the owner commits", owner_now == (commit.member, commit.epoch), commit, owner_now)
            case _:
                pass


def tenures_are_apart(history: History) -> None:
    """INV-1: no two claims get one (owner, epoch) of a partition, whatever was rolled back."""
    granted: dict[int, list[tuple[str, int, str]]] = defaultdict(list)
    for event in history.of(Executed):
        if isinstance(event.command, Claim) and isinstance(event.reply, Claimed):
            claim = event.command
            granted[claim.slot.partition].append((claim.member, event.reply.epoch, claim.claim))
    for each in granted.values():
        check_tenures(each)


def the_laws_hold_at_every_step(history: History) -> None:
    """INV-1, 2, 3, 8, 9 and 11 over every command that was executed."""
    for event in history.of(Executed):
        before, after = event.before, event.after
        if isinstance(before, PartitionState) and isinstance(after, PartitionState):
            check_lane(before, after, GROUP)
            check_trimming(before, after)
        elif isinstance(event.command, UpdateGroup):
            check_group(_document(before), _document(after))


def _document(data: Any) -> Any:
    return data.document if data is not None else None


def progress_is_what_handlers_settled(history: History) -> None:
    """INV-4: a stored progress counts as settled what handlers settled or set aside, and what is parked behind that."""
    settled: dict[int, set[int]] = defaultdict(set)
    began: dict[int, Began] = {}
    for event in history.of(Began, Ended, Executed):
        match event:
            case Began():
                began[event.delivery] = event
            case Ended(outcome="acked" | "rejected"):
                settled[began[event.delivery].partition].add(began[event.delivery].ordinal)
            case Executed(command=Release() as release, reply=Released()):
                settled[release.slot.partition].update(letter.ordinal for letter in release.moves.park)
            case Executed(command=Commit() as commit, reply=Committed()):
                progress = commit.progress
                settled[commit.slot.partition].update(letter.ordinal for letter in commit.moves.park)
                counted = set(range(progress.read)).union(*(range(start, end) for start, end in progress.ranges))
                unsettled = counted - settled[commit.slot.partition]
                demand("INV-4 what counts as settled is settled", not unsettled, commit, sorted(unsettled))
            case _:
                pass


# --- in the end -----------------------------------------------------------------------------------------------------


def everything_comes_to_rest(history: History) -> None:
    """P8: after the last fault, or death, every partition is owned in time, and everything is settled."""
    demand("P8 all partitions are owned", history.owned_at is not None, "not within the time there was")
    if history.owned_at is not None:
        deaths = [event.at for event in history.of(Ended) if event.outcome == "killed its process"]
        last = max([history.rest_at, *(at for at in deaths if at <= history.owned_at)])
        took = history.owned_at - last
        demand("P8 all partitions are owned in time", took <= OWNED_S, f"{took:.2f} s")
    demand("P8 everything is settled", history.drained_at is not None, "not within the time there was")
    demand("a history has an end", any(event.what == "the faults are over" for event in history.of(Happened)))


CHECKS = (
    nothing_is_lost,
    nothing_is_made_up,
    nothing_is_doubled,
    keys_are_in_order,
    nothing_stored_is_done_again,
    repetition_is_bounded,
    graceful_owners_do_not_overlap,
    nothing_starts_after_the_lease,
    only_the_owner_commits,
    tenures_are_apart,
    the_laws_hold_at_every_step,
    progress_is_what_handlers_settled,
    *OF_SHELVES,
    everything_comes_to_rest,
)
