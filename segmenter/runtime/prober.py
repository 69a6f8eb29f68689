"""Looking after partitions that commit nothing: an idle lane would otherwise not notice that its log is gone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from segmenter.core.beats import BEATS_PER_SESSION
from segmenter.core.command import Gone
from segmenter.core.lanes import KeyLanes
from segmenter.core.log import parse_position
from segmenter.core.observations import Congested
from segmenter.core.partition import Probe, Probed
from segmenter.errors import BackendError, SegmenterError
from segmenter.runtime.failures import stream_lost
from segmenter.runtime.holding import Holding
from segmenter.runtime.ties import Ties

__all__ = ["Prober"]


class Prober:
    """Probes each holding once a beat, unless a commit has just told the same; those that are due soon, with the first.

    Commits do not tell what is asked of it: in case an announcement got lost, it is probed once a session all the same.
    """

    def __init__(self, ties: Ties, session_s: float, unread: Callable[[KeyLanes], None]) -> None:
        self._ties = ties
        self._unread = unread  # told of what has messages that have not been read
        self._session_s = session_s
        self._beat_s = session_s / BEATS_PER_SESSION
        self.due_at = -math.inf  # the next of them

    def start_due(self, now: float) -> None:
        """Probe the holdings that nothing was heard of for a beat."""
        if now < self.due_at:
            return
        holdings = [holding for holding in self._ties.holdings if not holding.draining]
        soon = now + self._beat_s / 2  # one packet of many costs an idle server a fraction of as many packets
        for holding in holdings:
            if self._due_at(holding) <= soon:
                holding.confirmed_at = holding.looked_at = now
                self._probe(holding)
        self.due_at = min([now + self._beat_s, *map(self._due_at, holdings)])

    def _probe(self, holding: Holding) -> None:
        position = holding.lanes.backlog.position  # by the time of the answer more may have been read than it knows of
        probing = self._ties.session.execute(Probe(holding.slot, self._ties.group))
        probing.add_done_callback(lambda future: self._answered(holding, position, future))

    def _due_at(self, holding: Holding) -> float:
        return min(holding.confirmed_at + self._beat_s, holding.looked_at + self._session_s)

    def look(self, partition: int) -> None:
        """Probe a holding in the next turn."""
        holding = self._ties.holdings.at(partition)
        if holding is not None:
            holding.confirmed_at = self.due_at = -math.inf
            self._ties.wake()

    def _answered(self, holding: Holding, position: bytes, future: asyncio.Future[Probed | Gone]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if self._ties.holdings.at(holding.partition, holding.grant.epoch) is not holding or holding.draining:
            return
        if error is None:
            self._judge(holding, position, future.result())
        elif isinstance(error, SegmenterError) and not (isinstance(error, BackendError) and error.retriable):
            self._ties.failed(error)

    def _judge(self, holding: Holding, position: bytes, reply: Probed | Gone) -> None:
        if isinstance(reply, Gone) or reply.incarnation != holding.grant.incarnation:
            self._ties.failed(stream_lost(holding.slot))
        elif not self._sound(holding, position, reply):
            self._ties.refused(holding.partition)  # claiming again tells what is left
        else:
            self._look_aside(holding, reply)
            if reply.added > max(holding.lanes.backlog.end, reply.first):
                self._unread(holding.lanes)

    def _look_aside(self, holding: Holding, probed: Probed) -> None:
        """Others take away dead letters, and leave requests for the parked ones."""
        parking = holding.lanes.parking
        was_full = parking.full
        parking.told(probed.dead, probed.requests)
        if not parking.idle:
            holding.lanes.changed()
        if parking.full and not holding.congested:
            self._ties.observe(Congested(holding.member, holding.partition, probed.parked, probed.dead))
        holding.congested = parking.full
        if parking.requests or was_full:
            self._ties.holdings.stir(holding)
            self._ties.wake()

    @staticmethod
    def _sound(holding: Holding, position: bytes, probed: Probed) -> bool:
        """Whether it is still ours, nothing was rolled back, and nothing was dropped that is not settled."""
        mine = probed.epoch == holding.grant.epoch and probed.intact
        beyond = parse_position(position) > parse_position(probed.end)
        return mine and not beyond and probed.first <= max(probed.progress.read, holding.grant.first)
