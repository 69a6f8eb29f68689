"""The law of a partition, check by check, in the order of the checks."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from segmenter.core.command import Command, Gone, PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.log import Record
from segmenter.core.partition import (
    Behind,
    Changed,
    Claim,
    Claimed,
    Commit,
    Committed,
    Fenced,
    Held,
    PartitionState,
    Probe,
    Probed,
    Progress,
    Release,
    Released,
    RolledBack,
    Truncated,
)
from segmenter.core.retention import (
    Append,
    Appended,
    Duplicate,
    Full,
    Moved,
    OutOfSequence,
    Sealed,
    Superseded,
    Trim,
    Trimmed,
    UnknownProducer,
)

SLOT = PartitionSlot("s", 0)
G = "g"


class Partition:
    """A partition with four messages, and a clock that ticks with each command."""

    def __init__(self) -> None:
        self.state: PartitionState | None = None
        self.now_us = 10**15
        self.do(CreatePartition(SLOT, "i"))
        self.do(CreateLane(SLOT, G, b"earliest"))
        self.append(1, 4)

    def do(self, command: Command[Any, Any]) -> Any:
        self.now_us += 1_000
        self.state, reply = command.apply(self.state, self.now_us)
        return reply

    def append(self, first: int, count: int = 1, *, epoch: int = 1, capacity: int = 100, **more: Any) -> Any:
        records = tuple(Record(b"k", b"%d" % (first + index)) for index in range(count))
        return self.do(Append(SLOT, "p", epoch, first, records, capacity, **more))

    def claim(self, member: str = "a", **more: Any) -> Any:
        fields = {"generation": 5, "if_epoch": self.lane.epoch, "claim": f"c{self.now_us}", **more}
        return self.do(Claim(SLOT, G, member, **fields))

    def commit(self, number: int, read: int, member: str = "a", epoch: int | None = None) -> Any:
        progress = Progress(self.offset(read), read)
        return self.do(Commit(SLOT, G, member, self.lane.epoch if epoch is None else epoch, number, progress))

    def offset(self, read: int) -> bytes:
        assert self.state is not None
        first = self.state.log.first_ordinal
        return self.state.log.entries[read - 1 - first][0] if read > first else b"0-0"

    @property
    def lane(self) -> Any:
        assert self.state is not None
        return self.state.lanes[G]


# --- claim ----------------------------------------------------------------------------------------------------------


def test_a_claim_creates_nothing() -> None:
    """A key that was evicted must not come back as an empty lane with a low epoch."""
    empty = Claim(SLOT, G, "a", 1, 0, "c").apply(None, 1)
    assert empty == (None, Gone())
    partition = Partition()
    before = partition.state
    assert partition.do(Claim(SLOT, "other", "a", 1, 0, "c")) == Gone()
    assert partition.state == before


def test_the_same_claim_gets_the_same_answer_whatever_has_become_of_its_generation() -> None:
    partition = Partition()
    granted = partition.claim(claim="c1", if_epoch=0)
    assert isinstance(granted, Claimed)
    assert partition.claim(claim="c1", if_epoch=0, generation=1) == granted


def test_an_old_document_is_told_so_before_anything_else() -> None:
    """Even to the owner itself: an older document may not be acted upon."""
    partition = Partition()
    partition.claim(generation=9)
    assert partition.claim(generation=8, if_epoch=0) == Behind(9)


def test_a_claim_names_the_epoch_it_is_based_on() -> None:
    partition = Partition()
    epoch = partition.claim().epoch
    assert partition.claim("b", if_epoch=0) == Changed("a", epoch)


def test_a_live_owner_is_not_replaced_and_one_that_is_gone_is() -> None:
    partition = Partition()
    epoch = partition.claim().epoch
    assert partition.claim("b") == Held("a", epoch)
    assert partition.claim("b", evict="c") == Held("a", epoch)
    assert partition.claim("b", evict="a").epoch > epoch


def test_epochs_rise_above_the_stored_one_the_clock_and_the_floor() -> None:
    partition = Partition()
    first = partition.claim().epoch
    assert first == partition.now_us
    partition.now_us = 0  # the server's clock jumped back
    assert partition.claim().epoch == first + 1
    assert partition.claim(floor=2 * first).epoch == 2 * first + 1


# --- commit ---------------------------------------------------------------------------------------------------------


def test_a_commit_needs_exactly_the_owner_and_the_epoch() -> None:
    """Higher is not better: after a rollback, an epoch above the stored one belongs to a time that never was."""
    partition = Partition()
    epoch = partition.claim().epoch
    for member, wrong in (("b", epoch), ("a", epoch - 1), ("a", epoch + 1)):
        assert partition.commit(1, 1, member, wrong) == Fenced("a", epoch)
    assert partition.lane.progress == Progress()
    assert partition.commit(1, 1) == Committed()
    assert partition.lane.progress.read == 1


def test_a_fenced_commit_leaves_nothing_behind() -> None:
    """Not even what was finished out of order: the next owner would pass over what it has not handled."""
    partition = Partition()
    epoch = partition.claim().epoch
    before = partition.state
    ahead = Progress(partition.offset(1), 1, ((2, 3),), ((1, 2),))
    assert partition.do(Commit(SLOT, G, "a", epoch - 1, 1, ahead)) == Fenced("a", epoch)
    assert partition.state == before


def test_a_commit_after_a_change_of_history_is_not_taken_even_if_its_number_is_known() -> None:
    """Its messages may have been lost and replaced by others."""
    partition = Partition()
    partition.claim()
    partition.commit(1, 1)
    assert partition.state is not None
    partition.state = evolve(partition.state, history="after a failover")
    assert partition.commit(1, 1) == RolledBack()
    assert partition.commit(2, 2) == RolledBack()
    assert partition.lane.progress.read == 1
    probed = partition.do(Probe(SLOT, G))
    assert isinstance(probed, Probed)
    assert not probed.intact


def test_a_number_that_is_known_or_lower_changes_nothing() -> None:
    """A commit that was delayed on its way must not take progress back."""
    partition = Partition()
    partition.claim()
    partition.commit(1, 1)
    partition.commit(2, 3)
    for number in (2, 1):
        assert partition.commit(number, 2) == Committed()
        assert partition.lane.progress.read == 3


def test_progress_beyond_the_end_of_the_log_is_refused() -> None:
    """It would see nothing, silently, until the clock of the server passes it."""
    partition = Partition()
    epoch = partition.claim().epoch
    beyond = Commit(SLOT, G, "a", epoch, 1, Progress(b"%d-0" % 10**15, 9))
    assert partition.do(beyond) == Truncated(partition.offset(4))
    assert partition.lane.progress == Progress()


# --- release --------------------------------------------------------------------------------------------------------


def test_a_release_stores_the_last_progress_and_frees_the_partition() -> None:
    partition = Partition()
    epoch = partition.claim().epoch
    reply = partition.do(Release(SLOT, G, "a", epoch, 1, Progress(partition.offset(2), 2, ((3, 4),))))
    assert isinstance(reply, Released)
    assert (partition.lane.owner, partition.lane.progress.read, partition.lane.progress.ranges) == (None, 2, ((3, 4),))
    assert partition.commit(2, 3, epoch=epoch) == Fenced(None, reply.epoch)


def test_a_claim_that_was_given_up_cannot_succeed_later() -> None:
    partition = Partition()
    late = Claim(SLOT, G, "a", 5, partition.lane.epoch, "late")
    given_up = partition.do(Release(SLOT, G, "a", partition.lane.epoch))
    assert isinstance(given_up, Released)
    assert partition.do(late) == Changed(None, given_up.epoch)


def test_nobody_releases_what_another_owns() -> None:
    partition = Partition()
    epoch = partition.claim().epoch
    assert partition.do(Release(SLOT, G, "b", epoch)) == Fenced("a", epoch)
    assert isinstance(partition.do(Release(SLOT, G, "b", epoch, evict="a")), Released)


def test_a_release_in_place_of_another_stores_nothing() -> None:
    """Whoever evicts an owner speaks for the partition, not for what the owner has settled."""
    partition = Partition()
    epoch = partition.claim().epoch
    partition.do(Release(SLOT, G, "b", epoch, 1, Progress(partition.offset(2), 2), evict="a"))
    assert (partition.lane.owner, partition.lane.progress) == (None, Progress())


def test_a_release_frees_even_where_its_progress_is_refused() -> None:
    partition = Partition()
    epoch = partition.claim().epoch
    assert partition.state is not None
    partition.state = evolve(partition.state, history="new")
    assert isinstance(partition.do(Release(SLOT, G, "a", epoch, 1, Progress(partition.offset(2), 2))), Released)
    assert (partition.lane.owner, partition.lane.progress) == (None, Progress())


def test_a_release_may_move_the_group_and_forgets_what_was_finished_out_of_order() -> None:
    partition = Partition()
    epoch = partition.claim().epoch
    ahead = Progress(partition.offset(1), 1, ((2, 3),), ((1, 2),))
    partition.do(Release(SLOT, G, "a", epoch, 1, ahead, start=b"latest"))
    assert partition.lane.progress == Progress(partition.offset(4), 4)
    partition.do(Release(SLOT, G, "a", partition.lane.epoch, start=partition.offset(2)))
    assert partition.lane.progress == Progress(partition.offset(2), 2)


# --- append ---------------------------------------------------------------------------------------------------------


def test_a_repeated_batch_is_recognised_before_anything_else() -> None:
    """Also where the partition has been sealed or filled meanwhile: it stands there already."""
    partition = Partition()
    first = partition.append(5, 2)
    assert partition.state is not None
    partition.state = evolve(partition.state, sealed=1, layout=1)
    assert partition.append(5, 2, capacity=1) == Duplicate(first.first, first.last)
    assert partition.append(7) == Moved(1)
    assert partition.append(7, layout=1) == Sealed(1)


def test_a_sequence_goes_on_by_one_within_an_epoch() -> None:
    partition = Partition()
    assert partition.append(6) == OutOfSequence(4)
    assert partition.append(4) == OutOfSequence(4)
    assert isinstance(partition.append(5), Appended)
    assert partition.append(2, epoch=2) == OutOfSequence(0)
    assert isinstance(partition.append(1, epoch=2), Appended)
    assert partition.append(6) == Superseded(2)
    stranger = Append(SLOT, "q", 1, 3, (Record(b"k", b""),), 100)
    assert partition.do(stranger) == UnknownProducer()


def test_a_batch_is_contiguous_and_ids_rise_even_if_the_clock_goes_back() -> None:
    partition = Partition()
    partition.now_us = 0
    appended = partition.append(5, 3)
    ms, seq = appended.first.split(b"-")
    assert appended.last == b"%s-%d" % (ms, int(seq) + 2)
    assert appended.first > partition.offset(4)


def test_a_full_partition_trims_what_all_have_settled_and_names_the_slowest() -> None:
    partition = Partition()
    partition.do(CreateLane(SLOT, "slow", b"earliest"))
    partition.claim()
    partition.commit(1, 3)
    assert partition.append(5, capacity=4) == Full("slow", 4)
    assert partition.append(5, capacity=4, overflow="drop_oldest").first
    assert partition.state is not None
    assert partition.state.log.first_ordinal == 1
    assert partition.do(Trim(SLOT)) == Trimmed(0)


def test_without_a_group_a_full_partition_keeps_everything() -> None:
    state, _ = CreatePartition(SLOT, "i").apply(None, 1)
    state, _ = Append(SLOT, "p", 1, 1, (Record(b"k", b""),) * 2, 2).apply(state, 2)
    state, reply = Append(SLOT, "p", 1, 3, (Record(b"k", b""),), 2).apply(state, 3)
    assert reply == Full(None, 2)
    assert Trim(SLOT).apply(state, 4)[1] == Trimmed(0)


def test_what_is_not_there_is_never_created_by_use() -> None:
    for command in (
        Append(SLOT, "p", 1, 1, (Record(b"k", b""),), 9),
        Commit(SLOT, G, "a", 1, 1, Progress()),
        Release(SLOT, G, "a", 1),
        Probe(SLOT, G),
        Trim(SLOT),
        CreateLane(SLOT, G, b"latest"),
    ):
        assert command.apply(None, 1) == (None, Gone())
