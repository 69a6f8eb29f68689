"""The law of settling here and sending there, by example."""

from __future__ import annotations

from attrs import evolve

from segmenter.core.command import Crossing, Gone, PartitionSlot
from segmenter.core.forward import Forward, Forwarded, ForwardReply, Pair
from segmenter.core.log import Log, Record, in_columns
from segmenter.core.partition import Commit, Fenced, Lane, PartitionState, Progress, RolledBack, Truncated
from segmenter.core.retention import Full, Moved, Sealed

HERE, THERE = PartitionSlot("orders", 0), PartitionSlot("bills", 1)
LOG = Log().append([(b"k", b"a", b"d", b"1")] * 2, 1_000)
OWNED = Lane(Progress(), owner="m", epoch=5, number=1)
PAIR: Pair = (PartitionState("i", log=LOG, lanes={"g": OWNED}), PartitionState("j"))


def forward(
    pair: Pair, *, number: int = 2, epoch: int = 5, capacity: int = 10, layout: int = 0
) -> tuple[Pair, ForwardReply]:
    commit = Commit(HERE, "g", "m", epoch, number, Progress(LOG.entries[0][0], 1))
    records = in_columns([Record(b"k", b"bill")])
    after, reply = Forward(Crossing(HERE, THERE), commit, records, capacity, layout).apply(pair, 2_000)
    assert after is not None
    return after, reply


def test_it_is_settled_here_and_stands_there() -> None:
    (here, there), reply = forward(PAIR)
    assert reply == Forwarded()
    assert here is not None
    assert there is not None
    assert here.lanes["g"].progress.read == 1
    assert [entry[1] for entry in there.log.entries] == [(b"k", b"k", b"d", b"bill")]


def test_a_repeated_forward_sends_nothing_more() -> None:
    once, _ = forward(PAIR)
    assert forward(once) == (once, Forwarded())


def test_a_former_owner_forwards_nothing() -> None:
    assert forward(PAIR, epoch=4) == (PAIR, Fenced("m", 5))


def test_what_is_refused_there_settles_nothing_here() -> None:
    assert forward(PAIR, capacity=0) == (PAIR, Full(None, 0))
    assert forward(PAIR, layout=1) == (PAIR, Moved(0))
    assert PAIR[1] is not None
    sealed: Pair = (PAIR[0], evolve(PAIR[1], sealed=1))
    assert forward(sealed) == (sealed, Sealed(1))
    gone: Pair = (PAIR[0], None)
    assert forward(gone) == (gone, Gone())


def test_what_is_refused_here_sends_nothing_there() -> None:
    assert PAIR[0] is not None
    anew: Pair = (evolve(PAIR[0], history="anew"), PAIR[1])
    assert forward(anew) == (anew, RolledBack())
    cut: Pair = (evolve(PAIR[0], log=Log()), PAIR[1])
    assert forward(cut) == (cut, Truncated(b"0-0"))


def test_both_may_be_one_partition() -> None:
    commit = Commit(HERE, "g", "m", 5, 2, Progress(LOG.entries[1][0], 2))
    command = Forward(Crossing(HERE, HERE), commit, in_columns([Record(b"k", b"again")]), 10)
    after, reply = command.apply((PAIR[0], PAIR[0]), 2_000)
    assert (reply, after is not None and after[0] is after[1]) == (Forwarded(), True)
    assert after is not None
    assert after[0] is not None
    assert (after[0].log.added, after[0].lanes["g"].progress.read) == (3, 2)
