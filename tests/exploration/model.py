"""The protocol as a graph of states: processes, one server, a network that may fail, and a clock that ticks.

An exchange, that is a request that reaches the server and its answer, is one step; so is a beat. Time passes only
when nothing is under way but what a fault has delayed, so it takes a fault for a request to last longer than a tick.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from attrs import evolve

from segmenter.core.command import PartitionSlot
from segmenter.core.events import Changed
from segmenter.core.group import GroupState, UpdateGroup
from segmenter.core.log import Log
from segmenter.core.partition import CreateLane, PartitionState
from tests.exploration.bounds import REQUESTS, Bounds
from tests.exploration.draft import Draft, State
from tests.exploration.habits import SOUND, Habits
from tests.exploration.holds import GROUP, log_of
from tests.exploration.moves import LATER_US, Executed, Look, LookAtHold, Moves
from tests.exploration.process import SESSION_S, Process
from tests.exploration.shelf import Shelf
from tests.exploration.words import told

__all__ = ["Model", "Step"]

TICK_S = 1.0


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
        self._heeds_lease = habits.heeds_lease
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
        parts += [self.shelf.put(Process(letter, bounds.seat)) for letter in bounds.letters]
        settled = (0,) * len(bounds.logs)
        state = State(tuple(parts), (), before, settled, bounds.faults, bounds.leaves, bounds.joins, rolled_back="")
        for number in range(bounds.present):
            state = self._joined(state, number)
        return state

    def _partition(self, number: int) -> PartitionState:
        slot = PartitionSlot(GROUP.stream, number)
        made, _ = CreateLane(slot, GROUP.group, b"earliest").apply(PartitionState("born"), LATER_US)
        assert made is not None
        return evolve(made, log=log_of(self.bounds.logs[number]))

    def _joined(self, state: State, number: int) -> State:
        draft = self._draft(state)
        draft.begin(number)
        state = draft.seal()
        for _ in range(3):
            while (step := next(self._exchanges(state, self._looks(state), faults=False), None)) is not None:
                state = step.to
            state = self._tick(state).to
        return state

    def _draft(self, state: State) -> Draft:
        return Draft(self._moves, self.bounds, state)

    def _looks(self, state: State) -> list[Look]:
        return [self._moves.look(part) for part in state.parts[self._first_process :]]

    # --- steps ------------------------------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[Step]:
        """Every step that is possible; a violation is raised by the step that leads there."""
        looks = self._looks(state)
        yield from self._exchanges(state, looks, faults=state.faults > 0)
        yield from self._handlers(state, looks)
        yield from self._late(state)
        yield from self._comings_and_goings(state, looks)
        yield from self._ticks(state, looks)
        yield from self._rollbacks(state)

    def _may(self, state: State, kind: str) -> bool:
        return state.faults > 0 and kind in self.bounds.kinds

    def _exchanges(self, state: State, looks: list[Look], *, faults: bool) -> Iterator[Step]:
        for number, process in enumerate(looks):
            if process.answer_due:
                yield self._slow_answer(state, number, process)
            if process.request >= 0:
                yield self._exchange(state, number, process)
                for fate in REQUESTS if faults else ():
                    if self._may(state, fate):
                        yield from self._failed_exchange(state, number, process, fate)

    def _exchange(self, state: State, number: int, process: Look) -> Step:
        """The oldest request of a process reaches the server, and is answered."""
        draft = self._draft(state)
        done = draft.execute(process.request)
        draft.turn(number, "answer", what=done.answer)
        draft.announce()
        what = f"{process.told} -> {done.told}"
        kind = self._kind(process.request, done)
        return Step(kind, f"{process.letter}: {what}", draft.seal(), f"{process.letter} exchanges")

    def _failed_exchange(self, state: State, number: int, process: Look, fate: str) -> Iterator[Step]:
        """Something goes wrong with it."""
        draft, what = self._draft(state), process.told
        if fate == "delay":
            draft.delay(process.request)
            draft.turn(number, "answer", what=process.unanswered)
        else:
            done = draft.execute(process.request)
            what += f" -> {done.told}"
            if (fate == "unheard" and not draft.announces) or (fate == "slow" and process.answer_due):
                return
            self._misanswer(draft, number, process, done, fate)
        label = f"{process.letter}: {what} ({fate})"
        yield Step(f"{self._kind(process.request)} ({fate})", label, draft.seal(faults=state.faults - 1), fault=True)

    @staticmethod
    def _misanswer(draft: Draft, number: int, process: Look, done: Executed, fate: str) -> None:
        match fate:
            case "slow":
                draft.turn(number, "answer_slowly", what=done.answer)
            case "lose the reply":
                draft.turn(number, "answer", what=process.unanswered)
            case _:
                draft.turn(number, "answer", what=done.answer)
                return
        draft.announce()

    def _slow_answer(self, state: State, number: int, process: Look) -> Step:
        draft = self._draft(state)
        draft.turn(number, "slow_answer")
        label = f"{process.letter}: the slow answer to {process.answer_due}"
        return Step("slow answer", label, draft.seal(), f"{process.letter} is answered")

    def _late(self, state: State) -> Iterator[Step]:
        for late in dict.fromkeys(state.late):
            draft = self._draft(state)
            label = f"late: {told(self.shelf[late])}"
            done = self._guarded(label, draft, late)
            yield Step(f"late {self._kind(late, done)}", f"{label} -> {done.told}", draft.seal())

    @staticmethod
    def _guarded(label: str, draft: Draft, late: int) -> Executed:
        try:
            return draft.arrive(late)
        except AssertionError as error:
            raise type(error)(f"{error} ({label})") from error

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
            yield from self._start(state, number, where)
        for ordinal in held.running:
            draft = self._draft(state)
            draft.settle(where, ordinal)
            draft.turn(number, "finish", where, ordinal)
            what = f"{process.letter} finishes {where}/{ordinal}"
            yield Step("finish", what, draft.seal(), what)
        if held.may_commit:
            draft = self._draft(state)
            draft.turn(number, "send_progress", where)
            what = f"{process.letter} commits {where}"
            yield Step("commit", what, draft.seal(), what)

    def _start(self, state: State, number: int, partition: int) -> Iterator[Step]:
        draft = self._draft(state)
        ordinal = draft.turn(number, "start", partition)
        if ordinal >= 0:
            draft.check_start(number, partition, ordinal)
            what = f"{draft.look(number).letter} starts {partition}"
            yield Step("start", f"{what}/{ordinal}", draft.seal(), what)

    # --- processes come and go --------------------------------------------------------------------------------------

    def _comings_and_goings(self, state: State, looks: list[Look]) -> Iterator[Step]:
        for number, process in enumerate(looks):
            letter, draft = process.letter, self._draft(state)
            if not process.runs:
                if state.joins:
                    draft.begin(number)
                    yield Step("join", f"{letter} starts up", draft.seal(joins=state.joins - 1))
            elif process.asleep:
                draft.turn(number, "wake")
                yield Step("wake", f"{letter} wakes", draft.seal(), f"{letter} wakes")
            else:
                if state.leaves and not process.leaving:
                    draft.turn(number, "leave")
                    yield Step("leave", f"{letter} wants to leave", draft.seal(leaves=state.leaves - 1))
                yield from self._misfortunes(state, number, process)

    def _misfortunes(self, state: State, number: int, process: Look) -> Iterator[Step]:
        for kind, verb, label in (("pause", "sleep", "falls asleep"), ("crash", "end", "crashes")):
            if self._may(state, kind):
                draft = self._draft(state)
                draft.turn(number, verb)
                yield Step(kind, f"{process.letter} {label}", draft.seal(faults=state.faults - 1), fault=True)

    # --- time -------------------------------------------------------------------------------------------------------

    def _ticks(self, state: State, looks: list[Look]) -> Iterator[Step]:
        for number, process in enumerate(looks):
            if process.beat_due and not process.asleep:
                draft = self._draft(state)
                draft.turn(number, "slow_beat")
                label = f"{process.letter}: the slow answer to a beat"
                yield Step("slow answer to a beat", label, draft.seal(), f"{process.letter} is answered its beat")
        if any(process.request >= 0 for process in looks):
            return
        yield self._tick(state)
        for number, process in enumerate(looks):
            for fate in ("lose a beat", "slow beat"):
                if process.beats and self._may(state, fate):
                    yield self._tick(state, number, fate)

    def _tick(self, state: State, befalls: int = -1, fate: str = "") -> Step:
        """Time passes; every process looks at it, and beats, in the order of their letters."""
        draft = self._draft(state)
        draft.pass_time(TICK_S)
        for number in range(len(self.bounds.letters)):
            process = draft.look(number)
            if process.runs and not process.asleep:
                draft.turn(number, "look_at_time")
                self._beat(draft, number, fate if number == befalls else "")
                self._probe(draft, number)
        draft.announce()
        if fate:
            label = f"a tick, and {self.bounds.letters[befalls]} beats ({fate})"
            return Step(f"tick ({fate})", label, draft.seal(faults=state.faults - 1), fault=True)
        return Step("tick", "a tick", draft.seal(), "a tick")

    @staticmethod
    def _beat(draft: Draft, number: int, fate: str) -> None:
        if draft.look(number).beats and fate != "lose a beat":
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
                draft = self._draft(state)
                draft.roll_back(place)
                label = f"partition {place - 1} goes back" if place else "the group goes back"
                what = "a partition" if place else "the group"
                sealed = draft.seal(faults=state.faults - 1, rolled_back=what if place else state.rolled_back or what)
                yield Step(f"roll back {what}", f"{label} before its last change", sealed, fault=True)
