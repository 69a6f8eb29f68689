"""The machine by example: two members over the same slots, from joining to every way of losing a partition."""

from __future__ import annotations

from attrs import evolve

from segmenter.core import signals as sig
from segmenter.core.command import PartitionSlot
from segmenter.core.creation import DropLane
from segmenter.core.events import Changed as Announced
from segmenter.core.events import Freed, Wanted
from segmenter.core.group import (
    Announce,
    GroupConflict,
    Joined,
    LoadGroup,
    Paused,
    ProcessInfo,
    SessionChanged,
    StillAlive,
    UpdateGroup,
)
from segmenter.core.observations import Admitted, Departed, Granted, HandedBack, Lost, Missing
from segmenter.core.partition import Behind, Changed, Claim, Commit, Fenced, Lane, Progress, Release
from segmenter.core.transitions import Standing, State
from tests.core.cluster import DELAY_S, GROUP, SESSION_S, Cluster, Slots

BEAT_S = SESSION_S / 5


def assert_at_rest(cluster: Cluster) -> None:
    """Everyone owns what the document means for it, and nothing is under way."""
    document = cluster.slots.document
    assert document.balanced
    for name in document.members:
        assert cluster.owned(name) == document.assigned_to(name)
    assert cluster.wire == []


# --- joining and leaving ---


def test_the_first_member_owns_everything_at_once() -> None:
    cluster = Cluster(Slots(2))
    cluster.join("a")
    assert cluster.owned("a") == {0, 1}
    assert Admitted("a") in cluster.seen
    assert_at_rest(cluster)


def test_the_second_member_gets_its_share_when_membership_has_been_quiet() -> None:
    cluster = Cluster.of(2, "a")
    cluster.join("b")
    assert (cluster.owned("a"), cluster.owned("b")) == ({0, 1}, set())
    cluster.run(2 * DELAY_S)
    assert (len(cluster.owned("a")), len(cluster.owned("b"))) == (1, 1)
    assert_at_rest(cluster)


def test_two_members_joining_together_lose_no_partition_and_no_time() -> None:
    """Both write the first document; the loser of the race tries again after a random moment."""
    cluster = Cluster(Slots(2))
    cluster.cut |= {"a", "b"}
    cluster.join("a")
    cluster.join("b")
    first, second = cluster.wire
    cluster.answer(first)
    assert isinstance(cluster.answer(second), GroupConflict)
    retry_at = cluster.members["b"].retry_at
    assert retry_at is not None
    assert cluster.now < retry_at <= cluster.now + 0.05
    assert cluster.requests("b", UpdateGroup) == []
    cluster.cut.clear()
    cluster.run(3 * DELAY_S)
    assert_at_rest(cluster)


def test_a_partition_is_handed_over_when_its_handler_has_ended_and_not_before() -> None:
    """Otherwise two handlers of one key run side by side."""
    cluster = Cluster.of(2, "a")
    cluster.busy = {("a", 0), ("a", 1)}
    cluster.join("b")
    cluster.run(2 * DELAY_S)
    (moving,) = cluster.slots.document.assigned_to("b")
    assert cluster.hold("a", moving).state is State.DRAINING
    assert cluster.hold("b", moving).state is State.WAITING
    assert cluster.hold("a", 1 - moving).state is State.OWNED
    cluster.run(3 * SESSION_S)
    assert cluster.owned("b") == set()
    cluster.finish("a", moving)
    assert cluster.owned("b") == {moving}  # at once: it heard that the partition was freed
    assert HandedBack("a", moving, cluster.first_epoch("a", moving)) in cluster.seen


def test_a_missed_announcement_delays_a_hand_off_by_a_beat_only() -> None:
    cluster = Cluster.of(2, "a")
    cluster.busy = {("a", 0), ("a", 1)}
    cluster.join("b")
    cluster.run(2 * DELAY_S)
    (moving,) = cluster.slots.document.assigned_to("b")
    cluster.cut = {"a"}
    cluster.finish("a", moving)
    cluster.execute(cluster.requests("a", Release)[0])  # the reply stays away, and so does the announcement
    assert cluster.hold("b", moving).state is State.WAITING
    cluster.run(BEAT_S)
    assert cluster.hold("b", moving).state is State.OWNED


def test_the_last_progress_travels_with_the_release() -> None:
    cluster = Cluster.of(2, "a")
    cluster.busy = {("a", 0), ("a", 1)}
    cluster.slots.append(0)
    cluster.slots.append(1)
    cluster.join("b")
    cluster.run(2 * DELAY_S)
    (moving,) = cluster.slots.document.assigned_to("b")
    end = cluster.slots.partition(moving).log.entries[0][0]
    cluster.finish("a", moving, progress=Progress(end, 1))
    assert cluster.slots.lane(moving).progress == Progress(end, 1)
    assert cluster.slots.lane(moving).owner == "b"


def test_a_leaving_member_hands_everything_over_and_departs() -> None:
    cluster = Cluster.of(2, "a", "b")
    cluster.tell("a", sig.Leave())
    cluster.settle()
    assert Departed("a", "left") in cluster.seen
    assert cluster.members["a"].standing is Standing.OUTSIDE
    assert cluster.slots.document.gone == {"a": "left"}
    assert cluster.owned("b") == {0, 1}
    assert_at_rest(cluster)


def test_a_leaving_member_stays_a_member_until_its_last_handler_has_ended() -> None:
    cluster = Cluster.of(2, "a", "b")
    (mine,) = cluster.owned("a")
    cluster.busy = {("a", mine)}
    cluster.tell("a", sig.Leave())
    cluster.run(2 * SESSION_S)
    assert cluster.slots.document.members["a"].leaving
    assert cluster.owned("b") == {1 - mine}
    cluster.finish("a", mine)
    assert cluster.owned("b") == {0, 1}
    assert "a" not in cluster.slots.document.members


def test_whoever_leaves_before_it_was_admitted_leaves_all_the_same() -> None:
    """The write that admits it may already be under way."""
    cluster = Cluster.of(2, "b")
    cluster.cut = {"a"}
    cluster.join("a")
    cluster.tell("a", sig.Leave())
    cluster.cut.clear()
    cluster.run(SESSION_S)
    assert Departed("a", "left") in cluster.seen
    assert_at_rest(cluster)


def test_whoever_leaves_after_losing_the_race_to_join_has_left_and_was_not_expelled() -> None:
    cluster = Cluster(Slots(2))
    cluster.cut = {"a"}
    cluster.join("a")
    cluster.join("b")
    cluster.tell("a", sig.Leave())
    cluster.cut.clear()
    cluster.run(SESSION_S)
    assert Departed("a", "left") in cluster.seen
    assert_at_rest(cluster)


# --- death ---


def test_a_crashed_member_is_expired_after_a_session_and_its_partition_taken_over() -> None:
    cluster = Cluster.of(2, "a", "b")
    cluster.run(SESSION_S)
    (orphaned,) = cluster.owned("a")
    cluster.crash("a")
    cluster.run(SESSION_S - 2 * BEAT_S)
    assert cluster.owned("b") == {1 - orphaned}
    cluster.run(4 * BEAT_S)
    assert cluster.slots.document.gone == {"a": "expired"}
    assert cluster.owned("b") == {0, 1}
    assert Granted("b", orphaned, cluster.slots.lane(orphaned).epoch, "a") in cluster.seen


def test_a_member_whose_lease_is_over_drops_everything_before_another_can_have_it() -> None:
    cluster = Cluster.of(2, "a", "b")
    cluster.run(SESSION_S)
    cluster.cut = {"a"}
    cluster.run(SESSION_S - 0.05)
    assert Departed("a", "expelled") in cluster.seen
    assert cluster.members["a"].idle
    assert len(cluster.owned("b")) == 1  # not yet
    cluster.run(3 * BEAT_S)
    assert cluster.owned("b") == {0, 1}


def test_a_paused_member_that_wakes_after_its_lease_touches_nothing() -> None:
    cluster = Cluster.of(2, "a", "b")
    cluster.run(SESSION_S)
    (lost,) = cluster.owned("a")
    cluster.asleep = {"a"}
    cluster.run(2 * SESSION_S)
    assert cluster.slots.lane(lost).owner == "b"
    cluster.wake("a")
    assert any(isinstance(seen, Lost) and seen.member == "a" for seen in cluster.seen)
    assert cluster.seen[-1] == Departed("a", "expelled")
    assert cluster.owned("b") == {0, 1}


def test_a_commit_of_a_former_owner_is_fenced() -> None:
    cluster = Cluster.of(2, "a", "b")
    cluster.run(SESSION_S)
    (lost,) = cluster.owned("a")
    late = Commit(PartitionSlot("orders", lost), "g", "a", cluster.hold("a", lost).epoch, 1, Progress())
    cluster.crash("a")
    cluster.run(2 * SESSION_S)
    assert cluster.slots.ask(late) == Fenced("b", cluster.slots.lane(lost).epoch)


def test_a_refused_beat_expels_at_once() -> None:
    cluster = Cluster.of(2, "a", "b")
    document = evolve(cluster.slots.document, members={}, gone={"a": "expired"}, generation=10**9)
    cluster.tell("a", sig.Excluded(document))
    assert cluster.seen[-1] == Departed("a", "expelled")
    assert cluster.owned("a") == set()


def test_a_member_that_was_only_slow_is_not_expired() -> None:
    """Its beat arrived between the evidence and the write."""
    cluster = Cluster.of(2, "a", "b")
    cluster.run(SESSION_S)
    below = cluster.slots.group.scores["b"]
    cluster.cut = {"a"}
    cluster.tell("a", sig.Silent(("b",), below))
    cluster.beat("b", cluster.pulses["b"])
    (expiry,) = cluster.requests("a", UpdateGroup)
    assert cluster.answer(expiry) == StillAlive("b")
    assert cluster.wire == []
    cluster.cut.clear()
    cluster.run(SESSION_S)
    assert_at_rest(cluster)
    assert set(cluster.slots.document.members) == {"a", "b"}


def test_whoever_was_expired_before_it_heard_that_it_had_joined_does_not_come_back_under_its_name() -> None:
    """The document would list it as a member and as gone: anyone might evict it while it works."""
    cluster = Cluster.of(2, "b")
    cluster.run(2 * SESSION_S)
    cluster.cut = {"a"}
    cluster.join("a")
    (joining,) = cluster.requests("a", UpdateGroup)
    cluster.execute(joining, reply_lost=True)
    cluster.run(2 * SESSION_S)
    assert cluster.slots.document.gone == {"a": "expired"}
    cluster.cut.clear()
    cluster.run(SESSION_S)
    assert cluster.seen[-1] == Departed("a", "expelled")
    assert set(cluster.slots.document.members) == {"b"}


# --- seats ---


def test_a_newcomer_in_the_same_seat_gets_what_was_held_and_moves_nothing_else() -> None:
    cluster = Cluster.of(4, "b")
    cluster.join("a1", seat="worker-1")
    cluster.run(2 * DELAY_S)
    held, others = cluster.owned("a1"), cluster.owned("b")
    cluster.busy = {("a1", partition) for partition in held}
    cluster.join("a2", seat="worker-1")
    cluster.run(BEAT_S)
    assert cluster.members["a1"].standing is Standing.DISPLACED
    assert (cluster.owned("a1"), cluster.owned("a2"), cluster.owned("b")) == (held, set(), others)
    for partition in held:
        cluster.finish("a1", partition)
    assert cluster.seen.count(Departed("a1", "displaced")) == 1
    assert (cluster.owned("a2"), cluster.owned("b")) == (held, others)


def test_a_displaced_member_whose_handler_outlasts_its_lease_is_still_displaced() -> None:
    """As expelled it would join again, displacing the newcomer, and so on for ever."""
    cluster = Cluster(Slots(2))
    cluster.join("a1", seat="worker-1")
    cluster.busy = {("a1", 0), ("a1", 1)}
    cluster.join("a2", seat="worker-1")
    cluster.run(2 * SESSION_S + 2 * BEAT_S)
    assert [seen for seen in cluster.seen if isinstance(seen, Departed)] == [Departed("a1", "displaced")]
    assert cluster.owned("a2") == {0, 1}  # a session after it had met the stranger


def test_whoever_loses_its_seat_before_it_heard_that_it_had_joined_does_not_take_it_back() -> None:
    cluster = Cluster(Slots(2))
    cluster.cut = {"a1"}
    cluster.join("a1", seat="worker-1")
    cluster.execute(cluster.wire[0], reply_lost=True)
    cluster.join("a2", seat="worker-1")
    cluster.cut.clear()
    cluster.run(SESSION_S)
    assert Departed("a1", "displaced") in cluster.seen
    assert cluster.owned("a2") == {0, 1}


def test_an_immediate_take_over_does_not_wait_for_the_former_owner() -> None:
    cluster = Cluster(Slots(2))
    cluster.join("a1", seat="worker-1")
    cluster.crash("a1")
    cluster.join("a2", seat="worker-1", immediate=True)
    assert cluster.owned("a2") == {0, 1}


# --- claims that go wrong ---


def claiming(cluster: Cluster, name: str) -> int:
    """Bring a new member to where its claim of a partition that was given up is on the wire; return the partition."""
    cluster.busy = {(owner, p) for owner in cluster.members for p in cluster.owned(owner)}
    cluster.join(name)
    cluster.run(2 * DELAY_S)
    (partition,) = cluster.slots.document.assigned_to(name)
    cluster.cut = {name}
    (owner,) = {owner for owner, busy in cluster.busy if busy == partition}
    cluster.finish(owner, partition)
    cluster.tell(name, sig.Heard(cluster.freed()))
    assert cluster.hold(name, partition).state is State.CLAIMING
    return partition


def test_a_claim_whose_reply_was_lost_is_repeated_and_gets_the_same_answer() -> None:
    """A second epoch would fence what had been started under the first."""
    cluster = Cluster.of(2, "a")
    partition = claiming(cluster, "b")
    granted = cluster.execute(cluster.requests("b", Claim)[0], reply_lost=True)
    (repeated,) = cluster.requests("b", Claim)
    assert repeated.at > cluster.now
    assert cluster.answer(repeated) == granted
    assert cluster.hold("b", partition).epoch == granted.epoch
    assert cluster.owned("b") == {partition}


def test_a_claim_that_was_abandoned_and_then_granted_is_given_back() -> None:
    cluster = Cluster.of(2, "a")
    partition = claiming(cluster, "b")
    cluster.tell("b", sig.Leave())
    cluster.answer(cluster.requests("b", UpdateGroup)[0])
    assert cluster.hold("b", partition).state is State.ABANDONING
    cluster.cut.clear()
    cluster.settle()
    assert cluster.owned("a") == {0, 1}
    assert_at_rest(cluster)


def test_a_claim_that_was_abandoned_and_unanswered_cannot_succeed_later() -> None:
    """Otherwise a late request makes an owner of somebody who does not know it."""
    cluster = Cluster.of(2, "a")
    partition = claiming(cluster, "b")
    (claim,) = cluster.requests("b", Claim)
    cluster.tell("b", sig.Leave())
    cluster.answer(cluster.requests("b", UpdateGroup)[0])
    cluster.lose(claim)
    assert cluster.hold("b", partition).state is State.RELEASING
    cluster.answer(cluster.requests("b", Release)[0])
    assert isinstance(cluster.execute(claim), Changed)
    cluster.cut.clear()
    cluster.run(2 * BEAT_S)
    assert cluster.owned("a") == {0, 1}


def test_a_claim_that_overtakes_its_abandonment_is_released_all_the_same() -> None:
    cluster = Cluster.of(2, "a")
    partition = claiming(cluster, "b")
    (claim,) = cluster.requests("b", Claim)
    cluster.tell("b", sig.Leave())
    cluster.answer(cluster.requests("b", UpdateGroup)[0])
    cluster.lose(claim)
    cluster.execute(claim)  # late, but before the release
    assert cluster.slots.lane(partition).owner == "b"
    assert isinstance(cluster.answer(cluster.requests("b", Release)[0]), Fenced)
    assert cluster.hold("b", partition).state is State.RELEASING  # at once, before anybody wants it
    cluster.cut.clear()
    cluster.run(2 * BEAT_S)
    assert cluster.owned("a") == {0, 1}
    assert Departed("b", "left") in cluster.seen


def test_a_change_of_mind_takes_an_abandoned_claim_up_again() -> None:
    cluster = Cluster.of(2, "a")
    partition = claiming(cluster, "b")
    document = cluster.slots.document
    elsewhere = evolve(document, version="w1", generation=document.generation + 1, assignment=("a", "a"))
    cluster.tell("b", sig.Learned(elsewhere))
    assert cluster.hold("b", partition).state is State.ABANDONING
    cluster.tell("b", sig.Learned(evolve(document, version="w2", generation=document.generation + 2)))
    assert cluster.hold("b", partition).state is State.CLAIMING
    cluster.answer(cluster.requests("b", Claim)[0])
    assert cluster.owned("b") == {partition}


def test_an_owner_that_does_not_know_it_is_one_releases_when_somebody_wants_the_partition() -> None:
    """Without it the partition stands still: its owner lives, so nobody may evict it."""
    cluster = Cluster.of(2, "a", "b")
    (theirs,) = cluster.owned("b")
    lane = cluster.slots.lane(theirs)
    orphan = Claim(
        PartitionSlot("orders", theirs), "g", "a", cluster.slots.document.generation, lane.epoch, "a.lost", "b"
    )
    cluster.slots.ask(orphan)
    cluster.tell("b", sig.Refused(theirs))
    cluster.settle()
    assert cluster.hold("b", theirs).state is State.WAITING
    cluster.run(3 * BEAT_S)
    assert cluster.owned("b") == {theirs}
    assert_at_rest(cluster)


def test_what_is_wanted_of_somebody_who_holds_it_changes_nothing() -> None:
    cluster = Cluster.of(2, "a", "b")
    (mine,) = cluster.owned("a")
    before = cluster.members["a"]
    for epoch in (cluster.hold("a", mine).epoch, 3):
        cluster.tell("a", sig.Heard(Wanted(mine, epoch, "a")))
        cluster.tell("a", sig.Heard(Wanted(mine, epoch, "b")))
    assert cluster.members["a"] == before


def test_an_old_announcement_of_a_wanted_partition_takes_nothing_from_its_owner() -> None:
    cluster = Cluster.of(2, "a", "b")
    (theirs,) = cluster.owned("b")
    cluster.tell("a", sig.Heard(Wanted(theirs, 3, "a")))
    cluster.settle()
    assert cluster.owned("b") == {theirs}
    assert_at_rest(cluster)


# --- what a server loses ---


def test_a_document_that_was_rolled_back_catches_up_with_what_a_lane_has_seen() -> None:
    """Otherwise its claims are behind for ever."""
    cluster = Cluster.of(2, "a")
    before = cluster.slots.group
    cluster.join("b")
    cluster.run(2 * DELAY_S)
    seen = max(cluster.slots.lane(partition).generation for partition in (0, 1))
    cluster.roll_back(before)
    (mine,) = cluster.owned("a")
    cluster.cut = {"a"}
    cluster.run(BEAT_S)
    cluster.tell("a", sig.Learned(before.document) if before.document else sig.Tick())
    cluster.crash("b")
    cluster.answer(cluster.requests("a", LoadGroup)[0])  # older by a beat: it asked instead of believing
    late = cluster.slots.now_us
    cluster.slots.now_us = 0
    (claim,) = cluster.requests("a", Claim)
    assert isinstance(claim.command, Claim)
    assert isinstance(cluster.slots.ask(evolve(claim.command, if_epoch=cluster.slots.lane(1 - mine).epoch)), Behind)
    cluster.slots.now_us = late
    cluster.cut.clear()
    cluster.run(3 * SESSION_S)
    assert cluster.slots.document.generation > seen
    assert cluster.owned("a") == {0, 1}


def test_an_older_document_brought_by_a_beat_is_asked_about_and_not_believed() -> None:
    """Beats come over a connection of their own, and may be late."""
    cluster = Cluster.of(2, "a")
    old = cluster.slots.document
    cluster.join("b")
    cluster.run(2 * DELAY_S)
    cluster.cut = {"b"}
    owned, known = cluster.owned("b"), cluster.members["b"].document
    cluster.tell("b", sig.Learned(old))
    assert [type(request.command) for request in cluster.wire] == [LoadGroup]
    assert (cluster.owned("b"), cluster.members["b"].document) == (owned, known)
    cluster.tell("b", sig.Learned(old))
    assert len(cluster.wire) == 1  # one question is enough
    cluster.cut.clear()
    cluster.settle()
    assert_at_rest(cluster)


def test_an_owner_whose_commit_was_refused_drops_the_partition_and_claims_it_again() -> None:
    cluster = Cluster.of(2, "a", "b")
    (mine,) = cluster.owned("a")
    epoch = cluster.hold("a", mine).epoch
    cluster.new_history(mine)
    cluster.tell("a", sig.Refused(mine))
    cluster.settle()
    assert Lost("a", mine, epoch) in cluster.seen
    assert cluster.owned("a") == {mine}
    assert cluster.hold("a", mine).epoch > epoch
    assert cluster.slots.lane(mine).history == "another"


def test_a_missing_lane_is_reported() -> None:
    cluster = Cluster.of(2, "a", "b")
    (mine,) = cluster.owned("a")
    cluster.slots.ask(DropLane(PartitionSlot("orders", mine), "g"))
    cluster.tell("a", sig.Refused(mine))
    cluster.settle()
    assert Missing("a", mine) in cluster.seen


def test_a_removed_group_is_left_at_once() -> None:
    cluster = Cluster.of(2, "a", "b")
    document = cluster.slots.document
    cluster.tell("a", sig.Learned(evolve(document, version="w", generation=document.generation + 1, state="removing")))
    assert Departed("a", "removed") in cluster.seen
    assert cluster.owned("a") == set()


# --- small promises ---


def test_what_is_answered_to_a_member_that_is_out_changes_nothing() -> None:
    cluster = Cluster.of(2, "a")
    partition = claiming(cluster, "b")
    (claim,) = cluster.requests("b", Claim)
    cluster.tell("b", sig.LeaseOver())
    before = cluster.members["b"]
    cluster.answer(claim)
    assert (cluster.members["b"], cluster.owned("b")) == (before, set())
    assert cluster.slots.lane(partition).owner == "b"  # until b is expired


def test_a_join_of_an_earlier_membership_is_not_asked_for_again() -> None:
    """The lease of the present one would be counted from that, though its own join was sent long before."""
    cluster = Cluster.of(2, "a")
    cluster.cut |= {"b1", "b2"}
    cluster.join("b1")
    (earlier,) = cluster.requests("b1", UpdateGroup)
    cluster.crash("b1")
    cluster.join("b2")
    (own,) = cluster.wire
    cluster.tell("b2", sig.Unanswered(earlier.command))
    assert cluster.wire == [own]
    cluster.tell("b2", sig.Unanswered(own.command))
    assert [request.command for request in cluster.wire] == [own.command, own.command]


def test_a_loss_names_the_epoch_under_which_the_partition_was_held() -> None:
    """Whatever was heard of later owners meanwhile: a trace with a foreign epoch would be a false alarm."""
    cluster = Cluster.of(2, "a", "b")
    (mine,) = cluster.owned("a")
    epoch = cluster.hold("a", mine).epoch
    cluster.tell("a", sig.Heard(Freed(mine, epoch + 2, "c")))
    cluster.tell("a", sig.Refused(mine))
    assert Lost("a", mine, epoch) in cluster.seen


def test_seeking_lets_a_partition_drain_and_takes_it_again_under_a_higher_epoch() -> None:
    cluster = Cluster.of(2, "a", "b")
    (mine,) = cluster.owned("a")
    epoch = cluster.hold("a", mine).epoch
    cluster.busy = {("a", mine)}
    cluster.tell("a", sig.Sought(mine))
    cluster.finish("a", mine)
    assert cluster.owned("a") == {mine}
    assert cluster.hold("a", mine).epoch > epoch


# --- seats that are away ----------------------------------------------------------------------------------------------


def test_an_orderly_leave_keeps_what_is_meant_for_a_seat_and_hands_all_of_it_back() -> None:
    """A member that leaves must not claim again what is still meant for it."""
    cluster = Cluster(Slots(2))
    cluster.join("a", "seat-a")
    cluster.join("b", "seat-b")
    cluster.run(2 * DELAY_S)
    mine = cluster.slots.document.assigned_to("a")
    cluster.tell("a", sig.Leave())
    cluster.settle()
    assert cluster.members["a"].standing is Standing.OUTSIDE
    assert cluster.slots.document.assigned_to("a") == mine
    assert all(cluster.slots.lane(partition).owner is None for partition in mine)
    assert cluster.slots.document.may_be_evicted("a")
    assert len(cluster.owned("b")) == 1


def test_each_member_counts_a_session_from_when_it_saw_that_a_seat_is_away() -> None:
    """By its own clock: the first one gives the seat up, and the document tells the others."""
    cluster = Cluster(Slots(3))
    for name in "abc":
        cluster.join(name, f"seat-{name}")
        cluster.run(2 * DELAY_S)
    cluster.tell("a", sig.Leave())
    cluster.settle()
    cluster.run(0.8 * SESSION_S)
    assert cluster.slots.document.away
    cluster.run(0.6 * SESSION_S)
    assert not cluster.slots.document.away
    assert {*cluster.owned("b"), *cluster.owned("c")} == {0, 1, 2}


def test_a_seat_that_left_more_than_a_session_ago_by_the_clock_of_the_server_is_given_up_at_once() -> None:
    cluster = Cluster(Slots(2))
    cluster.join("a", "seat-a")
    cluster.tell("a", sig.Leave())
    cluster.settle()
    cluster.now += 10 * SESSION_S
    cluster.join("b")
    cluster.settle()
    assert cluster.owned("b") == {0, 1}


def test_a_clock_of_the_server_that_is_behind_makes_a_newcomer_wait_and_not_for_ever() -> None:
    cluster = Cluster(Slots(2))
    cluster.join("a", "seat-a")
    cluster.tell("a", sig.Leave())
    cluster.settle()
    cluster.clock_lag_s = 1e6
    cluster.join("b")
    cluster.run(1.5 * SESSION_S)
    assert cluster.owned("b") == {0, 1}


def test_who_gives_its_seat_up_leaves_nothing_to_wait_for() -> None:
    cluster = Cluster(Slots(2))
    cluster.join("a", "seat-a")
    cluster.join("b", "seat-b")
    cluster.run(2 * DELAY_S)
    cluster.tell("a", sig.Leave(forever=True))
    cluster.settle()
    assert cluster.owned("b") == {0, 1}
    assert not cluster.slots.document.away


def test_a_member_that_leaves_and_is_displaced_has_left() -> None:
    """Its restart came early. Its process was told to end, and ends well."""
    cluster = Cluster(Slots(1))
    cluster.join("a", "seat")
    cluster.busy = {("a", 0)}
    cluster.tell("a", sig.Leave())
    cluster.settle()
    cluster.join("b", "seat")
    cluster.run(2 * BEAT_S)
    cluster.finish("a", 0)
    assert Departed("a", "left") in cluster.seen
    assert cluster.owned("b") == {0}


# --- another session time-out -----------------------------------------------------------------------------------------


def test_whoever_finds_another_session_time_out_when_it_joins_is_no_member() -> None:
    """The group was altered between its look at the document and its join: it would be expired, or expire others."""
    cluster = Cluster(Slots(1))
    cluster.cut.add("a")
    cluster.join("a")
    (join,) = cluster.requests("a", UpdateGroup)
    altered = evolve(cluster.slots.document.on(SessionChanged(5_000)), version="altered")
    cluster.slots.ask(UpdateGroup(GROUP, cluster.slots.document.version, altered, Announced("altered", "altered", "")))
    assert isinstance(cluster.answer(join), GroupConflict)
    cluster.run(BEAT_S)
    assert Departed("a", "session") in cluster.seen
    assert cluster.wire == []
    assert cluster.slots.document.members == {}


def test_a_session_time_out_does_not_change_under_members() -> None:
    cluster = Cluster.of(1, "a")
    document = cluster.slots.document
    assert document.on(SessionChanged(5_000)) is document
    paused = document.on(Paused())
    assert paused.on(SessionChanged(5_000)) is paused
    away = evolve(document, members={})
    assert away.on(SessionChanged(document.session_ms)) is away
    assert away.on(SessionChanged(5_000)).session_ms == 5_000


# --- who displaces whom -----------------------------------------------------------------------------------------------


def test_three_displacements_within_a_minute_are_a_contest() -> None:
    slots = Slots(1)

    def join(name: str, after_s: float) -> None:
        slots.now_us += round(after_s * 1e6)
        document = evolve(slots.document.on(Joined(name, "seat", process=ProcessInfo(name, 1))), version=name)
        slots.ask(UpdateGroup(GROUP, slots.document.version, document, Announced(name, "joined", name)))

    for number in range(4):
        assert not slots.document.contests("seat", slots.now_us)
        join(f"m{number}", 10.0)
    contests = slots.document.contests("seat", slots.now_us)
    assert [(each.member, each.by.host) for each in contests] == [("m0", "m1"), ("m1", "m2"), ("m2", "m3")]
    assert slots.document.displacer_of("m1", "seat") == ProcessInfo("m2", 1)
    assert slots.document.contests("seat", slots.now_us + 40_000_000)
    assert not slots.document.contests("seat", slots.now_us + 40_000_001)
    assert not slots.document.contests("seat", slots.now_us - 3_600_000_000), "a clock that jumped back is no contest"
    assert not slots.document.contests("other", slots.now_us)
    assert not slots.document.contests(None, slots.now_us)
    join("m4", 100.0)
    assert not slots.document.contests("seat", slots.now_us)
    assert slots.document.displacer_of("m0", "seat") == ProcessInfo("m4", 1), "who sits there now, if it is forgotten"


def test_what_a_process_says_of_itself_is_short_and_printable() -> None:
    """It comes from others, and is shown on terminals."""
    process = ProcessInfo("\x1b[2Jnode\n" + "x" * 1_000, 1, "\u202e1")
    assert process.host.startswith("?[2Jnode?xxx")
    assert len(process.host) == 64
    assert process.version == "?1"


# --- tenures ----------------------------------------------------------------------------------------------------------


def test_after_a_rollback_to_a_clock_that_is_behind_a_claim_gets_an_epoch_that_it_never_had() -> None:
    """Otherwise a late commit of its first tenure would count for the second, and what that one parked is lost."""
    cluster = Cluster.of(1, "a", "b")
    (owner,) = (name for name in "ab" if cluster.owned(name))
    slot, epoch = PartitionSlot(GROUP.stream, 0), cluster.hold(owner, 0).epoch
    late = Commit(slot, GROUP.group, owner, epoch, 1, Progress())
    rolled_back = cluster.slots.states[slot].with_lane(GROUP.group, Lane(Progress(), epoch=epoch - 1))
    cluster.slots.states[slot] = evolve(rolled_back, history="another")
    cluster.clock_lag_s = 1e6
    cluster.tell(owner, sig.Refused(0))
    cluster.settle()
    assert cluster.owned(owner) == {0}
    assert cluster.hold(owner, 0).epoch > epoch
    assert isinstance(cluster.slots.ask(late), Fenced)


def test_a_claim_is_above_each_epoch_that_its_member_has_met() -> None:
    """Whoever had it, and however the member heard of it."""
    cluster = Cluster.of(1, "a", "b")
    (idle,) = (name for name in "ab" if not cluster.owned(name))
    heard = cluster.slots.lane(0).epoch + 10**6
    cluster.tell(idle, sig.Heard(Freed(0, heard, "c")))
    cluster.tell(idle, sig.Heard(Wanted(0, heard - 1, idle)))
    (release,) = cluster.requests(idle, Release)
    assert isinstance(release.command, Release)
    assert cluster.hold(idle, 0).epoch == release.command.epoch == heard - 1
    assert cluster.hold(idle, 0).floor == heard


def test_a_lost_answer_to_an_announcement_is_nobodys_concern() -> None:
    cluster = Cluster.of(2, "a", "b")
    before = cluster.members["a"]
    cluster.tell("a", sig.Unanswered(Announce(GROUP, Wanted(0, 1, "b"))))
    assert (cluster.members["a"], cluster.wire) == (before, [])
