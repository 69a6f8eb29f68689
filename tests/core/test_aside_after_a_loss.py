"""What is set aside when its log has lost its end: ordinals come again, for other messages, and nothing makes way."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from segmenter.core.aside import LOWEST, Letter, Moves
from segmenter.core.continuity import what_is_left
from segmenter.core.letters import Letters, ListLetters, Purge, Purged, Replay, Replayed
from segmenter.core.log import parse_position
from segmenter.core.partition import NOT_TRYING, Claim, Commit, Progress, Release
from tests.core.test_aside import Shelved, letter
from tests.core.test_partition import SLOT, G


class Cut(Shelved):
    """A partition with four messages, all settled, whose log loses its end."""

    def lose(self, left: int) -> None:
        assert self.state is not None
        entries = self.state.log.entries[:left]
        last = parse_position(entries[-1][0]) if entries else (0, 0)
        self.state = evolve(self.state, log=evolve(self.state.log, entries=entries, added=left, last=last))
        self.now_us += 1_000_000

    @property
    def parked(self) -> list[tuple[int, bytes]]:
        return [(each.ordinal, each.data) for each in self.aside.parked]

    @property
    def dead(self) -> list[tuple[int, bytes]]:
        return [(each.ordinal, each.data) for each in self.aside.dead]


def another(ordinal: int, data: bytes, key: bytes = b"a") -> Letter:
    """Of a message that has got an ordinal once more."""
    return Letter(ordinal, b"%d-7" % 10**13, key, data)


# --- parked ---------------------------------------------------------------------------------------------------------


def test_no_message_has_the_ordinal_that_says_that_none_is_tried_or_one_below() -> None:
    assert LOWEST == NOT_TRYING == -1


def test_a_claim_puts_what_is_parked_below_all_messages_if_the_log_ends_before_some_of_it() -> None:
    """All of it: what is in the log still came before what is not."""
    partition = Cut()
    partition.move(park=(letter(0), letter(1, b"b"), letter(3)))
    partition.lose(2)
    granted = partition.claim()
    assert partition.parked == [(-5, b"0"), (-4, b"1"), (-2, b"3")]
    assert granted.aside.keys == ((b"a", 2), (b"b", 1))
    assert what_is_left(granted) == Progress(partition.offset(2), 2)


def test_what_is_parked_before_the_end_stays_where_it_is() -> None:
    partition = Cut()
    partition.move(park=(letter(0), letter(1)))
    partition.lose(2)
    partition.claim()
    assert partition.parked == [(0, b"0"), (1, b"1")]


def test_what_has_gone_below_all_messages_goes_further_down_after_another_loss() -> None:
    partition = Cut()
    partition.move(park=(letter(2), letter(3)))
    partition.lose(0)
    partition.claim()
    partition.move(read=0, park=(another(0, b"new"),))
    partition.claim()
    assert partition.parked == [(-5, b"2"), (-4, b"3"), (-2, b"new")]


def test_a_claim_that_is_repeated_after_a_loss_tells_the_end_and_makes_way_for_what_comes() -> None:
    """Its owner goes on from the end that the repetition tells, since the first answer has not reached it."""
    partition = Cut()
    partition.move(park=(letter(3),))
    claim = Claim(SLOT, G, "a", 5, partition.lane.epoch, "once")
    partition.do(claim)
    partition.lose(1)
    assert partition.do(claim).added == 1
    assert partition.parked == [(-2, b"3")]


def test_attempts_are_forgotten_where_ordinals_change() -> None:
    """They would count for other messages."""
    partition = Cut()
    tried = Progress(partition.offset(2), 2, attempts=((1, 2), (3, 1)))
    epoch = partition.lane.epoch
    partition.do(Commit(SLOT, G, "a", epoch, 1, tried, Moves(park=(letter(1),))))
    partition.lose(2)
    assert partition.claim().progress.attempts == ((1, 2), (3, 1)), "nothing has changed its ordinal"
    partition.lose(1)
    assert partition.claim().progress.attempts == ()


# --- dead -----------------------------------------------------------------------------------------------------------


def test_a_dead_letter_whose_place_another_message_has_goes_below_all_others() -> None:
    partition = Cut()
    partition.move(bury=(letter(0), letter(1)))
    partition.move(bury=(another(0, b"new"), another(1, b"l", b"l")))
    partition.move(bury=(another(1, b"newer"), evolve(letter(1), attempts=7)))
    assert partition.dead == [(-3, b"newer"), (-2, b"new"), (0, b"0"), (1, b"1"), (1, b"l")]
    assert partition.aside.dead[3].attempts == 7, "the same message once more is one letter"


def test_a_dead_letter_is_named_with_the_id_of_its_message() -> None:
    """A replay or a purge that comes late, or was chosen before, must not meet what lies there by now."""
    partition = Cut()
    partition.move(bury=(letter(0),))
    replay = Replay(SLOT, G, (letter(0),))
    assert partition.do(replay) == Replayed(1)
    partition.move(bury=(another(0, b"new"),))
    assert partition.do(replay) == Replayed(0)
    assert partition.do(Purge(SLOT, G, (letter(0),))) == Purged(0)
    assert partition.do(Purge(SLOT, G, (another(0, b"new"),))) == Purged(1)


def test_a_page_holds_all_that_has_the_ordinal_of_its_last_letter() -> None:
    """The next page begins behind it."""
    partition = Cut()
    letters = (letter(0), letter(1), another(1, b"l", b"l"), letter(2))
    partition.move(bury=letters)

    def page(count: int, after: int | None = None) -> Any:
        return partition.do(ListLetters(SLOT, G, "dead", count, after))

    assert page(2) == Letters(letters[:3], 4)
    assert page(2, after=1) == Letters(letters[3:], 4)
    assert page(0) == Letters((), 4)


# --- a group that is moved ------------------------------------------------------------------------------------------


def test_moving_a_group_keeps_what_the_log_no_longer_has_and_puts_it_first() -> None:
    partition = Cut()
    partition.move(park=(partition.copied(1), partition.copied(2), partition.copied(3)))
    partition.lose(2)
    partition.append(5, 3)
    partition.do(Release(SLOT, G, "a", partition.lane.epoch, start=partition.offset(1)))
    assert partition.lane.progress == Progress(partition.offset(1), 1)
    assert partition.parked == [(-3, b"2"), (-2, b"3")]


def test_moving_a_group_drops_what_will_be_read_once_more_even_if_it_has_gone_below_all_messages() -> None:
    partition = Cut()
    partition.move(park=(partition.copied(0), partition.copied(1), partition.copied(3)))
    partition.lose(2)
    partition.claim()
    partition.do(Release(SLOT, G, "a", partition.lane.epoch, start=b"earliest"))
    assert partition.parked == [(-2, b"3")]
