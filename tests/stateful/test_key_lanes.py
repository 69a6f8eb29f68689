"""Order per key inside a consumer, against a model of a few lines, through take-overs."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from segmenter.core.command import Entry
from segmenter.core.invariants import check_order, check_progress
from segmenter.core.lanes import KeyLanes
from segmenter.core.message import Message
from segmenter.core.partition import Progress
from segmenter.errors import ConsumerError, OutOfOrderAck

KEYS = (b"a", b"b", b"c")


class KeyLanesMachine(RuleBasedStateMachine):
    """Messages are offered, taken, settled and given back in any order; now and then another consumer takes over."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []  # key of each ordinal
        self.offered = 0
        self.now = 0.0
        self.settled: set[int] = set()
        self.starts: dict[str, list[int]] = {}
        self.in_flight: list[Message] = []
        self.stale: list[Message] = []
        self.lanes = self._hold(Progress())

    def _hold(self, progress: Progress) -> KeyLanes:
        return KeyLanes(
            stream="s",
            group="g",
            partition=0,
            epoch=1,
            progress=progress,
            clock=lambda: self.now,
            touched=lambda: None,
        )

    def _entry(self, ordinal: int) -> Entry:
        return b"%d-0" % (ordinal + 1), (b"k", self.log[ordinal], b"d", b"%d" % ordinal)

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=5))
    def offer(self, keys: list[bytes]) -> None:
        self.log += keys
        self.lanes.offer([self._entry(ordinal) for ordinal in range(self.offered, len(self.log))])
        self.offered = len(self.log)

    @rule(limit=st.integers(1, 5), whole_batch=st.booleans())
    def take(self, limit: int, whole_batch: bool) -> None:
        busy = {message.key for message in self.in_flight}
        taken = self.lanes.take(limit, whole_batch=whole_batch)
        keys = [message.key for message in taken]
        assert len(taken) <= limit
        assert not busy & set(keys), "a key was handed out while it was in flight"
        assert whole_batch or len(set(keys)) == len(keys)
        for message in taken:
            assert message.ordinal not in self.settled, "what was settled came again"
            earlier = {number for number in range(message.ordinal) if self.log[number] == message.raw_key}
            batch = {other.ordinal for other in taken}
            assert earlier <= self.settled | batch, "an earlier message of the key is not settled"
            self.starts.setdefault(message.key, []).append(message.ordinal)
        self.in_flight += taken

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.in_flight))
        first = min(other.ordinal for other in self.in_flight if other.key == message.key)
        if message.ordinal != first:
            try:
                message.ack()
            except OutOfOrderAck:
                return
            raise AssertionError("a message was settled before an earlier one of its key")
        message.ack()
        message.ack()
        self.in_flight.remove(message)
        self.settled.add(message.ordinal)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), delay=st.sampled_from((0.0, 0.0, 5.0)))
    def give_back(self, data: st.DataObject, delay: float) -> None:
        message = data.draw(st.sampled_from(self.in_flight))
        message.nack(delay)
        with_it = [other for other in self.in_flight if other.key == message.key and other.ordinal >= message.ordinal]
        self.stale += with_it
        self.in_flight = [other for other in self.in_flight if other not in with_it]

    @rule(seconds=st.sampled_from((1.0, 10.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take_back_what_is_late(self) -> None:
        self.lanes.take_back_before(self.now)
        self.stale += self.in_flight
        self.in_flight = []

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def acknowledge_late(self, data: st.DataObject) -> None:
        try:
            data.draw(st.sampled_from(self.stale)).ack()
        except ConsumerError:
            return
        raise AssertionError("a delivery that was taken back was acknowledged")

    @rule()
    def take_over(self) -> None:
        """Another consumer goes on from the stored progress: it gets exactly what was not settled."""
        progress = self.lanes.progress()
        self.lanes.close()
        self.stale += self.in_flight
        self.in_flight = []
        self.lanes = self._hold(progress)
        self.lanes.offer([self._entry(ordinal) for ordinal in range(progress.read, len(self.log))])
        self.offered = len(self.log)
        assert self.lanes.unsettled == len(self.log) - len(self.settled)

    @invariant()
    def progress_is_true(self) -> None:
        check_progress(self.lanes.progress(), self.settled)
        check_order(self.starts)
        counted = self.lanes.progress()
        total = counted.read + sum(end - start for start, end in counted.ranges)
        assert total == len(self.settled), "something settled was forgotten"
        assert self.lanes.in_flight == len(self.in_flight)

    def teardown(self) -> None:
        """In the end everything can be settled."""
        self.take_back_what_is_late()
        self.now += 100
        while taken := self.lanes.take(3):
            for message in taken:
                message.ack()
        assert self.lanes.progress().read == len(self.log)


KeyLanesMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestKeyLanes = KeyLanesMachine.TestCase
