"""Consumers over the slots of a server, one step at a time: the machine's effects meet the laws of the commands.

``Slots`` is the server. ``Cluster`` carries requests, replies, announcements and beats between it and the machines; a
test cuts a member off and plays its requests by hand, or puts it to sleep.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import define, evolve, field, frozen

from segmenter.core import signals as sig
from segmenter.core.beats import Beat, Beaten, NotMember, Pulse
from segmenter.core.command import Command, GroupSlot, PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.events import Changed, Freed, announcement_of
from segmenter.core.group import GroupData, GroupState, UpdateGroup
from segmenter.core.log import Record, parse_position
from segmenter.core.machine import advance
from segmenter.core.member import Hold, Member
from segmenter.core.observations import Admitted, Granted, Observation
from segmenter.core.partition import Lane, PartitionState, Progress
from segmenter.core.transitions import State

__all__ = ["DELAY_S", "GROUP", "RETRY_S", "SESSION_S", "Cluster", "Request", "Slots"]

GROUP = GroupSlot("orders", "g")
SESSION_S = 1.0
DELAY_S = 0.1  # of rebalancing
RETRY_S = 0.1  # before a command without an answer is repeated
STEP_S = 0.05  # in which time passes


class Slots:
    """What a server holds: a group that is ready, and partitions with a lane for it."""

    def __init__(self, partitions: int) -> None:
        self.states: dict[Any, Any] = {}
        self.now_us = 1_000_000
        for number in range(partitions):
            self.ask(CreatePartition(PartitionSlot(GROUP.stream, number), "born"))
            self.ask(CreateLane(PartitionSlot(GROUP.stream, number), GROUP.group, b"earliest"))
        ready = GroupState(partitions, int(SESSION_S * 1000), "v0", state="ready")
        self.ask(UpdateGroup(GROUP, None, ready, Changed("v0", "readied", "")))

    def ask(self, command: Command[Any, Any]) -> Any:
        """Execute a command as one step."""
        self.states[command.slot], reply = command.apply(self.states.get(command.slot), self.now_us)
        return reply

    @property
    def group(self) -> GroupData:
        """What the group's slot holds."""
        data: GroupData = self.states[GROUP]
        return data

    @property
    def document(self) -> GroupState:
        """The group's document."""
        assert self.group.document is not None
        return self.group.document

    def partition(self, number: int) -> PartitionState:
        """What a partition's slot holds."""
        state: PartitionState = self.states[PartitionSlot(GROUP.stream, number)]
        return state

    def lane(self, number: int) -> Lane:
        """The group's lane in a partition."""
        return self.partition(number).lanes[GROUP.group]

    def append(self, number: int, key: bytes = b"k") -> None:
        """Add a message to a partition's log."""
        state = self.partition(number)
        log = state.log.append([Record(key, b"").fields], self.now_us)
        self.states[PartitionSlot(GROUP.stream, number)] = evolve(state, log=log)


@frozen
class Request:
    """A command on its way to the server."""

    member: str
    command: Command[Any, Any]
    at: float


@define
class Cluster:
    """Some consumers, their server, and all that is under way between them."""

    slots: Slots
    now: float = 0.0
    members: dict[str, Member] = field(factory=dict[str, Member])
    pulses: dict[str, Pulse] = field(factory=dict[str, Pulse])
    wire: list[Request] = field(factory=list[Request])
    inbox: deque[tuple[str, sig.Event]] = field(factory=deque[tuple[str, sig.Event]])
    heard: tuple[int, int] = (0, 0)  # how far the event log was delivered
    seen: list[Observation] = field(factory=list[Observation])
    fetched: set[tuple[str, int]] = field(factory=set[tuple[str, int]])
    busy: set[tuple[str, int]] = field(factory=set[tuple[str, int]])  # where a handler runs: drained when it ends
    cut: set[str] = field(factory=set[str])  # whose requests wait for the test, and whose beats are lost
    asleep: set[str] = field(factory=set[str])
    clock_lag_s: float = 0.0  # by which the server's clock is behind

    @classmethod
    def of(cls, partitions: int, *names: str) -> Cluster:
        """A cluster whose members joined in this order, each when the ones before were done."""
        cluster = cls(Slots(partitions))
        for name in names:
            cluster.join(name)
            cluster.run(2 * DELAY_S)
        return cluster

    # --- looking ----------------------------------------------------------------------------------------------------

    def hold(self, name: str, partition: int) -> Hold:
        """What a member knows about a partition."""
        return self.members[name].holds[partition]

    def states(self, name: str) -> list[State]:
        """Where each partition stands for a member."""
        return [hold.state for hold in self.members[name].holds]

    def owned(self, name: str) -> set[int]:
        """The partitions that a member owns, by its own account and by that of the lanes alike."""
        mine = {p for p, state in enumerate(self.states(name)) if state in (State.OWNED, State.DRAINING)}
        assert mine <= {p for p in range(self.slots.document.partitions) if self.slots.lane(p).owner == name}
        assert mine == {p for owner, p in self.fetched if owner == name}
        return mine

    def requests(self, name: str, kind: type[Command[Any, Any]]) -> list[Request]:
        """The commands of a kind that a member has under way."""
        return [request for request in self.wire if request.member == name and isinstance(request.command, kind)]

    def first_epoch(self, name: str, partition: int) -> int:
        """The epoch under which a member was first granted a partition."""
        grants = [seen for seen in self.seen if isinstance(seen, Granted)]
        return next(seen.epoch for seen in grants if (seen.member, seen.partition) == (name, partition))

    def freed(self) -> Freed:
        """The last announcement of the group, of a partition that was given up."""
        event = announcement_of(self.slots.group.events.entries[-1])
        assert isinstance(event, Freed)
        return event

    # --- doing ------------------------------------------------------------------------------------------------------

    def join(self, name: str, seat: str | None = None, *, immediate: bool = False) -> None:
        """Start a consumer and let it join."""
        self.members[name] = Member(name, GROUP, SESSION_S, DELAY_S, self.slots.document, seat, immediate)
        self.tell(name, sig.Join())
        self.settle()

    def crash(self, name: str) -> None:
        """End a consumer without a word."""
        del self.members[name]
        self.pulses.pop(name, None)
        self.wire = [request for request in self.wire if request.member != name]
        self.fetched = {pair for pair in self.fetched if pair[0] != name}

    def tell(self, name: str, event: sig.Event) -> None:
        """Advance one machine, and those that hear of it."""
        self.inbox.append((name, event))
        while self.inbox:
            name, event = self.inbox.popleft()
            if name in self.members:
                self.members[name], effects = advance(self.members[name], event, self.now)
                for effect in effects:
                    self._do(name, effect)

    def _do(self, name: str, effect: sig.Effect) -> None:
        match effect:
            case sig.Execute(command, again):
                self.wire.append(Request(name, command, self.now + again * RETRY_S))
            case sig.Fetch(partition):
                self.fetched.add((name, partition))
            case sig.Stop(partition):
                if (name, partition) not in self.busy:
                    self._drained(name, partition)
            case sig.Drop(partition):
                self.fetched.remove((name, partition))
            case sig.Emit(observation):
                self.seen.append(observation)
                if isinstance(observation, Admitted):
                    self.pulses[name] = Pulse(SESSION_S, lease_from=self.now)

    def _drained(self, name: str, partition: int) -> None:
        self.fetched.discard((name, partition))
        self.inbox.append((name, sig.Drained(partition)))

    def finish(self, name: str, partition: int, progress: Progress | None = None) -> None:
        """The handler of a draining partition ends."""
        self.busy.remove((name, partition))
        self.fetched.discard((name, partition))
        self.tell(name, sig.Drained(partition, 1, progress) if progress else sig.Drained(partition))
        self.settle()

    def answer(self, request: Request) -> Any:
        """Execute a request and deliver the reply."""
        reply = self.execute(request)
        self.tell(request.member, sig.Replied(request.command, reply))
        return reply

    def execute(self, request: Request, *, reply_lost: bool = False) -> Any:
        """Execute a request; its member may hear that there was no reply."""
        self.lose(request, told=reply_lost)
        self.slots.now_us = max(0, 1_000_000 + round((self.now - self.clock_lag_s) * 1e6))
        return self.slots.ask(request.command)

    def lose(self, request: Request, *, told: bool = True) -> None:
        """Take a request off the wire; its member may hear that there was no reply."""
        if request in self.wire:
            self.wire.remove(request)
        if told:
            self.tell(request.member, sig.Unanswered(request.command))

    # --- time -------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Carry everything that is due until nothing is, in order."""
        apart = self.cut | self.asleep
        while due := [request for request in self.wire if request.at <= self.now and request.member not in apart]:
            self.answer(due[0])
            self._announce()

    def _announce(self) -> None:
        fresh = [entry for entry in self.slots.group.events.entries if parse_position(entry[0]) > self.heard]
        self.heard = self.slots.group.events.last
        for entry in fresh:
            event = announcement_of(entry)
            for name in [*self.members]:
                if event is not None and name not in self.asleep | self.cut:
                    self.tell(name, sig.Heard(event))

    def run(self, seconds: float) -> None:
        """Let time pass: timers, beats, leases, and whatever is under way."""
        for _ in range(round(seconds / STEP_S)):
            self.now = round(self.now + STEP_S, 6)
            beats = round(self.now / STEP_S) % 4 == 0
            for name in [*self.members]:
                if name not in self.asleep:
                    self._live(name, beats)
            self.settle()

    def wake(self, name: str) -> None:
        """A sleeping member goes on; before anything else it looks at its lease."""
        self.asleep.remove(name)
        self._live(name, beats=False)
        self.settle()

    def _live(self, name: str, beats: bool) -> None:
        pulse = self.pulses.get(name)
        if pulse is not None and pulse.lease_until <= self.now:
            del self.pulses[name]
            self.tell(name, sig.LeaseOver())
        elif pulse is not None and beats and name not in self.cut:
            self.beat(name, pulse)
        timer = self.members[name].timer
        if timer is not None and timer <= self.now:
            self.tell(name, sig.Tick())

    def beat(self, name: str, pulse: Pulse) -> None:
        """Beat for a member, and tell it what the answer brings."""
        below = pulse.silent_below(self.now)
        match reply := self.slots.ask(Beat(GROUP, name, self.members[name].document.version, below)):
            case Beaten(number, document):
                silent = pulse.silent(reply)
                self.pulses[name] = pulse.answered(self.now, self.now, number)
                if document is not None:
                    self.tell(name, sig.Learned(document))
                if silent:
                    self.tell(name, sig.Silent(silent, below))
            case NotMember(document):
                self.tell(name, sig.Excluded(document))

    # --- what a server may lose -------------------------------------------------------------------------------------

    def roll_back(self, before: GroupData) -> None:
        """The group's slot is again what it was; the lanes are not."""
        self.slots.states[GROUP] = before
        self.heard = min(self.heard, before.events.last)

    def new_history(self, partition: int) -> None:
        """The server of a partition may have lost something."""
        slot = PartitionSlot(GROUP.stream, partition)
        self.slots.states[slot] = evolve(self.slots.states[slot], history="another")
