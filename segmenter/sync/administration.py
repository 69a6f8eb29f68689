"""What operators and tools do with a namespace, for blocking code."""

# It is the async Administration, as seen from other threads.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from segmenter.segmenter import Segmenter as AsyncSegmenter
from segmenter.shelves import Shelves as AsyncShelves
from segmenter.sync.facade import Facade, blocking, iterating, opening
from segmenter.sync.shelves import Shelves

__all__ = ["Administration"]


def _shelves(administration: Administration, inner: AsyncShelves) -> Shelves:
    return Shelves(administration._portal, inner)


class Administration(Facade[AsyncSegmenter]):
    """The part of a ``Segmenter`` that sends and consumes nothing."""

    # --- streams ----------------------------------------------------------------------------------------------------

    streams = blocking(AsyncSegmenter.streams)
    describe_stream = blocking(AsyncSegmenter.describe_stream)
    remove_stream = blocking(AsyncSegmenter.remove_stream)
    tail = iterating(AsyncSegmenter.tail)

    # --- groups -----------------------------------------------------------------------------------------------------

    groups = blocking(AsyncSegmenter.groups)
    describe = blocking(AsyncSegmenter.describe)
    shelves = opening(AsyncSegmenter.shelves, _shelves)
    rebalances = blocking(AsyncSegmenter.rebalances)
    hear = iterating(AsyncSegmenter.hear)
    alter_group = blocking(AsyncSegmenter.alter_group)
    pause_group = blocking(AsyncSegmenter.pause_group)
    resume_group = blocking(AsyncSegmenter.resume_group)
    reset_group = blocking(AsyncSegmenter.reset_group)
    remove_group = blocking(AsyncSegmenter.remove_group)
