"""What the explorer finds of retries, parked keys, dead letters, redrives and poison: each seeded fault, by a story."""

# The faults are seeded inside of the key lanes.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from segmenter.core.aside import NO_MOVES, Letter, Summary
from segmenter.core.lanes import KeyLanes
from segmenter.core.message import STALE, Message
from segmenter.core.partition import (
    NOT_TRYING,
    Claim,
    Claimed,
    Commit,
    PartitionState,
    Probe,
    Probed,
    Progress,
    Release,
)
from tests.exploration.bounds import ASKS, Bounds
from tests.exploration.habits import Habits
from tests.exploration.test_exploration import found

FAILS = frozenset({"fail"})
KILLS = frozenset({"kill"})
# A hand-off takes two processes; what one owner does by itself, one shows.
ALONE = Bounds("a key fails", ("Aab",), letters="a", present=1, trouble=FAILS)
LEAVES = Bounds("a key fails, and one leaves", ("Aa",), leaves=1, trouble=FAILS)
ASKED = Bounds("a key fails, and is asked for", ("Aa",), letters="a", present=1, trouble=FAILS, asks=ASKS, requests=1)
POISON = Bounds("a message kills", ("A",), letters="a", present=1, trouble=KILLS, window=1)


# --- what is stored -------------------------------------------------------------------------------------------------


def _moving_nothing(commit: Commit, state: PartitionState, now_us: int) -> Any:
    return evolve(commit, moves=NO_MOVES).apply(state, now_us)


def test_a_commit_that_settles_what_it_does_not_park_is_found() -> None:
    error = found(ALONE, Habits(laws={Commit: _moving_nothing}))
    assert error.what == "INV-4 only what is settled counts as settled: [0, 1]"
    assert error.story == ["a starts 0/0", "a fails 0/0", "a commits 0", "a: Commit 0 at epoch 1, parks 0, 1"]


def _letting_letters_lie(release: Release, state: PartitionState, now_us: int) -> Any:
    return evolve(release, moves=NO_MOVES).apply(state, now_us)


def test_letters_that_are_lost_at_a_hand_off_are_found() -> None:
    error = found(LEAVES, Habits(laws={Release: _letting_letters_lie}))
    assert error.what == "INV-4 only what is settled counts as settled: [0, 1]"
    assert error.story[-1] == "a: Release 0 at epoch 1, parks 0, 1"


def _counting_nothing(commit: Commit, state: PartitionState, now_us: int) -> Any:
    return evolve(commit, progress=state.lanes[commit.group].progress).apply(state, now_us)


def test_what_is_parked_and_will_be_read_once_more_is_found() -> None:
    error = found(ALONE, Habits(laws={Commit: _counting_nothing}))
    assert error.what == "INV-5 what is set aside counts as settled: [0, 1] does not"


def _taking_nothing_back(commit: Commit, state: PartitionState, now_us: int) -> Any:
    return evolve(commit, moves=evolve(commit.moves, unpark=())).apply(state, now_us)


def test_a_letter_that_is_parked_and_dead_is_found() -> None:
    rejecting = evolve(ASKED, trouble=frozenset({"fail", "reject"}))
    error = found(rejecting, Habits(laws={Commit: _taking_nothing_back}))
    assert error.what == "INV-5 a letter is in one place: [0] is parked and dead"
    assert error.story[-4:-2] == ["a starts 0/0", "a rejects 0/0"]


def _skipping_the_first(commit: Commit, state: PartitionState, now_us: int) -> Any:
    skipping = Progress(ranges=((1, commit.progress.read),)) if commit.progress.read > 1 else Progress()
    return evolve(commit, progress=skipping).apply(state, now_us)


def test_a_key_whose_later_message_counts_alone_is_found() -> None:
    error = found(evolve(ALONE, trouble=frozenset()), Habits(laws={Commit: _skipping_the_first}))
    assert error.what == "INV-5 of a key, what came first is settled: 1 counts, and [0] does not"


class ParkingEveryKey(KeyLanes):
    def park(self, message: Message, reason: str) -> None:
        super().park(message, reason)
        while self.chains.waiting:
            (other,) = self.chains.cut(self.chains.pop())
            self._park(other, STALE)


def test_a_key_that_is_parked_behind_that_of_another_is_found() -> None:
    error = found(ALONE, Habits(lanes=ParkingEveryKey))
    assert error.what == "INV-5 what is parked has failed, or lies behind what did: 2 does not"


# --- who may start --------------------------------------------------------------------------------------------------


def test_a_message_that_starts_behind_a_parked_one_is_found() -> None:
    """Here it arrives when its key is parked already, and the new owner does not know."""
    error = found(evolve(LEAVES, at_once=1), Habits(laws={Claim: _telling_nothing}))
    assert error.what == "INV-6 nothing starts behind a parked message: b starts 0/1, and [0] is parked"
    assert error.story[-2:] == ["b: Claim 0 at epoch 1 -> Claimed", "b starts 0"]


def _telling_nothing(claim: Claim, state: PartitionState, now_us: int) -> Any:
    after, reply = claim.apply(state, now_us)
    return after, evolve(reply, aside=Summary()) if isinstance(reply, Claimed) else reply


class LettingTheNextOvertake(KeyLanes):
    def give_back(self, message: Message, delay_s: float) -> None:
        after = message._after
        super().give_back(message, delay_s)
        if after is not None:
            after._before = None
            self.chains.make_ready(after)


def test_a_message_that_starts_while_the_one_before_it_is_to_be_tried_again_is_found() -> None:
    twice = evolve(ALONE, attempts=2, in_flight=2)
    error = found(twice, Habits(lanes=LettingTheNextOvertake))
    assert error.what == "INV-6 a message starts after the one before it: a starts 0/1, and [0] is not settled"


class Backwards(KeyLanes):
    def take_up(self, letters: Sequence[Letter]) -> None:
        for letter in reversed(letters):
            super().take_up([letter])


def test_a_redrive_that_turns_the_order_of_a_key_is_found() -> None:
    error = found(ASKED, Habits(lanes=Backwards))
    assert error.what == "INV-6 nothing starts behind a parked message: a starts 0/1, and [0] is parked"
    assert error.story[-2:] == ["a: FetchLetters 0 at epoch 1 -> Letters", "a starts 0"]


# --- how often ------------------------------------------------------------------------------------------------------


def _forgetting_attempts(release: Release, state: PartitionState, now_us: int) -> Any:
    return evolve(release, progress=evolve(release.progress, attempts=())).apply(state, now_us)


def test_attempts_that_are_forgotten_at_a_hand_off_are_found() -> None:
    error = found(evolve(LEAVES, attempts=2), Habits(laws={Release: _forgetting_attempts}))
    assert error.what == "P6 attempts are bounded: b fails 0/0, and did 3 times"


def _calm(claim: Claim, state: PartitionState, now_us: int) -> Any:
    after, reply = claim.apply(state, now_us)
    return after.with_lane(claim.group, evolve(after.lanes[claim.group], unclean=0)) if after else after, reply


def test_owners_that_never_become_careful_are_found() -> None:
    error = found(POISON, Habits(laws={Claim: _calm}))
    assert error.what == "P6 attempts are bounded: a is killed by 0/0, and did 4 times"
    assert error.story.count("a is killed by 0/0") == 4
    assert len(error.story) <= 40


def _unmarked(claim: Claim, state: PartitionState, now_us: int) -> Any:
    lane = state.lanes[claim.group]
    forgotten = evolve(lane, progress=evolve(lane.progress, trying=NOT_TRYING))
    return claim.apply(state.with_lane(claim.group, forgotten), now_us)


def test_a_mark_that_nobody_heeds_is_found() -> None:
    error = found(POISON, Habits(laws={Claim: _unmarked}))
    assert error.what == "P6 attempts are bounded: a is killed by 0/0, and did 4 times"
    assert "a marks 0/0" in error.story


# --- what is bound to happen ----------------------------------------------------------------------------------------


class EndingEarly(KeyLanes):
    def take_up(self, letters: Sequence[Letter]) -> None:
        super().take_up(letters)
        self.parking.failed.update(letter.key for letter in letters)


def test_a_redrive_that_ends_before_its_key_is_done_with_is_found() -> None:
    error = found(evolve(ASKED, page=1), Habits(lanes=EndingEarly))
    assert error.what == "P6 what is asked is done: [0, 1] is parked, and nothing is asked of it any more"


def _showing_nothing(probe: Probe, state: PartitionState, now_us: int) -> Any:
    _, reply = probe.apply(state, now_us)
    assert isinstance(reply, Probed)
    return state, evolve(reply, requests=())


def test_a_request_that_its_owner_never_hears_of_is_found() -> None:
    error = found(ASKED, Habits(laws={Probe: _showing_nothing}))
    assert error.what.startswith("for ever, partition 0 has requests: ")
    assert error.story[-1] == "a tick"


class StandingStill(KeyLanes):
    @property
    def startable(self) -> bool:
        return not self.parking.counts and super().startable


def test_other_keys_that_wait_for_a_parked_one_are_found() -> None:
    error = found(ALONE, Habits(lanes=StandingStill))
    assert error.what.startswith("for ever, 1 messages of partition 0 are not settled")


class Forgetful(KeyLanes):
    def give_back(self, message: Message, delay_s: float) -> None:
        super().give_back(message, 1e9)


def test_a_message_that_is_never_tried_again_is_found() -> None:
    error = found(evolve(ALONE, attempts=2), Habits(lanes=Forgetful))
    assert error.what.startswith("for ever, 3 messages of partition 0 are not settled")
