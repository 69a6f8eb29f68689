"""What the parts of a consumer's runtime have in common: where they ask, what they look at, whom they tell."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from segmenter.core.observations import Observation
from segmenter.port import Session
from segmenter.runtime.backoff import Backoff
from segmenter.runtime.holdings import Holdings

__all__ = ["Ties"]


@frozen
class Ties:
    """Given by the pump to each of its parts."""

    session: Session
    group: str
    holdings: Holdings
    backoff: Backoff
    wake: Callable[[], None]  # have a turn soon
    observe: Callable[[Observation], None]
    refused: Callable[[int], None]  # this partition is not ours as we thought
    failed: Callable[[BaseException], None]  # the consumer cannot go on
