"""The real runtime on virtual time, through faults: nothing lost, order kept, one handler of a key at a time."""

from __future__ import annotations

import os
from collections import defaultdict

import pytest

from segmenter.testing import run_virtually
from tests.simulation.story import Start, Story

SEEDS = int(os.environ.get("SEEDS", "60"))
FAULTS = 14


async def _play(seed: int) -> Story:
    story = Story(seed)
    try:
        await story.play(FAULTS)
    finally:
        await story.aclose()
    return story


def _lost(story: Story) -> set[tuple[str, int]]:
    done = {(start.key, start.number) for start in story.starts if start.ended is not None}
    return {(key, number) for key, count in story.sent.items() for number in range(count)} - done


def _out_of_order(starts: list[Start]) -> list[Start]:
    """First starts of a key's message before the first start of the one before it."""
    following: dict[str, int] = defaultdict(int)
    wrong = []
    for start in starts:
        if start.number > following[start.key]:
            wrong.append(start)
        following[start.key] = max(following[start.key], start.number + 1)
    return wrong


def _overlapping(starts: list[Start]) -> list[tuple[Start, Start]]:
    """Two handlers of one key at once; a crashed one has ended when its process did."""
    wrong = []
    running: dict[str, Start] = {}
    for start in starts:
        before = running.get(start.key)
        if before is not None and before.ended is not None and before.ended > start.began:
            wrong.append((before, start))
        running[start.key] = start
    return wrong


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_seed_keeps_the_promises(seed: int) -> None:
    story = run_virtually(lambda: _play(seed))
    told = "\n".join(story.lines[-400:])
    assert not _lost(story), f"seed {seed} lost {_lost(story)}\n{told}"
    assert not _out_of_order(story.starts), f"seed {seed}: {_out_of_order(story.starts)[:3]}\n{told}"
    assert not _overlapping(story.starts), f"seed {seed}: {_overlapping(story.starts)[:3]}\n{told}"


def test_a_seed_tells_the_same_story_twice() -> None:
    """Otherwise a failure could not be looked at again."""
    first, second = (run_virtually(lambda: _play(7)) for _ in range(2))
    assert first.lines == second.lines
