"""``segmenter top``: groups, owners, lag and rates as they change, and rebalances as they happen."""

from __future__ import annotations

import sys

from segmenter.cli.place import Here
from segmenter.errors import InvalidArgument

__all__ = ["top"]


def top(stream: str | None = None, group: str | None = None, /, *, place: Here) -> int:
    """Watch groups: owners, lag, rates, and rebalances as they happen.

    Up and down choose a group, q ends it. What is shown is looked up when something happens, and every second;
    nothing is changed.

    Parameters
    ----------
    stream
        Only its groups.
    group
        Only groups of this name.
    """
    if place.output != "table" or not sys.stdout.isatty():
        raise InvalidArgument("top needs a terminal: use groups describe -o json")
    from segmenter.cli.board import Board

    board = Board(place, stream, group)
    board.run()
    if board.failure is not None:
        raise board.failure
    return 0
