"""Order per key, by example: what waits, what may start, and what is stored."""

from __future__ import annotations

import pytest

from segmenter.core.lanes import KeyLanes
from segmenter.core.message import Message
from segmenter.core.partition import Progress
from segmenter.errors import OutOfOrderAck, StaleDelivery


class Lanes:
    """The lanes of a partition, and the time."""

    def __init__(self, keys: str, progress: Progress | None = None) -> None:
        self.now = 0.0
        self.kept = KeyLanes(
            stream="s",
            group="g",
            partition=0,
            epoch=1,
            progress=progress or Progress(),
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
