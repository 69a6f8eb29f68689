"""Storing progress: per partition one commit in flight, repeated as it was until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from segmenter.core.partition import Commit, CommitReply, Committed
from segmenter.errors import BackendError
from segmenter.runtime.ties import Ties

__all__ = ["Committer"]


class Committer:
    """Starts the commits that are due, and takes in their answers."""

    def __init__(self, ties: Ties, interval_s: float, leased: Callable[[], bool]) -> None:
        self._ties = ties
        self._interval_s = interval_s
        self._leased = leased
        self._loop = asyncio.get_running_loop()

    def start_due(self, now: float) -> None:
        """Start a commit wherever one is due: after a while, or at once if somebody waits or nothing else goes on."""
        for holding in self._ties.holdings:
            if holding.dirty and (holding.urgent or holding.dirty_since + self._interval_s <= now) and self._leased():
                commit = holding.next_commit()
                if commit is not None:
                    self._send(commit)

    def _send(self, commit: Commit) -> None:
        self._ties.session.execute(commit).add_done_callback(lambda future: self._answered(commit, future))

    def _answered(self, commit: Commit, future: asyncio.Future[CommitReply]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._ties.backoff.reset()
            self._settle(commit, future.result())
        elif isinstance(error, BackendError) and error.retriable:
            self._loop.call_later(self._ties.backoff.next_s(), self._repeat, commit)
        else:
            self._ties.failed(error)

    def _settle(self, commit: Commit, reply: CommitReply) -> None:
        holding = self._ties.holdings.at(commit.slot.partition, commit.epoch)
        if holding is not None and isinstance(reply, Committed):
            holding.committed(commit)
            self._ties.wake()
        elif holding is not None:
            self._ties.refused(commit.slot.partition)

    def _repeat(self, commit: Commit) -> None:
        if self._ties.holdings.at(commit.slot.partition, commit.epoch) is not None and self._leased():
            self._send(commit)
