"""When a message that failed is tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from segmenter import InvalidArgument, Retry
from segmenter.core.retry import Again, Exhausted


def test_waits_grow_up_to_a_maximum() -> None:
    retry = Retry(initial=0.2, maximum=30, factor=2)
    assert [retry.delay_s(attempt, 0.0) for attempt in range(1, 5)] == [0.2, 0.4, 0.8, 1.6]
    assert retry.delay_s(9, 0.0) == 30
    assert Retry(factor=100, attempts=10**6).delay_s(10**6, 0.0) == 30, "no power overflows"


def test_waits_are_shortened_by_chance() -> None:
    """Messages that failed together, since something was down, would otherwise come back together."""
    retry = Retry(initial=8, jitter=0.5)
    assert [retry.delay_s(1, chance) for chance in (0.0, 0.5, 1.0)] == [8, 6, 4]
    assert Retry(initial=8, jitter=0).delay_s(1, 1.0) == 8


def test_the_last_attempt_is_the_last() -> None:
    retry = Retry(attempts=3, initial=1, jitter=0)
    assert [retry.after(attempt, 0.0) for attempt in (1, 2, 3)] == [Again(1), Again(2), Exhausted()]
    assert Retry(attempts=1).after(1, 0.0) == Exhausted()


def test_an_attempt_beyond_the_last_is_not_run() -> None:
    """It comes after attempts that ended their process: to run it once more would end the next one."""
    retry = Retry(attempts=3)
    assert [retry.allows(attempt) for attempt in (1, 3, 4)] == [True, True, False]
    assert retry.after(7, 0.0) == Exhausted()


def test_durations_may_be_timedeltas() -> None:
    assert Retry(initial=timedelta(seconds=2), maximum=timedelta(minutes=1)) == Retry(initial=2, maximum=60)


@pytest.mark.parametrize(
    "options", [{"attempts": 0}, {"attempts": 1.5}, {"initial": -1}, {"factor": 0.5}, {"jitter": 2}, {"maximum": -1}]
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(InvalidArgument, match=f"{name} is "):
        Retry(**options)  # type: ignore[arg-type]
