"""A lane under all kinds of claims, commits and releases, repeated and late, and a server that forgets."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from segmenter.core.aside import Aside, Letter, Moves, Request
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.invariants import check_lane, check_trimming
from segmenter.core.letters import Letters, ListLetters, Purge, Purged, Redrive, Replay, Replayed, Requested
from segmenter.core.log import Record
from segmenter.core.partition import (
    NOT_TRYING,
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
CALLERS = st.sampled_from((None, None, None, *MEMBERS))  # None: the owner
CAPACITY = 6
WHAT = ("redrive", "discard")
LETTERS = st.builds(
    lambda ordinal, key, reason: Letter(ordinal, b"1-0", key, b"%d" % ordinal, reason=reason),
    ordinal=st.integers(0, 5),
    key=st.sampled_from((b"a", b"b")),
    reason=st.sampled_from(("", "again")),
)


def _some(things: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(things), max_size=2, unique=True).map(tuple) if things else st.just(())


class Shelves:
    """What a lane should have set aside: dictionaries by place."""

    def __init__(self) -> None:
        self.parked: dict[tuple[int, bytes], Letter] = {}
        self.dead: dict[tuple[int, bytes], Letter] = {}
        self.requests: dict[tuple[str, bytes | None], str] = {}  # -> token

    def move(self, moves: Moves) -> None:
        for place in moves.unpark:
            self.parked.pop(place, None)
        self.parked |= {letter.place: letter for letter in moves.park}
        self.dead |= {letter.place: letter for letter in moves.bury}
        for request in moves.heeded:
            if self.requests.get((request.what, request.key)) == request.token:
                del self.requests[request.what, request.key]

    def check(self, aside: Aside) -> None:
        assert aside.parked == tuple(self.parked[place] for place in sorted(self.parked))
        assert aside.dead == tuple(self.dead[place] for place in sorted(self.dead))
        assert {(request.what, request.key): request.token for request in aside.requests} == self.requests


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
        self.former: dict[tuple[str, int], Commit] = {}  # the last commit that went through, by group and epoch
        self.shelves = {group: Shelves() for group in GROUPS}
        self.earlier_shelves: list[Any] = []

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
        window = data.draw(st.integers(0, 3))
        command = Claim(SLOT, group, member, 1, epoch, f"t{self.tokens}", evict, window=window)
        reply = self._do(command)
        if isinstance(reply, Claimed):
            assert lane.owner in (None, member, evict), "a live owner was replaced"
            assert reply.epoch > lane.epoch
            replaced = lane.owner not in (None, member)
            assert reply.unclean == lane.unclean + replaced
            counted = sum(count for _, count in reply.progress.attempts) - sum(n for _, n in lane.progress.attempts)
            assert counted == (replaced and lane.progress.trying != NOT_TRYING), "an attempt that nobody made"
            assert reply.progress.trying == NOT_TRYING
            assert self._do(command) == reply, "the repeated claim got another answer"
        else:
            assert isinstance(reply, Held | Changed)
        return command

    def _owner(self, group: str) -> str:
        """The owner, whoever it is: hardly any commit would go through otherwise."""
        lane = self._lane(group)
        if lane.owner is None:
            self.tokens += 1
            self._do(Claim(SLOT, group, "a", 1, lane.epoch, f"t{self.tokens}"))
        owner: str = self._lane(group).owner
        return owner

    @rule(target=commands, group=st.sampled_from(GROUPS), member=CALLERS, data=st.data())
    def commit(self, group: str, member: str | None, data: st.DataObject) -> Command[PartitionState, Any]:
        assert self.state is not None
        member = member or self._owner(group)
        lane, log = self._lane(group), self.state.log
        ahead = log.after(lane.progress.offset, 3)
        steps = data.draw(st.integers(0, len(ahead)))
        offset = ahead[steps - 1][0] if steps else lane.progress.offset
        read = max(lane.progress.read, log.first_ordinal) + steps if steps else lane.progress.read
        trying = data.draw(st.sampled_from((NOT_TRYING, NOT_TRYING, read)))
        progress = Progress(offset, read, attempts=lane.progress.attempts, trying=trying)
        command = Commit(SLOT, group, member, lane.epoch, lane.number + 1, progress, self._moves(group, data))
        self._commit(command)
        return command

    def _moves(self, group: str, data: st.DataObject) -> Moves:
        some = st.lists(LETTERS, max_size=2, unique_by=lambda letter: letter.place).map(tuple)
        shelves = self.shelves[group]
        requests = [Request(what, key, token) for (what, key), token in shelves.requests.items()]  # type: ignore[arg-type]
        stale = [*requests, Request("redrive", b"a", "an earlier one")]
        return Moves(
            data.draw(some), data.draw(some), data.draw(_some(sorted(shelves.parked))), data.draw(_some(stale))
        )

    def _commit(self, command: Commit) -> None:
        lane = self._lane(command.group)
        reply = self._do(command)
        if isinstance(reply, Committed):
            if command.number > lane.number:
                self.shelves[command.group].move(command.moves)
            assert (lane.owner, lane.epoch) == (command.member, command.epoch)
            self.committed.add((command.group, command.member, command.epoch))
            assert (
                len({who for group, who, epoch in self.committed if (group, epoch) == (command.group, command.epoch)})
                == 1
            )
            after = self._lane(command.group)
            passed = command.progress.read >= lane.horizon and not after.aside.requests
            if command.number > lane.number:
                assert (after.unclean, after.horizon) == ((0, 0) if passed else (lane.unclean, lane.horizon))
            assert self._do(command) == reply
            former = self.former.get((command.group, command.epoch), command)
            assert self._do(former) == reply
            assert self._lane(command.group) == after, "a repeated commit changed something"
            self.former[command.group, command.epoch] = command
        else:
            assert self._lane(command.group) == lane, "a refused commit changed something"

    @rule(target=commands, group=st.sampled_from(GROUPS), member=CALLERS, start=st.booleans())
    def release(self, group: str, member: str | None, start: bool) -> Command[PartitionState, Any]:
        member = member or self._owner(group)
        lane = self._lane(group)
        command = Release(SLOT, group, member, lane.epoch, start=b"earliest" if start else b"")
        reply = self._do(command)
        assert isinstance(reply, Released) == (lane.owner in (None, member))
        if isinstance(reply, Released):
            after = self._lane(group)
            assert after.owner is None
            assert reply.epoch > lane.epoch, "a claim under way could still succeed"
            if start:
                assert (after.unclean, after.horizon) == (0, 0)
            self._moved_to(group, command)
        return command

    def _moved_to(self, group: str, command: Release) -> None:
        """What is parked from the new place on will be read once more."""
        if command.start:
            shelves, read = self.shelves[group], self._lane(group).progress.read
            shelves.parked = {place: letter for place, letter in shelves.parked.items() if place[0] < read}

    # --- what others do with what is set aside ----------------------------------------------------------------------

    @rule(target=commands, group=st.sampled_from(GROUPS), key=st.sampled_from((None, b"a", b"b")), data=st.data())
    def redrive(self, group: str, key: bytes | None, data: st.DataObject) -> Command[PartitionState, Any]:
        self.tokens += 1
        command = Redrive(SLOT, group, Request(data.draw(st.sampled_from(WHAT)), key, f"t{self.tokens}"))
        self._redrive(command)
        return command

    def _redrive(self, command: Redrive) -> None:
        request, shelves = command.request, self.shelves[command.group]
        concerned = [place for place in shelves.parked if request.key in (None, place[1])]
        assert self._do(command) == Requested(len(concerned))
        if concerned:
            shelves.requests[request.what, request.key] = request.token

    @rule(target=commands, group=st.sampled_from(GROUPS), again=st.booleans(), data=st.data())
    def replay_or_purge(self, group: str, again: bool, data: st.DataObject) -> Command[PartitionState, Any]:
        dead = self.shelves[group].dead
        places = data.draw(_some(sorted(dead)))
        letters = tuple(dead[place] for place in places)
        command: Replay | Purge = Replay(SLOT, group, letters) if again else Purge(SLOT, group, places)
        self._dispose(command)
        return command

    def _dispose(self, command: Replay | Purge) -> None:
        """Whatever of them is still dead goes, once; and what is replayed stands at the end of the log."""
        assert self.state is not None
        dead, added = self.shelves[command.group].dead, self.state.log.added
        named = [letter.place for letter in command.letters] if isinstance(command, Replay) else command.places or ()
        gone = [dead.pop(place) for place in named if place in dead]
        if isinstance(command, Replay):
            assert self._do(command) == Replayed(len(gone))
            assert self.state.log.added == added + len(gone)
            data = [fields[3] for _, fields in self.state.log.entries]
            assert data[len(data) - len(gone) :] == [letter.data for letter in gone]
        else:
            assert self._do(command) == Purged(len(gone))

    @rule(group=st.sampled_from(GROUPS), count=st.integers(0, 3), after=st.integers(-1, 5))
    def look(self, group: str, count: int, after: int) -> None:
        reply = self._do(ListLetters(SLOT, group, "parked", count, after, b"a"))
        assert isinstance(reply, Letters)
        of_key = [place for place in sorted(self.shelves[group].parked) if place[1] == b"a"]
        assert [letter.place for letter in reply.letters] == [place for place in of_key if place[0] > after][:count]
        assert reply.total == len(of_key)

    @invariant()
    def shelves_hold_what_was_put_there(self) -> None:
        for group in GROUPS if self.state is not None else ():
            self.shelves[group].check(self._lane(group).aside)

    @rule(command=commands)
    def arrive_late(self, command: Command[PartitionState, Any]) -> None:
        """Whatever was ever sent may arrive again; the checks of every step are what it must not break."""
        match command:
            case Commit():
                self._commit(command)
            case Redrive():
                self._redrive(command)
            case Replay() | Purge():
                self._dispose(command)
            case Release():
                if isinstance(self._do(command), Released):
                    self._moved_to(command.group, command)
            case _:
                self._do(command)

    @rule()
    def trim(self) -> None:
        self._do(Trim(SLOT))

    @rule()
    def remember(self) -> None:
        assert self.state is not None
        self.earlier.append(self.state)
        self.earlier_shelves.append(deepcopy(self.shelves))

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        """The server comes back with an earlier state and a new history: no commit of before is taken."""
        if not self.earlier:
            return
        number = data.draw(st.integers(0, len(self.earlier) - 1))
        earlier, self.shelves = self.earlier[number], deepcopy(self.earlier_shelves[number])
        self.tokens += 1
        self.state = evolve(earlier, history=f"h{self.tokens}")
        self.sequence = earlier.producers["p"].last if "p" in earlier.producers else 0
        self.committed.clear()
        self.former.clear()
        for group in GROUPS:
            lane = self._lane(group)
            if lane.owner is not None:
                reply = self._do(Commit(SLOT, group, lane.owner, lane.epoch, lane.number + 1, lane.progress))
                assert type(reply).__name__ == "RolledBack"


LaneMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
TestLane = LaneMachine.TestCase
