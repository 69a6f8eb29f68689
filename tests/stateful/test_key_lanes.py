"""Order per key inside a consumer, against a model of a few lines, through what is set aside and take-overs."""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from segmenter.core.aside import Letter, Request
from segmenter.core.caution import LIMIT_UNCLEAN, Caution
from segmenter.core.command import Command, Entry, PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.errands import Errand, Errands
from segmenter.core.invariants import check_order, check_progress
from segmenter.core.lanes import KeyLanes
from segmenter.core.letters import Letters, ListLetters, Redrive
from segmenter.core.log import Record
from segmenter.core.message import Message
from segmenter.core.parking import Parking
from segmenter.core.partition import (
    NOT_TRYING,
    Claim,
    Claimed,
    Commit,
    Committed,
    Lane,
    PartitionState,
    Probe,
    Release,
    Released,
)
from segmenter.errors import ConsumerError, OutOfOrderAck

SLOT = PartitionSlot("s", 0)
KEYS = (b"a", b"b", b"c")
PAGE = 2  # letters fetched at once
WINDOW = 3  # that a former owner may have had in flight
LIMIT_TURNS = 500  # in which everything must have come to an end
SELDOM = st.sampled_from((False, False, False, True))  # everybody would be careful all the time
ENDS = ("ack", "ack", "ack", "park", "park", "reject", "nack", "leave")
SKEWS = st.sampled_from((0.0, 0.0, 0.0, -7.0, 3.0))  # by which the clock of the next server differs, in seconds
REQUESTS = ("redrive", "redrive", "discard", None, None)


@frozen
class Model:
    """Where each message is, by ordinal; what is in none of these is to come."""

    settled: frozenset[int] = frozenset()
    dead: frozenset[int] = frozenset()
    discarded: frozenset[int] = frozenset()
    parked: dict[bytes, list[int]] = field(factory=dict[bytes, list[int]])

    def of(self, key: bytes) -> list[int]:
        """What is parked under a key, in order."""
        return self.parked.get(key, [])

    @property
    def done(self) -> set[int]:
        """What nobody will handle any more."""
        return {*self.settled, *self.dead, *self.discarded}

    @property
    def counted(self) -> set[int]:
        """What counts as settled."""
        return self.done.union(*self.parked.values())

    def parking(self, key: bytes, *ordinals: int) -> Model:
        return evolve(self, parked={**self.parked, key: sorted({*self.of(key), *ordinals})})

    def ending(self, key: bytes, ordinal: int, how: str) -> Model:
        left = [other for other in self.of(key) if other != ordinal]
        parked = {other: letters for other, letters in {**self.parked, key: left}.items() if letters}
        ended: frozenset[int] = getattr(self, how)
        return evolve(self, parked=parked, **{how: ended | {ordinal}})


@frozen
class Waits:
    """How long messages wait for their next attempt, by ordinal, in seconds from a moment on."""

    at: float = 0.0
    left: dict[int, float] = field(factory=dict[int, float])

    def by(self, now: float) -> dict[int, float]:
        """What is left at a later moment; if that seems to be an earlier one, all of it."""
        passed = max(0.0, now - self.at)
        return {ordinal: left - passed for ordinal, left in self.left.items() if left > passed}


class KeyLanesMachine(RuleBasedStateMachine):
    """Messages are offered, taken, settled, given back and set aside in any order; now and then somebody takes over."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []  # key of each ordinal
        self.now = 0.0
        self.state: PartitionState | None = None
        self.tokens = 0
        self.starts: dict[str, list[int]] = {}
        self.in_flight: list[Message] = []
        self.stale: list[Message] = []
        self.model = self.stored = Model()  # as the owner knows it, and as the last commit has left it
        self.waits: dict[int, float] = {}  # until when, by the owner's clock
        self.stored_waits = Waits()  # by the server's clock
        self.skew = 0.0  # of the server's clock
        self.commit: tuple[Commit, Model, dict[int, float]] | None = None  # in flight; and what was left of the waits
        self.page: tuple[Errand, tuple[Letter, ...]] | None = None  # fetched, and not delivered yet
        self._do(CreatePartition(SLOT, "i"))
        self._do(CreateLane(SLOT, "g", b"earliest"))
        self._claim(None)

    # --- the server and its owners ----------------------------------------------------------------------------------

    def _do(self, command: Command[PartitionState, Any]) -> Any:
        self.state, reply = command.apply(self.state, round(self.server_time * 1e6))
        return reply

    @property
    def server_time(self) -> float:
        return 1_000_000.0 + self.now + self.skew

    @property
    def lane(self) -> Lane:
        assert self.state is not None
        return self.state.lanes["g"]

    def _token(self) -> str:
        self.tokens += 1
        return f"t{self.tokens}"

    def _claim(self, evict: str | None) -> None:
        token = self._token()
        grant = self._do(Claim(SLOT, "g", token, 1, self.lane.epoch, token, evict, window=WINDOW))
        assert isinstance(grant, Claimed)
        self.grant = grant
        left = self.stored_waits.by(self.server_time)
        self.waits = {ordinal: self.now + wait for ordinal, wait in left.items()}
        self.stored_waits = evolve(self.stored_waits, at=min(self.stored_waits.at, self.server_time))
        self.lanes = KeyLanes(
            stream="s",
            group="g",
            partition=0,
            epoch=grant.epoch,
            progress=grant.progress,
            parking=Parking(grant.aside),
            caution=Caution(grant.unclean, grant.horizon, asked=bool(grant.aside.requests)),
            clock=lambda: self.now,
            touched=lambda: None,
        )
        self.errands = Errands(self.lanes)
        self.offered = grant.progress.read

    def _entry(self, ordinal: int) -> Entry:
        assert self.state is not None
        return self.state.log.entries[ordinal]

    def _offer_all(self) -> None:
        self.lanes.offer([self._entry(ordinal) for ordinal in range(self.offered, len(self.log))])
        for ordinal in range(self.offered, len(self.log)):
            key = self.log[ordinal]
            if ordinal not in self.model.counted and self.model.of(key):
                self.model = self.model.parking(key, ordinal)
                self.waits.pop(ordinal, None)
        self.offered = len(self.log)

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=5))
    def offer(self, keys: list[bytes]) -> None:
        assert self.state is not None
        records = [Record(key, b"%d" % (len(self.log) + count)).fields for count, key in enumerate(keys)]
        self.state = evolve(self.state, log=self.state.log.append(records, round(self.now * 1e6)))
        self.log += keys
        self._offer_all()

    # --- handing out and settling -----------------------------------------------------------------------------------

    @rule(limit=st.integers(1, 5), whole_batch=st.booleans(), data=st.data())
    def handle(self, limit: int, whole_batch: bool, data: st.DataObject) -> None:
        """Rules that need each other are one, since hypothesis leaves some out in each example."""
        self.take(limit, whole_batch)
        if self.lanes.caution.waits and self.commit is None:
            self.store(answered=True)
            self.take(limit, whole_batch)
        for message in tuple(self.in_flight):
            how = data.draw(st.sampled_from(ENDS))
            if message not in self.in_flight or how == "leave":
                continue
            if how == "nack":
                self.give_back(message, data.draw(st.sampled_from((0.0, 0.0, 5.0))))
            else:
                self.end(message, how)

    def take(self, limit: int, whole_batch: bool) -> None:
        busy = {message.key for message in self.in_flight}
        careful = self.grant.unclean >= LIMIT_UNCLEAN and self.lanes.progress().read < self.grant.horizon
        taken = self.lanes.take(limit, whole_batch=whole_batch)
        keys = [message.key for message in taken]
        assert len(taken) <= limit
        assert not busy & set(keys), "a key was handed out while it was in flight"
        assert whole_batch or len(set(keys)) == len(keys)
        for message in taken:
            self._check_start(message, {other.ordinal for other in taken})
        if careful and taken:
            assert len(taken) == 1, "after unclean ends there is one at a time"
            assert not self.in_flight
            assert self.lane.progress.trying == taken[0].ordinal, "its mark was not stored"
        self.in_flight += taken

    def _check_start(self, message: Message, batch: set[int]) -> None:
        assert message.ordinal not in self.model.done, "what was settled came again"
        assert self.waits.pop(message.ordinal, 0.0) <= self.now, "it was to wait longer"
        earlier = {number for number in range(message.ordinal) if self.log[number] == message.raw_key}
        assert earlier <= self.model.done | batch, "an earlier message of the key is not settled"
        self.starts.setdefault(message.key, []).append(message.ordinal)

    def end(self, message: Message, how: str) -> None:
        first = min(other.ordinal for other in self.in_flight if other.key == message.key)
        if message.ordinal != first:
            try:
                getattr(message, how)()
            except OutOfOrderAck:
                return
            raise AssertionError("a message was ended before an earlier one of its key")
        getattr(message, how)()
        getattr(message, how)()
        self.in_flight.remove(message)
        if how == "park":
            self._parked(message)
        else:
            how = "settled" if how == "ack" else "dead"
            self.model = self.model.ending(message.raw_key, message.ordinal, how)

    def _parked(self, message: Message) -> None:
        """What follows it under its key goes with it."""
        behind = [other for other in self.in_flight if other.key == message.key]
        self.stale += behind
        self.in_flight = [other for other in self.in_flight if other not in behind]
        of_key = [ordinal for ordinal in range(self.offered) if self.log[ordinal] == message.raw_key]
        self.model = self.model.parking(message.raw_key, *(set(of_key) - self.model.done))
        for ordinal in of_key:
            self.waits.pop(ordinal, None)

    def give_back(self, message: Message, delay: float) -> None:
        message.nack(delay)
        if delay:
            self.waits[message.ordinal] = self.now + delay
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
    @rule(data=st.data(), how=st.sampled_from(("ack", "park", "reject")))
    def end_late(self, data: st.DataObject, how: str) -> None:
        try:
            getattr(data.draw(st.sampled_from(self.stale)), how)()
        except ConsumerError:
            return
        raise AssertionError("a delivery that was taken back was settled or set aside")

    # --- storing ----------------------------------------------------------------------------------------------------

    @rule(answered=st.sampled_from((True, True, False)))
    def store(self, answered: bool) -> None:
        """One commit is in flight at a time."""
        if self.commit is None:
            self.send_commit()
        if answered:
            self.answer_commit()

    def send_commit(self) -> None:
        what = (self.lane.number + 1, self.lanes.progress(), self.lanes.parking.take())
        commit = Commit(SLOT, "g", self.lane.owner or "", self.grant.epoch, *what)
        self.commit = (commit, self.model, self.left_of_waits())

    def answer_commit(self) -> None:
        assert self.commit is not None
        self._execute_commit()
        self.lanes.caution.stored(self.commit[0].progress)
        self.lanes.parking.stored()
        self.commit = None

    def _execute_commit(self) -> None:
        assert self.commit is not None
        command, self.stored, left = self.commit
        assert self._do(command) == Committed()
        self.stored_waits = Waits(self.server_time, left)
        self._check_stored()

    def left_of_waits(self) -> dict[int, float]:
        return {ordinal: until - self.now for ordinal, until in self.waits.items() if until > self.now}

    def _check_stored(self) -> None:
        lying: dict[bytes, list[int]] = {}
        for letter in self.lane.aside.parked:
            lying.setdefault(letter.key, []).append(letter.ordinal)
            assert letter.data == b"%d" % letter.ordinal
        assert lying == self.stored.parked, "what is parked is not what was"
        assert {letter.ordinal for letter in self.lane.aside.dead} == self.stored.dead
        check_progress(self.lane.progress, self.stored.counted)

    # --- requests ---------------------------------------------------------------------------------------------------

    @rule(what=st.sampled_from(REQUESTS), key=st.sampled_from((None, *KEYS)), delivered=st.sampled_from((True, False)))
    def serve(self, what: Any, key: bytes | None, delivered: bool) -> None:
        """Something is asked, or nothing; the owner looks, and fetches a page, which it gets now or later."""
        if what is not None:
            self.ask(what, key)
        self.look()
        if self.page is None:
            self.fetch()
        if self.page is not None and delivered:
            self.deliver()

    def ask(self, what: Any, key: bytes | None) -> None:
        self._do(Redrive(SLOT, "g", Request(what, key, self._token())))

    def look(self) -> None:
        probed = self._do(Probe(SLOT, "g"))
        self.lanes.parking.told(probed.dead, probed.requests)

    def fetch(self) -> None:
        errand = self.errands.next()
        if errand is not None:
            reply = self._do(ListLetters(SLOT, "g", "parked", PAGE, key=errand.key))
            assert isinstance(reply, Letters)
            self.page = (errand, reply.letters)

    def deliver(self) -> None:
        assert self.page is not None
        (errand, letters), self.page = self.page, None
        assert letters, "a key is parked of which there is nothing"
        first = self.model.of(errand.key)[: len(letters)]
        assert [letter.ordinal for letter in letters] == first, "a page is not what comes next"
        self.errands.fetched(errand, letters)
        if errand.discard:
            for letter in letters:
                self.model = self.model.ending(letter.key, letter.ordinal, "discarded")
                self.waits.pop(letter.ordinal, None)

    # --- take-overs -------------------------------------------------------------------------------------------------

    @rule(really=SELDOM, arrives=st.booleans(), skew=SKEWS)
    def die(self, really: bool, arrives: bool, skew: float) -> None:
        """Another consumer goes on from what is stored; what was in flight may be stored, or not."""
        if not really:
            return
        if self.commit is not None and arrives:
            self._execute_commit()
        before = self.lane
        self._let_go()
        self.model = self.stored
        self.skew += skew
        self._claim(before.owner)
        assert self.grant.unclean == before.unclean + 1
        tried = dict(self.grant.progress.attempts).get(before.progress.trying, 0)
        known = dict(before.progress.attempts).get(before.progress.trying, 0)
        assert tried == known + (before.progress.trying != NOT_TRYING)
        self._check_taken_over()

    @rule(really=SELDOM)
    def hand_over(self, really: bool) -> None:
        """Another consumer goes on from where this one has come."""
        if not really:
            return
        if self.commit is not None:
            self.answer_commit()
        what = (self.lane.number + 1, self.lanes.progress())
        moves, owner, unclean = self.lanes.parking.take(), self.lane.owner or "", self.lane.unclean
        self.stored = self.model
        self.stored_waits = Waits(self.server_time, self.left_of_waits())
        assert isinstance(self._do(Release(SLOT, "g", owner, self.grant.epoch, *what, moves=moves)), Released)
        self._check_stored()
        self._let_go()
        self._claim(None)
        assert self.grant.unclean <= unclean
        self._check_taken_over()

    def _let_go(self) -> None:
        self.lanes.close()
        self.stale += self.in_flight
        self.in_flight = []
        self.commit = self.page = None

    def _check_taken_over(self) -> None:
        """It gets exactly what was not settled."""
        self._offer_all()
        assert self.lanes.backlog.count == len(self.log) - len(self.model.counted)

    # --- always -----------------------------------------------------------------------------------------------------

    @invariant()
    def progress_is_true(self) -> None:
        check_progress(self.lanes.progress(), self.model.counted)
        check_order(self.starts)
        counted = self.lanes.progress()
        total = counted.read + sum(end - start for start, end in counted.ranges)
        assert total == len(self.model.counted), "something settled was forgotten"
        assert self.lanes.in_flight == len(self.in_flight)

    @invariant()
    def waits_are_kept(self) -> None:
        """By the owner; and the server knows when they were stored if there are any."""
        left = {ordinal: round(wait * 1000) for ordinal, wait in self.left_of_waits().items()}
        assert dict(self.lanes.progress().delays) == left
        assert (self.lane.delayed_at_us > 0) == bool(self.lane.progress.delays)

    @invariant()
    def each_message_is_in_one_place(self) -> None:
        model = self.model
        places = [*model.settled, *model.dead, *model.discarded, *(o for key in model.parked for o in model.of(key))]
        assert len(set(places)) == len(places), "a message is in two places"
        assert self.lanes.parking.counts == {key: len(letters) for key, letters in model.parked.items()}
        assert self.lanes.parking.parked == sum(map(len, model.parked.values()))

    def teardown(self) -> None:
        """In the end everything can be settled, and every request is heeded."""
        self.take_back_what_is_late()
        self.now += 100
        if self.commit is not None:
            self.answer_commit()
        for _ in range(LIMIT_TURNS):
            if len(self.model.done) == len(self.log) and not self.lane.aside.requests:
                break
            self._turn()
        assert self.lanes.progress().read == len(self.log)
        assert self.model.done == set(range(len(self.log)))
        assert self.lane.aside.requests == ()

    def _turn(self) -> None:
        """What a consumer does again and again, and an operator who has everything redriven."""
        if self.page is None:
            self.fetch()
        if self.page is not None:
            self.deliver()
        self.take(3, whole_batch=False)
        for message in self.in_flight:
            message.ack()
            self.model = self.model.ending(message.raw_key, message.ordinal, "settled")
        self.in_flight = []
        self.send_commit()
        self.answer_commit()
        if self.lane.aside.parked and not self.lane.aside.requests:
            self.ask("redrive", None)
        self.look()


KeyLanesMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestKeyLanes = KeyLanesMachine.TestCase
