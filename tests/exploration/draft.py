"""A step in the making: from one state, through what the server and the processes do, to the next."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from attrs import evolve

from segmenter.core.aside import NO_MOVES, Aside, Request
from segmenter.core.command import PartitionSlot
from segmenter.core.invariants import Violation
from segmenter.core.letters import Redrive
from segmenter.core.partition import Lane
from tests.exploration.bounds import Bounds
from tests.exploration.checks import check_owed, check_start
from tests.exploration.holds import GROUP
from tests.exploration.ledger import Ledger
from tests.exploration.moves import Executed, Look, Moves

__all__ = ["Draft", "State"]


class State(NamedTuple):
    """A state; its parts are numbers on the shelf."""

    parts: tuple[int, ...]  # the group, the partitions, the processes
    late: tuple[int, ...]  # requests that nobody waits for any more
    before: tuple[int, ...]  # the group and the partitions before their last changes, where these may be lost
    ledger: Ledger
    faults: int  # how many more there may be
    leaves: int
    joins: int
    rolled_back: str  # what the server has lost something of: "", "the group" or "a partition"
    requests: int  # that an operator may still make


class Draft:
    """The parts of a state as they change; ``seal`` gives the state that results."""

    def __init__(self, moves: Moves, bounds: Bounds, state: State) -> None:
        self._moves = moves
        self._bounds = bounds
        self._state = state
        self._first_process = 1 + len(bounds.logs)
        self._parts = list(state.parts)
        self._late = state.late
        self._before = state.before
        self._ledger = state.ledger
        self._events: tuple[int, ...] = ()

    # --- processes --------------------------------------------------------------------------------------------------

    def look(self, number: int) -> Look:
        """What can be seen of a process."""
        return self._moves.look(self._parts[self._first_process + number])

    def turn(self, number: int, verb: str, *arguments: Hashable, what: int = -1) -> Any:
        """Something happens to a process."""
        place = self._first_process + number
        turned = self._moves.turn(self._parts[place], verb, *arguments, what=what)
        self._parts[place] = turned.process
        self._late += turned.given_up
        for partition, ordinal in turned.discarded:
            self.settle(partition, ordinal)
        return turned.value

    def begin(self, number: int) -> None:
        """A process starts, and reads the document as it stands."""
        document = self._moves.shelf.put(self._moves.shelf[self._parts[0]].document)
        self.turn(number, "begin", what=document)

    def settle(self, partition: int, ordinal: int) -> None:
        """A message is settled, whatever becomes of whoever did it."""
        self._ledger = self._ledger.settle(partition, ordinal)

    def try_in_vain(self, what: str, partition: int, ordinal: int) -> None:
        """A handler fails, or kills its process."""
        self._ledger = self._ledger.tried(partition, ordinal)
        tries = self._ledger.tries(partition, ordinal)
        if tries > self._bounds.limit_tries:
            raise Violation(f"P6 attempts are bounded: {what}, and did {tries} times")

    def pass_time(self, seconds: float) -> None:
        """Whatever a process remembers is longer ago."""
        for place in range(self._first_process, len(self._parts)):
            self._parts[place] = self._moves.aged(self._parts[place], seconds)

    # --- the server -------------------------------------------------------------------------------------------------

    def execute(self, command: int) -> Executed:
        """Execute a command; what it announces is heard at ``announce``."""
        place = self._moves.place_of(command)
        before = self._parts[place]
        done = self._done(place, self._moves.execute(command, before))
        if place and done.slot != before:
            self._account(place - 1, self._moves.shelf[command])
        return done

    def beat(self, number: int) -> Executed:
        """Execute the beat of a process."""
        return self._done(0, self._moves.beat(self._parts[self._first_process + number], self._parts[0]))

    def _done(self, place: int, done: Executed) -> Executed:
        if done.slot != self._parts[place]:
            if self._before:
                self._before = (*self._before[:place], self._parts[place], *self._before[place + 1 :])
            self._parts[place] = done.slot
            if place:
                self._moves.check_stored(place - 1, done.slot, self._ledger.settled[place - 1])
        self._events += done.events
        return done

    @property
    def announces(self) -> bool:
        """Whether there is something to be heard."""
        return bool(self._events)

    def announce(self) -> None:
        """Let everybody who listens hear what was announced."""
        events, self._events = self._events, ()
        for event in events:
            for number in range(len(self._bounds.letters)):
                if self.look(number).runs:
                    self.turn(number, "hear", what=event)

    def probe(self, number: int, partition: int) -> None:
        """A process looks at a lane that it holds, and at whether that is still so."""
        self.turn(number, "probed", partition, self._moves.probe(partition, self._parts[1 + partition]))

    def look_aside(self, number: int, partition: int) -> None:
        """A process looks at what is asked of it."""
        self.turn(number, "told", partition, self._moves.probe(partition, self._parts[1 + partition]))

    def ask(self, partition: int, request: Request) -> int:
        """An operator has something done about what is parked."""
        slot = PartitionSlot(GROUP.stream, partition)
        command = self._moves.shelf.put(Redrive(slot, GROUP.group, request), partition)
        aside = self._lane(partition).aside
        self._ledger = self._ledger.asked(partition, request, aside, self._bounds.limit_tries)
        self.execute(command)
        return command

    def delay(self, command: int) -> None:
        """A request comes late, or never."""
        self._late += (command,)

    def arrive(self, late: int) -> Executed:
        """A late request comes; nobody waits for its answer."""
        remaining = list(self._late)
        remaining.remove(late)
        self._late = tuple(remaining)
        done = self.execute(late)
        self.announce()
        return done

    def roll_back(self, place: int) -> None:
        """The server loses the last change of the group (0) or of a partition (from 1), which shows in its history."""
        self._parts[place] = self._before[place]
        shelf = self._moves.shelf
        for partition in range(len(self._bounds.logs)) if place else ():
            slot = shelf[self._parts[1 + partition]]
            self._parts[1 + partition] = shelf.put(evolve(slot, history="anew"), partition)

    # --- what must hold ---------------------------------------------------------------------------------------------

    def _lane(self, partition: int) -> Lane:
        lane: Lane = self._moves.shelf[self._parts[1 + partition]].lanes[GROUP.group]
        return lane

    def _known_aside(self, process: Look, partition: int) -> Aside:
        """What is set aside, as far as its owner knows."""
        aside = self._lane(partition).aside
        for moves in next(held.moves for held in process.holds if held.partition == partition):
            aside = aside.moved(moves)
        return aside

    def _account(self, partition: int, command: Any) -> None:
        """A command has changed a lane."""
        keys = self._bounds.logs[partition]
        self._ledger = self._ledger.stored(partition, getattr(command, "moves", NO_MOVES), keys)
        check_owed(self._ledger.owed[partition], keys, self._lane(partition).aside.requests)

    def check_start(self, number: int, partition: int, ordinal: int) -> None:
        """What must hold when a process starts a handler."""
        process = self.look(number)
        what = f"{process.letter} starts {partition}/{ordinal}"
        if not process.leased:
            raise Violation(f"INV-12 nothing starts after the lease: {what}")
        if not self._bounds.trouble or self._one_at_a_time:
            aside = self._known_aside(process, partition)
            check_start(what, ordinal, self._bounds.logs[partition], self._ledger.settled[partition], aside)
        for other in map(self.look, range(len(self._bounds.letters))):
            busy = any(held.partition == partition and held.running for held in other.holds)
            if busy and other.letter != process.letter and not other.asleep and self._one_at_a_time:
                raise Violation(f"INV-7 one at a time: {what}, and a handler of {other.letter} runs there")

    @property
    def _one_at_a_time(self) -> bool:
        """Not where a lane has gone back: it takes a beat until its owner looks."""
        return self._state.rolled_back != "a partition"

    def _check_holders(self) -> None:
        """Nobody holds what another holds; who sleeps holds as well, as long as the lease lasts."""
        looks = [self._moves.look(part) for part in self._parts[self._first_process :]]
        owned = [partition for process in looks for partition in process.owns]
        if len(set(owned)) < len(owned):
            facts = ", ".join(f"{process.letter} holds {list(process.owns)}" for process in looks)
            raise Violation(f"INV-7 one holder at a time: {facts}")

    # --- the end ----------------------------------------------------------------------------------------------------

    def seal(self, **changes: Any) -> State:
        """The state that results, under the smallest names; ``changes`` are of what may still happen."""
        new = self._state._replace(ledger=self._ledger, **changes)
        if self._one_at_a_time and new.rolled_back != "a partition":
            self._check_holders()
        before = self._before if new.faults else ()
        late = self._late if before or new.rolled_back else self._unspent()
        numbers = self._moves.shelf.canonical([*self._parts, *before, *late], self._moves.shelf[self._parts[0]].beats)
        end, start_of_late = len(self._parts), len(self._parts) + len(before)
        return new._replace(
            parts=tuple(numbers[:end]),
            before=tuple(numbers[end:start_of_late]),
            late=tuple(sorted(numbers[start_of_late:])),
        )

    def _unspent(self) -> Sequence[int]:
        """The late requests that can still do something."""
        moves = self._moves
        return [late for late in self._late if not moves.is_spent(late, self._parts[moves.place_of(late)])]
