"""What a group can tell has been lost, from places it reached before and what it finds now."""

from __future__ import annotations

import pytest

from segmenter.core.command import Entry
from segmenter.core.continuity import Cut, Memory, Seen, cut_by_claim, reaches_beyond, what_is_left
from segmenter.core.partition import Claimed, Progress, Ranges

BEFORE = Seen(b"3-0", 3)  # three entries are settled


def entries(*numbers: int) -> list[Entry]:
    return [(b"%d-0" % number, ()) for number in numbers]


def compared(memory: Memory, *numbers: int, before: Seen = BEFORE) -> tuple[Memory, Cut | None]:
    """Entries of these ids follow the place before."""
    after = Seen(b"%d-0" % numbers[-1], before.next + len(numbers))
    return memory.compare(entries(*numbers), before, after)


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        ((4, 5, 6, 7), None),  # nothing is missing
        ((4, 9), Cut(b"4-0", b"6-0", 2)),
        ((9,), Cut(b"3-0", b"6-0", 3)),
        ((4, 5, 6), None),
        ((5, 6), Cut(b"6-0", b"6-0", 1)),  # one in between, as after a deletion: the count is exact
    ],
)
def test_what_is_missing_before_a_place_that_was_reached_is_counted(found: tuple[int, ...], lost: Cut | None) -> None:
    memory, cut = compared(Memory((Seen(b"6-0", 6),)), *found)
    assert (cut, memory.places) == (lost, ())


def test_before_the_place_is_reached_again_nothing_is_known() -> None:
    memory = Memory((Seen(b"6-0", 6),))
    assert compared(memory, 4, 5) == (memory, None)


def test_what_came_in_after_the_loss_and_was_read_before_it_was_noticed_is_not_counted_as_lost() -> None:
    """Read and settled to 6; then 5 and 6 were lost, 8 and 9 came, and were read as if they followed."""
    memory = Memory((Seen(b"6-0", 6), Seen(b"9-0", 8)))
    memory, cut = compared(memory, 4, 8, 9, 10)
    assert cut == Cut(b"4-0", b"6-0", 2)
    assert memory.places == ()


def test_both_places_may_have_lost_something() -> None:
    """Settled to 6, read to 9; 6 is lost and 8, while 9 came after the loss."""
    _, cut = compared(Memory((Seen(b"6-0", 6), Seen(b"9-0", 9))), 4, 5, 9)
    assert cut == Cut(b"5-0", b"9-0", 3)


def claimed(offset: bytes, read: int, end: bytes, first: int, added: int, ranges: Ranges = ()) -> Claimed:
    return Claimed(7, Progress(offset, read, ranges, ((10, 1),)), end, first, added, "born")


def test_a_claim_shows_that_progress_lies_beyond_the_end() -> None:
    grant = claimed(b"5-0", 5, b"3-0", 0, 3)
    assert cut_by_claim(grant, Memory()) == Cut(b"3-0", b"5-0", 2)
    assert what_is_left(grant) == Progress(b"3-0", 3)


def test_a_claim_shows_that_what_was_read_lies_beyond_the_end() -> None:
    grant = claimed(b"5-0", 5, b"6-0", 0, 6)
    assert cut_by_claim(grant, Memory((Seen(b"5-0", 5), Seen(b"9-0", 9)))) == Cut(b"6-0", b"9-0", 3)


def test_a_claim_shows_that_what_was_finished_ahead_lies_beyond_the_end() -> None:
    """Otherwise the messages that get its ordinals would be passed over as finished. Only ordinals tell of it."""
    grant = claimed(b"5-0", 5, b"7-0", 0, 7, ((6, 8), (9, 12)))
    assert cut_by_claim(grant, Memory()) == Cut(b"7-0", b"", 5)
    assert cut_by_claim(grant, Memory((Seen(b"13-0", 13),))) == Cut(b"7-0", b"13-0", 6)
    assert reaches_beyond(grant)
    assert what_is_left(grant) == Progress(b"5-0", 5, ((6, 7),))


def test_what_was_finished_ahead_of_progress_beyond_the_end_is_lost_with_it() -> None:
    grant = claimed(b"5-0", 5, b"3-0", 0, 3, ((6, 8),))
    assert cut_by_claim(grant, Memory()) == Cut(b"3-0", b"", 5)
    assert what_is_left(grant) == Progress(b"3-0", 3)


def test_an_intact_log_shows_nothing() -> None:
    grant = claimed(b"5-0", 5, b"12-0", 0, 12, ((6, 8), (9, 12)))
    assert cut_by_claim(grant, Memory((Seen(b"9-0", 9),))) is None
    assert not reaches_beyond(grant)
    assert what_is_left(grant) == grant.progress


def test_after_a_gap_only_what_is_left_counts_as_finished_or_tried() -> None:
    left = what_is_left(claimed(b"5-0", 5, b"20-0", 10, 20, ((6, 8), (9, 12))))
    assert left == Progress(b"5-0", 10, ((10, 12),), ((10, 1),))
