"""What was found when a place was examined: the same for ``segmenter doctor`` and for every connection."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

__all__ = ["Finding", "Verdict"]

Verdict = Literal["ok", "warning", "failure"]


@frozen
class Finding:
    """One thing that was looked at.

    ``found`` is what is there; where that is not well, ``why`` says what it may cost, and ``remedy`` what to do.
    ``refuse`` says that a connection is refused by it, since messages would be lost or no script would run.
    """

    check: str
    verdict: Verdict
    found: str
    why: str = ""
    remedy: str = ""
    refuse: bool = False
