"""What a piece of code does, counted: calls of functions, and blocks of memory that are left. No clock is read."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

__all__ = ["Calls", "blocks_kept", "calls_made"]


class Calls:
    """Counts the functions that are called while it is entered, those written in C included."""

    def __init__(self) -> None:
        self.made = 0

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        self.made += event in {"call", "c_call"}

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *reason: object) -> None:
        sys.setprofile(self._before)


def calls_made(job: Callable[[], Any]) -> int:
    """How many functions a job calls."""
    job()  # so that what is made once is there
    with Calls() as calls:
        job()
    return calls.made


def blocks_kept(job: Callable[[], Any]) -> int:
    """How many blocks of memory more are in use while what the job returns is kept."""
    job()  # so that what is made once is there
    with _traced():
        before = _blocks()
        kept = job()
        after = _blocks()
        del kept
    return after - before


def _blocks() -> int:
    return sum(statistic.count for statistic in tracemalloc.take_snapshot().statistics("filename"))


@contextmanager
def _traced() -> Iterator[None]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.enable()
