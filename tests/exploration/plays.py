"""The real ``Holding`` and ``KeyLanes`` of a hold, led through a history; and what tells one history from another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from segmenter.core.aside import Letter, Moves, Request
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.errands import Errand
from segmenter.core.lanes import KeyLanes
from segmenter.core.log import Log, Record
from segmenter.core.message import DELAYED, FRESH, HELD, READY, Message
from segmenter.core.partition import Claimed, Commit
from segmenter.core.signals import Drained
from segmenter.runtime.holding import Holding

__all__ = ["FAILED", "GROUP", "Deed", "Play", "log_of"]

Deed = tuple[Any, ...]  # a verb, which is a method of ``Play``, and what it is about

GROUP = GroupSlot("orders", "g")
FAILED = "failed"  # the reason for which a message is set aside that was tried
DELAY_S = 1.0  # before what was given back may start again: how long that really is follows from the order of steps


@cache
def log_of(keys: str) -> Log:
    """The log of a partition with a message for each letter, which is its key, as a capital or not."""
    return Log().append([Record(key.encode(), b"").fields for key in keys.lower()], 1_000)


class Play:
    """A hold, as it is after a history; whatever happens to it is a method without an underscore."""

    def __init__(self, partition: int, member: str, grant: Claimed, log: Log, lanes: type[KeyLanes]) -> None:
        slot = PartitionSlot(GROUP.stream, partition)
        self.running: dict[int, Message] = {}
        self.commit: Commit | None = None  # in flight
        self.page: Errand | None = None  # that is being fetched
        self._commits = 0
        self._stopped = False
        self._log = log
        self._now = 0.0
        self.holding = Holding(
            slot, GROUP.group, member, grant, clock=lambda: self._now, touched=lambda holding: None, lanes=lanes
        )
        self.lanes = self.holding.lanes

    # --- messages ---------------------------------------------------------------------------------------------------

    def read(self, count: int = 1) -> None:
        """Messages are read."""
        self.holding.offer(self._log.after(self.lanes.backlog.position, count))

    def start(self) -> None:
        """The next message is handed out, or marked if each has to be."""
        self.running.update((message.ordinal, message) for message in self.lanes.take(1))

    def finish(self, ordinal: int) -> None:
        """A handler ends, and its message is settled."""
        self.running.pop(ordinal).ack()

    def retry(self, ordinal: int) -> None:
        """It fails, and its message is tried again after a while."""
        self.running.pop(ordinal).nack(DELAY_S)

    def park(self, ordinal: int) -> None:
        """It fails for good, and its message is parked."""
        self.running.pop(ordinal).park(FAILED)

    def reject(self, ordinal: int) -> None:
        """It makes a dead letter of its message."""
        self.running.pop(ordinal).reject(FAILED)

    def wait(self) -> None:
        """The while is over."""
        self._now += DELAY_S

    def leave(self) -> None:
        """The handlers that were still at work have been cancelled, and have ended."""
        self.running.clear()
        self.lanes.leave()

    # --- what is asked of it ----------------------------------------------------------------------------------------

    def told(self, dead: int, requests: Sequence[Request]) -> None:
        """A look at the lane shows what others want."""
        self.lanes.parking.told(dead, requests)
        if not self.lanes.parking.idle:
            self.lanes.changed()

    def seek(self) -> None:
        """It looks for the next page to fetch."""
        self.page = self.holding.errands.next()

    def fetched(self, letters: Sequence[Letter]) -> None:
        """The page comes."""
        errand, self.page = self.page, None
        if errand is not None and not self.holding.draining:
            self.holding.errands.fetched(errand, letters)

    def unfetched(self) -> None:
        """It does not."""
        self.page = None

    # --- progress, and the end --------------------------------------------------------------------------------------

    def send_progress(self) -> None:
        """A commit starts."""
        commit = self.holding.next_commit()
        assert isinstance(commit, Commit)  # nothing is forwarded
        self.commit = commit
        self._commits += 1

    def committed(self) -> None:
        """It was stored."""
        assert self.commit is not None
        self.holding.committed(self.commit)
        self.commit = None

    def stop(self) -> None:
        """The partition is to move."""
        self.holding.draining = self._stopped = True
        self.lanes.stop()

    def release(self) -> None:
        """It is on its way out: from now on nothing is committed beside the release, and none is asked for again."""
        self.holding.drained()
        self.holding.draining = False

    # --- what can be seen -------------------------------------------------------------------------------------------

    @property
    def startable(self) -> bool:
        """Whether a handler may start, or its message be marked."""
        due = self.lanes.due
        return self.lanes.startable or (due is not None and due <= self._now)

    @property
    def delayed(self) -> tuple[int, ...]:
        """The ordinals of the messages in hand that are to be tried again after a while."""
        return tuple(sorted(message.ordinal for message in self._linked() if message._state == DELAYED))

    @property
    def waits(self) -> bool:
        """Whether something is to be tried again after a while."""
        return self.lanes.due is not None and self.lanes.due > self._now

    @property
    def may_read(self) -> bool:
        """Whether there is more to read."""
        return self.lanes.backlog.seen.next < self._log.added and not self._stopped

    @property
    def may_commit(self) -> bool:
        """Whether there is something to store, no commit in flight, and no release under way."""
        released = self._stopped and not self.holding.draining
        return self.commit is None and not released and self.holding.dirty

    @property
    def may_seek(self) -> bool:
        """Whether something is asked for, and no page being fetched."""
        return bool(self.lanes.parking.requests) and self.page is None and not self._stopped

    @property
    def hurried(self) -> Drained | None:
        """The same without waiting for anything, which must not be."""
        progress = self.lanes.progress()
        return Drained(self.holding.partition, self._commits + 1, progress) if self.holding.draining else None

    @property
    def moves(self) -> tuple[Moves, ...]:
        """What it has set aside and taken back that is not known to be stored."""
        parking = self.lanes.parking
        park, bury = tuple(parking._park.values()), tuple(parking._bury.values())
        waiting = Moves(park, bury, tuple(parking._unpark), tuple(parking._heeded))
        return (self.commit.moves, waiting) if self.commit is not None else (waiting,)

    # --- what tells histories apart ---------------------------------------------------------------------------------

    @property
    def meaning(self) -> tuple[Any, ...]:
        """All that counts from now on: many orders of starts, ends and commits come to the same."""
        holding, commit, lanes = self.holding, self.commit, self.lanes
        in_commit = (commit.number, commit.progress, commit.moves) if commit is not None else None
        more = holding._pending is not None and lanes.version != holding._pending[1]
        flags = (holding.dirty, more, holding.draining, self._stopped, self._commits)
        running = tuple(sorted((ordinal, message.attempt) for ordinal, message in self.running.items()))
        return (
            running,
            lanes.progress(),
            lanes.backlog.seen,
            in_commit,
            flags,
            self._turns,
            self._set_aside,
            self._care,
        )

    @property
    def _turns(self) -> tuple[Any, ...]:
        """Whose turn is when: by ordinal, but for what waits for a while, or was queued when a key was parked."""
        fresh = tuple(message.ordinal for message in self.lanes.chains._fresh if message._state == FRESH)
        states = sorted((message.ordinal, message._state) for message in self._linked())
        kept = [turn for turn in states if turn[1] == DELAYED or (fresh and turn[1] in (HELD, READY))]
        due = tuple(sorted(ordinal for at, ordinal, _ in self.lanes.chains._delayed if at <= self._now))
        inherited = tuple(sorted((ordinal, at - self._now) for ordinal, at in self.lanes.chains.inherited.items()))
        return fresh, tuple(kept), due, inherited, tuple(sorted(self.lanes._taken_up))

    def _linked(self) -> Iterator[Message]:
        for tail in self.lanes.chains.tails.values():
            message: Message | None = tail
            while message is not None:
                yield message
                message = message._before

    @property
    def _set_aside(self) -> tuple[Any, ...]:
        parking = self.lanes.parking
        counts, failed = tuple(sorted(parking.counts.items())), tuple(sorted(parking.failed))
        underway = [(token, tuple(each.keys)) for token, each in self.holding.errands._underway.items()]
        asked = (parking.requests, tuple(parking._past), tuple(sorted(underway)), self.page)
        return self.moves[-1], counts, failed, parking.dead, asked

    @property
    def _care(self) -> tuple[Any, ...]:
        caution = self.lanes.caution
        return caution._next.ordinal if caution._next is not None else None, caution._stored
