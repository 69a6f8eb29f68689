"""Partitions of one process, all of them under suspicion: a message of one at a time is tried alone."""

from __future__ import annotations

from segmenter.core.caution import Caution, Turn
from segmenter.core.lanes import KeyLanes
from segmenter.core.message import Message
from segmenter.core.partition import Progress


class Pair:
    """Lanes of two partitions with two messages each, and who was told that it may be its turn."""

    def __init__(self) -> None:
        turn = Turn()
        self.told: list[str] = []
        self.a, self.b = self._lanes(turn, "a"), self._lanes(turn, "b")

    @classmethod
    def at_work(cls) -> tuple[Pair, Message]:
        """Return a pair of which ``a`` tries a message, and ``b`` waits."""
        pair = cls()
        first = tried(pair.a)
        assert first is not None
        assert tried(pair.b) is None
        return pair, first

    def _lanes(self, turn: Turn, name: str) -> KeyLanes:
        lanes = KeyLanes(
            stream="s",
            group="g",
            partition=0,
            epoch=1,
            progress=Progress(),
            caution=Caution(2, 9, turn=turn, freed=lambda: self.told.append(name)),
            clock=lambda: 0.0,
            touched=lambda: None,
        )
        lanes.offer([(b"%d-0" % n, [b"k", b"key-%d" % n, b"d", b""]) for n in (1, 2)])
        return lanes


def tried(lanes: KeyLanes) -> Message | None:
    """The next message, once its mark is stored; nothing if it may not be marked."""
    assert lanes.next() is None
    lanes.caution.stored(lanes.progress())
    return lanes.next()


def test_a_message_of_one_partition_is_tried_at_a_time() -> None:
    pair, first = Pair.at_work()
    assert not pair.b.startable  # whoever asked again and again would turn in circles
    first.ack()
    assert pair.told == ["b"]
    assert pair.b.startable
    assert tried(pair.b) is not None


def test_others_go_first_once() -> None:
    pair, first = Pair.at_work()
    first.ack()
    assert pair.a.next() is None
    assert tried(pair.b) is not None
    assert tried(pair.a) is None


def test_a_partition_goes_on_when_the_others_do_not_use_their_turn() -> None:
    """They may be paused, or lost meanwhile."""
    pair, first = Pair.at_work()
    first.ack()
    assert pair.a.next() is None
    assert pair.a.startable
    assert tried(pair.a) is not None


def test_a_message_that_is_given_back_or_parked_ends_the_turn() -> None:
    pair, first = Pair.at_work()
    first.nack()
    second = tried(pair.b)
    assert second is not None
    assert tried(pair.a) is None
    second.park("no")
    assert tried(pair.a) is not None


def test_a_partition_that_is_lost_or_drains_ends_its_turn() -> None:
    for end in (KeyLanes.close, KeyLanes.leave, KeyLanes.stop):
        pair = Pair()
        assert pair.a.next() is None  # marked, and not handed out
        assert tried(pair.b) is None
        end(pair.a)
        assert pair.told == ["b"]
        assert tried(pair.b) is not None


def test_a_message_at_work_keeps_the_turn_of_a_partition_that_drains() -> None:
    pair, first = Pair.at_work()
    pair.a.stop()
    assert pair.told == []
    first.ack()
    assert pair.told == ["b"]
