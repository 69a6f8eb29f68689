"""What must hold of an account, asked of the account alone: these functions know nothing of how the system works.

Each raises ``Violation`` with the number of the promise or invariant, as in ``specs/protocol.md``. They are those of
the simulator, for what can be known of real processes: what the server wrote down, and what handlers wrote down.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from attrs import define, field

from segmenter.core.beats import LEASE_SHARE
from segmenter.core.invariants import Violation
from segmenter.core.partition import Progress
from tests.audit.records import Claimed, Committed, Record, Released
from tests.audit.replay import disagreements
from tests.chaos.account import Account
from tests.chaos.worker import SESSION_S

__all__ = ["CHECKS", "broken"]

OWNED_S = 10.0  # a session and two beats are 0.84 s; the rest is for a machine that is busy
DRAINED_S = 60.0
LEASE_NS = round(LEASE_SHARE * SESSION_S * 1e9)

Check = Callable[[Account], None]


def broken(account: Account) -> list[str]:
    """What does not hold; nothing if all is well."""
    found: list[str] = []
    for check in CHECKS:
        try:
            check(account)
        except Violation as violation:
            found.append(str(violation))
    return found


def _demand(number: str, true: bool, *facts: object) -> None:
    if not true:
        raise Violation(f"{number}: {', '.join(map(str, facts))}")


def _none(number: str, wrong: Sequence[object]) -> None:
    """Raise if there are any, with their number and the first few."""
    _demand(number, not wrong, f"{len(wrong)} of them", *wrong[:3])


# --- what stands in the logs ----------------------------------------------------------------------------------------


def nothing_is_lost(account: Account) -> None:
    """P4: whatever was appended was settled by a handler."""
    settled = {(it.partition, it.id) for it in account.handled if it.done_ns is not None}
    logs = account.appended()
    missed = [(n, entry) for n, log in logs.items() for entry in log if (n, entry.id) not in settled]
    _none("P4 nothing is lost", missed)


def nothing_acknowledged_is_missing(account: Account) -> None:
    """P4: whatever was acknowledged to its sender was appended under the id that it was told."""
    logs = account.appended()
    stood = {(n, entry.id, entry.key, entry.number) for n, log in logs.items() for entry in log}
    missing = [it for it in account.sent if (it.partition, it.id, it.key, it.number) not in stood]
    _none("P4 what is acknowledged stands in a log", missing)


def logs_are_what_the_audit_says(account: Account) -> None:
    """What stands in a log in the end is the end of what was appended: only its beginning was ever trimmed."""
    for partition, log in account.appended().items():
        standing = list(account.standing[partition])
        _demand("a log is what was appended", not standing or log[-len(standing) :] == standing, partition)


def nothing_is_made_up(account: Account) -> None:
    """P4: whatever was handed out had been appended under that id, and whatever was appended had been sent."""
    logs = account.appended()
    stood = {(n, entry.id, entry.key, entry.number) for n, log in logs.items() for entry in log}
    _none("P4 what is appended was sent", [what for what in stood if what[2:] not in account.tried])
    strange = [it for it in account.handled if (it.partition, it.id, it.key, it.number) not in stood]
    _none("P4 what is handed out was sent", strange)


def nothing_is_doubled(account: Account) -> None:
    """P5: a send stands in its log once, however often it was repeated."""
    times = Counter((entry.key, entry.number) for log in account.appended().values() for entry in log)
    _none("P5 a send stands in the log once", [(what, count) for what, count in times.items() if count > 1])


def logs_keep_the_order_of_sending(account: Account) -> None:
    """P1, INV-10: the messages of a key stand in its log in the order in which they were sent."""
    last: dict[str, int] = {}
    for log in account.appended().values():
        for entry in log:
            _demand("INV-10 logs are in order", entry.number > last.get(entry.key, -1), entry, last.get(entry.key))
            last[entry.key] = entry.number


# --- handlers -------------------------------------------------------------------------------------------------------


def keys_are_in_order(account: Account) -> None:
    """P1, INV-6: a message of a key is first started when the one before it has been done."""
    before = _predecessors(account)
    done: dict[tuple[int, str], int] = {}
    for it in account.handled:
        if it.done_ns is not None:
            done[it.partition, it.id] = min(it.done_ns, done.get((it.partition, it.id), it.done_ns))
    for it in account.handled:
        previous = before.get((it.partition, it.id))
        if previous is not None:
            in_time = done.get((it.partition, previous), it.started_ns + 1) <= it.started_ns
            _demand("INV-6 keys are in order", in_time, it, f"started before {previous} was done")


def _predecessors(account: Account) -> dict[tuple[int, str], str]:
    """The message of the same key that stands before each, by partition and id."""
    before: dict[tuple[int, str], str] = {}
    for partition, log in account.appended().items():
        last: dict[str, str] = {}
        for entry in log:
            if entry.key in last:
                before[partition, entry.id] = last[entry.key]
            last[entry.key] = entry.id
    return before


def repetition_is_bounded(account: Account) -> None:
    """P6: under one epoch a message is handed out once, and only if that epoch did not begin with it as settled."""
    stored: dict[tuple[int, int], Progress] = {}
    for partition, claim in account.of(Claimed):
        stored.setdefault((partition, claim.epoch), claim.stored)  # a late repetition is told what is stored by then
    ordinals = _ordinals(account)
    seen: set[tuple[int, int, str]] = set()
    for it in account.handled:
        _demand("P6 repetition is bounded", (it.partition, it.epoch, it.id) not in seen, it)
        seen.add((it.partition, it.epoch, it.id))
        began = stored.get((it.partition, it.epoch))
        _demand("INV-1 an epoch was granted", began is not None, it)
        again = began is not None and _counts(began, ordinals.get((it.partition, it.id), -1))
        _demand("P6 what is stored is not done again", not again, it, began)


def _ordinals(account: Account) -> dict[tuple[int, str], int]:
    logs = account.appended().items()
    return {(partition, entry.id): ordinal for partition, log in logs for ordinal, entry in enumerate(log)}


def _counts(progress: Progress, ordinal: int) -> bool:
    return 0 <= ordinal < progress.read or any(start <= ordinal < end for start, end in progress.ranges)


def owners_that_hand_over_are_done(account: Account) -> None:
    """INV-7: where an owner released a partition by itself, its handlers had ended before those of the next began."""
    handed_over = {(partition, release.epoch) for partition, release in account.of(Released) if not release.evicted}
    last: dict[int, dict[int, int]] = defaultdict(dict)  # of each epoch that ended so, when its last handler did
    for it in account.handled:
        if it.done_ns is not None and (it.partition, it.epoch) in handed_over:
            last[it.partition][it.epoch] = max(it.done_ns, last[it.partition].get(it.epoch, 0))
    for it in account.handled:
        for epoch, done_ns in last[it.partition].items():
            _demand("INV-7 handlers do not overlap", epoch >= it.epoch or done_ns <= it.started_ns, it, epoch)


def nothing_starts_after_the_lease(account: Account) -> None:
    """P3, INV-12: nothing is handed out later than 0.8 of a session after the last answered beat was sent.

    A process may be stopped between handing out a message and writing that down, so one for each lease may seem late.
    """
    owners = {(partition, claim.epoch): claim.member for partition, claim in account.of(Claimed)}
    leases: dict[str, list[tuple[int, int]]] = defaultdict(list)  # of each member: answered, and until when
    for beat in sorted(account.beats, key=lambda beat: beat.answered_ns):
        earlier = leases[beat.member][-1][1] if leases[beat.member] else 0
        leases[beat.member].append((beat.answered_ns, max(earlier, beat.sent_ns + LEASE_NS)))
    late: Counter[tuple[str, int]] = Counter()
    for it in account.handled:
        member = owners.get((it.partition, it.epoch), "")
        index = bisect_right(leases[member], it.started_ns, key=lambda lease: lease[0])
        until_ns = leases[member][index - 1][1] if index else 0
        late[member, until_ns] += it.started_ns > until_ns
    _none("INV-12 nothing starts after the lease", [lease for lease, count in late.items() if count > 1])


# --- the server, in the order in which it did things ----------------------------------------------------------------


@define
class Hold:
    """Who owns a partition by what the audit has said so far, and what is stored."""

    owner: tuple[str, int] | None = None  # member, epoch
    epoch: int = 0
    number: int = 0
    stored: Progress = field(factory=Progress)


def only_the_owner_commits(account: Account) -> None:
    """P2, INV-1: a commit goes through only from the member that was granted the partition last, at that epoch."""
    _none("INV-1 only the owner commits", stale_commits(account))


def stale_commits(account: Account) -> list[tuple[int, Record]]:
    """Commits that went through though somebody else, or nobody, owned the partition."""
    stale: list[tuple[int, Record]] = []
    for partition, of_partition in account.audit.items():
        hold = Hold()
        for record in of_partition:
            if isinstance(record, Committed) and hold.owner != (record.member, record.epoch):
                stale.append((partition, record))
            _follow(hold, record)
    return stale


def epochs_rise(account: Account) -> None:
    """INV-2: every new owner has an epoch above all that were before."""
    for partition, of_partition in account.audit.items():
        hold = Hold()
        for record in of_partition:
            if isinstance(record, Claimed) and hold.owner != (record.member, record.epoch):
                _demand("INV-2 epochs rise", record.epoch > hold.epoch, partition, record, hold)
            _follow(hold, record)


def nothing_unsettled_is_trimmed(account: Account) -> None:
    """P4, INV-9: whatever was trimmed had been stored as settled before."""
    for partition, of_partition in account.audit.items():
        settled = 0
        for record in of_partition:
            match record:
                case Claimed():
                    settled = max(settled, record.stored.read)
                case Committed() | Released():
                    settled = max(settled, record.progress.read)
                case _:
                    pass
            _demand("INV-9 nothing unsettled is trimmed", record.dropped <= settled, partition, record, settled)


def answers_are_by_the_law(account: Account) -> None:
    """Every command was answered as the laws of the core answer it, in the order of the server."""
    _none("answers are by the law", list(disagreements(account.asked)))


def commits_are_monotone(account: Account) -> None:
    """INV-3: what is stored never goes back, and a new owner begins with what its predecessor stored."""
    for partition, of_partition in account.audit.items():
        hold = Hold()
        for record in of_partition:
            if isinstance(record, Claimed):
                behind = record.stored.read < hold.stored.read
                _demand("INV-3 a claim begins with what is stored", not behind, partition, record, hold)
            elif isinstance(record, Committed) and record.number > hold.number:
                back = record.progress.read < hold.stored.read
                _demand("INV-3 commits are monotone", not back, partition, record, hold)
            _follow(hold, record)


def _follow(hold: Hold, record: Record) -> None:
    match record:
        case Claimed():
            if hold.owner != (record.member, record.epoch):
                hold.number = 0
            hold.owner, hold.epoch, hold.stored = (record.member, record.epoch), record.epoch, record.stored
        case Committed() if record.number > hold.number:
            hold.number, hold.stored = record.number, record.progress
        case Released():
            hold.owner, hold.number = None, 0
        case _:
            pass


def progress_is_what_handlers_settled(account: Account) -> None:
    """INV-4: whatever a commit counts as settled was done by a handler."""
    done = {(it.partition, it.id) for it in account.handled if it.done_ns is not None}
    settled: dict[int, set[int]] = defaultdict(set)
    for (partition, entry_id), ordinal in _ordinals(account).items():
        if (partition, entry_id) in done:
            settled[partition].add(ordinal)
    for partition, of_partition in account.audit.items():
        unbroken = 0  # everything below was done
        for record in of_partition:
            if isinstance(record, Committed | Released):
                while unbroken < record.progress.read and unbroken in settled[partition]:
                    unbroken += 1
                claimed = [n for start, end in record.progress.ranges for n in range(start, end)]
                lacking = [n for n in claimed if n not in settled[partition]]
                _demand("INV-4 what counts is settled", unbroken >= record.progress.read, partition, record)
                _demand("INV-4 what counts is settled", not lacking, partition, record, lacking[:3])


# --- in the end -----------------------------------------------------------------------------------------------------


def everything_comes_to_rest(account: Account) -> None:
    """P8: after the last fault every partition is owned in time, and everything is settled in time."""
    owned, drained = account.owned_s, account.drained_s
    _demand("P8 all partitions are owned in time", owned is not None and owned <= OWNED_S, owned)
    _demand("P8 everything is settled in time", drained is not None and drained <= DRAINED_S, drained)


def processes_end_as_they_should(account: Account) -> None:
    """No worker and no producer ended but because it was killed, or asked to."""
    _none("processes end as they should", [ending for ending in account.endings if not ending.as_it_should])


CHECKS: tuple[Check, ...] = (
    nothing_is_lost,
    nothing_acknowledged_is_missing,
    logs_are_what_the_audit_says,
    nothing_is_made_up,
    nothing_is_doubled,
    logs_keep_the_order_of_sending,
    keys_are_in_order,
    repetition_is_bounded,
    owners_that_hand_over_are_done,
    nothing_starts_after_the_lease,
    only_the_owner_commits,
    epochs_rise,
    commits_are_monotone,
    nothing_unsettled_is_trimmed,
    answers_are_by_the_law,
    progress_is_what_handlers_settled,
    everything_comes_to_rest,
    processes_end_as_they_should,
)
