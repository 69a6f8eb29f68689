"""Storing progress: per partition one commit in flight, repeated as it was until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from segmenter.core.partition import Commit, CommitReply, Committed
from segmenter.errors import BackendError
from segmenter.port import Session
from segmenter.runtime.backoff import Backoff
from segmenter.runtime.holdings import Holdings

__all__ = ["Committer"]


class Committer:
    """Starts the commits that are due, and takes in their answers."""

    def __init__(
        self,
        session: Session,
        holdings: Holdings,
        *,
        interval_s: float,
        backoff: Backoff,
        leased: Callable[[], bool],
        refused: Callable[[int], None],
        failed: Callable[[BaseException], None],
        wake: Callable[[], None],
    ) -> None:
        self._session = session
        self._holdings = holdings
        self._interval_s = interval_s
        self._backoff = backoff
        self._leased = leased
        self._refused = refused
        self._failed = failed
        self._wake = wake
        self._loop = asyncio.get_running_loop()

    def start_due(self, now: float) -> None:
        """Start a commit wherever one is due: after a while, or at once if somebody waits or nothing else goes on."""
        for holding in self._holdings:
            if holding.dirty and (holding.urgent or holding.dirty_since + self._interval_s <= now) and self._leased():
                commit = holding.next_commit()
                if commit is not None:
                    self._send(commit)

    def _send(self, commit: Commit) -> None:
        self._session.execute(commit).add_done_callback(lambda future: self._answered(commit, future))

    def _answered(self, commit: Commit, future: asyncio.Future[CommitReply]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._backoff.reset()
            self._settle(commit, future.result())
        elif isinstance(error, BackendError) and error.retriable:
            self._loop.call_later(self._backoff.next_s(), self._repeat, commit)
        else:
            self._failed(error)

    def _settle(self, commit: Commit, reply: CommitReply) -> None:
        holding = self._holdings.at(commit.slot.partition, commit.epoch)
        if holding is not None and isinstance(reply, Committed):
            holding.committed(commit)
            self._wake()
        elif holding is not None:
            self._refused(commit.slot.partition)

    def _repeat(self, commit: Commit) -> None:
        if self._holdings.at(commit.slot.partition, commit.epoch) is not None and self._leased():
            self._send(commit)
