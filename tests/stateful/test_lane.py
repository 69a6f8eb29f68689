"""A lane under all kinds of claims, commits and releases, repeated and late, and a server that forgets.

What is set aside is kept in mind by id: whatever becomes of the log, nothing of it is lost, and keys keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from segmenter.core.aside import Aside, Letter, Moves, Request
from segmenter.core.command import Command, Entry, PartitionSlot
from segmenter.core.continuity import what_is_left
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.invariants import check_lane, check_trimming
from segmenter.core.letters import Letters, ListLetters, Purge, Purged, Redrive, Replay, Replayed, Requested
from segmenter.core.log import Record, parse_position
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
CALLERS = st.sampled_from((*[None] * 7, *MEMBERS))  # None: the owner
CAPACITY = 12
WHAT = ("redrive", "discard")
KEYS = (b"a", b"b")
ENDS = ("parked", "dead", "acked")


def _ending(ends: dict[Letter, str], end: str) -> list[Letter]:
    return [letter for letter in ends if ends[letter] == end]


def _some(things: Any) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(things), max_size=2, unique=True).map(tuple) if things else st.just(())


def key_of(entry_id: bytes) -> bytes:
    """The log of this machine has one key for all; letters have two."""
    return KEYS[parse_position(entry_id)[1] % 2]


def shuffled(letters: Iterable[Letter]) -> dict[bytes, Letter]:
    """By id, wherever they lie."""
    return {letter.entry_id: evolve(letter, ordinal=0) for letter in letters}


class Shelves:
    """What a lane should have set aside: by id, since places may change, in the order in which it was set aside.

    A dead letter that was read once more, and died once more after a loss, may be there twice.
    """

    def __init__(self) -> None:
        self.parked: dict[bytes, Letter] = {}
        self.dead: dict[bytes, Letter] = {}
        self.requests: dict[tuple[str, bytes | None], str] = {}  # -> token

    def move(self, moves: Moves, before: Aside) -> None:
        gone = shuffled(letter for letter in before.parked if letter.place in moves.unpark)
        self.parked = {at: letter for at, letter in self.parked.items() if at not in gone} | shuffled(moves.park)
        self.dead |= shuffled(moves.bury)
        for request in moves.heeded:
            if self.requests.get((request.what, request.key)) == request.token:
                del self.requests[request.what, request.key]

    def check(self, aside: Aside) -> None:
        assert shuffled(aside.parked) == self.parked
        assert len(aside.parked) == len(self.parked), "a letter is in two places"
        for key in KEYS:
            ids = [letter.entry_id for letter in aside.parked if letter.key == key]
            assert ids == [at for at in self.parked if key_of(at) == key], "a key has lost its order"
        assert shuffled(aside.dead).keys() == self.dead.keys()
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
            if self._lane(group).aside.parked == lane.aside.parked:  # else all attempts are forgotten
                assert counted == (replaced and lane.progress.trying != NOT_TRYING), "an attempt that nobody made"
            assert reply.progress.trying == NOT_TRYING
            stored = dict(lane.progress.delays)
            assert all(0 < left <= stored[at] for at, left in reply.progress.delays), "a wait became longer"
            again = self._do(command)  # a moment later, of which something may have waited the end
            again = evolve(again, progress=evolve(again.progress, delays=reply.progress.delays))
            assert again == reply, "the repeated claim got another answer"
        else:
            assert isinstance(reply, Held | Changed)
        return command

    def _owner(self, group: str) -> str:
        """The owner, whoever it is: hardly any commit would go through otherwise."""
        owner: str | None = self._lane(group).owner
        if owner is None:
            self._claim_anew(group, "a")
        return owner or "a"

    def _claim_anew(self, group: str, member: str) -> Any:
        self.tokens += 1
        return self._do(Claim(SLOT, group, member, 1, self._lane(group).epoch, f"t{self.tokens}"))

    @rule(target=commands, group=st.sampled_from(GROUPS), member=CALLERS, data=st.data())
    def commit(self, group: str, member: str | None, data: st.DataObject) -> Command[PartitionState, Any]:
        assert self.state is not None
        member = member or self._owner(group)
        held = self._known(group, data)
        if not self.state.log.after(held.offset, 1):  # or most commits would have nothing to say
            self.append(2, drop=False)
        lane, log = self._lane(group), self.state.log
        ahead = log.after(held.offset, 3)
        first = max(held.read, log.first_ordinal)
        steps = data.draw(st.sampled_from(range(len(ahead), -1, -1)))
        offset = ahead[steps - 1][0] if steps else held.offset
        read = first + steps if steps else held.read
        trying = data.draw(st.sampled_from((NOT_TRYING, NOT_TRYING, read)))
        delays = data.draw(st.sampled_from((held.delays, (), ((-2, 1), (read, 60_000)))))
        progress = Progress(offset, read, attempts=held.attempts, trying=trying, delays=delays)
        moves = self._moves(group, first, ahead[:steps], data)
        command = Commit(SLOT, group, member, lane.epoch, lane.number + 1, progress, moves)
        self._commit(command)
        return command

    def _known(self, group: str, data: st.DataObject) -> Progress:
        """From where an owner goes on; one that may find out that something is lost then claims anew."""
        lane = self._lane(group)
        assert self.state is not None
        lost = parse_position(lane.progress.offset) > self.state.log.last or lane.history != self.state.history
        if lane.owner is not None and lost and data.draw(st.sampled_from((True, True, True, False))):
            left = what_is_left(self._claim_anew(group, lane.owner))
            self._do(Commit(SLOT, group, lane.owner, self._lane(group).epoch, 1, left))
        progress: Progress = self._lane(group).progress
        return progress

    def _moves(self, group: str, first: int, done: Sequence[Entry], data: st.DataObject) -> Moves:
        """Each message that is done with may be parked or dead; and something becomes of letters that were parked."""
        letters = [Letter(first + n, at, key_of(at), at) for n, (at, _) in enumerate(done)]
        ends = {letter: data.draw(st.sampled_from(ENDS)) for letter in letters}
        taken_up = data.draw(_some(self._lane(group).aside.parked))
        again = {letter: data.draw(st.sampled_from(ENDS)) for letter in taken_up}
        requests = [Request(what, key, token) for (what, key), token in self.shelves[group].requests.items()]  # type: ignore[arg-type]
        stale = [*requests, Request("redrive", b"a", "an earlier one")]
        return Moves(
            park=(*_ending(ends, "parked"), *(evolve(letter, reason="again") for letter in _ending(again, "parked"))),
            bury=(*_ending(ends, "dead"), *_ending(again, "dead")),
            unpark=tuple(letter.place for letter in taken_up if again[letter] != "parked"),
            heeded=data.draw(_some(stale)),
        )

    def _commit(self, command: Commit) -> None:
        lane = self._lane(command.group)
        reply = self._do(command)
        if isinstance(reply, Committed):
            if command.number > lane.number:
                self.shelves[command.group].move(command.moves, lane.aside)
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
        """What is parked and in the log from the new place on will be read once more."""
        if command.start:
            assert self.state is not None
            shelves, log = self.shelves[group], self.state.log
            again = {at for at, _ in log.after(self._lane(group).progress.offset, len(log.entries))}
            shelves.parked = {at: letter for at, letter in shelves.parked.items() if at not in again}

    # --- what others do with what is set aside ----------------------------------------------------------------------

    @rule(target=commands, group=st.sampled_from(GROUPS), key=st.sampled_from((None, b"a", b"b")), data=st.data())
    def redrive(self, group: str, key: bytes | None, data: st.DataObject) -> Command[PartitionState, Any]:
        self.tokens += 1
        command = Redrive(SLOT, group, Request(data.draw(st.sampled_from(WHAT)), key, f"t{self.tokens}"))
        self._redrive(command)
        return command

    def _redrive(self, command: Redrive) -> None:
        request, shelves = command.request, self.shelves[command.group]
        concerned = [at for at in shelves.parked if request.key in (None, key_of(at))]
        assert self._do(command) == Requested(len(concerned))
        if concerned:
            standing = shelves.requests.get((request.what, request.key))
            stands = request.in_place_of(evolve(request, token=standing)) if standing else request
            shelves.requests[request.what, request.key] = stands.token

    @rule(target=commands, group=st.sampled_from(GROUPS), again=st.booleans(), data=st.data())
    def replay_or_purge(self, group: str, again: bool, data: st.DataObject) -> Command[PartitionState, Any]:
        letters = data.draw(_some(self._lane(group).aside.dead))
        command: Replay | Purge = Replay(SLOT, group, letters) if again else Purge(SLOT, group, letters)
        self._dispose(command)
        return command

    def _dispose(self, command: Replay | Purge) -> None:
        """Whatever of them is still dead goes, once; and what is replayed stands at the end of the log."""
        assert self.state is not None
        dead, added = self._lane(command.group).aside.dead, self.state.log.added
        gone = [letter for letter in command.letters or () if letter in dead]
        self.shelves[command.group].dead = shuffled(letter for letter in dead if letter not in gone)
        if isinstance(command, Replay):
            assert self._do(command) == Replayed(len(gone))
            assert self.state.log.added == added + len(gone)
            data = [fields[3] for _, fields in self.state.log.entries]
            assert data[len(data) - len(gone) :] == [letter.data for letter in gone]
        else:
            assert self._do(command) == Purged(len(gone))

    @rule(group=st.sampled_from(GROUPS), count=st.integers(0, 3), after=st.integers(-3, 5))
    def look(self, group: str, count: int, after: int) -> None:
        reply = self._do(ListLetters(SLOT, group, "parked", count, after, b"a"))
        assert isinstance(reply, Letters)
        of_key = [letter for letter in self._lane(group).aside.parked if letter.key == b"a"]
        assert list(reply.letters) == [letter for letter in of_key if letter.ordinal > after][:count]
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

    @rule(seconds=st.sampled_from((40, -40)))
    def set_the_clock(self, seconds: int) -> None:
        self.now_us = max(1_000_000, self.now_us + seconds * 1_000_000)

    @rule()
    def trim(self) -> None:
        self._do(Trim(SLOT))

    @rule(group=st.sampled_from(GROUPS), count=st.integers(1, 5), noticed=st.booleans(), data=st.data())
    def cut(self, group: str, count: int, noticed: bool, data: st.DataObject) -> None:
        """Somebody cuts the end off the log; what comes later has later ids, and the same ordinals."""
        self.commit(group, None, data)
        assert self.state is not None
        log = self.state.log
        left = log.entries[:-count]
        last = parse_position(left[-1][0]) if left else (0, 0)
        lost = len(log.entries) - len(left)
        self.state = evolve(self.state, log=evolve(log, entries=left, added=log.added - lost, last=last))
        self.now_us += 1_000
        if noticed:
            self.commit(group, None, data)

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
