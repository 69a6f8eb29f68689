"""Memory and Redis are asked the same things and must answer and store the same: the core specifies the scripts.

One machine asks every command there is, in and out of season: stale epochs and numbers, repeated claims, gaps in
sequences, full partitions, members that come back from the dead. It ends with proof that every reply occurred.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from segmenter.core import group as groups
from segmenter.core.beats import Beat
from segmenter.core.command import Command, GroupSlot, PartitionSlot, Slot, StreamSlot
from segmenter.core.events import Changed, Freed, Wanted
from segmenter.core.group import Announce, GroupData, GroupEvent, GroupState, LoadGroup, UpdateGroup
from segmenter.core.layout import LoadStream, StreamConfig, UpdateStream
from segmenter.core.log import Record
from segmenter.core.partition import (
    Claim,
    Commit,
    CreateLane,
    CreatePartition,
    DropLane,
    DropPartition,
    Lane,
    PartitionState,
    Probe,
    Progress,
    Release,
)
from segmenter.core.retention import Append, Trim
from segmenter_redis.codec import REPLIES
from tests.stateful.agreement import InMemory, InRedis, Terms, canonical, mapped

CAPACITY = 6
GROUPS = st.sampled_from(["a", "b"])
MEMBERS = st.sampled_from(["m1", "m2", "m3"])
MAYBE_MEMBERS = st.none() | MEMBERS
PARTITIONS = st.sampled_from([PartitionSlot("s", 0), PartitionSlot("s", 1)])
SOMETIMES = st.sampled_from([False, False, False, True])
SELDOM = st.integers(0, 19).map(lambda number: number == 0)
RECORDS = st.builds(
    Record,
    key=st.sampled_from([b"", b"k", b"key \r\n\x00\xff"]),
    data=st.sampled_from([b"", b"d", bytes(range(256))]),
    headers=st.sampled_from([b"", b"", b"h"]),
)
BEYOND = b"9999999999999999-0"
OUTSIDE = [b"0-0", b"7", b"7-7", b"99999999999-0", BEYOND]  # places that no log holds
STALE = 5  # an epoch that never was
FLOOR = 3_000_000_000_000_000  # an epoch above every clock
PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=2).map(tuple)
EVENTS: st.SearchStrategy[GroupEvent] = st.one_of(
    st.builds(groups.Joined, member=MEMBERS, seat=st.none() | st.just("seat"), immediate=st.booleans()),
    st.builds(groups.Joined, member=MEMBERS),
    st.builds(groups.Leaving, member=MEMBERS),
    st.builds(groups.Left, member=MEMBERS),
    st.sampled_from([groups.Balanced(), groups.Readied(), groups.CaughtUp(10**9)]),
)


class AdaptersAgree(RuleBasedStateMachine):
    """Every rule asks both worlds for one command."""

    def __init__(self, redis: InRedis, history: Callable[[bool], str], seen: Counter[bytes]) -> None:
        super().__init__()
        self.redis = redis
        self.history = history
        self.seen = seen
        self.memory = InMemory(history(False))
        self.terms: dict[Slot, tuple[Terms, Terms]] = {}
        example = uuid.uuid4().hex[:8]  # slots that no other example has used
        self.stream = f"s-{example}"
        self.versions = 0

    def ask(self, command: Command[Any, Any]) -> None:
        """Both worlds answer alike and are alike afterwards."""
        here, there = self.terms.setdefault(command.slot, (Terms(), Terms()))
        translated = mapped(command, lambda leaf: there.counterpart(leaf, here))
        answers = self.memory.execute(command), self.redis.execute(translated)
        self.seen[type(answers[0]).__name__.encode()] += 1
        assert canonical(answers[1], there) == canonical(answers[0], here), command
        left = canonical(self.memory.state(command.slot), here)
        right = canonical(self.redis.state(command.slot), there)
        assert right == left, command

    def slot(self, slot: PartitionSlot) -> PartitionSlot:
        return PartitionSlot(self.stream, slot.partition)

    def partition(self, slot: PartitionSlot) -> PartitionState | None:
        state = self.memory.state(slot)
        return state if isinstance(state, PartitionState) else None

    def lane(self, slot: PartitionSlot, group: str) -> Lane:
        """The lane, or what a caller would take for one where there is none."""
        state = self.partition(slot)
        return (state and state.lanes.get(group)) or Lane(Progress())

    def fresh(self) -> str:
        self.versions += 1
        return f"v{self.versions}"

    # --- creation and removal ---

    @initialize()
    def create(self) -> None:
        for number in (0, 1):
            slot = PartitionSlot(self.stream, number)
            self.ask(CreatePartition(slot, "first"))
            self.ask(CreateLane(slot, "a", b"earliest"))

    @rule(slot=PARTITIONS, layout=st.sampled_from([0, 0, 1]))
    def create_partition(self, slot: PartitionSlot, layout: int) -> None:
        self.ask(CreatePartition(self.slot(slot), self.fresh(), layout))

    @rule(slot=PARTITIONS, really=SELDOM)
    def drop_partition(self, slot: PartitionSlot, really: bool) -> None:
        if really:
            self.ask(DropPartition(self.slot(slot)))

    @rule(slot=PARTITIONS, group=GROUPS, data=st.data())
    def create_lane(self, slot: PartitionSlot, group: str, data: st.DataObject) -> None:
        slot = self.slot(slot)
        self.ask(CreateLane(slot, group, data.draw(self.starts(slot))))

    @rule(slot=PARTITIONS, group=GROUPS, really=SOMETIMES)
    def drop_lane(self, slot: PartitionSlot, group: str, really: bool) -> None:
        if really:
            self.ask(DropLane(self.slot(slot), group))

    @rule(slot=PARTITIONS, really=SELDOM)
    def seal(self, slot: PartitionSlot, really: bool) -> None:
        """No command seals a partition yet, but Append knows of it."""
        slot = self.slot(slot)
        state = self.partition(slot)
        if really and state:
            self.memory.store.slots[slot] = evolve(state, sealed=1)
            self.redis.client.hset(self.redis.keys.meta(slot), "sealed", 1)

    # --- ownership and progress ---

    @rule(slot=PARTITIONS, group=GROUPS, member=MEMBERS, evict=MAYBE_MEMBERS, stale=SOMETIMES, data=st.data())
    def claim(
        self, slot: PartitionSlot, group: str, member: str, evict: str | None, stale: bool, data: st.DataObject
    ) -> None:
        slot = self.slot(slot)
        lane = self.lane(slot, group)
        claim = data.draw(st.sampled_from([lane.claim or "c0", "c1", "c2", self.fresh()]))
        generation = max(0, lane.generation + data.draw(st.sampled_from([0, 0, 1, -1])))
        floor = data.draw(st.sampled_from([0, 0, 0, FLOOR]))
        self.ask(Claim(slot, group, member, generation, STALE if stale else lane.epoch, claim, evict, floor))

    @rule(slot=PARTITIONS, group=GROUPS, member=MAYBE_MEMBERS, stale=SOMETIMES, number=st.integers(-1, 2), data=st.data())
    def commit(
        self, slot: PartitionSlot, group: str, member: str | None, stale: bool, number: int, data: st.DataObject
    ) -> None:
        slot = self.slot(slot)
        lane = self.lane(slot, group)
        owner = member or lane.owner or "nobody"
        progress = data.draw(self.progress(slot))
        self.ask(Commit(slot, group, owner, STALE if stale else lane.epoch, max(0, lane.number + number), progress))

    @rule(slot=PARTITIONS, group=GROUPS, member=MAYBE_MEMBERS, evict=MAYBE_MEMBERS, stale=SOMETIMES, data=st.data())
    def release(
        self, slot: PartitionSlot, group: str, member: str | None, evict: str | None, stale: bool, data: st.DataObject
    ) -> None:
        slot = self.slot(slot)
        lane = self.lane(slot, group)
        number = data.draw(st.sampled_from([0, lane.number, lane.number + 1]))
        start = data.draw(st.just(b"") | self.starts(slot))
        progress = data.draw(self.progress(slot)) if number else Progress()
        owner = member or lane.owner or "nobody"
        self.ask(Release(slot, group, owner, STALE if stale else lane.epoch, number, progress, evict, start))

    @rule(slot=PARTITIONS, group=GROUPS)
    def probe(self, slot: PartitionSlot, group: str) -> None:
        self.ask(Probe(self.slot(slot), group))

    @rule(really=SOMETIMES)
    def lose_history(self, really: bool) -> None:
        """The server may have lost what it acknowledged."""
        if really:
            self.memory.store.history = self.history(True)

    # --- the log ---

    @rule(
        slot=PARTITIONS,
        records=st.lists(RECORDS, min_size=1, max_size=3),
        kind=st.sampled_from(["next", "next", "next", "again", "gap", "older", "newer"]),
        overflow=st.sampled_from(["refuse", "refuse", "drop_oldest"]),
        layout=st.sampled_from([0, 0, 0, 1]),
    )
    def append(self, slot: PartitionSlot, records: list[Record], kind: str, overflow: Any, layout: int) -> None:
        slot = self.slot(slot)
        state = self.partition(slot)
        known = state.producers.get("p") if state else None
        epoch, first = (known.epoch, known.last + 1) if known else (2, 1)
        if kind == "again" and known:
            first, records = known.first, records[:1] * known.count
        epoch += {"older": -1, "newer": 1}.get(kind, 0)
        first = 1 if kind == "newer" else first + (kind == "gap")
        self.ask(Append(slot, "p", epoch, first, records, CAPACITY, layout, overflow))

    @rule(slot=PARTITIONS, keep=st.integers(0, 3))
    def trim(self, slot: PartitionSlot, keep: int) -> None:
        self.ask(Trim(self.slot(slot), keep))

    # --- the configuration of the stream ---

    @rule()
    def load_stream(self) -> None:
        self.ask(LoadStream(StreamSlot(self.stream)))

    @rule(stale=SOMETIMES, repeat=SOMETIMES, remove=SOMETIMES, size=st.integers(1, 9))
    def update_stream(self, stale: bool, repeat: bool, remove: bool, size: int) -> None:
        slot = StreamSlot(self.stream)
        stored = self.memory.state(slot)
        version = stored.version if isinstance(stored, StreamConfig) else None
        written = version if repeat and version else self.fresh()
        config = None if remove else StreamConfig(written, 2, size, "first")
        self.ask(UpdateStream(slot, "stale" if stale else version, config))

    # --- the group ---

    def data(self, group: str) -> GroupData:
        state = self.memory.state(GroupSlot(self.stream, group))
        return state if isinstance(state, GroupData) else GroupData()

    @rule(group=GROUPS)
    def load_group(self, group: str) -> None:
        self.ask(LoadGroup(GroupSlot(self.stream, group)))

    @rule(
        group=GROUPS,
        event=EVENTS,
        stale=SOMETIMES,
        repeat=SOMETIMES,
        silent=st.lists(MEMBERS, max_size=2).map(tuple),
        below=st.integers(0, 6),
    )
    def update_group(
        self, group: str, event: GroupEvent, stale: bool, repeat: bool, silent: tuple[str, ...], below: int
    ) -> None:
        stored = self.data(group).document
        document = (stored or GroupState(2, 1_000)).on(event)
        version = stored.version if stored and repeat else self.fresh()
        document = evolve(document, version=version, generation=min(document.generation, 10**9))
        changed = Changed(version, type(event).__name__.lower(), "m1", ("m1", "m2"))
        expect = "stale" if stale else stored.version if stored else None
        self.ask(UpdateGroup(GroupSlot(self.stream, group), expect, document, changed, silent, below if silent else 0))

    @rule(group=GROUPS, event=st.sampled_from([Freed(0, 7, "m1"), Wanted(1, 8, "m2")]))
    def announce(self, group: str, event: Any) -> None:
        self.ask(Announce(GroupSlot(self.stream, group), event))

    @rule(group=GROUPS, member=MEMBERS, known=st.booleans(), below=st.integers(0, 9))
    def beat(self, group: str, member: str, known: bool, below: int) -> None:
        document = self.data(group).document
        version = document.version if document and known else "unknown"
        self.ask(Beat(GroupSlot(self.stream, group), member, version, below))

    # --- what is drawn from what there is ---

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
        place = st.sampled_from(places)
        return st.builds(lambda at, ranges, attempts: Progress(*at, ranges, attempts), place, PAIRS, PAIRS)


def test_redis_obeys_the_laws_of_the_core(redis_url: str, namespace: str) -> None:
    """Without it, what is tested in memory would say nothing about production."""
    seen: Counter[bytes] = Counter()
    with asyncio.Runner() as runner:
        there = InRedis(redis_url, namespace, runner)
        history = history_of(there, False)
        try:
            run_state_machine_as_test(
                lambda: AdaptersAgree(there, lambda new: history_of(there, new), seen),
                settings=settings(settings.default, max_examples=250, stateful_step_count=50),
            )
        finally:
            there.close()
    print(seen)
    expected = set(REPLIES) if history else set(REPLIES) - {b"RolledBack"}
    assert set(seen) == expected


def history_of(redis: InRedis, new: bool) -> str:
    """The server's history, which changes if it is told that it may have lost something."""
    try:
        if new:
            redis.client.execute_command("DEBUG", "CHANGE-REPL-ID")
        info: Any = redis.client.info("replication")
    except Exception:  # fakeredis has none
        return ""
    return str(info["master_replid"])
