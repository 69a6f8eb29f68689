"""What the owner of a partition does about requests for parked letters, one page of one key at a time.

Letters of a key are taken up in their order, a page when the one before it is settled. What arrives under the key
meanwhile is parked behind them as before, so the key is in order throughout; the commit that takes back its last
letter unparks it. A letter that fails once more stays where it lies, and ends the errand for its key.

Only what is stored can be fetched. What arrives all the time lies behind it, and need not be waited for; but a page
that was taken back must be gone before the next one is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, frozen

from segmenter.core.aside import Letter, Request
from segmenter.core.lanes import KeyLanes

__all__ = ["LIMIT_IN_HAND", "LIMIT_PAGE", "Errand", "Errands"]

LIMIT_PAGE = 100  # letters taken up at once, of one key
LIMIT_IN_HAND = 1_000  # unsettled messages of a partition, above which no more letters are taken up


@frozen
class Errand:
    """The next page to fetch: the first letters of this key."""

    key: bytes
    discard: bool


@define
class _Underway:
    """A request, and those of its keys that are not done with."""

    request: Request
    keys: list[bytes]


class Errands:
    """The requests of one hold."""

    def __init__(self, lanes: KeyLanes) -> None:
        self._lanes = lanes
        self._parking = lanes.parking
        self._underway: dict[str, _Underway] = {}

    def next(self) -> Errand | None:
        """The page to fetch now, if there is one; requests that are done with are heeded."""
        for request in self._parking.requests:
            underway = self._underway.get(request.token) or self._begin(request)
            underway.keys = [key for key in underway.keys if not self._done(key)]
            if not underway.keys:
                self._end(request)
                continue
            errand = self._errand(underway)
            if errand is not None:
                return errand
        return None

    def _begin(self, request: Request) -> _Underway:
        keys = sorted(self._parking.counts) if request.key is None else [request.key]
        self._parking.failed.difference_update(keys)
        underway = self._underway[request.token] = _Underway(request, keys)
        return underway

    def _done(self, key: bytes) -> bool:
        return key not in self._parking.counts or key in self._parking.failed

    def _end(self, request: Request) -> None:
        del self._underway[request.token]
        self._parking.heed(request)
        self._lanes.changed()

    def _errand(self, underway: _Underway) -> Errand | None:
        if self._lanes.backlog.count >= LIMIT_IN_HAND:
            return None
        unstored = self._parking.unstored
        key = next((key for key in underway.keys if key not in self._lanes.chains and key not in unstored), None)
        return None if key is None else Errand(key, underway.request.what == "discard")

    def fetched(self, errand: Errand, letters: Sequence[Letter]) -> None:
        """Go on with a page; an empty one says that nothing is parked under the key after all."""
        if errand.key in self._lanes.chains:
            return
        if not letters:
            self._parking.forget(errand.key)
        elif errand.discard:
            self._lanes.discard(letters)
        else:
            self._lanes.take_up(letters)
        self._lanes.changed()
