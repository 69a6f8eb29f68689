"""A partition that is held: its lanes, its commits, and how it ends."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

from segmenter.core.caution import Caution, Turn
from segmenter.core.command import Crossing, Entry, PartitionSlot
from segmenter.core.continuity import Cut, Memory, Seen, reaches_beyond, what_is_left
from segmenter.core.entries import CorruptEntry
from segmenter.core.errands import Errands
from segmenter.core.forward import Forward, Outgoing
from segmenter.core.lanes import KeyLanes
from segmenter.core.message import Message
from segmenter.core.parking import Parking
from segmenter.core.partition import Claimed, Commit
from segmenter.core.reading import has_room
from segmenter.core.signals import Drained
from segmenter.errors import ConsumerError, PartitionLost, SegmenterError
from segmenter.runtime.forwards import Forwards

__all__ = ["Holding", "Wrong"]

Wrong = Cut | CorruptEntry  # with a log, as reading shows

BEFORE_ANY = -1  # version of a progress that is not stored, though nothing was settled yet


class Holding:
    """One partition under one epoch, from the grant to its release or loss.

    Commits are numbered, one in flight at a time; an unanswered one is repeated as it was.
    """

    def __init__(
        self,
        slot: PartitionSlot,
        group: str,
        member: str,
        grant: Claimed,
        *,
        clock: Callable[[], float],
        patience_s: float = math.inf,
        touched: Callable[[Holding], None],
        consumer: object = None,
        place: object = None,
        lanes: Callable[..., KeyLanes] = KeyLanes,
        lenient: bool = False,
        turn: Turn | None = None,
        freed: Callable[[Holding], None] = lambda _: None,
    ) -> None:
        self.slot = slot
        self.grant = grant
        self.lanes = lanes(
            stream=slot.stream,
            group=group,
            partition=slot.partition,
            epoch=grant.epoch,
            progress=what_is_left(grant),
            parking=Parking(grant.aside),
            caution=Caution(
                *(grant.unclean, grant.horizon),
                asked=bool(grant.aside.requests),
                turn=turn,
                freed=lambda: freed(self),
            ),
            clock=clock,
            touched=lambda: touched(self),
            consumer=consumer,
            forwarding=self._forward,
            lenient=lenient,
        )
        self.forwards = Forwards(self.lanes, place, lambda: touched(self))
        self.errands = Errands(self.lanes)
        self.draining = False
        self._let_go = False  # its release is under way, and carries all that is left to store
        self.paused = False
        self.clear_until = -math.inf  # its messages may be started until then
        self.listed = False  # among those that may have something to hand out
        self.seek: bytes = b""
        self.stuck_window = 0  # above 0: it is to be released though something in flight will not end
        self.earlier = Memory()  # of an earlier hold, while it may tell something
        self.hooks: set[asyncio.Task[None]] = set()  # of the user's, still running
        self.attended = False  # handlers are at work, on messages that may be settled already
        self.member = member
        self.congested = False  # and it was told
        self.confirmed_at = clock()  # when the server last said that it is ours ...
        self.looked_at = clock()  # ... and when it was last asked what others want of it
        self.dirty_since = math.inf  # when the progress first differed from what is stored
        self._clock = clock
        self._patience_s = patience_s
        self._group = group
        self._full = False
        self._stored = BEFORE_ANY if reaches_beyond(grant) else self.lanes.version
        self._number = 0
        self._settled = Seen(grant.progress.offset, grant.progress.read)  # as stored
        self._pending: tuple[Commit, int] | None = None  # and the version it carries
        self._asked_at = math.inf  # when the commit in flight was first sent
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def partition(self) -> int:
        """Its number."""
        return self.slot.partition

    def wants_more(self, messages: int, size_bytes: int) -> bool:
        """Whether to read on. Full at the limit, and then not before half of it is settled: no read per message."""
        share = 2 if self._full else 1
        self._full = not has_room(self.lanes, max(1, messages // share), size_bytes // share)
        return not (self._full or self.draining or self.paused)

    def offer(self, entries: Sequence[Entry]) -> list[Wrong]:
        """Take entries in; return what is corrupt, and what they show to be lost of what an earlier hold had read."""
        before = self.lanes.backlog.seen
        self.lanes.offer(entries)
        found: list[Wrong] = [*self.lanes.backlog.take_found()]
        if self.earlier.places:
            self.earlier, cut = self.earlier.compare(entries, before, self.lanes.backlog.seen)
            found += [cut] if cut is not None else []
        return found

    @property
    def stopped_at(self) -> CorruptEntry | None:
        """The corrupt entry that it has come to, once all before it is settled and stored."""
        backlog = self.lanes.backlog
        return backlog.corrupt if backlog.corrupt and not backlog.count and self.at_rest else None

    @property
    def at_rest(self) -> bool:
        """Whether nothing is in hand, to be stored, or to be done at some time."""
        lanes = self.lanes
        return not (self.draining or lanes.in_flight or lanes.due is not None or self.dirty)

    @property
    def memory(self) -> Memory:
        """What a later hold is to be compared with."""
        return Memory((self._settled, self.lanes.backlog.seen))

    def _forward(self, message: Message, outgoing: Outgoing) -> asyncio.Future[None]:
        return self.forwards.add(message, outgoing)

    # --- commits ----------------------------------------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether there is progress that is not stored, or something to be sent with it."""
        return self.lanes.version != self._stored or self.forwards.due(self._clock())

    @property
    def urgent(self) -> bool:
        """Whether a commit should not wait: somebody does, or nothing else is going on."""
        idle = not (self.lanes.in_flight or self.lanes.startable)
        return bool(self._waiters) or idle or self.lanes.parking.pressing or self.forwards.due(self._clock())

    def next_commit(self) -> Commit | Forward | None:
        """The commit to start now, if none is in flight and there is something to store."""
        if self._pending is not None or self._let_go or not self.dirty:
            return None
        self._number += 1
        self._asked_at = self._clock()
        self.dirty_since = math.inf
        outgoing = self.forwards.take() if self.lanes.parking.idle and self.forwards.due(self._asked_at) else None
        progress, moves = self.lanes.progress(self.forwards.ordinals), self.lanes.parking.take()
        commit = Commit(self.slot, self._group, self.member, self.grant.epoch, self._number, progress, moves)
        self._pending = (commit, self.lanes.version)
        if outgoing is None:
            return commit
        terms = (outgoing.records, outgoing.capacity, outgoing.layout, outgoing.overflow)
        return Forward(Crossing(self.slot, outgoing.there), commit, *terms)

    def clear(self, now: float, lease_until: float) -> bool:
        """Look whether anything of it may be started: not while a commit has been without an answer for long.

        What is found holds for a while, so that not everything is looked at again for each message; whoever changes it
        calls ``look_again``.
        """
        if self.paused or self.hooks or self.draining:
            return False
        self.clear_until = min(lease_until, min(now, self._asked_at) + self._patience_s)
        return now < self.clear_until

    def look_again(self) -> None:
        """Something has changed that may forbid to start anything."""
        self.clear_until = -math.inf

    def committed(self, commit: Commit) -> None:
        """The commit in flight was stored."""
        if self._pending is not None and self._pending[0] is commit:
            self._stored = self._pending[1]
            self._pending = None
            self._asked_at = math.inf
            self._settled = Seen(commit.progress.offset, commit.progress.read)
            self.lanes.caution.stored(commit.progress)
            self.lanes.parking.stored()
            self.confirmed_at = self._clock()
            self.forwards.done()
            self._resolve()

    def not_sent(self, commit: Commit, error: SegmenterError) -> None:
        """The commit in flight was not stored, since what was to be sent with it was refused."""
        if self._pending is not None and self._pending[0] is commit:
            self._pending = None
            self._asked_at = math.inf
            self.forwards.refused(error, self._clock())

    def durable(self) -> asyncio.Future[None]:
        """A future for the moment when everything settled so far is stored."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self.lanes.version, future))
        self._resolve()
        return future

    def _resolve(self) -> None:
        waiting = self._waiters
        self._waiters = [waiter for waiter in waiting if waiter[0] > self._stored]
        for version, future in waiting:
            if version <= self._stored and not future.done():
                future.set_result(None)

    # --- the end ----------------------------------------------------------------------------------------------------

    def drained(self) -> Drained | None:
        """What to release with, once, when nothing is in flight any more."""
        in_flight = bool(self.lanes.in_flight or self.hooks or self.attended) and not self.stuck_window
        if not self.draining or self._let_go or self._pending is not None or in_flight:
            return None
        self._let_go = True
        progress, moves = self.lanes.progress(), self.lanes.parking.take()
        return Drained(self.partition, self._number + 1, progress, self.seek, moves, self.stuck_window)

    def released(self) -> None:
        """The release went through, with all the progress there was."""
        self._stored = self.lanes.version
        self._resolve()
        self.lanes.close()

    def lost(self) -> None:
        """It belongs to somebody else: nothing of it counts any more."""
        self.lanes.close()
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(self._loss())
                future.exception()  # whoever waits gets it; nobody may be waiting any more
        self._waiters.clear()
        self.forwards.lost(self._loss())

    def _loss(self) -> ConsumerError:
        about = {"stream": self.slot.stream, "group": self._group, "partition": self.partition}
        return PartitionLost(
            f"partition {self.partition} of {self.slot.stream!r} was lost before the acknowledgement was stored: "
            "the messages will be handed out again",
            **about,  # type: ignore[arg-type]
            epoch=self.grant.epoch,
        )
