"""Order per key, by example: what waits, what may start, and what is stored."""

from __future__ import annotations

import pytest

from segmenter.core.caution import Caution
from segmenter.core.lanes import KeyLanes
from segmenter.core.message import Message
from segmenter.core.partition import NOT_TRYING, Progress
from segmenter.errors import OutOfOrderAck, StaleDelivery


class Lanes:
    """The lanes of a partition, and the time."""

    def __init__(self, keys: str, progress: Progress | None = None, caution: Caution | None = None) -> None:
        self.now = 0.0
        self.kept = KeyLanes(
            stream="s",
            group="g",
            partition=0,
            epoch=1,
            progress=progress or Progress(),
            caution=caution,
            clock=lambda: self.now,
            touched=lambda: None,
        )
        first = self.kept.progress().read
        entries = [(b"%d-0" % n, (b"k", key.encode(), b"d", b"")) for n, key in enumerate(keys, first + 1)]
        self.kept.offer(entries)

    def take(self, limit: int = 10, *, whole_batch: bool = False) -> list[Message]:
        return self.kept.take(limit, whole_batch=whole_batch)


def places(messages: list[Message]) -> list[int]:
    return [message.ordinal for message in messages]


def test_of_each_key_the_first_may_start_and_the_next_when_it_is_settled() -> None:
    lanes = Lanes("aab")
    started = lanes.take()
    assert places(started) == [0, 2]
    assert lanes.take() == []
    started[0].ack()
    assert places(lanes.take()) == [1]


def test_while_a_message_waits_for_its_next_attempt_the_later_ones_of_its_key_wait_too() -> None:
    """The later one would be handled before the one that failed."""
    lanes = Lanes("aab")
    (failed,) = lanes.take(1)
    lanes.kept.give_back(failed, 5.0)
    lanes.now = 4.9
    assert places(lanes.take()) == [2]
    lanes.now = 5.0
    (again,) = lanes.take()
    assert (again.ordinal, again.attempt) == (0, 2)
    again.ack()
    assert places(lanes.take()) == [1]


def test_a_batch_may_not_be_settled_out_of_a_keys_order() -> None:
    lanes = Lanes("aa")
    first, second = lanes.take(whole_batch=True)
    with pytest.raises(OutOfOrderAck):
        second.ack()
    first.ack()
    second.ack()
    assert lanes.kept.progress() == Progress(b"2-0", 2)


def test_an_attempt_that_was_taken_back_settles_nothing() -> None:
    """It may be running again elsewhere: which of the two was first, nobody could tell."""
    lanes = Lanes("a")
    (late,) = lanes.take()
    lanes.kept.take_back_before(lanes.now)
    with pytest.raises(StaleDelivery):
        late.ack()
    assert lanes.kept.progress() == Progress(attempts=((0, 1),))


def test_the_watermark_stops_before_what_is_not_settled() -> None:
    """Whoever takes over begins there: beyond it, a message that nobody has handled would be passed over."""
    lanes = Lanes("abc")
    first, second, third = lanes.take()
    third.ack()
    assert lanes.kept.progress() == Progress(ranges=((2, 3),))
    first.ack()
    assert lanes.kept.progress() == Progress(b"1-0", 1, ((2, 3),))
    second.ack()
    assert lanes.kept.progress() == Progress(b"3-0", 3)


def test_a_gap_behind_the_watermark_stays_a_gap() -> None:
    lanes = Lanes("abc")
    first, _, third = lanes.take()
    first.ack()
    third.ack()
    assert lanes.kept.progress() == Progress(b"1-0", 1, ((2, 3),))


def test_what_a_former_owner_finished_ahead_is_not_handed_out_again() -> None:
    lanes = Lanes("abcd", Progress(b"0-0", 0, ((1, 3),)))
    assert places(lanes.take()) == [0, 3]


def test_a_parked_message_that_fails_again_ahead_of_a_gap_is_counted_once() -> None:
    """Counted twice, it would leave ranges that no owner can read."""
    lanes = Lanes("abc")
    _, second, third = lanes.take()
    third.ack()
    second.park("bad")
    (letter,) = lanes.kept.parking.take().park
    lanes.kept.take_up([letter])
    (again,) = lanes.take()
    again.park("bad")
    assert lanes.kept.progress() == Progress(ranges=((1, 3),))
    assert [letter.reason for letter in lanes.kept.parking.take().park] == ["bad"]


def test_a_run_that_is_settled_in_the_order_of_the_log_leaves_nothing_in_hand() -> None:
    lanes = Lanes("aabc")
    for message in lanes.take(3, whole_batch=True):
        message.ack()
    assert (lanes.kept.progress(), lanes.kept.in_flight, lanes.kept.backlog.count) == (Progress(b"3-0", 3), 0, 1)


@pytest.mark.parametrize("settled", [0, 1, 2])
def test_a_run_that_is_interrupted_goes_on_key_by_key(settled: int) -> None:
    """Whatever was settled of it before, and whatever interrupts it."""
    lanes = Lanes("abab")
    run = lanes.take(3, whole_batch=True)
    for message in run[:settled]:
        message.ack()
    assert lanes.kept.progress() == Progress(run[settled - 1].entry_id if settled else b"0-0", settled)
    rest = lanes.take()  # the last of b: startable only where the first of b is settled
    assert places(rest) == ([3] if settled == 2 else [])
    run[2].nack() if settled == 2 else run[settled].nack()
    assert lanes.kept.backlog.count == 4 - settled
    again = drain(lanes)
    for message in (*run, *rest):
        if message.ordinal not in again and not message.settled:
            message.ack()
    drain(lanes)
    assert lanes.kept.progress() == Progress(b"4-0", 4)


def drain(lanes: Lanes) -> list[int]:
    """Settle whatever may start, one after the other."""
    settled = []
    while taken := lanes.take(1):
        settled += places(taken)
        taken[0].ack()
    return settled


def test_after_unclean_ends_messages_go_out_one_at_a_time_once_their_marks_are_stored() -> None:
    """Otherwise the next owner could not tell which of them killed this process."""
    lanes = Lanes("abc", caution=Caution(unclean=2, horizon=2))
    handed_out = []
    for ordinal in (0, 1):
        assert lanes.take() == lanes.take() == []
        marked = lanes.kept.progress()
        assert marked.trying == ordinal
        lanes.kept.caution.stored(marked)
        (message,) = lanes.take()
        assert lanes.take() == []
        handed_out.append(message.ordinal)
        message.ack()
        assert lanes.kept.progress().trying == NOT_TRYING
    assert (handed_out, places(lanes.take())) == ([0, 1], [2])


def test_one_unclean_end_alone_is_no_reason_for_caution() -> None:
    """It may have had any cause, and going one by one is slow."""
    assert places(Lanes("abc", caution=Caution(unclean=1, horizon=3)).take()) == [0, 1, 2]


def test_the_watermark_rises_over_what_a_former_owner_finished_as_soon_as_it_meets_it() -> None:
    """Not only when somebody asks for more: until then, progress would count an ordinal twice."""
    lanes = Lanes("abcd", Progress(b"0-0", 0, ((1, 2), (3, 4))))
    (first,) = lanes.take(1)
    first.ack()
    assert lanes.kept.progress() == Progress(b"2-0", 2, ((3, 4),))
    third, *_ = lanes.take(2)
    third.ack()
    assert lanes.kept.progress() == Progress(b"4-0", 4)


# --- leaving what is in hand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 10])
def test_what_is_left_was_not_handed_out(limit: int) -> None:
    """A handler that is cancelled since its partition moves has not been tried."""
    lanes = Lanes("ab")
    messages = lanes.take(limit) + lanes.take(limit)
    lanes.kept.leave()
    assert lanes.kept.in_flight == 0
    assert lanes.kept.progress() == Progress()
    assert lanes.take() == []
    with pytest.raises(StaleDelivery):
        messages[0].ack()


def test_what_is_forwarded_comes_to_its_end_although_the_rest_is_left() -> None:
    """It may have been sent already: left, it would be sent once more by whoever comes next."""
    lanes = Lanes("abc")
    sent, refused, _ = lanes.take()
    lanes.kept.forward(sent)
    lanes.kept.forward(refused)
    lanes.kept.leave()
    assert lanes.kept.in_flight == 2
    lanes.kept.forwarded(refused, done=False)
    assert lanes.kept.in_flight == 1
    lanes.kept.forwarded(sent, done=True)
    assert lanes.kept.in_flight == 0
    assert (lanes.kept.progress().read, lanes.kept.progress().attempts) == (1, ())
