"""The protocol as a graph of states: processes, one server, a network that may fail, and a clock that ticks.

An exchange, that is a request that reaches the server and its answer, is one step; so is a beat. Time passes only
when nothing is under way but what a fault has delayed, so it takes a fault for a request to last longer than a tick.
The logs are there from the beginning: producers, trimming, forwarding and what becomes of dead letters are explored
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from attrs import evolve

from segmenter.core.aside import Request
from segmenter.core.command import PartitionSlot
from segmenter.core.creation import CreateLane
from segmenter.core.events import Changed
from segmenter.core.group import GroupState, UpdateGroup
from segmenter.core.log import Log
from segmenter.core.partition import PartitionState
from tests.exploration.bounds import REQUESTS, Ask, Bounds
from tests.exploration.draft import Draft, State
from tests.exploration.habits import SOUND, Habits
from tests.exploration.holds import GROUP, log_of
from tests.exploration.ledger import Ledger
from tests.exploration.moves import LATER_US, Executed, Look, LookAtHold, Moves
from tests.exploration.process import SESSION_S, Process
from tests.exploration.shelf import Shelf
from tests.exploration.words import told

__all__ = ["Model", "Step"]

TICK_S = 1.0

# What a process does about a partition that it holds: what edges are counted by, and how a story says it.
DEEDS = {
    "send_progress": ("commit", "commits"),
    "read": ("read", "reads on in"),
    "wait": ("wait", "tries again what failed in"),
    "seek": ("seek", "sees to what is asked of"),
    "cancel": ("cancel", "cancels what runs in"),
}
BOUND = ("send_progress", "read", "wait", "seek")
ENDS = {"fail": "fails", "kill": "is killed by", "reject": "rejects"}


class Step(NamedTuple):
    """A way from one state to the next."""

    kind: str  # whoever does it and wherever: what edges are counted by
    label: str  # what a story says
    to: State
    bound: str = ""  # what is bound to happen if it stays possible; empty for what may happen or not
    fault: bool = False


class Model:
    """All steps from any state, within bounds."""

    def __init__(self, bounds: Bounds, habits: Habits = SOUND) -> None:
        self.bounds = bounds
        self.shelf = Shelf()
        self.trying = ""  # the step that is being made
        self._moves = Moves(self.shelf, bounds, habits)
        self._first_process = 1 + len(bounds.logs)

    # --- the beginning ----------------------------------------------------------------------------------------------

    def first(self) -> State:
        """The state in which everything begins: who is there from the beginning has joined, and handles nothing yet."""
        bounds = self.bounds
        ready = GroupState(len(bounds.logs), int(SESSION_S * 1000), "v", state="ready")
        group, _ = UpdateGroup(GROUP, None, ready, Changed("v", "readied", "")).apply(None, LATER_US)
        assert group is not None
        parts = [self.shelf.put(evolve(group, events=Log()))]
        parts += [self.shelf.put(self._partition(number), number) for number in range(len(bounds.logs))]
        before = tuple(parts) if bounds.rolls_back else ()
        parts += [self.shelf.put(Process(letter, bounds.seat_of(letter))) for letter in bounds.letters]
        nothing = (0,) * len(bounds.logs)
        may = (bounds.faults, bounds.leaves, bounds.joins)
        state = State(tuple(parts), (), before, Ledger(nothing, nothing), *may, "", bounds.requests)
        for number in range(bounds.present):
            state = self._joined(state, number)
        return state

    def _partition(self, number: int) -> PartitionState:
        slot = PartitionSlot(GROUP.stream, number)
        made, _ = CreateLane(slot, GROUP.group, b"earliest").apply(PartitionState("born"), LATER_US)
        assert made is not None
        return evolve(made, log=log_of(self.bounds.logs[number]))

    def _joined(self, state: State, number: int) -> State:
        draft = self.draft(state)
        draft.begin(number)
        state = draft.seal()
        for _ in range(3):
            while (step := next(self._exchanges(state, self._looks(state), faults=False), None)) is not None:
                state = step.to
            state = self._tick(state).to
        return state

    def draft(self, state: State, trying: str = "") -> Draft:
        """A step from a state; ``trying`` is what it says."""
        self.trying = trying
        return Draft(self._moves, self.bounds, state)

    def _looks(self, state: State) -> list[Look]:
        return [self._moves.look(part) for part in state.parts[self._first_process :]]

    # --- steps ------------------------------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[Step]:
        """Every step that is possible; a violation is raised by the step that leads there."""
        looks = self._looks(state)
        yield from self._exchanges(state, looks, faults=state.faults > 0)
        yield from self._handlers(state, looks)
        yield from self._requests(state, looks)
        yield from self._late(state)
        yield from self._comings_and_goings(state, looks)
        yield from self._ticks(state, looks)
        yield from self._rollbacks(state)

    def _may(self, state: State, kind: str) -> bool:
        return state.faults > 0 and kind in self.bounds.kinds

    def _exchanges(self, state: State, looks: list[Look], *, faults: bool) -> Iterator[Step]:
        for number, process in enumerate(looks):
            if process.waits_for:
                yield from self._slow_answer(state, number, process)
            if process.request >= 0:
                yield self._exchange(state, number, process)
                for fate in REQUESTS if faults else ():
                    if self._may(state, fate):
                        yield from self._failed_exchange(state, number, process, fate)

    def _exchange(self, state: State, number: int, process: Look) -> Step:
        """The oldest request of a process reaches the server, and is answered."""
        draft = self.draft(state, f"{process.letter}: {process.told}")
        done = draft.execute(process.request)
        draft.turn(number, "answer", what=done.answer)
        draft.announce()
        label = f"{process.letter}: {process.told} -> {done.told}"
        return Step(self._kind(process.request, done), label, draft.seal(), f"{process.letter} exchanges")

    def _failed_exchange(self, state: State, number: int, process: Look, fate: str) -> Iterator[Step]:
        """Something goes wrong with it; a process waits for one answer at a time that is on its way for long."""
        draft, what = self.draft(state, f"{process.letter}: {process.told}"), process.told
        if process.waits_for and fate != "unheard":
            return
        if fate == "slow request":
            draft.delay(process.request)
            draft.turn(number, "answer_slowly", what=process.unanswered)
        else:
            done = draft.execute(process.request)
            if fate == "unheard" and not draft.announces:
                return
            what += f" -> {done.told}"
            draft.turn(number, "answer" if fate == "unheard" else "answer_slowly", what=done.answer)
            if fate != "unheard":
                draft.announce()
        kind, label = f"{self._kind(process.request)} ({fate})", f"{process.letter}: {what} ({fate})"
        yield Step(kind, label, draft.seal(faults=state.faults - 1), fault=True)

    def _slow_answer(self, state: State, number: int, process: Look) -> Iterator[Step]:
        bound = f"{process.letter} is answered"
        draft = self.draft(state, label := f"{process.letter}: {process.waits_for}")
        draft.turn(number, "slow_answer")
        yield Step("slow answer", label, draft.seal(), bound)
        if process.may_fail:
            draft = self.draft(state, label := f"{process.letter}: lost is {process.waits_for}")
            draft.turn(number, "slow_failure")
            yield Step("lost answer", label, draft.seal(), bound)

    def _late(self, state: State) -> Iterator[Step]:
        for late in dict.fromkeys(state.late):
            label = f"late: {told(self.shelf[late])}"
            draft = self.draft(state, label)
            done = draft.arrive(late)
            yield Step(f"late {self._kind(late, done)}", f"{label} -> {done.told}", draft.seal())

    def _kind(self, command: int, done: Executed | None = None) -> str:
        thing = self.shelf[command]
        cause = f" {thing.event.cause}" if isinstance(thing, UpdateGroup) else ""
        reply = f" -> {done.told.split()[0]}" if done is not None else ""
        return f"{type(thing).__name__}{cause}{reply}"

    # --- handlers ---------------------------------------------------------------------------------------------------

    def _handlers(self, state: State, looks: list[Look]) -> Iterator[Step]:
        for number, process in enumerate(looks):
            for held in process.holds if not process.asleep else ():
                yield from self._handle(state, number, process, held)

    def _handle(self, state: State, number: int, process: Look, held: LookAtHold) -> Iterator[Step]:
        where = held.partition
        if held.may_start:
            yield from self._start(state, number, process.letter, where)
        for ordinal in held.running:
            yield from self._end(state, number, process.letter, where, ordinal)
        for verb in held.may:
            kind, words = DEEDS[verb]
            draft = self.draft(state, label := f"{process.letter} {words} {where}")
            draft.turn(number, verb, where)
            if (to := draft.seal()) != state:
                yield Step(kind, label, to, label if verb in BOUND else "")

    def _start(self, state: State, number: int, letter: str, partition: int) -> Iterator[Step]:
        draft = self.draft(state, what := f"{letter} starts {partition}")
        started = draft.turn(number, "start", partition)
        if started is not None:
            verb, ordinal = started
            if verb == "starts":
                draft.check_start(number, partition, ordinal)
            yield Step(verb[:-1], f"{letter} {verb} {partition}/{ordinal}", draft.seal(), what)

    def _end(self, state: State, number: int, letter: str, partition: int, ordinal: int) -> Iterator[Step]:
        """A handler ends, as it should or otherwise."""
        about, bound = f"{partition}/{ordinal}", f"{letter} ends {partition}/{ordinal}"
        draft = self.draft(state, label := f"{letter} finishes {about}")
        draft.settle(partition, ordinal)
        draft.turn(number, "finish", partition, ordinal)
        yield Step("finish", label, draft.seal(), bound)
        for how in sorted(self.bounds.trouble) if self.bounds.troublesome(partition, ordinal) else ():
            draft = self.draft(state, label := f"{letter} {ENDS[how]} {about}")
            if how != "reject":
                draft.try_in_vain(label, partition, ordinal)
            draft.turn(number, how, partition, ordinal)
            yield Step(how, label, draft.seal(), bound)

    # --- what is asked of parked keys -------------------------------------------------------------------------------

    def _requests(self, state: State, looks: list[Look]) -> Iterator[Step]:
        for partition in range(len(self.bounds.logs)) if state.requests else ():
            for ask in self.bounds.asks:
                yield from self._ask(state, partition, ask)
        for number, process in enumerate(looks) if self.bounds.requests else ():
            for held in process.holds if not process.asleep and process.leased else ():
                if not held.draining:
                    draft = self.draft(state, label := f"{process.letter} looks at {held.partition}")
                    draft.look_aside(number, held.partition)
                    if (to := draft.seal()) != state:
                        yield Step("look", label, to, label)

    def _ask(self, state: State, partition: int, ask: Ask) -> Iterator[Step]:
        """An operator asks; if it gets no answer, the same request may come once more, later."""
        what, key = ask
        request = Request(what, key.encode() or None, f"r{state.requests}")
        draft = self.draft(state, label := f"operator: {what} {key or 'everything'} in {partition}")
        command = draft.ask(partition, request)
        if (to := draft.seal(requests=state.requests - 1)).parts != state.parts:
            yield Step(what, label, to)
            if self._may(state, "asked twice"):
                draft.delay(command)
                sealed = draft.seal(requests=state.requests - 1, faults=state.faults - 1)
                yield Step(f"{what} (asked twice)", f"{label} (asked twice)", sealed, fault=True)

    # --- processes come and go --------------------------------------------------------------------------------------

    def _comings_and_goings(self, state: State, looks: list[Look]) -> Iterator[Step]:
        for number, process in enumerate(looks):
            if not process.runs:
                if state.joins or self.bounds.restarts:
                    draft = self.draft(state, label := f"{process.letter} starts up")
                    draft.begin(number)
                    again = self.bounds.restarts
                    yield Step("join", label, draft.seal(joins=state.joins - (not again)), label if again else "")
            elif process.asleep:
                draft = self.draft(state, label := f"{process.letter} wakes")
                draft.turn(number, "wake")
                yield Step("wake", label, draft.seal(), label)
            else:
                yield from self._turns(state, number, process)

    def _turns(self, state: State, number: int, process: Look) -> Iterator[Step]:
        """What a process that runs may decide to do, or what befalls it."""
        if state.leaves and not process.leaving:
            draft = self.draft(state, label := f"{process.letter} wants to leave")
            draft.turn(number, "leave")
            yield Step("leave", label, draft.seal(leaves=state.leaves - 1))
        for kind, verb, what in (("pause", "sleep", "falls asleep"), ("crash", "end", "crashes")):
            if self._may(state, kind):
                draft = self.draft(state, label := f"{process.letter} {what}")
                draft.turn(number, verb)
                yield Step(kind, label, draft.seal(faults=state.faults - 1), fault=True)

    # --- time -------------------------------------------------------------------------------------------------------

    def _ticks(self, state: State, looks: list[Look]) -> Iterator[Step]:
        for number, process in enumerate(looks):
            if process.beat_due and not process.asleep:
                draft = self.draft(state, label := f"{process.letter}: the slow answer to a beat")
                draft.turn(number, "slow_beat")
                yield Step("slow answer to a beat", label, draft.seal(), f"{process.letter} is answered its beat")
        if any(process.request >= 0 for process in looks):
            return
        yield self._tick(state)
        for number, process in enumerate(looks):
            for fate in ("lost beat", "slow beat"):
                if process.beats and self._may(state, fate):
                    yield self._tick(state, number, fate)

    def _tick(self, state: State, befalls: int = -1, fate: str = "") -> Step:
        """Time passes; every process looks at it, and beats, in the order of their letters."""
        label = f"a tick, and {self.bounds.letters[befalls]} beats ({fate})" if fate else "a tick"
        draft = self.draft(state, label)
        draft.pass_time(TICK_S)
        for number in range(len(self.bounds.letters)):
            process = draft.look(number)
            if process.runs and not process.asleep:
                draft.turn(number, "look_at_time")
                self._beat(draft, number, fate if number == befalls else "")
                self._probe(draft, number)
        draft.announce()
        if fate:
            return Step(f"tick ({fate})", label, draft.seal(faults=state.faults - 1), fault=True)
        return Step("tick", label, draft.seal(), label)

    @staticmethod
    def _beat(draft: Draft, number: int, fate: str) -> None:
        if draft.look(number).beats and fate != "lost beat":
            done = draft.beat(number)
            draft.turn(number, "beat_slowly" if fate == "slow beat" else "hear", what=done.answer)

    def _probe(self, draft: Draft, number: int) -> None:
        """A look at each partition held, which matters only if the server may have gone back."""
        for held in draft.look(number).holds if self.bounds.rolls_back else ():
            if not held.draining:
                draft.probe(number, held.partition)

    # --- the server loses what it had -------------------------------------------------------------------------------

    def _rollbacks(self, state: State) -> Iterator[Step]:
        for place in range(len(state.before)) if self._may(state, "roll back") else ():
            if state.before[place] != state.parts[place]:
                who, what = (f"partition {place - 1}", "a partition") if place else ("the group", "the group")
                draft = self.draft(state, label := f"{who} goes back before its last change")
                draft.roll_back(place)
                lost = what if place else state.rolled_back or what
                sealed = draft.seal(faults=state.faults - 1, rolled_back=lost)
                yield Step(f"roll back {what}", label, sealed, fault=True)
