"""What the machines draw: names, numbers and commands, mostly such that something comes of it."""

from __future__ import annotations

from hypothesis import strategies as st

from segmenter.core import group as groups
from segmenter.core.aside import Letter
from segmenter.core.group import GroupEvent
from segmenter.core.log import Record
from segmenter.testing.agreement import HOUR_MS

__all__ = [
    "ATTEMPTS",
    "BEYOND",
    "CALLERS",
    "DELAYS",
    "EVENTS",
    "EVICTED",
    "GROUPS",
    "KEYS",
    "MEMBERS",
    "NUMBERS",
    "OUTSIDE",
    "PAIRS",
    "RECORDS",
    "SELDOM",
    "SOMETIMES",
    "TRYING",
    "WINDOWS",
    "letters",
]

BEYOND = b"9999999999999999-0"  # the end of every log
OUTSIDE = [b"0-0", b"7", b"7-7", b"99999999999-0", BEYOND]  # places where no log has an entry

MEMBERS = st.sampled_from(["m1", "m2", "m3"])
CALLERS = st.sampled_from([None, None, None, "m1", "m2"])  # None: the owner, whoever it is
EVICTED = st.sampled_from([None, None, "m1", "m2"])
GROUPS = st.sampled_from(["a", "a", "b"])
NUMBERS = st.sampled_from([0, 0, 0, 1])  # of a partition
SOMETIMES = st.sampled_from([False] * 4 + [True])
SELDOM = st.sampled_from([False] * 19 + [True])
Ranges = tuple[tuple[int, int], ...]
PAIRS: st.SearchStrategy[Ranges] = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=2).map(tuple)
ATTEMPTS = st.dictionaries(st.integers(-3, 9), st.integers(1, 9), max_size=2).map(lambda counts: sorted(counts.items()))
DELAYS = st.dictionaries(st.integers(-3, 9), st.integers(1, 9), max_size=2).map(
    lambda hours: tuple(sorted((ordinal, count * HOUR_MS) for ordinal, count in hours.items()))
)
TRYING = st.sampled_from([-1, -1, 0, 2, 9, -2])
WINDOWS = st.sampled_from([0, 0, 3, 100])
RECORDS = st.builds(
    Record,
    key=st.sampled_from([b"", b"k", b"key \r\n\x00\xff"]),
    data=st.sampled_from([b"", b"d", bytes(range(256))]),
    headers=st.sampled_from([b"", b"", b"h"]),
)
KEYS = st.sampled_from([b"", b"k", b"key \r\n:\x00\xff"])
LOST = [b"7-7", b"7-8"]  # ids of entries that no log has any more


def letters(ids: list[bytes]) -> st.SearchStrategy[Letter]:
    """Of messages that are lost, or in a log with these ids; their ordinals may be any."""
    return st.builds(
        Letter,
        ordinal=st.sampled_from([0, 0, 1, 5, 9, -2, -3]),
        entry_id=st.sampled_from(LOST + ids),
        key=KEYS,
        data=st.sampled_from([b"", b"\n", bytes(range(256))]),
        headers=st.sampled_from([b"", b"h\n"]),
        attempts=st.integers(0, 5),
        reason=st.sampled_from(["", "ValueError: \n\u20ac"]),
    )


EVENTS: st.SearchStrategy[GroupEvent] = st.one_of(
    st.builds(groups.Joined, member=MEMBERS),
    st.builds(groups.Joined, member=MEMBERS, seat=st.just("seat"), immediate=st.booleans()),
    st.builds(groups.Leaving, member=MEMBERS, forever=st.booleans()),
    st.builds(groups.Vacated, st.lists(MEMBERS, min_size=1, max_size=2).map(tuple)),
    st.builds(groups.SessionChanged, st.sampled_from([1_000, 2_000])),
    st.builds(groups.Left, member=MEMBERS),
    st.sampled_from([groups.Balanced(), groups.Readied(), groups.Removing(), groups.CaughtUp(10**9)]),
    st.sampled_from([groups.Paused(), groups.Resumed()]),
)
