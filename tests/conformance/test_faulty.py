"""The suite catches what a backend may do wrong: each fault, and the test that is named for it fails.

A suite that everything passes shows nothing. The backend with no fault passes these very tests.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import hypothesis
import pytest
from attrs import evolve

from segmenter.core.command import Crossing, Read, ReadReply
from segmenter.core.creation import CreateLane
from segmenter.core.group import Announce
from segmenter.core.letters import ListLetters
from segmenter.core.log import parse_position
from segmenter.core.partition import Claim, Claimed, Commit, PartitionState, Release
from segmenter.core.retention import Append, Trim
from segmenter.core.survey import SurveyPartition
from segmenter.port import Backend
from segmenter.testing import BackendSuite
from segmenter.testing.agreement import OverPort
from segmenter.testing.machines import Disagreement
from segmenter.testing.stateful import play
from segmenter_memory import MemoryBackend, Store
from segmenter_memory.backend import MemorySession

# --- what may be wrong with a store ---------------------------------------------------------------------------------


class DoubleDelivery(Store):
    """A read hands out the last message of the one before once more."""

    def collect(self, read: Read) -> ReadReply:
        def before(after: bytes) -> bytes:
            ms, seq = parse_position(after)
            return b"%d-%d" % ((ms, seq - 1) if seq else (max(0, ms - 1), 0))

        return super().collect(evolve(read, cursors=tuple(evolve(at, after=before(at.after)) for at in read.cursors)))


class DoubleAppend(Store):
    """What is repeated is appended once more."""

    def apply(self, command: Any) -> Any:
        state = self.slots.get(command.slot) if isinstance(command, Append) else None
        if isinstance(state, PartitionState):
            self.slots[command.slot] = evolve(state, producers={})
        return super().apply(command)


class LostFence(Store):
    """Whoever commits is taken for the owner."""

    def apply(self, command: Any) -> Any:
        state = self.slots.get(command.slot) if isinstance(command, Commit) else None
        if isinstance(command, Commit) and isinstance(state, PartitionState) and command.group in state.lanes:
            lane = state.lanes[command.group]
            command = evolve(command, member=lane.owner or "", epoch=lane.epoch)
        return super().apply(command)


class TwoOwners(Store):
    """A partition is given to whoever asks."""

    def apply(self, command: Any) -> Any:
        state = self.slots.get(command.slot) if isinstance(command, Claim) else None
        if isinstance(command, Claim) and isinstance(state, PartitionState) and command.group in state.lanes:
            lane = state.lanes[command.group]
            self.slots[command.slot] = state.with_lane(command.group, evolve(lane, owner=None))
        return super().apply(command)


class StaleLag(Store):
    """A survey shows what was there when somebody last asked."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[Any, Any] = {}

    def apply(self, command: Any) -> Any:
        reply = super().apply(command)
        if isinstance(command, SurveyPartition):
            earlier = self.shown.get(command.slot, reply)
            self.shown[command.slot] = reply
            return earlier
        return reply


class LostWakeUps(Store):
    """Nobody is woken; a read finds out when its wait is over."""

    def watch(self, key: object, wake: Callable[[], None]) -> None:
        """Forget it."""


class DeafToAnnouncements(Store):
    """Messages wake, announcements do not."""

    def apply(self, command: Any) -> Any:
        waiting, self._waiting = self._waiting, {} if isinstance(command, Announce) else self._waiting
        try:
            return super().apply(command)
        finally:
            self._waiting = waiting


class WakesOne(Store):
    """One of those who wait is woken, the others wait on."""

    def apply(self, command: Any) -> Any:
        waiting, self._waiting = self._waiting, dict([*self._waiting.items()][:1])
        try:
            return super().apply(command)
        finally:
            self._waiting = waiting


class HalfACrossing(Store):
    """A message is settled here, and what goes in its place is not stored there."""

    def _store(self, slot: Any, state: Any) -> None:
        if isinstance(slot, Crossing):
            slot, state = slot.here, state[0]
        super()._store(slot, state)


class TrimsForTheFastest(Store):
    """What one group has settled is dropped, whatever the others have yet to read."""

    def apply(self, command: Any) -> Any:
        state = self.slots.get(command.slot) if isinstance(command, Trim) else None
        if isinstance(state, PartitionState) and state.lanes:
            fastest = max(state.lanes.items(), key=lambda lane: lane[1].progress.read)
            self.slots[command.slot] = evolve(state, lanes=dict([fastest]))
        return super().apply(command)


class LettersAsText(Store):
    """What is set aside is kept as text."""

    def apply(self, command: Any) -> Any:
        reply = super().apply(command)
        if isinstance(command, ListLetters):
            as_text = [evolve(each, data=each.data.decode(errors="replace").encode()) for each in reply.letters]
            reply = evolve(reply, letters=tuple(as_text))
        return reply


class LettersOverLetters(Store):
    """A dead letter takes the place of whichever lies there."""

    def apply(self, command: Any) -> Any:
        if isinstance(command, Commit):
            taken = {letter.place for letter in command.moves.bury}
            state = self.slots[command.slot]
            lane = state.lanes[command.group]
            dead = tuple(letter for letter in lane.aside.dead if letter.place not in taken)
            self.slots[command.slot] = state.with_lane(command.group, evolve(lane, aside=evolve(lane.aside, dead=dead)))
        return super().apply(command)


class LettersInTheWay(Store):
    """What is parked stays where it lies, whatever has become of the log."""

    def apply(self, command: Any) -> Any:
        before = self.slots.get(command.slot)
        reply = super().apply(command)
        if isinstance(command, Claim) and isinstance(before, PartitionState):
            aside, state = before.lanes[command.group].aside, self.slots[command.slot]
            self.slots[command.slot] = state.with_lane(command.group, evolve(state.lanes[command.group], aside=aside))
        return reply


class MovesOverLetters(Store):
    """Moving a group drops all that is parked."""

    def apply(self, command: Any) -> Any:
        reply = super().apply(command)
        if isinstance(command, Release) and command.start:
            state = self.slots[command.slot]
            lane = state.lanes[command.group]
            self.slots[command.slot] = state.with_lane(command.group, evolve(lane, aside=evolve(lane.aside, parked=())))
        return reply


class EndsEveryDelay(Store):
    """A new owner may start at once what waited."""

    def apply(self, command: Any) -> Any:
        reply = super().apply(command)
        return evolve(reply, progress=evolve(reply.progress, delays=())) if isinstance(reply, Claimed) else reply


class StartsEachDelayAnew(Store):
    """Every owner waits for as long as the first one was to."""

    def apply(self, command: Any) -> Any:
        reply = super().apply(command)
        if isinstance(reply, Claimed):
            stored = self.slots[command.slot].lanes[command.group].progress.delays
            reply = evolve(reply, progress=evolve(reply.progress, delays=stored))
        return reply


class DelaysOverMoves(Store):
    """What is read once more waits as it did."""

    def apply(self, command: Any) -> Any:
        before = self.slots.get(command.slot)
        reply = super().apply(command)
        if isinstance(command, Release) and isinstance(before, PartitionState):
            old, state = before.lanes[command.group], self.slots[command.slot]
            progress = evolve(state.lanes[command.group].progress, delays=old.progress.delays)
            lane = evolve(state.lanes[command.group], progress=progress, delayed_at_us=old.delayed_at_us)
            self.slots[command.slot] = state.with_lane(command.group, lane)
        return reply


class CreatesOnItsOwn(Store):
    """A claim makes the lane that it does not find."""

    def apply(self, command: Any) -> Any:
        state = self.slots.get(command.slot) if isinstance(command, Claim) else None
        if isinstance(command, Claim) and isinstance(state, PartitionState) and command.group not in state.lanes:
            super().apply(CreateLane(command.slot, command.group, b"earliest"))
        return super().apply(command)


# --- what may be wrong with a session -------------------------------------------------------------------------------


class Backwards(MemorySession):
    """What starts in one turn is executed from its end."""

    def execute(self, command: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        turn: list[Callable[[], None]] = self.__dict__.setdefault("turn", [])
        if not turn:
            self._loop.call_soon(lambda: [turn.pop()() for _ in range(len(turn))])
        turn.append(lambda: None if future.cancelled() else future.set_result(self._store.apply(command)))
        return future


class TornByOthers(MemorySession):
    """A command is carried out in two steps, between which others come."""

    def execute(self, command: Any) -> asyncio.Future[Any]:
        if not isinstance(command, Append | Claim):
            return super().execute(command)
        before = self._store.slots.get(command.slot)
        future: asyncio.Future[Any] = self._loop.create_future()

        def second_step() -> None:
            if before is not None:
                self._store.slots[command.slot] = before
            future.set_result(self._store.apply(command))

        self._loop.call_soon(second_step)
        return future


class StuckAfterCancelling(MemorySession):
    """A read that was cancelled holds up all that follows."""

    last: asyncio.Task[ReadReply] | None = None

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        if self.last is not None and self.last.cancelling():
            return self._loop.create_future()
        self.last = cast("asyncio.Task[ReadReply]", super().read(read))
        return self.last


class AnswersWhenClosed(MemorySession):
    """Closing it changes nothing."""

    async def aclose(self) -> None:
        """Nothing."""


class Faulty(MemoryBackend):
    """Memory, with a fault in its store or in its sessions."""

    def __init__(self, fault: Any) -> None:
        sessions = issubclass(fault, MemorySession)
        super().__init__(store=Store() if sessions else fault())
        self._session: type[MemorySession] = fault if sessions else MemorySession

    async def session(self) -> MemorySession:
        return self._session(self.store)


class Forgetful(BackendSuite):
    """Who opens the place anew finds nothing there."""

    def reopened(self, backend: Backend) -> Backend:
        return MemoryBackend()


# --- each is caught -------------------------------------------------------------------------------------------------

CAUGHT: list[tuple[type[Any], str]] = [
    (DoubleDelivery, "a_read_goes_on_after_its_place"),
    (DoubleAppend, "a_repeated_append_is_appended_once"),
    (LostFence, "a_fenced_commit_is_refused"),
    (TwoOwners, "a_partition_has_one_owner"),
    (TornByOthers, "of_several_who_claim_at_once_one_is_granted"),
    (StaleLag, "a_survey_shows_what_another_process_has_just_stored"),
    (LostWakeUps, "an_append_of_another_session_wakes_a_read"),
    (LostWakeUps, "an_append_of_another_process_wakes_a_read"),
    (DeafToAnnouncements, "an_announcement_of_another_process_wakes_a_read"),
    (WakesOne, "one_append_wakes_everybody_who_waits_for_it"),
    (HalfACrossing, "a_message_is_settled_here_and_stands_there_or_that_is_refused"),
    (TrimsForTheFastest, "trimming_never_passes_the_slowest_group"),
    (LettersAsText, "letters_come_back_byte_for_byte"),
    (LettersOverLetters, "a_dead_letter_leaves_another_message_in_its_place"),
    (LettersInTheWay, "what_is_parked_beyond_the_end_goes_below_all_messages_and_keeps_its_order"),
    (MovesOverLetters, "moving_a_group_drops_of_what_is_parked_what_will_be_read_once_more"),
    (EndsEveryDelay, "what_is_left_of_a_delay_is_claimed_after_a_release"),
    (EndsEveryDelay, "what_is_left_of_a_delay_is_claimed_after_each_crash"),
    (StartsEachDelayAnew, "what_is_left_of_a_delay_is_claimed_after_each_crash"),
    (StartsEachDelayAnew, "a_delay_that_is_over_is_claimed_no_more"),
    (DelaysOverMoves, "moving_a_group_forgets_delays"),
    (CreatesOnItsOwn, "a_claim_of_an_absent_lane_creates_nothing"),
    (Backwards, "what_starts_in_one_turn_is_executed_in_order"),
    (TornByOthers, "what_several_append_at_once_stands_there_once_and_in_the_order_of_each"),
    (StuckAfterCancelling, "a_cancelled_read_leaves_the_session_usable"),
    (AnswersWhenClosed, "a_closed_session_fails_what_is_under_way_and_what_comes"),
    (Forgetful, "what_was_stored_is_there_for_who_opens_the_place_anew"),
    (Forgetful, "streams_and_groups_are_there_for_who_opens_the_place_anew"),
    (Forgetful, "a_survey_shows_what_another_process_has_just_stored"),
]


def run(fault: type[Any] | None, test: str) -> None:
    """Run a test of the suite, with a fault or without."""
    suite = fault() if fault is not None and issubclass(fault, BackendSuite) else BackendSuite()
    backend = MemoryBackend() if fault is None or isinstance(suite, fault) else Faulty(fault)
    getattr(suite, f"test_{test}")(backend)


@pytest.mark.parametrize(("fault", "test"), CAUGHT, ids=lambda each: getattr(each, "__name__", each))
def test_a_fault_is_caught_by_the_test_that_is_named_for_it(fault: type[Any], test: str) -> None:
    with pytest.raises((AssertionError, TimeoutError, pytest.fail.Exception)):
        run(fault, test)


@pytest.mark.parametrize("test", sorted({test for _, test in CAUGHT}))
def test_without_the_fault_it_passes(test: str) -> None:
    run(None, test)


@pytest.mark.parametrize("fault", [DoubleAppend, LostFence, TwoOwners, HalfACrossing])
def test_the_machines_find_a_law_that_is_broken_without_being_told_which(fault: type[Store]) -> None:
    limits = hypothesis.settings(
        max_examples=100, stateful_step_count=40, deadline=None, database=None, phases=[hypothesis.Phase.generate]
    )
    with asyncio.Runner() as runner:
        world = OverPort(Faulty(fault), runner)
        with pytest.raises(Disagreement):
            play(world, Counter(), limits)
