"""Carrying out what is asked of parked letters: the pages of them that the core wants, fetched one at a time."""

from __future__ import annotations

import asyncio

from segmenter.core.command import Gone
from segmenter.core.errands import LIMIT_PAGE, Errand
from segmenter.core.letters import Letters, ListLetters
from segmenter.errors import BackendError
from segmenter.runtime.holding import Holding
from segmenter.runtime.ties import Ties

__all__ = ["Redriver"]


class Redriver:
    """Fetches letters for the holdings that have requests."""

    def __init__(self, ties: Ties) -> None:
        self._ties = ties
        self._fetching: set[Holding] = set()

    def start_due(self) -> None:
        """Fetch what is wanted."""
        for holding in self._ties.holdings.lively:
            if holding.lanes.parking.requests and not holding.draining and holding not in self._fetching:
                errand = holding.errands.next()
                if errand is not None:
                    self._fetch(holding, errand)

    def _fetch(self, holding: Holding, errand: Errand) -> None:
        self._fetching.add(holding)
        page = ListLetters(holding.slot, self._ties.group, "parked", LIMIT_PAGE, key=errand.key)
        fetching = self._ties.session.execute(page)
        fetching.add_done_callback(lambda future: self._answered(holding, errand, future))

    def _answered(self, holding: Holding, errand: Errand, future: asyncio.Future[Letters | Gone]) -> None:
        self._fetching.discard(holding)
        held = self._ties.holdings.at(holding.partition, holding.grant.epoch) is holding
        if future.cancelled() or not held or holding.draining:
            return
        error = future.exception()
        if error is None:
            self._deliver(holding, errand, future.result())
        elif not (isinstance(error, BackendError) and error.retriable):
            self._ties.failed(error)

    def _deliver(self, holding: Holding, errand: Errand, reply: Letters | Gone) -> None:
        if isinstance(reply, Letters):  # a lane that is gone is noticed by whoever looks after it
            holding.errands.fetched(errand, reply.letters)
            self._ties.holdings.consider(holding)
            self._ties.wake()
