"""What is set aside: the law of a lane by example, and what an owner keeps in mind of it."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from segmenter.core.aside import LIMIT_TOKEN, Aside, Letter, Moves, Request, Summary
from segmenter.core.caution import Caution
from segmenter.core.command import Gone
from segmenter.core.errands import LIMIT_PAGE, Errand, Errands
from segmenter.core.lanes import KeyLanes
from segmenter.core.letters import Letters, ListLetters, Purge, Purged, Redrive, Replay, Replayed, Requested
from segmenter.core.parking import BEHIND, LIMIT_HEEDED, Parking
from segmenter.core.partition import (
    NOT_TRYING,
    Claimed,
    Commit,
    Committed,
    Fenced,
    Probe,
    Progress,
    Release,
    RolledBack,
    Truncated,
)
from tests.core.test_partition import SLOT, G, Partition

REDRIVE = Request("redrive", b"a", "t1")


def letter(ordinal: int, key: bytes = b"a", **more: Any) -> Letter:
    return Letter(ordinal, b"%d-0" % (ordinal + 1), key, b"%d" % ordinal, **more)


class Shelved(Partition):
    """A partition whose owner sets aside."""

    def __init__(self) -> None:
        super().__init__()
        self.claim()

    def move(self, number: int = 0, read: int = 4, **moves: Any) -> Any:
        progress = Progress(self.offset(read), read)
        return self.do(Commit(SLOT, G, "a", self.lane.epoch, number or self.lane.number + 1, progress, Moves(**moves)))

    def die(self, window: int = 2) -> Any:
        """Somebody else takes over from an owner that ended without a word."""
        heir = "b" if self.lane.owner == "a" else "a"
        return self.claim(heir, evict=self.lane.owner, window=window)

    def copied(self, ordinal: int) -> Letter:
        """What is in the log at an ordinal, as a letter."""
        return evolve(letter(ordinal), entry_id=self.offset(ordinal + 1))

    @property
    def aside(self) -> Aside:
        aside: Aside = self.lane.aside
        return aside

    @property
    def requests(self) -> list[str]:
        """The tokens of what is asked."""
        return [request.token for request in self.aside.requests]


# --- moves ----------------------------------------------------------------------------------------------------------


def test_a_commit_that_is_repeated_moves_nothing_twice() -> None:
    """Its letters may have been redriven, or replayed, between the two."""
    shelved = Shelved()
    moves: dict[str, Any] = {"park": (letter(0),), "bury": (letter(1),)}
    shelved.move(1, **moves)
    shelved.do(Purge(SLOT, G))
    shelved.move(2, unpark=(letter(0).place,))
    assert shelved.move(1, **moves) == Committed()
    assert shelved.aside == Aside()


def test_a_commit_that_is_refused_moves_nothing() -> None:
    shelved = Shelved()
    epoch = shelved.lane.epoch
    park = Moves(park=(letter(0),))
    assert shelved.do(Commit(SLOT, G, "b", epoch, 1, Progress(), park)) == Fenced("a", epoch)
    beyond = Progress(b"%d-0" % 10**15, 9)
    assert shelved.do(Commit(SLOT, G, "a", epoch, 1, beyond, park)) == Truncated(shelved.offset(4))
    assert shelved.state is not None
    shelved.state = evolve(shelved.state, history="another")
    assert shelved.move(1, park=(letter(0),)) == RolledBack()
    shelved.do(Release(SLOT, G, "a", epoch, 1, Progress(), moves=park))
    assert shelved.aside == Aside()


def test_what_is_taken_back_and_parked_once_more_in_one_step_stays_parked() -> None:
    shelved = Shelved()
    shelved.move(park=(letter(0, reason="first"),))
    shelved.move(park=(letter(0, reason="again"),), unpark=(letter(0).place,))
    assert [each.reason for each in shelved.aside.parked] == ["again"]


def test_a_release_sets_aside_what_the_last_commit_did_not() -> None:
    shelved = Shelved()
    shelved.do(Release(SLOT, G, "a", shelved.lane.epoch, 1, Progress(), moves=Moves(park=(letter(0),))))
    assert shelved.aside.parked == (letter(0),)


def test_moving_a_group_keeps_what_is_parked_before_the_new_place_and_all_that_is_dead() -> None:
    shelved = Shelved()
    first, third, fourth = (shelved.copied(ordinal) for ordinal in (0, 2, 3))
    shelved.move(park=(first, third), bury=(fourth,))
    shelved.do(Release(SLOT, G, "a", shelved.lane.epoch, start=shelved.offset(1)))
    assert shelved.aside == Aside(parked=(first,), dead=(fourth,))


def test_letters_lie_in_the_order_of_the_log_and_keys_are_counted() -> None:
    shelved = Shelved()
    shelved.move(park=(letter(3), letter(0, b"b")))
    shelved.move(park=(letter(1),))
    assert [each.ordinal for each in shelved.aside.parked] == [0, 1, 3]
    assert shelved.aside.summary == Summary(((b"a", 2), (b"b", 1)))


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_request_for_nothing_is_not_kept() -> None:
    shelved = Shelved()
    assert shelved.do(Redrive(SLOT, G, REDRIVE)) == Requested(0)
    assert shelved.aside.requests == ()


def test_a_request_is_taken_away_by_whoever_has_carried_out_that_very_one() -> None:
    """Another one for the same may have come meanwhile, and speak of letters that are new."""
    shelved = Shelved()
    shelved.move(park=(letter(0), letter(1, b"b")))
    again = evolve(REDRIVE, token="t2")
    assert shelved.do(Redrive(SLOT, G, REDRIVE)) == Requested(1)
    assert shelved.do(Redrive(SLOT, G, again)) == Requested(1)
    assert shelved.do(Redrive(SLOT, G, Request("discard", None, "t3"))) == Requested(2)
    shelved.move(heeded=(REDRIVE,))
    assert shelved.requests == ["t3", "t2+t1"]
    shelved.move(heeded=(evolve(again, token="t2+t1"),))
    assert shelved.requests == ["t3"]
    assert shelved.do(Probe(SLOT, G)).requests == shelved.aside.requests


def test_a_request_that_comes_again_late_does_not_have_a_later_one_taken_away() -> None:
    """It stands in the place of the later one, which nobody has carried out."""
    shelved = Shelved()
    shelved.move(park=(letter(0),))
    for token in ("t1", "t2", "t1"):
        shelved.do(Redrive(SLOT, G, evolve(REDRIVE, token=token)))
    shelved.move(heeded=(REDRIVE,))
    assert shelved.requests == ["t1+t2+t1"]


def test_a_request_that_comes_twice_at_once_is_one() -> None:
    shelved = Shelved()
    shelved.move(park=(letter(0),))
    for token in ("t1", "t1", "t2", "t2"):
        shelved.do(Redrive(SLOT, G, evolve(REDRIVE, token=token)))
    assert shelved.requests == ["t2+t1"]


def test_requests_without_an_owner_to_carry_them_out_do_not_add_up() -> None:
    shelved = Shelved()
    shelved.move(park=(letter(0),))
    for number in range(LIMIT_TOKEN):
        shelved.do(Redrive(SLOT, G, evolve(REDRIVE, token=f"t{number}")))
    (token,) = shelved.requests
    assert len(token) == LIMIT_TOKEN
    assert token.startswith(f"t{LIMIT_TOKEN - 1}+t{LIMIT_TOKEN - 2}+")


# --- looking, replaying, purging ------------------------------------------------------------------------------------


def test_a_page_begins_behind_an_ordinal_and_tells_how_many_there_are_of_a_key() -> None:
    shelved = Shelved()
    shelved.move(park=(letter(0), letter(1, b"b"), letter(2), letter(3)))
    page = ListLetters(SLOT, G, "parked", 1, after=0, key=b"a")
    assert shelved.do(page) == Letters((letter(2),), 3)
    assert shelved.do(evolve(page, count=9, key=None)) == Letters((letter(1, b"b"), letter(2), letter(3)), 4)
    assert shelved.do(evolve(page, shelf="dead")) == Letters((), 0)


def test_replay_passes_over_what_is_no_dead_letter_any_more() -> None:
    """So a repetition sends nothing twice."""
    shelved = Shelved()
    shelved.move(park=(letter(2),), bury=(letter(0, headers=b"{}"), letter(1)))
    assert shelved.do(Purge(SLOT, G, (letter(1), letter(2)))) == Purged(1)
    replay = Replay(SLOT, G, (letter(0, headers=b"{}"), letter(1), letter(2)))
    assert shelved.do(replay) == Replayed(1)
    assert shelved.do(replay) == Replayed(0)
    assert shelved.state is not None
    assert [fields for _, fields in shelved.state.log.entries[4:]] == [(b"k", b"a", b"d", b"0", b"h", b"{}")]
    assert shelved.aside == Aside(parked=(letter(2),))


def test_purging_all_leaves_what_is_parked() -> None:
    shelved = Shelved()
    shelved.move(park=(letter(2),), bury=(letter(0), letter(1)))
    assert shelved.do(Purge(SLOT, G)) == Purged(2)
    assert shelved.aside == Aside(parked=(letter(2),))


def test_what_is_not_there_is_never_created_by_looking_after_it() -> None:
    partition = Partition()
    for command in (
        ListLetters(SLOT, "other", "parked", 9),
        Redrive(SLOT, "other", REDRIVE),
        Replay(SLOT, "other", (letter(0),)),
        Purge(SLOT, "other"),
    ):
        assert partition.do(command) == Gone()
        assert command.apply(None, 1) == (None, Gone())


# --- unclean ends ---------------------------------------------------------------------------------------------------


def test_an_end_is_unclean_only_where_another_owner_is_replaced() -> None:
    shelved = Shelved()
    shelved.claim("a")
    assert (shelved.lane.unclean, shelved.lane.horizon) == (0, 0)
    shelved.do(Release(SLOT, G, "a", shelved.lane.epoch))
    shelved.claim("b")
    assert (shelved.lane.unclean, shelved.lane.horizon) == (0, 0)
    granted = shelved.die()
    assert isinstance(granted, Claimed)
    assert (granted.unclean, granted.horizon) == (1, 2)


def test_the_horizon_lies_behind_all_that_may_have_been_in_flight_and_never_beyond_the_log() -> None:
    shelved = Shelved()
    progress = Progress(shelved.offset(1), 1, ((2, 3),))
    shelved.do(Commit(SLOT, G, "a", shelved.lane.epoch, 1, progress))
    assert shelved.die(window=1).horizon == 3
    assert shelved.die(window=100).horizon == 4
    assert shelved.die(window=0).horizon == 4, "it does not come nearer"


def test_an_attempt_is_counted_of_the_message_that_was_tried_when_its_owner_ended_and_of_no_other() -> None:
    shelved = Shelved()
    marked = Progress(attempts=((1, 1),), trying=2)
    shelved.do(Commit(SLOT, G, "a", shelved.lane.epoch, 1, marked))
    granted = shelved.die()
    assert granted.progress == Progress(attempts=((1, 1), (2, 1)))
    assert shelved.die().progress == granted.progress, "it had marked nothing"
    shelved.do(Commit(SLOT, G, "a", shelved.lane.epoch, 1, evolve(granted.progress, trying=2)))
    assert shelved.die().progress.attempts == ((1, 1), (2, 2))


def test_a_mark_that_its_owner_left_behind_in_good_order_counts_nothing() -> None:
    shelved = Shelved()
    shelved.do(Release(SLOT, G, "a", shelved.lane.epoch, 1, Progress(trying=2)))
    assert shelved.claim("b").progress == Progress(trying=NOT_TRYING)


def test_a_release_while_something_does_not_end_is_an_unclean_end() -> None:
    shelved = Shelved()
    shelved.do(Release(SLOT, G, "a", shelved.lane.epoch, 1, Progress(trying=2), window=3))
    assert (shelved.lane.unclean, shelved.lane.horizon) == (1, 3)
    assert shelved.lane.progress.attempts == ((2, 1),)


def test_unclean_ends_are_forgotten_when_the_progress_passes_the_horizon() -> None:
    shelved = Shelved()
    shelved.die(window=3)
    shelved.do(Commit(SLOT, G, "b", shelved.lane.epoch, 1, Progress(shelved.offset(2), 2)))
    assert (shelved.lane.unclean, shelved.lane.horizon) == (1, 3)
    shelved.do(Commit(SLOT, G, "b", shelved.lane.epoch, 2, Progress(shelved.offset(3), 3)))
    assert (shelved.lane.unclean, shelved.lane.horizon) == (0, 0)


def test_unclean_ends_are_not_forgotten_while_a_request_stands() -> None:
    """What is redriven lies behind the watermark: the culprit may be among it, and kill one owner after the other."""
    shelved = Shelved()
    shelved.move(park=(letter(0),))
    shelved.do(Redrive(SLOT, G, REDRIVE))
    assert shelved.die().unclean == 1
    mine = {"group": G, "member": "b", "epoch": shelved.lane.epoch}
    done = Progress(shelved.offset(4), 4)
    shelved.do(Commit(SLOT, number=1, progress=done, **mine))
    assert shelved.lane.unclean == 1
    shelved.do(Commit(SLOT, number=2, progress=done, moves=Moves(heeded=(REDRIVE,)), **mine))
    assert shelved.lane.unclean == 0


# --- what an owner keeps in mind ------------------------------------------------------------------------------------


def lanes(progress: Progress = Progress(), *, caution: Caution | None = None, parked: int = 0) -> KeyLanes:  # noqa: B008 - it is frozen
    parking = Parking(Summary(((b"a", parked),) if parked else ()))
    return KeyLanes(
        stream="s",
        group="g",
        partition=0,
        epoch=1,
        progress=progress,
        parking=parking,
        caution=caution,
        clock=lambda: 0.0,
        touched=lambda: None,
    )


def arriving(first: int, *keys: bytes) -> list[Any]:
    return [(b"%d-0" % (first + n + 1), (b"k", key, b"d", b"")) for n, key in enumerate(keys)]


def test_one_message_goes_out_at_a_time_once_its_mark_is_stored_up_to_the_horizon() -> None:
    careful = lanes(caution=Caution(2, 2))
    careful.offer(arriving(0, b"a", b"b", b"c", b"d"))
    for ordinal in (0, 1):
        assert careful.take(9) == []
        assert careful.take(9) == [], "its mark is not stored"
        assert careful.progress().trying == ordinal
        careful.caution.stored(careful.progress())
        (message,) = careful.take(9)
        assert (message.ordinal, careful.take(9)) == (ordinal, [])
        message.ack()
        assert careful.progress().trying == NOT_TRYING
    assert [message.ordinal for message in careful.take(9)] == [2, 3]


def test_one_unclean_end_alone_makes_nobody_careful() -> None:
    carefree = lanes(caution=Caution(1, 2))
    carefree.offer(arriving(0, b"a", b"b"))
    assert len(carefree.take(9)) == 2


def test_a_message_that_was_chosen_goes_out_though_the_horizon_is_passed_meanwhile() -> None:
    """A letter was chosen; what arrived behind it has moved the watermark."""
    careful = lanes(Progress(b"1-0", 1), caution=Caution(2, 2), parked=1)
    careful.take_up([letter(0)])
    assert careful.take(9) == []
    careful.offer(arriving(1, b"a"))
    assert careful.progress().read == 2
    careful.caution.stored(careful.progress())
    assert [message.ordinal for message in careful.take(9)] == [0]


def test_what_is_redriven_after_unclean_ends_goes_out_alone_wherever_the_watermark_is() -> None:
    careful = lanes(Progress(b"1-0", 1), caution=Caution(2, 0, asked=True), parked=1)
    careful.offer(arriving(1, b"b", b"c"))
    assert len(careful.take(1)) == 1, "nothing is redriven yet"
    careful.take_up([letter(0)])
    assert careful.take(9) == [], "another one is not settled"


def test_what_arrives_under_a_parked_key_tells_how_often_it_was_delivered() -> None:
    held = lanes(Progress(attempts=((0, 2),)), parked=1)
    held.offer(arriving(0, b"a"))
    moves = held.parking.take()
    assert moves.park == (Letter(0, b"1-0", b"a", b"", attempts=2, reason=BEHIND),)
    assert held.progress().attempts == ()


def test_what_is_discarded_is_counted_no_more() -> None:
    held = lanes(Progress(b"1-0", 1, attempts=((0, 2),)), parked=1)
    held.parking.requests = (Request("discard", None, "t"),)
    errands = Errands(held)
    assert errands.next() == Errand(b"a", discard=True)
    errands.fetched(Errand(b"a", discard=True), [letter(0)])
    assert errands.next() is None
    assert held.parking.take() == Moves(unpark=(letter(0).place,), heeded=(Request("discard", None, "t"),))
    assert held.progress().attempts == ()


def redriving(parked: int) -> tuple[KeyLanes, Errands]:
    held = lanes(Progress(b"%d-0" % parked, parked), parked=parked)
    held.parking.requests = (REDRIVE,)
    return held, Errands(held)


def test_a_page_is_fetched_only_when_the_one_before_it_is_taken_back_for_good() -> None:
    """Otherwise what was just settled would come once more."""
    held, errands = redriving(LIMIT_PAGE + 1)
    errand = Errand(b"a", discard=False)
    assert errands.next() == errand
    errands.fetched(errand, [letter(ordinal) for ordinal in range(LIMIT_PAGE)])
    assert errands.next() is None, "a page is in hand"
    while taken := held.take(9):
        taken[0].ack()
    assert errands.next() is None, "nothing of it is stored"
    assert len(held.parking.take().unpark) == LIMIT_PAGE
    assert errands.next() is None, "the commit is not answered"
    held.parking.stored()
    assert errands.next() == errand


def test_what_arrives_all_the_time_does_not_hold_a_redrive_up() -> None:
    held, errands = redriving(1)
    held.offer(arriving(1, b"a", b"a"))
    held.parking.take()
    held.offer(arriving(3, b"a"))
    assert errands.next() == Errand(b"a", discard=False)


def test_a_key_of_which_nothing_is_stored_is_not_fetched() -> None:
    held = lanes()
    held.parking.requests = (Request("redrive", None, "t1"),)
    errands = Errands(held)
    held.offer(arriving(0, b"a", b"a"))
    held.take(1)[0].park()
    assert errands.next() is None
    held.parking.take()
    assert errands.next() is None
    held.parking.stored()
    assert errands.next() == Errand(b"a", discard=False)


def test_a_key_that_is_not_there_when_it_is_fetched_is_parked_no_more_but_for_what_has_just_arrived() -> None:
    held, errands = redriving(2)
    held.offer(arriving(2, b"a"))
    errands.fetched(Errand(b"a", discard=False), [])
    assert (held.parking.counts, held.parking.parked) == ({b"a": 1}, 1)
    held.parking.take()
    held.parking.stored()
    errands.fetched(Errand(b"a", discard=False), [])
    assert (held.parking.counts, held.parking.parked) == ({}, 0)
    assert errands.next() is None
    assert held.parking.take().heeded == (REDRIVE,)


def test_what_failed_once_more_and_was_then_settled_after_all_is_not_parked_anew() -> None:
    parking = Parking(Summary(((b"a", 1),)))
    parking.park_again(letter(0))
    parking.unpark(letter(0).place)
    assert parking.take() == Moves(unpark=(letter(0).place,))


def test_a_request_that_was_carried_out_is_not_brought_back_and_taken_away_wherever_it_comes_again() -> None:
    """By an answer that is late, or by a repetition that is."""
    parking = Parking()
    parking.told(3, [REDRIVE])
    parking.heed(REDRIVE)
    other = evolve(REDRIVE, token="t2")
    parking.told(3, [REDRIVE, other])
    assert (parking.requests, parking.dead) == ((other,), 3)
    assert parking.take() == Moves(heeded=(REDRIVE,))
    parking.stored()
    assert parking.idle
    parking.told(3, [REDRIVE, other])
    assert (parking.requests, parking.take()) == ((other,), Moves(heeded=(REDRIVE,)))


def test_what_is_buried_just_now_is_not_forgotten_by_an_answer_that_does_not_know_it() -> None:
    parking = Parking()
    parking.bury(letter(0))
    for step in (parking.take, parking.stored):
        parking.told(0, [])
        assert parking.dead == 1
        step()
    parking.told(0, [])
    assert parking.dead == 0


def test_the_memory_of_requests_is_bounded() -> None:
    parking = Parking()
    for number in range(LIMIT_HEEDED + 1):
        parking.heed(Request("redrive", b"a", str(number)))
    parking.told(0, [Request("redrive", b"a", "0"), Request("redrive", b"a", "1")])
    assert [request.token for request in parking.requests] == ["0"]
