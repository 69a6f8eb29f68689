"""The checks of accounts fail where a promise is broken: each on a true account with one thing made wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from segmenter.core import partition as law
from segmenter.core import retention
from segmenter.core.command import PartitionSlot
from segmenter.core.creation import Created, CreateLane, CreatePartition
from segmenter.core.invariants import Violation
from segmenter.core.log import Record as Message
from segmenter.core.partition import Progress, Release
from tests.audit.records import Appended, Claimed, Committed, Record, Released
from tests.audit.replay import Asked, Ends
from tests.chaos import checks as c
from tests.chaos.account import Account, Entry, Handling
from tests.chaos.crew import Ending
from tests.chaos.notes import Beaten, Sent

SLOT = PartitionSlot("orders", 0)
# Two messages of one key and one of another in partition 0; worker a settles one, and b, which takes over, the rest.
LOG = (Entry("1-0", "k", 0), Entry("1-1", "k", 1), Entry("1-2", "j", 0))
FIRST = Progress(b"1-0", 1)
ALL = Progress(b"1-2", 3)
AUDIT: tuple[Record, ...] = (
    Claimed(10, "a", 1, Progress()),
    Appended(20, tuple((entry.id, entry.key, entry.number) for entry in LOG)),
    Committed(30, "a", 1, 1, FIRST),
    Committed(31, "a", 1, 1, FIRST),  # once more, late
    Claimed(40, "b", 2, FIRST),
    Committed(50, "b", 2, 1, ALL),
    Released(60, "b", 2, 2, ALL, ""),
)
HANDLED = (
    Handling("worker-1", "k", 0, 0, 1, "1-0", 100, 110, refused=False),
    Handling("worker-1", "k", 1, 0, 1, "1-1", 120, None, refused=False),
    Handling("worker-2", "k", 1, 0, 2, "1-1", 200, 210, refused=False),
    Handling("worker-2", "j", 0, 0, 2, "1-2", 205, 220, refused=False),
)
ASKED = (
    Asked(CreatePartition(SLOT, "born"), Created(), 6_000),
    Asked(CreateLane(SLOT, "g", b"earliest"), Created(), 6_001),
    Asked(
        retention.Append(SLOT, "p", 1, 1, [Message(b"k", b"0")], 9),
        retention.Appended(b"7-0", b"7-0"),
        7_010,
        ends=Ends(1, 1, (7, 0)),
    ),
    Asked(Release(SLOT, "g", "a", 0), law.Released(7_020), 7_030),
)
TRUE = Account(
    tried=frozenset((entry.key, entry.number) for entry in LOG),
    sent=tuple(Sent(entry.key, entry.number, 0, entry.id) for entry in LOG),
    handled=HANDLED,
    audit={0: AUDIT},
    standing={0: LOG[1:]},
    members={"worker-1": ["a"], "worker-2": ["b"]},
    asked=ASKED,
    beats=(Beaten(80, 90, "a"), Beaten(180, 190, "b")),
    endings=(Ending("worker-1", "killed", -9, "", 35), Ending("worker-2", "asked", 0, "", 0)),
    owned_s=0.1,
    drained_s=0.2,
)


def audited(*records: Record) -> Account:
    return evolve(TRUE, audit={0: records})


def appended(*entries: Entry) -> Account:
    batch = Appended(20, tuple((entry.id, entry.key, entry.number) for entry in entries))
    return audited(AUDIT[0], batch, *AUDIT[2:])


def handled(index: int, **changes: Any) -> Account:
    changed = [*HANDLED[:index], evolve(HANDLED[index], **changes), *HANDLED[index + 1 :]]
    return evolve(TRUE, handled=tuple(sorted(changed, key=lambda it: it.started_ns)))


def inserted(index: int, record: Record) -> Account:
    return audited(*AUDIT[:index], record, *AUDIT[index:])


def replaced(index: int, record: Record) -> Account:
    return audited(*AUDIT[:index], record, *AUDIT[index + 1 :])


Check = Callable[[Account], None]
BROKEN: Sequence[tuple[Check, str, Account]] = [
    (c.nothing_is_lost, "nobody finished it", handled(3, done_ns=None)),
    (c.nothing_acknowledged_is_missing, "it is nowhere", appended(*LOG[:2])),
    (c.nothing_acknowledged_is_missing, "it has another id", appended(*LOG[:2], evolve(LOG[2], id="1-3"))),
    (c.logs_are_what_the_audit_says, "its end is gone", evolve(TRUE, standing={0: LOG[:2]})),
    (
        c.logs_are_what_the_audit_says,
        "a stranger stands in it",
        evolve(TRUE, standing={0: (*LOG, Entry("2-0", "x", 0))}),
    ),
    (c.nothing_is_made_up, "nobody sent it", evolve(TRUE, tried=frozenset({("k", 0), ("k", 1)}))),
    (c.nothing_is_made_up, "it was handed out under another id", handled(0, id="9-9")),
    (c.nothing_is_doubled, "a send stands there twice", appended(*LOG, Entry("1-3", "j", 0))),
    (
        c.logs_keep_the_order_of_sending,
        "two sends changed places",
        appended(*[evolve(LOG[0], number=1), evolve(LOG[1], number=0)]),
    ),
    (c.keys_are_in_order, "one overtook the one before it", handled(1, started_ns=90)),
    (c.keys_are_in_order, "one started before the one before it was done", handled(1, started_ns=105)),
    (c.repetition_is_bounded, "one epoch handed it out twice", handled(2, epoch=1)),
    (c.repetition_is_bounded, "what was stored came again", handled(1, id="1-0", number=0, epoch=2)),
    (c.repetition_is_bounded, "nobody granted that epoch", handled(0, epoch=7)),
    (
        c.owners_that_hand_over_are_done,
        "the next one began before",
        evolve(handled(2, started_ns=105), audit={0: (*AUDIT[:4], Released(35, "a", 1, 2, FIRST, ""), *AUDIT[4:])}),
    ),
    (c.nothing_starts_after_the_lease, "its lease had ended", evolve(TRUE, beats=(Beaten(80 - c.LEASE_NS, 90, "a"),))),
    (c.nothing_starts_after_the_lease, "the answer came later", evolve(TRUE, beats=(Beaten(80, 300, "a"),))),
    (c.nothing_unsettled_is_trimmed, "it was to come", replaced(2, Committed(30, "a", 1, 1, FIRST, dropped=2))),
    (c.nothing_unsettled_is_trimmed, "nobody had begun", replaced(1, evolve(AUDIT[1], dropped=1))),
    (c.answers_are_by_the_law, "the law refuses it", evolve(TRUE, asked=ASKED[2:])),
    (
        c.answers_are_by_the_law,
        "an epoch fell",
        evolve(TRUE, asked=(*ASKED, evolve(ASKED[3], reply=law.Fenced("m", 7)))),
    ),
    (c.only_the_owner_commits, "a former owner", inserted(6, Committed(55, "a", 1, 9, FIRST))),
    (c.only_the_owner_commits, "a former epoch of the owner", inserted(6, Committed(55, "b", 1, 9, ALL))),
    (c.only_the_owner_commits, "after it was released", inserted(7, Committed(65, "b", 2, 9, ALL))),
    (c.only_the_owner_commits, "before it was claimed", inserted(0, Committed(5, "a", 1, 9, FIRST))),
    (c.epochs_rise, "an epoch came again", replaced(4, Claimed(40, "b", 1, FIRST))),
    (c.commits_are_monotone, "a commit went back", inserted(6, Committed(55, "b", 2, 2, FIRST))),
    (c.commits_are_monotone, "a claim began too early", replaced(4, Claimed(40, "b", 2, Progress()))),
    (
        c.progress_is_what_handlers_settled,
        "nobody did the last",
        replaced(2, Committed(30, "a", 1, 1, evolve(ALL, read=4))),
    ),
    (c.progress_is_what_handlers_settled, "nobody did it", handled(3, done_ns=None)),
    (
        c.progress_is_what_handlers_settled,
        "nobody did what is counted out of order",
        replaced(2, Committed(30, "a", 1, 1, evolve(FIRST, ranges=((2, 4),)))),
    ),
    (c.everything_comes_to_rest, "not owned", evolve(TRUE, owned_s=None)),
    (c.everything_comes_to_rest, "owned too late", evolve(TRUE, owned_s=c.OWNED_S + 1)),
    (c.everything_comes_to_rest, "not settled", evolve(TRUE, drained_s=None)),
    (c.processes_end_as_they_should, "one died", evolve(TRUE, endings=(Ending("worker-1", "itself", 1, "", 0),))),
    (
        c.processes_end_as_they_should,
        "one failed to leave",
        evolve(TRUE, endings=(Ending("worker-1", "asked", 1, "", 0),)),
    ),
]


def test_a_true_account_passes_every_check() -> None:
    assert c.broken(TRUE) == []


@pytest.mark.parametrize(
    ("check", "account"),
    [(check, account) for check, _, account in BROKEN],
    ids=[f"{check.__name__}: {why}" for check, why, _ in BROKEN],
)
def test_a_check_fails_where_its_promise_is_broken(check: Check, account: Account) -> None:
    with pytest.raises(Violation):
        check(account)


def test_every_check_is_seen_failing() -> None:
    assert {check for check, _, _ in BROKEN} == set(c.CHECKS)


def test_what_is_broken_is_told_by_the_number_of_its_promise() -> None:
    (told,) = c.broken(handled(1, started_ns=105))
    assert told.startswith("INV-6 keys are in order")
