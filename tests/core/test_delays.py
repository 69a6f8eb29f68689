"""Delays of messages that wait for their next attempt: what is stored, what is claimed, and who may start when."""

from __future__ import annotations

import math

import pytest
from attrs import evolve

from segmenter.core.caution import Caution
from segmenter.core.continuity import what_is_left
from segmenter.core.delays import LIMIT_DELAY_MS, delays_left, delays_until, due_times
from segmenter.core.lanes import KeyLanes
from segmenter.core.partition import Claimed, Commit, Progress, Release
from tests.core.test_aside import arriving, lanes, letter
from tests.core.test_order_of_keys import Lanes, places
from tests.core.test_partition import SLOT, G, Partition

DELAYS = ((1, 5_000), (3, 60_000))
WAITING = Progress(attempts=((1, 1), (3, 2)), delays=DELAYS)
SECOND_US = 1_000_000


# --- as they are stored ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed_ms", "left"),
    [
        (0, DELAYS),
        (4_999, ((1, 1), (3, 55_001))),
        (5_000, ((3, 55_000),)),
        (59_999, ((3, 1),)),
        (60_000, ()),
        (10**15, ()),
        (-1, DELAYS),
        (-(10**15), DELAYS),
    ],
)
def test_of_a_delay_is_left_what_has_not_passed_and_never_more_than_there_was(
    elapsed_ms: int, left: tuple[tuple[int, int], ...]
) -> None:
    assert delays_left(DELAYS, elapsed_ms) == left


@pytest.mark.parametrize("now", [0.0, 17.25, 1e6])
def test_delays_are_measured_by_the_clock_of_whoever_waits(now: float) -> None:
    due = due_times(DELAYS, now)
    assert due == {1: now + 5, 3: now + 60}
    assert delays_until(due.items(), now) == DELAYS
    assert delays_until(due.items(), now + 5) == ((3, 55_000),)
    assert delays_until(reversed(due.items()), now + 4.5) == ((1, 500), (3, 55_500))


def test_a_delay_without_an_end_is_stored_as_a_long_one() -> None:
    """A number that no server can hold would stop every commit of the partition."""
    assert delays_until([(0, math.inf), (1, 1e300)], 5.0) == ((0, LIMIT_DELAY_MS), (1, LIMIT_DELAY_MS))


def waiting(progress: Progress = WAITING) -> Partition:
    partition = Partition()
    partition.claim()
    partition.do(Commit(SLOT, G, "a", partition.lane.epoch, 1, progress))
    return partition


def test_a_commit_stores_delays_with_the_time_and_clears_both() -> None:
    partition = waiting()
    assert (partition.lane.progress, partition.lane.delayed_at_us) == (WAITING, partition.now_us)
    partition.do(Commit(SLOT, G, "a", partition.lane.epoch, 1, Progress(delays=((0, 1),))))
    assert partition.lane.progress == WAITING, "a repeated commit changes nothing"
    partition.do(Commit(SLOT, G, "a", partition.lane.epoch, 2, Progress()))
    assert (partition.lane.progress, partition.lane.delayed_at_us) == (Progress(), 0)


def test_a_release_stores_delays_unless_the_group_is_moved() -> None:
    partition = waiting(Progress())
    release = Release(SLOT, G, "a", partition.lane.epoch, 2, WAITING)
    moved, _ = evolve(release, start=b"latest").apply(partition.state, partition.now_us)
    assert moved is not None
    assert (moved.lanes[G].progress.delays, moved.lanes[G].delayed_at_us) == ((), 0)
    partition.do(release)
    assert (partition.lane.progress, partition.lane.delayed_at_us) == (WAITING, partition.now_us)


def test_what_the_law_refuses_leaves_delays_as_they_were() -> None:
    partition = waiting()
    before = partition.lane
    partition.do(Commit(SLOT, G, "b", partition.lane.epoch, 2, Progress()))
    beyond = Progress(b"%d-0" % 10**15, 9, delays=((0, 1),))
    partition.do(Commit(SLOT, G, "a", partition.lane.epoch, 2, beyond))
    assert partition.lane == before


def test_every_claim_says_what_is_left_by_then() -> None:
    """Whoever claims may die before it stores anything: the next one continues where the wait has come to."""
    partition = waiting()
    for member, left in (("b", ((1, 2_000), (3, 57_000))), ("c", ((3, 54_000),)), ("d", ((3, 51_000),))):
        partition.now_us += 3 * SECOND_US - 1_000
        granted = partition.claim(member, evict=partition.lane.owner)
        assert granted.progress == evolve(WAITING, delays=left)
    partition.now_us += 60 * SECOND_US
    assert partition.claim("e", evict="d").progress.delays == ()


def test_a_repeated_claim_says_what_is_left_by_then_too() -> None:
    partition = waiting()
    epoch = partition.lane.epoch
    first = partition.claim("b", evict="a", claim="c", if_epoch=epoch)
    partition.now_us += 5 * SECOND_US - 1_000
    again = partition.claim("b", evict="a", claim="c", if_epoch=epoch)
    assert first.progress.delays == ((1, 4_999), (3, 59_999))
    assert again == evolve(first, progress=evolve(first.progress, delays=((3, 54_999),)))


def test_with_a_clock_that_was_set_back_a_delay_is_never_longer_than_it_was() -> None:
    """A replica that takes over may have a clock that is behind. A message would wait for as long as that."""
    partition = waiting()
    partition.now_us -= 3_600 * SECOND_US
    assert partition.claim("b", evict="a").progress.delays == DELAYS
    partition.now_us += 10 * SECOND_US - 1_000
    assert partition.claim("c", evict="b").progress.delays == ((3, 50_000),), "and it does not begin again"


def test_with_a_clock_that_was_set_forward_a_delay_ends_early() -> None:
    partition = waiting()
    partition.now_us += 3_600 * SECOND_US
    assert partition.claim("b", evict="a").progress == evolve(WAITING, delays=())


def test_where_ordinals_count_for_other_messages_delays_are_forgotten() -> None:
    granted = Claimed(7, evolve(WAITING, offset=b"3-0", read=3), b"9-0", 0, 3, "born")
    assert what_is_left(granted) == Progress(b"3-0", 3, attempts=((1, 1),), delays=((1, 5_000),))
    assert what_is_left(evolve(granted, first=4, added=9)) == Progress(b"3-0", 4)
    assert what_is_left(evolve(granted, end=b"2-0", added=2)) == Progress(b"2-0", 2)


# --- who may start when -----------------------------------------------------------------------------------------------


def inheriting(keys: str, *delays: tuple[int, int], caution: Caution | None = None) -> Lanes:
    attempts = tuple([(ordinal, 1) for ordinal, _ in delays])
    return Lanes(keys, Progress(attempts=attempts, delays=delays), caution)


def stored(held: Lanes) -> tuple[tuple[int, int], ...]:
    return held.kept.progress().delays


def test_a_message_that_was_delayed_starts_when_its_delay_is_over_and_holds_up_its_key_alone() -> None:
    held = inheriting("abab", (0, 5_000))
    assert places(held.take()) == [1]
    assert (held.kept.due, held.kept.startable, stored(held)) == (5.0, False, ((0, 5_000),))
    held.now = 4.9
    assert (held.take(), stored(held)) == ([], ((0, 100),))
    held.now = 5.0
    (again,) = held.take()
    assert (again.ordinal, again.attempt, stored(held)) == (0, 2, ())
    again.ack()
    assert places(held.take()) == [2]


def test_a_delay_of_a_message_without_a_counted_attempt_is_heeded_too() -> None:
    held = Lanes("ab", Progress(delays=((0, 5_000),)))
    assert places(held.take()) == [1]


def test_two_keys_wait_for_themselves() -> None:
    held = inheriting("abc", (0, 60_000), (1, 5_000))
    assert places(held.take()) == [2]
    held.now = 5.0
    assert places(held.take()) == [1]
    held.now = 60.0
    assert places(held.take()) == [0]


@pytest.mark.parametrize("whole_batch", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 9])
def test_however_messages_are_taken_none_starts_before_its_delay_is_over(limit: int, whole_batch: bool) -> None:
    held = inheriting("aaabbc", (1, 5_000), (5, 5_000))
    started = list[int]()
    for _ in range(9):
        for message in held.take(limit, whole_batch=whole_batch):
            started.append(message.ordinal)
            message.ack()
    assert started == [0, 3, 4]
    held.now = 5.0
    for _ in range(9):
        for message in held.take(limit, whole_batch=whole_batch):
            started.append(message.ordinal)
            message.ack()
    assert started in ([0, 3, 4, 1, 5, 2], [0, 3, 4, 1, 2, 5])


def test_a_delay_that_ended_before_the_message_was_read_delays_nothing() -> None:
    held = inheriting("", (0, 5_000))
    held.now = 5.0
    held.kept.offer(arriving(0, b"a", b"b"))
    assert places(held.take()) == [0, 1]


def test_a_delay_of_a_message_that_was_not_read_yet_is_handed_on() -> None:
    held = inheriting("", (3, 5_000))
    held.now = 2.0
    assert stored(held) == ((3, 3_000),)


def test_what_comes_of_a_message_ends_its_delay() -> None:
    """Ordinals come again after a loss: another message would wait in its place."""
    for end in ("ack", "reject", "park"):
        held = inheriting("ab")
        failed, _ = held.take()
        failed.nack(5.0)
        assert stored(held) == ((0, 5_000),)
        held.now = 5.0
        getattr(held.take()[0], end)()
        assert stored(held) == ()


def test_a_message_that_is_parked_behind_another_waits_no_more() -> None:
    held = inheriting("aa", (1, 5_000))
    held.take()[0].park()
    assert (stored(held), held.kept.progress().attempts) == ((), ())
    assert [moved.ordinal for moved in held.kept.parking.take().park] == [0, 1]


def test_of_a_batch_given_back_each_message_waits_as_long_as_it_was_told() -> None:
    held = inheriting("aab")
    first, second, third = held.take(whole_batch=True)
    second.nack(60.0)
    third.nack(1.0)
    first.nack(5.0)
    assert stored(held) == ((0, 5_000), (1, 60_000), (2, 1_000))
    heir = inheriting("aab", *stored(held))
    heir.now = 5.0
    started = heir.take()
    assert places(started) == [0, 2]
    started[0].ack()
    assert heir.take() == []
    heir.now = 60.0
    assert places(heir.take()) == [1]


def test_after_unclean_ends_a_message_that_waits_is_not_tried_early() -> None:
    held = inheriting("ab", (0, 5_000), caution=Caution(2, 2))

    def marked() -> int:
        assert held.take() == []
        held.kept.caution.stored(held.kept.progress())
        return held.kept.progress().trying

    assert marked() == 1
    held.take()[0].ack()
    assert (marked(), held.kept.due) == (-1, 5.0)
    held.now = 5.0
    assert marked() == 0
    assert places(held.take()) == [0]


def redriven(*delays: tuple[int, int]) -> KeyLanes:
    attempts = tuple([(ordinal, 1) for ordinal, _ in delays])
    return lanes(Progress(b"1-0", 1, attempts=attempts, delays=delays), parked=2)


def test_a_redriven_message_that_failed_waits_with_the_next_owner_too() -> None:
    held = redriven()
    held.take_up([letter(0)])
    held.take(1)[0].nack(60.0)
    (delay,) = held.progress().delays
    heir = redriven(delay)
    heir.take_up([letter(0)])
    assert (heir.take(9), heir.due, heir.progress().delays) == ([], 60.0, (delay,))


def test_a_parked_message_that_is_discarded_waits_no_more() -> None:
    held = redriven((0, 60_000))
    held.discard([letter(0)])
    assert (held.progress().delays, held.progress().attempts) == ((), ())


def test_what_is_given_back_when_an_owner_stops_is_stored() -> None:
    """The last commit of an owner is made when nothing may start any more."""
    held = inheriting("abc", (2, 9_000))
    first, second = held.take()
    first.nack(5.0)
    held.kept.stop()
    second.nack(7.0)
    held.kept.leave()
    held.now = 1.0
    assert stored(held) == ((0, 4_000), (1, 6_000), (2, 8_000))
