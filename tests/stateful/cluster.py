"""Consumers made of the real functions of the core, a network that keeps requests and replies apart, and a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field

from segmenter.core import signals as sig
from segmenter.core.beats import Beat, Beaten, NotMember, Pulse
from segmenter.core.command import Command, GroupSlot, PartitionSlot, Slot
from segmenter.core.events import Changed
from segmenter.core.group import GroupData, GroupState, UpdateGroup
from segmenter.core.invariants import check_group, check_lane, check_leases, check_progress
from segmenter.core.log import START
from segmenter.core.machine import advance
from segmenter.core.member import Member
from segmenter.core.partition import Claimed, Commit, Committed, CreateLane, CreatePartition, PartitionState, Progress
from segmenter.core.transitions import Standing

__all__ = ["PARTITIONS", "Cluster", "Node"]

STREAM, GROUP = "s", "g"
SLOT = GroupSlot(STREAM, GROUP)
PARTITIONS = 2
SESSION_S = 1.0


@define(eq=False)
class Holding:
    """A partition in a node's hands: what was started, settled and sent to be stored."""

    epoch: int
    read: int  # the next ordinal to start
    settled: int  # all below are settled
    number: int = 0
    in_flight: int | None = None
    draining: bool = False
    committing: bool = False
    stored: int = 0


@define(eq=False)
class Node:
    """A consumer's process."""

    name: str
    member: Member
    pulse: Pulse | None = None
    holdings: dict[int, Holding] = field(factory=dict[int, Holding])
    alive: bool = True
    paused: bool = False
    lives: int = 0
    joining_since: float = 0.0

    def leased(self, now: float) -> bool:
        return self.pulse is not None and now < self.pulse.lease_until


class Cluster:
    """Everything there is, and the checks after each step."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slots: dict[Slot, Any] = {}
        self.nodes: list[Node] = []
        self.requests: list[tuple[Node, str, Command[Any, Any]]] = []  # with the member id that asked
        self.replies: list[tuple[Node, str, Command[Any, Any], Any]] = []
        self.late: list[Command[Any, Any]] = []  # given up by whoever asked, and still under way
        self.keys: dict[int, list[str]] = {number: [] for number in range(PARTITIONS)}
        self.finished: dict[int, set[int]] = {number: set() for number in range(PARTITIONS)}
        self.started: dict[int, set[int]] = {number: set() for number in range(PARTITIONS)}
        for number in range(PARTITIONS):
            self.apply(CreatePartition(PartitionSlot(STREAM, number), "i"))
            self.apply(CreateLane(PartitionSlot(STREAM, number), GROUP, b"earliest"))
        document = GroupState(PARTITIONS, int(SESSION_S * 1000), "v0", state="ready")
        self.apply(UpdateGroup(SLOT, None, document, Changed("v0", "created", "")))

    # --- the server -------------------------------------------------------------------------------------------------

    def apply(self, command: Command[Any, Any]) -> Any:
        """One step of the server, with its invariants."""
        before = self.slots.get(command.slot)
        after, reply = command.apply(before, 1_000_000 + int(self.now * 1e6))
        self.slots[command.slot] = after
        if isinstance(after, PartitionState):
            check_lane(before, after, GROUP)
            lane = after.lanes.get(GROUP)
            if lane is not None:
                check_progress(lane.progress, self.finished[command.slot.partition])
        elif isinstance(after, GroupData):
            check_group(before.document if before else None, after.document)
        return reply

    @property
    def document(self) -> GroupState:
        """The group's document as it stands."""
        data: GroupData = self.slots[SLOT]
        assert data.document is not None
        return data.document

    def lane(self, number: int) -> Any:
        """A partition's lane."""
        return self.slots[PartitionSlot(STREAM, number)].lanes[GROUP]

    def send(self, number: int, key: str) -> None:
        """A message enters a partition's log."""
        slot = PartitionSlot(STREAM, number)
        state: PartitionState = self.slots[slot]
        self.keys[number].append(key)
        self.slots[slot] = evolve(state, log=state.log.append([(b"k", key.encode(), b"d", b"")], int(self.now * 1e6)))

    # --- nodes ------------------------------------------------------------------------------------------------------

    def start(self, name: str, seat: str | None = None) -> Node:
        """A process starts and joins."""
        node = Node(name, self._member(f"{name}.0", seat))
        self.nodes.append(node)
        self.tell(node, sig.Join())
        return node

    def _member(self, me: str, seat: str | None) -> Member:
        return Member(me, SLOT, SESSION_S, 0.1, self.document, seat=seat)

    def tell(self, node: Node, event: sig.Event) -> None:
        """Feed a node's machine, and do what it asks for."""
        node.member, effects = advance(node.member, event, self.now)
        for effect in effects:
            match effect:
                case sig.Execute(command):
                    if isinstance(command, UpdateGroup):
                        node.joining_since = self.now
                    self.requests.append((node, node.member.me, command))
                case sig.Fetch(partition, grant):
                    node.holdings[partition] = self._holding(partition, grant)
                case sig.Stop(partition):
                    node.holdings[partition].draining = True
                case sig.Drop(partition):
                    del node.holdings[partition]
                case sig.Emit():
                    pass
        self._after(node)

    def _holding(self, partition: int, grant: Claimed) -> Holding:
        read = grant.progress.read
        return Holding(grant.epoch, read, read, stored=read)

    def _after(self, node: Node) -> None:
        """What the runtime does besides: the lease with the membership, and a new member after an expulsion."""
        standing = node.member.standing
        if standing is Standing.OUTSIDE and node.member.reason == "expelled":
            node.pulse = None
            node.lives += 1
            node.member = self._member(f"{node.name}.{node.lives}", node.member.seat)
            self.tell(node, sig.Join())
        elif standing is Standing.OUTSIDE:
            node.pulse = None
            node.alive = node.member.reason == ""
        elif standing is not Standing.JOINING and node.pulse is None and node.member.me in self._known(node):
            node.pulse = Pulse(SESSION_S, lease_from=node.joining_since)

    @staticmethod
    def _known(node: Node) -> set[str]:
        return set(node.member.document.members)

    def awake(self) -> list[Node]:
        """Nodes that run."""
        return [node for node in self.nodes if node.alive and not node.paused]

    def look_at_the_clock(self, node: Node) -> None:
        """What a node does first whenever it runs: stop if its lease is over, and see whether a timer is due."""
        if node.pulse is not None and not node.leased(self.now):
            node.pulse = None
            self.tell(node, sig.LeaseOver())
        if node.member.timer is not None and node.member.timer <= self.now:
            self.tell(node, sig.Tick())

    def pass_time(self, seconds: float) -> None:
        """The clock moves; whoever is awake looks at it."""
        self.now += seconds
        for node in self.awake():
            self.look_at_the_clock(node)

    def beat(self, node: Node, *, answered: bool = True) -> None:
        """A beat, whose answer may be lost."""
        if node.pulse is None:
            return
        below = node.pulse.silent_below(self.now)
        reply = self.apply(Beat(SLOT, node.member.me, node.member.document.version, below))
        if not answered:
            return
        if isinstance(reply, Beaten):
            node.pulse = node.pulse.answered(self.now, self.now, reply.number)
            if reply.document is not None:
                self.tell(node, sig.Learned(reply.document))
            if reply.silent:
                self.tell(node, sig.Silent(reply.silent, below))
        elif isinstance(reply, NotMember):
            self.tell(node, sig.Excluded(reply.document))

    # --- the network ------------------------------------------------------------------------------------------------

    def deliver(self, index: int) -> None:
        """A request arrives and is answered; the answer is on its way."""
        node, me, command = self.requests.pop(index)
        self.replies.append((node, me, command, self.apply(command)))

    def answer(self, index: int) -> None:
        """An answer arrives, unless nobody is there to take it."""
        node, me, command, reply = self.replies[index]
        if node.paused:
            return
        del self.replies[index]
        if not node.alive or node.member.me != me:
            return
        self.look_at_the_clock(node)
        if isinstance(command, Commit):
            self._committed(node, command, reply)
        else:
            if type(command).__name__ == "Release":
                self._given_up(node, command)
            self.tell(node, sig.Replied(command, reply))

    def lose(self, index: int, *, arrives_late: bool) -> None:
        """A request gets no answer; it may be lost, or arrive when nobody expects it any more."""
        node, me, command = self.requests.pop(index)
        if arrives_late:
            self.late.append(command)
        if node.alive and not node.paused and node.member.me == me:
            self.look_at_the_clock(node)
            self._unanswered(node, command)
        elif node.paused:
            self.requests.append((node, me, command))

    def _unanswered(self, node: Node, command: Command[Any, Any]) -> None:
        if not isinstance(command, Commit):
            self.tell(node, sig.Unanswered(command))
        elif self._held(node, command) is not None:
            self.requests.append((node, node.member.me, command))  # repeated as it was

    def _held(self, node: Node, command: Commit) -> Holding | None:
        holding = node.holdings.get(command.slot.partition)
        return holding if holding is not None and holding.epoch == command.epoch else None

    def _committed(self, node: Node, command: Commit, reply: Any) -> None:
        holding = self._held(node, command)
        if holding is None:
            return
        holding.committing = False
        if isinstance(reply, Committed):
            holding.stored = command.progress.read
        else:
            self.tell(node, sig.Refused(command.slot.partition))

    def _given_up(self, node: Node, command: Any) -> None:
        holding = node.holdings.get(command.slot.partition)
        if holding is not None and holding.epoch == command.epoch:
            del node.holdings[command.slot.partition]

    # --- work -------------------------------------------------------------------------------------------------------

    def work(self, node: Node, number: int) -> None:
        """A node goes one step on in a partition: it starts a message, or finishes it and has that stored."""
        self.look_at_the_clock(node)
        holding = node.holdings.get(number)
        if holding is None or not node.leased(self.now):
            return
        if holding.in_flight is not None:
            self._finish(node, number, holding)
        elif not holding.draining and holding.read < len(self.keys[number]):
            self._start(node, number, holding)
        self._commit(node, number, holding)
        self._drain(node, number, holding)

    def _start(self, node: Node, number: int, holding: Holding) -> None:
        assert node.pulse is not None
        check_leases([(self.now, node.pulse.lease_until)])
        ordinal = holding.read
        key = self.keys[number][ordinal]
        if ordinal not in self.started[number]:
            earlier = {other for other in range(ordinal) if self.keys[number][other] == key}
            assert earlier <= self.finished[number], "a message started before the one before it was settled"
        self.started[number].add(ordinal)
        others = [other for other in self.nodes if other is not node and self._running(other, number)]
        assert not others, f"{node.name} and {others[0].name} handle partition {number} at once"
        holding.in_flight = ordinal
        holding.read += 1

    def _running(self, node: Node, number: int) -> bool:
        """Whether a node may be in the middle of a message: alive, awake and within its lease."""
        holding = node.holdings.get(number)
        busy = holding is not None and holding.in_flight is not None
        return busy and node.alive and not node.paused and node.leased(self.now)

    def _finish(self, node: Node, number: int, holding: Holding) -> None:
        assert holding.in_flight is not None
        self.finished[number].add(holding.in_flight)
        holding.in_flight = None
        holding.settled = holding.read

    def _commit(self, node: Node, number: int, holding: Holding) -> None:
        if holding.committing or holding.settled == holding.stored:
            return
        holding.number += 1
        holding.committing = True
        commit = Commit(
            PartitionSlot(STREAM, number),
            GROUP,
            node.member.me,
            holding.epoch,
            holding.number,
            self._progress(number, holding),
        )
        self.requests.append((node, node.member.me, commit))

    def _progress(self, number: int, holding: Holding) -> Progress:
        log = self.slots[PartitionSlot(STREAM, number)].log
        offset = log.entries[holding.settled - 1][0] if holding.settled else START
        return Progress(offset, holding.settled)

    def _drain(self, node: Node, number: int, holding: Holding) -> None:
        idle = holding.in_flight is None and not holding.committing
        if node.holdings.get(number) is holding and holding.draining and idle:
            holding.draining = False
            self.tell(node, sig.Drained(number, holding.number + 1, self._progress(number, holding)))

    # --- the end ----------------------------------------------------------------------------------------------------

    def settle_down(self, done: Callable[[], bool], rounds: int = 400) -> None:
        """No more faults: everything is delivered in order, everybody beats and works, until it is done."""
        for command in self.late:
            self.apply(command)
        self.late.clear()
        for _ in range(rounds):
            if done():
                return
            for node in self.awake():
                self.look_at_the_clock(node)
                self.beat(node)
            for _ in range(len(self.requests)):
                self.deliver(0)
            for _ in range(len(self.replies)):
                self.answer(0)
            for node in self.awake():
                for number in range(PARTITIONS):
                    self.work(node, number)
            self.pass_time(SESSION_S / 20)
        raise AssertionError("it never came to rest")
