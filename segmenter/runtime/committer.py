"""Storing progress: per partition one commit in flight, repeated as it was until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from segmenter.core.command import Gone
from segmenter.core.forward import Forward, Forwarded, ForwardReply
from segmenter.core.partition import Commit, CommitReply, Committed
from segmenter.core.retention import Full, Moved, Sealed
from segmenter.errors import BackendError, SegmenterError, ServerFull
from segmenter.runtime.failures import not_forwarded
from segmenter.runtime.holding import Holding
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
        for holding in self._ties.holdings.lively:
            if holding.dirty and (holding.urgent or holding.dirty_since + self._interval_s <= now) and self._leased():
                commit = holding.next_commit()
                if commit is not None:
                    self._send(commit)

    def _send(self, command: Commit | Forward) -> None:
        asked: asyncio.Future[CommitReply | ForwardReply] = self._ties.session.execute(command)
        asked.add_done_callback(lambda future: self._answered(command, future))

    def _answered(self, command: Commit | Forward, future: asyncio.Future[CommitReply | ForwardReply]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._ties.backoff.reset()
            self._settle(command, future.result())
        elif isinstance(command, Forward) and isinstance(error, ServerFull):
            self._not_sent(command, error)
        elif isinstance(error, BackendError) and error.retriable:
            self._loop.call_later(self._ties.backoff.next_s(), self._repeat, command)
        else:
            self._ties.failed(error)

    def _settle(self, command: Commit | Forward, reply: CommitReply | ForwardReply) -> None:
        commit, holding = _commit_of(command), self._holding(command)
        if holding is not None and isinstance(reply, Committed | Forwarded):
            holding.committed(commit)
            self._ties.wake()
        elif isinstance(command, Forward) and isinstance(reply, Full | Moved | Sealed | Gone):
            self._not_sent(command, not_forwarded(command, reply))
        elif holding is not None:
            self._ties.refused(commit.slot.partition)

    def _not_sent(self, forward: Forward, error: SegmenterError) -> None:
        holding = self._holding(forward)
        if holding is not None:
            holding.not_sent(forward.commit, error)
            self._ties.wake()

    def _repeat(self, command: Commit | Forward) -> None:
        if self._holding(command) is not None and self._leased():
            self._send(command)

    def _holding(self, command: Commit | Forward) -> Holding | None:
        commit = _commit_of(command)
        return self._ties.holdings.at(commit.slot.partition, commit.epoch)


def _commit_of(command: Commit | Forward) -> Commit:
    return command.commit if isinstance(command, Forward) else command
