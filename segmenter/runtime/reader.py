"""Reading: at most one read is under way, over every partition that has room and the group's events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from attrs import evolve

from segmenter.config import LIMIT_BATCH, ConsumerOptions
from segmenter.core.command import Cursor, GroupSlot, ReadReply
from segmenter.core.events import Announcement, Changed, announcement_of
from segmenter.core.lanes import KeyLanes
from segmenter.core.reading import Plan, plan
from segmenter.errors import BackendError
from segmenter.runtime.holding import Holding, Wrong
from segmenter.runtime.ties import Ties

__all__ = ["Reader"]

WAIT_S = 60.0  # for messages, at most: each end of a wait costs an idle server as much as a beat
_log = logging.getLogger("segmenter.consumer")

OVERDUE_S = 2.0  # from a probe that has seen messages, until the read that waits for them counts as dead


class Reader:
    """Keeps the right read under way, and offers what comes to the holdings it was asked for."""

    def __init__(
        self,
        ties: Ties,
        events: Cursor,
        options: ConsumerOptions,
        *,
        heard: Callable[[Changed | Announcement], None],
        found: Callable[[Holding, Wrong], None],
    ) -> None:
        self._ties = ties
        self._events = events
        self._options = options
        self._heard = heard
        self._found = found
        self._loop = asyncio.get_running_loop()
        self._under_way: asyncio.Future[ReadReply] | None = None
        self._asked: Plan
        self._flowing = 0  # reads in a row that have brought something
        self._not_before = 0.0

    def start(self) -> None:
        """See that a read is under way; one that leaves out a partition with room is interrupted first."""
        wanted = self._with_room()
        if self._under_way is None:
            if self._loop.time() >= self._not_before:
                self._read(plan(self._events, wanted, flowing=self._flowing, count=LIMIT_BATCH, wait_s=WAIT_S))
        elif self._asked.read.wait_s and not set(map(id, wanted)) <= set(map(id, self._asked.holds)):
            self._under_way.cancel()

    def expect(self, lanes: KeyLanes) -> None:
        """There is something to read of a partition: unless the read under way brings it soon, it never will.

        Its connection may be dead, and nobody would know: a firewall that has forgotten it drops what the server sends.
        """
        if self._under_way is not None and lanes in self._asked.holds:
            self._loop.call_later(OVERDUE_S, self._under_way.cancel)

    def stop(self) -> None:
        """End the read under way."""
        if self._under_way is not None:
            self._under_way.cancel()

    def _with_room(self) -> list[KeyLanes]:
        messages, size_bytes = self._options.read_ahead, self._options.read_ahead_bytes
        return [holding.lanes for holding in self._ties.holdings.with_room(messages, size_bytes)]

    def _read(self, planned: Plan) -> None:
        self._asked = planned
        self._under_way = self._ties.session.read(planned.read)
        self._under_way.add_done_callback(lambda future: self._answered(planned, future))

    def _answered(self, planned: Plan, future: asyncio.Future[ReadReply]) -> None:
        self._under_way = None
        if not future.cancelled():
            self._take_in(planned, future)
        self._ties.wake()  # after whoever waits for messages: they are handed out before the next read is prepared

    def _take_in(self, planned: Plan, future: asyncio.Future[ReadReply]) -> None:
        error = future.exception()
        if error is None:
            self._ties.backoff.reset()
            self._deliver(planned, future.result())
        elif isinstance(error, BackendError) and error.retriable:
            wait_s = self._ties.backoff.next_s()
            self._not_before = self._loop.time() + wait_s
            self._loop.call_later(wait_s, self._ties.wake)
        else:
            self._ties.failed(error)

    def _deliver(self, planned: Plan, reply: ReadReply) -> None:
        arrived = planned.matching(reply)
        self._flowing = self._flowing + 1 if arrived else 0
        for lanes, entries in arrived:
            holding = self._ties.holdings.at(lanes.partition, lanes.epoch)
            if holding is not None and holding.lanes is lanes and not holding.draining:
                for wrong in holding.offer(entries):
                    self._found(holding, wrong)
                self._ties.holdings.stir(holding)
                self._ties.holdings.consider(holding)
        for entry in reply.get(self._events_log, ()):
            self._events = evolve(self._events, after=entry[0])
            event = announcement_of(entry)
            if event is not None:
                self._heard(event)
            else:
                place = (self._events_log.stream, self._events_log.group, entry[0].decode())
                _log.debug(
                    "event ignored stream=%s group=%s id=%s: another program or a later version wrote it", *place
                )

    @property
    def _events_log(self) -> GroupSlot:
        assert isinstance(self._events.log, GroupSlot)  # noqa: S101 - given at construction
        return self._events.log
