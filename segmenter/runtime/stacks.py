"""Summaries of thread stacks, for errors about code that does not return."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from traceback import walk_stack
from types import FrameType

__all__ = ["stack_summary"]

OURS = str(Path(__file__).parents[1])  # this package
LIMIT_FRAMES = 3


def stack_summary(thread: int) -> str:
    """Return the functions that a thread is in, innermost first, as ``recv (socket.py:706), bill (billing.py:40)``.

    The function of the user's that was called from here is among them, however deep in a library it waits.

    Args:
        thread: its number, as of ``threading.get_ident()``.
    """
    frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage] - documented, and for this
    if frame is None:
        return "a thread that has ended"
    frames = list(walk_stack(frame))
    theirs = list(takewhile(lambda each: not each[0].f_code.co_filename.startswith(OURS), frames))
    shown = theirs if 0 < len(theirs) <= LIMIT_FRAMES else [*theirs[:1], *theirs[1 - LIMIT_FRAMES :]]
    return _named(shown or frames[:LIMIT_FRAMES])


def _named(frames: Iterable[tuple[FrameType, int]]) -> str:
    return ", ".join(f"{each.f_code.co_name} ({Path(each.f_code.co_filename).name}:{line})" for each, line in frames)
