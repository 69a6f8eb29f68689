"""Consumers, a bad network and a clock around the real functions: whatever happens, the promises hold after each step.

A process is the machine of a member, its pulse, and the holdings and key lanes that the runtime uses. A connection
keeps requests and replies in order, as a session does; when it breaks, what was under way is lost, or arrives late.
Every example ends without faults, and then everything is owned and settled soon.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import define, field
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
)

from segmenter.core import signals as sig
from segmenter.core.beats import Beat, Beaten, NotMember, Pulse
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.events import announcement_of
from segmenter.core.group import UpdateGroup
from segmenter.core.invariants import check_group, check_lane, check_order, check_progress
from segmenter.core.log import parse_position
from segmenter.core.machine import advance
from segmenter.core.member import Member
from segmenter.core.message import Message
from segmenter.core.observations import Admitted, Departed
from segmenter.core.partition import Commit, Committed, Fenced, Release
from segmenter.runtime.holding import Holding
from tests.core.cluster import DELAY_S, GROUP, RETRY_S, SESSION_S, Slots

CONSUMERS, PARTITIONS, IN_FLIGHT = 3, 2, 2
LIMIT_MESSAGES = 12  # of a partition
BEAT_S = SESSION_S / 5
PEACE_S = 6 * SESSION_S  # within which everything converges once there are no more faults

PROCESSES = st.integers(0, CONSUMERS - 1)
NUMBERS = st.integers(0, PARTITIONS - 1)
SELDOM = st.sampled_from([False, False, False, True])
FATES = st.sampled_from(["good", "good", "good", "lost", "executed", "late", "late"])


@define(eq=False)
class Request:
    """A command under way; ``born`` is the member that sent it."""

    born: str
    command: Command[Any, Any]
    at: float
    sent: float
    below: int = 0


@define(eq=False)
class Process:
    """One consumer at a time; it ends by leaving or crashing, and starts again as a new member."""

    number: int
    member: Member | None = None
    seat: str | None = None
    pulse: Pulse | None = None
    beating: bool = False
    paused: bool = False
    paused_at: float = float("-inf")  # when it last was
    joining: tuple[Any, float] = (None, 0.0)  # the last write of the document asked for, and when
    holdings: dict[int, Holding] = field(factory=dict[int, Holding])
    running: list[tuple[Message, float]] = field(factory=list[tuple[Message, float]])
    inbox: deque[sig.Event] = field(factory=deque)
    requests: list[Request] = field(factory=list[Request])
    replies: list[tuple[Request, Any]] = field(factory=list[tuple[Request, Any]])
    beats: list[Request] = field(factory=list[Request])  # over a connection of their own

    def leased(self, now: float) -> bool:
        return self.pulse is not None and now < self.pulse.lease_until


class Processes(RuleBasedStateMachine):
    """The processes, the server and the network of a test, and what is checked as they go."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.born = 0
        self.slots = Slots(PARTITIONS)
        self.processes = [Process(number) for number in range(CONSUMERS)]
        self.late: list[Command[Any, Any]] = []  # that nobody waits for any more
        self.heard = (0, 0)
        self.keys: list[list[str]] = [[] for _ in range(PARTITIONS)]
        self.settled: list[set[int]] = [set() for _ in range(PARTITIONS)]
        self.starts: dict[str, list[int]] = {}
        self.epochs = [0] * PARTITIONS  # of the last commit that went through
        self.committed: dict[tuple[int, int], str] = {}  # (partition, epoch) -> who committed

    def execute(self, command: Command[Any, Any]) -> Any:
        before = self.slots.states[command.slot]
        self.slots.now_us = 1_000_000 + round(self.now * 1e6)
        reply = self.slots.ask(command)
        after = self.slots.states[command.slot]
        if command.slot == GROUP:
            check_group(before.document, after.document)
        else:
            check_lane(before, after, GROUP.group)
            number = command.slot.partition
            check_progress(self.slots.lane(number).progress, self.settled[number])
            if isinstance(command, Commit):
                self._commits(number, command, reply)
        return reply

    def _commits(self, number: int, commit: Commit, reply: Any) -> None:
        """Only the latest owner commits, and nobody else ever did at its epoch."""
        current = self.slots.lane(number)
        if (current.owner, current.epoch) != (commit.member, commit.epoch):
            assert isinstance(reply, Fenced)
            return
        assert isinstance(reply, Committed)
        assert self.committed.setdefault((number, commit.epoch), commit.member) == commit.member
        assert commit.epoch >= self.epochs[number]
        self.epochs[number] = commit.epoch

    def announce(self) -> None:
        """Whoever can hear, hears what is new in the event log."""
        entries = [entry for entry in self.slots.group.events.entries if parse_position(entry[0]) > self.heard]
        self.heard = self.slots.group.events.last
        for event in map(announcement_of, entries):
            for process in self.processes:
                if process.member is not None and event is not None:
                    process.inbox.append(sig.Heard(event))

    def start_process(self, process: Process) -> None:
        self.born += 1
        process.member = Member(
            f"c{process.number}.{self.born}", GROUP, SESSION_S, DELAY_S, self.slots.document, process.seat
        )
        process.inbox.append(sig.Join())
        self.turn(process)

    def end_process(self, process: Process) -> None:
        """It takes nothing back that is on its way."""
        self.late += [request.command for request in [*process.requests, *process.beats]]
        self.processes[process.number] = Process(process.number, seat=process.seat)

    def turn(self, process: Process) -> None:
        """What a process does whenever it runs: first of all it looks at its lease."""
        if process.paused or process.member is None:
            return
        if process.pulse is not None and not process.leased(self.now):
            process.pulse, process.beating = None, False
            process.inbox.appendleft(sig.LeaseOver())
        timer = process.member.timer
        if timer is not None and timer <= self.now:
            process.inbox.append(sig.Tick())
        while process.inbox and process.member is not None:
            self.feed(process, process.inbox.popleft())
        for partition, holding in [*process.holdings.items()]:
            drained = holding.drained()
            if drained is not None:
                holding.draining = False
                self.feed(process, drained)
            self.read(partition, holding)

    def read(self, partition: int, holding: Holding) -> None:
        if not holding.draining:
            holding.lanes.offer(self.slots.partition(partition).log.after(holding.lanes.backlog.position, 4))

    def feed(self, process: Process, event: sig.Event) -> None:
        assert process.member is not None
        process.member, effects = advance(process.member, event, self.now)
        me = process.member.me
        for effect in effects:
            if process.member is not None and process.member.me == me:
                self.do(process, process.member, effect)

    def do(self, process: Process, member: Member, effect: sig.Effect) -> None:
        match effect:
            case sig.Execute(command, again):
                if isinstance(command, UpdateGroup) and command != process.joining[0]:
                    process.joining = (command, self.now)
                process.requests.append(Request(member.me, command, self.now + again * RETRY_S, self.now))
            case sig.Fetch(partition, grant):
                slot = PartitionSlot(GROUP.stream, partition)
                process.holdings[partition] = Holding(
                    slot, GROUP.group, member.me, grant, clock=lambda: self.now, touched=lambda holding: None
                )
            case sig.Stop(partition):
                process.holdings[partition].draining = True
                process.holdings[partition].lanes.stop()
            case sig.Drop(partition):
                self.lose(process, partition)
            case sig.Emit(Admitted()):
                process.pulse, process.beating = Pulse(SESSION_S, lease_from=process.joining[1]), True
            case sig.Emit(Departed(reason=reason)):
                self.depart(process, reason)

    def lose(self, process: Process, partition: int) -> None:
        process.holdings.pop(partition).lost()
        process.running = [item for item in process.running if item[0].partition != partition]

    def depart(self, process: Process, reason: str) -> None:
        if reason != "expelled":
            self.end_process(process)
            return
        for partition in [*process.holdings]:  # released, and the answer has not come
            self.lose(process, partition)
        process.pulse, process.beating = None, False
        process.inbox.clear()
        self.start_process(process)

    def answered(self, process: Process, request: Request, reply: Any) -> None:
        command = request.command
        if process.member is None or process.member.me != request.born:
            return
        if isinstance(command, Commit):
            self.commit_answered(process, command, reply)
            return
        if isinstance(command, Release):
            assert all(running.partition != command.slot.partition for running, _ in process.running)
            holding = process.holdings.get(command.slot.partition)
            if holding is not None and holding.grant.epoch == command.epoch:
                self.lose(process, command.slot.partition)
        process.inbox.append(sig.Replied(command, reply))

    def commit_answered(self, process: Process, commit: Commit, reply: Any) -> None:
        holding = process.holdings.get(commit.slot.partition)
        if holding is None or holding.grant.epoch != commit.epoch:
            return
        if isinstance(reply, Committed):
            holding.committed(commit)
        else:
            process.inbox.append(sig.Refused(commit.slot.partition))

    def unanswered(self, process: Process, request: Request) -> None:
        command = request.command
        if process.member is None or process.member.me != request.born:
            return
        if not isinstance(command, Commit):
            process.inbox.append(sig.Unanswered(command))
            return
        holding = process.holdings.get(command.slot.partition)
        if holding is not None and holding.grant.epoch == command.epoch and process.leased(self.now):
            process.requests.append(Request(request.born, command, self.now + RETRY_S, self.now))

    def due(self, process: Process) -> list[Request]:
        return [request for request in process.requests if request.at <= self.now]

    def carry(self, process: Process, *, turn: bool = True) -> bool:
        """The oldest request reaches the server."""
        due = self.due(process)
        if due:
            process.requests.remove(due[0])
            process.replies.append((due[0], self.execute(due[0].command)))
        if turn:
            self.announce()
        return bool(due)

    def take_reply(self, process: Process) -> bool:
        if process.paused or not process.replies:
            return False
        self.look_at_lease(process)
        process = self.processes[process.number]
        if process.replies:
            self.answered(process, *process.replies.pop(0))
        self.turn(process)
        return True

    def look_at_lease(self, process: Process) -> None:
        if process.pulse is not None and not process.leased(self.now):
            self.turn(process)

    def turn_all(self) -> None:
        for number in range(CONSUMERS):
            self.turn(self.processes[number])

    def pass_time(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 6)
        self.turn_all()

    def send_beat(self, process: Process) -> None:
        if process.beating and process.member is not None and process.pulse is not None and not process.paused:
            below = process.pulse.silent_below(self.now)
            beat = Beat(GROUP, process.member.me, process.member.document.version, below)
            process.beats.append(Request(process.member.me, beat, self.now, self.now, below))

    def take_beat(self, process: Process, request: Request) -> None:
        self.beat_answered(process, request, self.execute(request.command))

    def beat_answered(self, process: Process, request: Request, reply: Any) -> None:
        if process.member is None or process.member.me != request.born or process.pulse is None or process.paused:
            return
        match reply:
            case Beaten(number, document, silent):
                process.pulse = process.pulse.answered(request.sent, self.now, number)
                process.inbox += [sig.Learned(document)] if document is not None else []
                process.inbox += [sig.Silent(silent, request.below)] if silent else []
            case NotMember(document):
                process.beating = False
                process.inbox.append(sig.Excluded(document))
        self.turn(process)

    def beat_all(self, cut: int | None = None) -> None:
        for process in list(self.processes):
            if process.number != cut:
                self.send_beat(process)
                while process.beats:
                    self.take_beat(process, process.beats.pop(0))

    def check_start(self, process: Process, partition: int, message: Message) -> None:
        """No other handler runs there but of a process that sleeps, and the key's earlier messages are settled."""
        for other in self.processes:
            if other is not process and not other.paused:
                assert all(running.partition != partition for running, _ in other.running)
        keys = self.keys[partition]
        earlier = {n for n in range(message.ordinal) if keys[n] == message.key}
        assert earlier <= self.settled[partition]
        self.starts.setdefault(f"{partition}/{message.key}", []).append(message.ordinal)
        check_order(self.starts)

    def converged(self) -> bool:
        document = self.slots.document
        alive = {process.member.me: process for process in self.processes if process.member is not None}
        return (
            bool(alive)
            and set(document.members) == set(alive)
            and document.balanced
            and all(
                name in alive
                and alive[name].member is not None
                and alive[name].holdings.keys() == document.assigned_to(name)
                and self.slots.lane(partition).owner == name
                and self.slots.lane(partition).progress.read == len(self.keys[partition])
                for partition, name in enumerate(document.assignment)
            )
        )

    def story(self) -> str:
        lines = [f"{self.now}: {self.slots.document}"]
        lines += [f"{number}: {self.slots.lane(number)}" for number in range(PARTITIONS)]
        lines += [f"{p.number}: {p.member}\n  {p.holdings} {p.requests} {p.replies}" for p in self.processes]
        return "\n".join(lines)
