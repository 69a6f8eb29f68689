"""Machines that ask a backend every command there is, in and out of season, and hold it to the laws of the core.

Stale epochs and numbers, repeated claims, gaps in sequences, full partitions, members that come back from the dead: a
backend must answer and hold what the law says. The project's own tests run these on every server that it supports, and
``segmenter verify`` on yours. They need hypothesis, of the extra ``testing``.
"""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Any

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from segmenter.core import group as groups
from segmenter.core.aside import Letter, Moves, Request, Shelf
from segmenter.core.beats import Beat
from segmenter.core.command import Command, Crossing, GroupSlot, PartitionSlot, Slot, StreamSlot
from segmenter.core.creation import CreateLane, CreatePartition, DropLane, DropPartition
from segmenter.core.events import Changed, Freed, Wanted
from segmenter.core.forward import Forward
from segmenter.core.group import Announce, DropGroup, GroupData, GroupEvent, GroupState, LoadGroup, UpdateGroup
from segmenter.core.layout import LoadStream, StreamConfig, UpdateStream
from segmenter.core.letters import ListLetters, Purge, Redrive, Replay
from segmenter.core.log import Record, in_columns
from segmenter.core.partition import Claim, Commit, Lane, PartitionState, Probe, Progress, Release
from segmenter.core.retention import Append, Trim
from segmenter.core.survey import SurveyGroup, SurveyPartition
from segmenter.testing.agreement import Law, Terms, World, canonical, mapped
from segmenter.testing.draws import (
    ATTEMPTS,
    BEYOND,
    CALLERS,
    DELAYS,
    EVENTS,
    EVICTED,
    GROUPS,
    KEYS,
    MEMBERS,
    NUMBERS,
    OUTSIDE,
    PAIRS,
    RECORDS,
    SELDOM,
    SOMETIMES,
    TRYING,
    WINDOWS,
    letters,
)

CAPACITY = 6
STALE = 5  # an epoch that never was
FLOOR = 3_000_000_000_000_000  # an epoch above every clock


class Disagreement(AssertionError):
    """A backend answers, or holds, something else than the law says."""


class Agreement(RuleBasedStateMachine):
    """What all machines do: ask the backend and the law for one command."""

    def __init__(self, world: World, seen: Counter[str]) -> None:
        super().__init__()
        self.world = world
        self.law = Law(world.history)
        self.seen = seen
        self.terms: dict[Slot, tuple[Terms, Terms]] = {}
        self.stream = f"s-{secrets.token_hex(4)}"  # no other example has used these slots
        self.versions = 0

    def ask(self, command: Command[Any, Any]) -> None:
        """Both answer alike and are alike afterwards."""
        slots = (command.slot.here, command.slot.there) if isinstance(command.slot, Crossing) else (command.slot,)
        here, there = self.terms.setdefault(slots[0], (Terms(), Terms()))
        translated = mapped(command, lambda leaf: there.counterpart(leaf, here))
        reply, reply_there = self.law.execute(command), self.world.execute(translated)
        self.seen[type(reply).__name__] += 1
        self.compare(command, "answers", canonical(reply_there, there), canonical(reply, here))
        for slot in slots:
            here, there = self.terms.setdefault(slot, (Terms(), Terms()))
            held_there, held = self.world.seen(slot, self.law)
            self.compare(command, "holds", canonical(held_there, there), canonical(held, here))

    @staticmethod
    def compare(command: Command[Any, Any], verb: str, found: object, lawful: object) -> None:
        if found != lawful:
            raise Disagreement(f"{command}\n{verb} {found}\nby the law {lawful}")

    def teardown(self) -> None:
        """Leave nothing behind."""
        for slot in self.terms:
            if isinstance(slot, PartitionSlot):
                self.world.execute(DropPartition(slot))
            elif isinstance(slot, GroupSlot):
                self.world.execute(DropGroup(slot))
            else:
                loaded = self.world.execute(LoadStream(slot)).config
                self.world.execute(UpdateStream(slot, loaded.version if loaded else None, None))

    def fresh(self) -> str:
        self.versions += 1
        return f"v{self.versions}"


class PartitionsAgree(Agreement):
    """What the two machines of partitions have in common: two partitions with a lane or two."""

    @initialize()
    def create(self) -> None:
        for number in (0, 1):
            self.create_anew(self.slot(number), 0)

    def create_anew(self, slot: PartitionSlot, layout: int) -> None:
        self.ask(DropPartition(slot))
        self.ask(CreatePartition(slot, self.fresh(), layout))
        self.ask(CreateLane(slot, "a", b"earliest"))
        self.ask(CreateLane(slot, "b", b"latest"))

    def slot(self, number: int) -> PartitionSlot:
        return PartitionSlot(self.stream, number)

    def partition(self, slot: PartitionSlot) -> PartitionState | None:
        state = self.law.state(slot)
        return state if isinstance(state, PartitionState) else None

    def lane(self, slot: PartitionSlot, group: str) -> Lane:
        """The lane, or what a caller would take for one where there is none."""
        state = self.partition(slot)
        return (state and state.lanes.get(group)) or Lane(Progress())

    def own(self, slot: PartitionSlot, group: str) -> Lane:
        """The lane, which somebody owns: else most commits would be refused for that reason alone."""
        if self.lane(slot, group).owner is None:
            self.ask(Claim(slot, group, "m1", 9, self.lane(slot, group).epoch, self.fresh()))
        return self.lane(slot, group)

    def ids(self, slot: PartitionSlot) -> list[bytes]:
        state = self.partition(slot)
        return [entry[0] for entry in state.log.entries] if state else []

    def starts(self, slot: PartitionSlot) -> st.SearchStrategy[bytes]:
        return st.sampled_from([b"earliest", b"latest", *OUTSIDE, *self.ids(slot)])

    def progress(self, slot: PartitionSlot) -> st.SearchStrategy[Progress]:
        """Something to store: mostly of the log, now and then beyond its end."""
        state = self.partition(slot)
        first = state.log.first_ordinal if state else 0
        places = [(b"0-0", 0), (BEYOND, 9), *((at, first + n + 1) for n, at in enumerate(self.ids(slot)))]

        def build(place: tuple[bytes, int], ranges: Any, attempts: Any, trying: int, delays: Any) -> Progress:
            return Progress(*place, ranges, tuple(attempts), trying, delays)

        return st.builds(build, st.sampled_from(places), PAIRS, ATTEMPTS, TRYING, DELAYS)

    def moves(self, slot: PartitionSlot, group: str) -> st.SearchStrategy[Moves]:
        """Something to set aside, mostly; and something of what is, to take back."""
        aside = self.lane(slot, group).aside
        some = st.lists(letters(self.ids(slot)), max_size=2, unique_by=lambda letter: letter.place).map(tuple)
        return st.builds(
            Moves,
            park=some,
            bury=some,
            unpark=_some_of([*(letter.place for letter in aside.parked), (9, b"k")]),
            heeded=_some_of([*aside.requests, Request("redrive", b"k", "an earlier one")]),
        )


def _some_of(things: list[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(things), max_size=2, unique=True).map(tuple)


class LanesAgree(PartitionsAgree):
    """The laws of ownership and progress."""

    @rule(number=NUMBERS, group=GROUPS, anew=SOMETIMES, data=st.data())
    def create_lane(self, number: int, group: str, anew: bool, data: st.DataObject) -> None:
        slot = self.slot(number)
        if anew:
            self.ask(DropLane(slot, group))
        self.ask(CreateLane(slot, group, data.draw(self.starts(slot))))

    @rule(number=NUMBERS, group=GROUPS, member=MEMBERS, evict=EVICTED, stale=SOMETIMES, data=st.data())
    def claim(self, number: int, group: str, member: str, evict: str | None, stale: bool, data: st.DataObject) -> None:
        slot = self.slot(number)
        lane = self.lane(slot, group)
        claim = data.draw(st.sampled_from([lane.claim or "c0", "c1", self.fresh(), self.fresh()]))
        generation = max(0, lane.generation + data.draw(st.sampled_from([0, 0, 1, -1])))
        floor = data.draw(st.sampled_from([0, 0, 0, FLOOR]))
        epoch, window = STALE if stale else lane.epoch, data.draw(WINDOWS)
        self.ask(Claim(slot, group, member, generation, epoch, claim, evict, floor, window))

    @rule(number=NUMBERS, group=GROUPS, member=CALLERS, stale=SOMETIMES, step=st.integers(-1, 2), data=st.data())
    def commit(self, number: int, group: str, member: str | None, stale: bool, step: int, data: st.DataObject) -> None:
        slot = self.slot(number)
        lane = self.own(slot, group)
        if data.draw(SOMETIMES):
            self.world.lose_history()
            self.law.history = self.world.history
        caller = member or lane.owner or "nobody"
        progress = data.draw(self.progress(slot))
        moves = data.draw(self.moves(slot, group) | st.just(Moves()))
        epoch = STALE if stale else lane.epoch
        self.ask(Commit(slot, group, caller, epoch, max(0, lane.number + step), progress, moves))

    @rule(number=NUMBERS, group=GROUPS, then=st.sampled_from(["stays", "is taken over", "moves"]), data=st.data())
    def set_aside(self, number: int, group: str, then: str, data: st.DataObject) -> None:
        """What becomes of letters that the log has, or has no more, when whoever set them aside goes on or goes."""
        slot = self.slot(number)
        lane = self.own(slot, group)
        owner, moves = lane.owner or "nobody", data.draw(self.moves(slot, group))
        progress = Progress(attempts=tuple(data.draw(ATTEMPTS)), trying=data.draw(TRYING), delays=data.draw(DELAYS))
        self.ask(Commit(slot, group, owner, lane.epoch, lane.number + 1, progress, moves))
        if then == "is taken over":
            self.ask(Claim(slot, group, "an heir", lane.generation, lane.epoch, self.fresh(), evict=owner))
        elif then == "moves":
            self.ask(Release(slot, group, owner, lane.epoch, start=data.draw(self.starts(slot))))

    @rule(number=NUMBERS, to=NUMBERS, member=CALLERS, stale=SOMETIMES, data=st.data())
    def forward(self, number: int, to: int, member: str | None, stale: bool, data: st.DataObject) -> None:
        here, there = self.slot(number), self.slot(to)
        lane = self.own(here, "a")
        caller, step = member or lane.owner or "nobody", data.draw(st.integers(0, 2))
        progress, epoch = data.draw(self.progress(here)), STALE if stale else lane.epoch
        commit = Commit(here, "a", caller, epoch, lane.number + step, progress)
        records = in_columns(data.draw(st.lists(RECORDS, min_size=1, max_size=2)))
        layout: int = data.draw(st.sampled_from([0, 0, 0, 1]))
        overflow: Any = data.draw(st.sampled_from(["refuse", "drop_oldest"]))
        self.ask(Forward(Crossing(here, there), commit, records, CAPACITY, layout, overflow))

    @rule(number=NUMBERS, group=GROUPS, member=CALLERS, evict=EVICTED, stale=SOMETIMES, data=st.data())
    def release(
        self, number: int, group: str, member: str | None, evict: str | None, stale: bool, data: st.DataObject
    ) -> None:
        slot = self.slot(number)
        lane = self.lane(slot, group)
        caller = member or lane.owner or "nobody"
        count = data.draw(st.sampled_from([0, lane.number, lane.number + 1]))
        progress = data.draw(self.progress(slot)) if count else Progress()
        start = data.draw(st.just(b"") | self.starts(slot))
        epoch, moves = STALE if stale else lane.epoch, data.draw(self.moves(slot, group))
        self.ask(Release(slot, group, caller, epoch, count, progress, evict, start, moves, data.draw(WINDOWS)))

    @rule(number=NUMBERS, group=GROUPS, what=st.sampled_from(["redrive", "discard"]), key=KEYS | st.none())
    def redrive(self, number: int, group: str, what: Any, key: bytes | None) -> None:
        self.ask(Redrive(self.slot(number), group, Request(what, key, self.fresh())))

    @rule(number=NUMBERS, group=GROUPS, shelf=st.sampled_from(["parked", "dead"]), key=KEYS | st.none(), data=st.data())
    def list_letters(self, number: int, group: str, shelf: Shelf, key: bytes | None, data: st.DataObject) -> None:
        count, after = data.draw(st.integers(0, 3)), data.draw(st.none() | st.integers(-3, 9))
        self.ask(ListLetters(self.slot(number), group, shelf, count, after, key))

    @rule(number=NUMBERS, group=GROUPS, again=st.booleans(), everything=SOMETIMES, data=st.data())
    def replay_or_purge(self, number: int, group: str, again: bool, everything: bool, data: st.DataObject) -> None:
        slot = self.slot(number)
        dead = self.lane(slot, group).aside.dead
        strangers = [Letter(9, b"7-7", b"nobody", b"d"), *(evolve(letter, entry_id=b"7-9") for letter in dead[:1])]
        some = data.draw(_some_of([*dead, *strangers]))
        self.ask(Replay(slot, group, some) if again else Purge(slot, group, None if everything else some))

    @rule(number=NUMBERS, group=GROUPS)
    def look(self, number: int, group: str) -> None:
        self.ask(Probe(self.slot(number), group))
        self.ask(SurveyPartition(self.slot(number)))

    @rule(number=NUMBERS)
    def append_some(self, number: int) -> None:
        slot = self.slot(number)
        state = self.partition(slot)
        known = state.producers.get("p") if state else None
        self.ask(Append(slot, "p", 1, known.last + 1 if known else 1, [Record(b"k", b"d")] * 2, 100))


class LogsAgree(PartitionsAgree):
    """The laws of appending and trimming: logs of six entries."""

    @rule(number=NUMBERS, layout=st.integers(0, 1), anew=SELDOM)
    def create_partition(self, number: int, layout: int, anew: bool) -> None:
        slot = self.slot(number)
        if anew:
            self.create_anew(slot, layout)
        self.ask(CreatePartition(slot, self.fresh(), layout))

    @rule(number=NUMBERS, really=SELDOM)
    def drop(self, number: int, really: bool) -> None:
        if really:
            self.ask(DropPartition(self.slot(number)))

    @rule(number=NUMBERS, really=SOMETIMES)
    def seal(self, number: int, really: bool) -> None:
        """No command seals a partition yet, but Append knows of it."""
        slot = self.slot(number)
        state = self.partition(slot)
        if really and state and state.sealed is None and self.world.seal(slot):
            self.law.slots[slot] = evolve(state, sealed=1)
            self.ask(Append(slot, "another", 1, 1, [Record(b"k", b"d")], CAPACITY, state.layout))
        self.ask(SurveyPartition(slot))

    @rule(number=NUMBERS, group=GROUPS, data=st.data())
    def settle(self, number: int, group: str, data: st.DataObject) -> None:
        """Make room: whatever a group has settled may go."""
        slot = self.slot(number)
        lane = self.own(slot, group)
        progress = data.draw(self.progress(slot))
        self.ask(Commit(slot, group, lane.owner or "nobody", lane.epoch, lane.number + 1, progress))

    @rule(
        number=NUMBERS,
        records=st.lists(RECORDS, min_size=1, max_size=3),
        kind=st.sampled_from(["next", "next", "next", "again", "again", "gap", "older", "newer", "stranger"]),
        overflow=st.sampled_from(["refuse", "refuse", "refuse", "drop_oldest"]),
        elsewhere=SOMETIMES,
    )
    def append(self, number: int, records: list[Record], kind: str, overflow: Any, elsewhere: bool) -> None:
        slot = self.slot(number)
        state = self.partition(slot)
        known = state.producers.get("p") if state else None
        epoch, first = (known.epoch, known.last + 1) if known else (2, 1)
        if kind == "again" and known:
            first, records = known.first, records[:1] * known.count
        epoch += {"older": -1, "newer": 1}.get(kind, 0)
        first = {"newer": 1, "gap": first + 1, "stranger": 2}.get(kind, first)
        layout = (state.layout if state else 0) + elsewhere
        producer = "nobody knows it" if kind == "stranger" else "p"
        self.ask(Append(slot, producer, epoch, first, records, CAPACITY, layout, overflow))

    @rule(number=NUMBERS, keep=st.integers(0, 3))
    def trim(self, number: int, keep: int) -> None:
        self.ask(Trim(self.slot(number), keep))


class GroupsAgree(Agreement):
    """The laws of streams and groups: one stream, two groups, three members."""

    def slot(self, group: str) -> GroupSlot:
        return GroupSlot(self.stream, group)

    def data(self, group: str) -> GroupData:
        state = self.law.state(self.slot(group))
        return state if isinstance(state, GroupData) else GroupData()

    @rule(stale=SOMETIMES, repeat=SOMETIMES, remove=SOMETIMES, size=st.integers(1, 9))
    def update_stream(self, stale: bool, repeat: bool, remove: bool, size: int) -> None:
        slot = StreamSlot(self.stream)
        stored = self.law.state(slot)
        version = stored.version if isinstance(stored, StreamConfig) else None
        written = version if repeat and version else self.fresh()
        config = None if remove else StreamConfig(written, 2, size, "first")
        self.ask(UpdateStream(slot, "stale" if stale else version, config))
        self.ask(LoadStream(slot))

    @rule(group=GROUPS, event=EVENTS, stale=SOMETIMES, repeat=SOMETIMES)
    def update_group(self, group: str, event: GroupEvent, stale: bool, repeat: bool) -> None:
        self.update(group, event, stale, repeat, (), 0)

    @rule(group=GROUPS, silent=st.lists(MEMBERS, min_size=1, max_size=2).map(tuple), below=st.integers(0, 9))
    def expire(self, group: str, silent: tuple[str, ...], below: int) -> None:
        self.update(group, groups.Expired(silent), False, False, silent, below)

    def update(
        self, group: str, event: GroupEvent, stale: bool, repeat: bool, silent: tuple[str, ...], below: int
    ) -> None:
        stored = self.data(group).document
        document = (stored or GroupState(2, 1_000)).on(event)
        version = stored.version if stored and repeat else self.fresh()
        # The generation is a floor that the tests keep below the clock.
        document = evolve(document, version=version, generation=min(document.generation, 10**9))
        changed = Changed(version, type(event).__name__.lower(), "m1", ("m1", "m2"))
        expect = "stale" if stale else stored.version if stored else None
        self.ask(UpdateGroup(self.slot(group), expect, document, changed, silent, below))

    @rule(group=GROUPS, event=st.sampled_from([Freed(0, 7, "m1"), Wanted(1, 8, "m2")]))
    def announce(self, group: str, event: Freed | Wanted) -> None:
        self.ask(Announce(self.slot(group), event))
        self.ask(LoadGroup(self.slot(group)))

    @rule(group=GROUPS, drop=SOMETIMES)
    def look_or_drop(self, group: str, drop: bool) -> None:
        self.ask(DropGroup(self.slot(group)) if drop else SurveyGroup(self.slot(group)))

    @rule(group=GROUPS, member=CALLERS, known=st.booleans(), below=st.integers(0, 9))
    def beat(self, group: str, member: str | None, known: bool, below: int) -> None:
        document = self.data(group).document
        member = member or max(self.data(group).scores, default="m3")
        version = document.version if document and known else "unknown"
        self.ask(Beat(self.slot(group), member, version, below))
