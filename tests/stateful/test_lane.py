"""A lane under all kinds of claims, commits and releases, repeated and late, and a server that forgets."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from segmenter.core.command import Command, PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.invariants import check_lane, check_trimming
from segmenter.core.log import Record
from segmenter.core.partition import (
    Changed,
    Claim,
    Claimed,
    Commit,
    Committed,
    Held,
    PartitionState,
    Progress,
    Release,
    Released,
)
from segmenter.core.retention import Append, Appended, Full, Trim

SLOT = PartitionSlot("s", 0)
GROUPS = ("billing", "shipping")
MEMBERS = ("a", "b", "c")
CAPACITY = 6


class LaneMachine(RuleBasedStateMachine):
    """One partition, two groups, three members that may say anything at any time."""

    commands = Bundle("commands")

    def __init__(self) -> None:
        super().__init__()
        self.state: PartitionState | None = None
        self.now_us = 1_000_000
        self.tokens = 0
        self.sequence = 0
        self.earlier: list[PartitionState] = []
        self.committed: set[tuple[str, str, int]] = set()  # whose commits were applied, by group and epoch

    def _do(self, command: Command[PartitionState, Any]) -> Any:
        before = self.state
        self.now_us += 7
        self.state, reply = command.apply(before, self.now_us)
        if before is not None and self.state is not None:
            for group in GROUPS:
                check_lane(before, self.state, group)
            check_trimming(before, self.state)
        return reply

    @initialize()
    def create(self) -> None:
        self._do(CreatePartition(SLOT, "i"))
        for group in GROUPS:
            self._do(CreateLane(SLOT, group, b"earliest"))

    def _lane(self, group: str) -> Any:
        assert self.state is not None
        return self.state.lanes[group]

    @rule(count=st.integers(1, 3), drop=st.booleans())
    def append(self, count: int, drop: bool) -> None:
        records = tuple(Record(b"k", b"%d" % (self.sequence + number)) for number in range(count))
        before = self.state
        reply = self._do(Append(SLOT, "p", 1, self.sequence + 1, records, CAPACITY))
        assert isinstance(reply, Appended | Full)
        if isinstance(reply, Full):
            assert self.state == before, "what was refused left a trace"
        else:
            self.sequence += count

    @rule(target=commands, group=st.sampled_from(GROUPS), member=st.sampled_from(MEMBERS), data=st.data())
    def claim(self, group: str, member: str, data: st.DataObject) -> Command[PartitionState, Any]:
        lane = self._lane(group)
        epoch = data.draw(st.sampled_from((lane.epoch, lane.epoch, lane.epoch - 1, 0)))
        evict = data.draw(st.sampled_from((None, None, *MEMBERS)))
        self.tokens += 1
        command = Claim(SLOT, group, member, 1, epoch, f"t{self.tokens}", evict)
        reply = self._do(command)
        if isinstance(reply, Claimed):
            assert lane.owner in (None, member, evict), "a live owner was replaced"
            assert reply.epoch > lane.epoch
            assert self._do(command) == reply, "the repeated claim got another answer"
        else:
            assert isinstance(reply, Held | Changed)
        return command

    @rule(target=commands, group=st.sampled_from(GROUPS), member=st.sampled_from(MEMBERS), data=st.data())
    def commit(self, group: str, member: str, data: st.DataObject) -> Command[PartitionState, Any]:
        assert self.state is not None
        lane, log = self._lane(group), self.state.log
        ahead = log.after(lane.progress.offset, 3)
        steps = data.draw(st.integers(0, len(ahead)))
        offset = ahead[steps - 1][0] if steps else lane.progress.offset
        read = max(lane.progress.read, log.first_ordinal) + steps if steps else lane.progress.read
        command = Commit(SLOT, group, member, lane.epoch, lane.number + 1, Progress(offset, read))
        self._commit(command)
        return command

    def _commit(self, command: Commit) -> None:
        lane = self._lane(command.group)
        reply = self._do(command)
        if isinstance(reply, Committed):
            assert (lane.owner, lane.epoch) == (command.member, command.epoch)
            self.committed.add((command.group, command.member, command.epoch))
            assert (
                len({who for group, who, epoch in self.committed if (group, epoch) == (command.group, command.epoch)})
                == 1
            )
            after = self._lane(command.group)
            assert self._do(command) == reply
            assert self._lane(command.group) == after, "a repeated commit changed something"
        else:
            assert self._lane(command.group) == lane, "a refused commit changed something"

    @rule(target=commands, group=st.sampled_from(GROUPS), member=st.sampled_from(MEMBERS), start=st.booleans())
    def release(self, group: str, member: str, start: bool) -> Command[PartitionState, Any]:
        lane = self._lane(group)
        command = Release(SLOT, group, member, lane.epoch, start=b"earliest" if start else b"")
        reply = self._do(command)
        assert isinstance(reply, Released) == (lane.owner in (None, member))
        if isinstance(reply, Released):
            assert self._lane(group).owner is None
            assert reply.epoch > lane.epoch, "a claim under way could still succeed"
        return command

    @rule(command=commands)
    def arrive_late(self, command: Command[PartitionState, Any]) -> None:
        """Whatever was ever sent may arrive again; the checks of every step are what it must not break."""
        if isinstance(command, Commit):
            self._commit(command)
        else:
            self._do(command)

    @rule()
    def trim(self) -> None:
        self._do(Trim(SLOT))

    @rule()
    def remember(self) -> None:
        assert self.state is not None
        self.earlier.append(self.state)

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        """The server comes back with an earlier state and a new history: no commit of before is taken."""
        if not self.earlier:
            return
        earlier = data.draw(st.sampled_from(self.earlier))
        self.tokens += 1
        self.state = evolve(earlier, history=f"h{self.tokens}")
        self.sequence = earlier.producers["p"].last if "p" in earlier.producers else 0
        self.committed.clear()
        for group in GROUPS:
            lane = self._lane(group)
            if lane.owner is not None:
                reply = self._do(Commit(SLOT, group, lane.owner, lane.epoch, lane.number + 1, lane.progress))
                assert type(reply).__name__ == "RolledBack"


LaneMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
TestLane = LaneMachine.TestCase
