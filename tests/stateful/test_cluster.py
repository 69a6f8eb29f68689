"""The whole protocol composed: consumers, partitions, a bad network, crashes and pauses; every step is checked."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from segmenter.core import signals as sig
from tests.stateful.cluster import PARTITIONS, Cluster, Node

CONSUMERS = 4
MESSAGES = 12


class ClusterMachine(RuleBasedStateMachine):
    """Anything may happen in any order; what must never happen is checked by the cluster at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.names = 0
        self.sent = 0

    @initialize()
    def begin(self) -> None:
        for _ in range(3):
            self._start(None)
        for number in range(PARTITIONS):
            for key in ("a", "b", "a"):
                self.cluster.send(number, key)

    def _start(self, seat: str | None) -> None:
        self.names += 1
        self.cluster.start(f"n{self.names}", seat)

    def _pick(self, data: st.DataObject) -> Node:
        return data.draw(st.sampled_from(self.cluster.awake()))

    # --- the ordinary -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.cluster.requests)
    @rule(data=st.data())
    def request_arrives(self, data: st.DataObject) -> None:
        self.cluster.deliver(data.draw(st.integers(0, len(self.cluster.requests) - 1)))

    @rule()
    def everything_arrives(self) -> None:
        for _ in range(len(self.cluster.requests)):
            self.cluster.deliver(0)
        for _ in range(len(self.cluster.replies)):
            self.cluster.answer(0)

    @precondition(lambda self: self.cluster.replies)
    @rule(data=st.data())
    def reply_arrives(self, data: st.DataObject) -> None:
        self.cluster.answer(data.draw(st.integers(0, len(self.cluster.replies) - 1)))

    @precondition(lambda self: self.cluster.awake())
    @rule(data=st.data(), answered=st.sampled_from((True, True, True, False)))
    def beat(self, data: st.DataObject, answered: bool) -> None:
        node = self._pick(data)
        self.cluster.look_at_the_clock(node)
        self.cluster.beat(node, answered=answered)

    @rule()
    def everybody_beats(self) -> None:
        for node in self.cluster.awake():
            self.cluster.look_at_the_clock(node)
            self.cluster.beat(node)

    @precondition(lambda self: self.cluster.awake())
    @rule(data=st.data(), number=st.integers(0, PARTITIONS - 1))
    def work(self, data: st.DataObject, number: int) -> None:
        self.cluster.work(self._pick(data), number)

    @precondition(lambda self: self.sent < MESSAGES)
    @rule(number=st.integers(0, PARTITIONS - 1), key=st.sampled_from("ab"))
    def send(self, number: int, key: str) -> None:
        self.sent += 1
        self.cluster.send(number, key)

    @rule(seconds=st.sampled_from((0.05, 0.2, 0.2, 0.45, 1.1)))
    def time_passes(self, seconds: float) -> None:
        self.cluster.pass_time(seconds)

    # --- faults -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.cluster.requests)
    @rule(data=st.data(), late=st.booleans())
    def request_gets_no_answer(self, data: st.DataObject, late: bool) -> None:
        index = data.draw(st.integers(0, len(self.cluster.requests) - 1))
        self.cluster.lose(index, arrives_late=late)

    @precondition(lambda self: self.cluster.replies)
    @rule(data=st.data())
    def reply_is_lost(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.cluster.replies) - 1))
        node, me, command, _ = self.cluster.replies.pop(index)
        self.cluster.requests.append((node, me, command))
        self.cluster.lose(len(self.cluster.requests) - 1, arrives_late=False)

    @precondition(lambda self: self.cluster.late)
    @rule(data=st.data())
    def late_request_arrives(self, data: st.DataObject) -> None:
        late = self.cluster.late
        self.cluster.apply(late.pop(data.draw(st.integers(0, len(late) - 1))))

    @precondition(lambda self: len(self.cluster.awake()) > 1)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self._pick(data).alive = False

    @precondition(lambda self: len(self.cluster.awake()) > 1)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.cluster.tell(self._pick(data), sig.Leave())

    @precondition(lambda self: sum(node.alive for node in self.cluster.nodes) < CONSUMERS)
    @rule(seat=st.sampled_from((None, None, "x")))
    def join(self, seat: str | None) -> None:
        self._start(seat)

    @precondition(lambda self: len(self.cluster.awake()) > 1)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        self._pick(data).paused = True

    @rule()
    def wake(self) -> None:
        for node in self.cluster.nodes:
            if node.paused:
                node.paused = False
                self.cluster.look_at_the_clock(node)

    # --- what holds -------------------------------------------------------------------------------------------------

    @invariant()
    def two_consumers_never_hold_one_partition_within_their_leases(self) -> None:
        for number in range(PARTITIONS):
            holders = [
                node.name
                for node in self.cluster.nodes
                if node.alive and not node.paused and number in node.holdings and node.leased(self.cluster.now)
            ]
            assert len(holders) <= 1, f"partition {number} is held by {holders}"

    def teardown(self) -> None:
        """In the end, without faults, everything is owned by whom it is meant for, and everything is settled."""
        self.wake()
        if not any(node.member.standing.name != "LEAVING" for node in self.cluster.awake()):
            self._start(None)
        self.cluster.settle_down(self._at_rest)

    def _at_rest(self) -> bool:
        living = {node.member.me for node in self.cluster.awake()}
        document = self.cluster.document
        return (
            bool(living)
            and set(document.members) == living
            and document.balanced
            and all(
                self.cluster.lane(number).owner == document.assignment[number]
                and self.cluster.lane(number).progress.read == len(self.cluster.keys[number])
                for number in range(PARTITIONS)
            )
        )


ClusterMachine.TestCase.settings = settings(max_examples=400, stateful_step_count=60)
TestCluster = ClusterMachine.TestCase
