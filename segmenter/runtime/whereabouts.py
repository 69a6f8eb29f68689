"""Where a thread stands, for the words about one that does not come back."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from traceback import walk_stack

__all__ = ["whereabouts"]

LIMIT_FRAMES = 3  # the innermost, which name the code that blocks


def whereabouts(thread: int) -> str:
    """Return where a thread stands, innermost function first, such as ``charge (tax.py:12), bill (billing.py:40)``.

    Args:
        thread: its number, as of ``threading.get_ident()``.
    """
    frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage] - documented, and for this
    if frame is None:
        return "a thread that has ended"
    innermost = islice(walk_stack(frame), LIMIT_FRAMES)
    return ", ".join(f"{each.f_code.co_name} ({Path(each.f_code.co_filename).name}:{line})" for each, line in innermost)
