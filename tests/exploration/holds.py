"""A partition in somebody's hands, as a value: what it was granted with, and what was done with it since.

The real ``Holding`` and ``KeyLanes`` change as they go. So they are made anew from that history whenever something is
to be asked or done, which is exact, and cheap because the same few histories come again and again.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from segmenter.core.aside import Moves
from segmenter.core.lanes import KeyLanes
from segmenter.core.partition import Claimed, Commit, Progress
from segmenter.core.signals import Drained
from tests.exploration.plays import GROUP, Deed, Play, log_of

__all__ = ["GROUP", "Held", "log_of"]


@frozen(cache_hash=True)
class Held:
    """A hold; ``after`` says what it becomes."""

    partition: int
    member: str
    grant: Claimed
    keys: str  # of the messages in the log
    at_once: int  # how many are read at once
    lanes: type[KeyLanes] = field(default=KeyLanes, repr=False)
    done: tuple[Deed, ...] = ()

    @property
    def running(self) -> tuple[int, ...]:
        """The ordinals of the messages whose handlers run."""
        return tuple(_played(self).running)

    def attempt(self, ordinal: int) -> int:
        """Which attempt a handler is that runs."""
        return _played(self).running[ordinal].attempt

    @property
    def startable(self) -> bool:
        """Whether a handler may start, or its message be marked."""
        return _played(self).startable

    @property
    def delayed(self) -> tuple[int, ...]:
        """The ordinals of the messages in hand that are to be tried again after a while."""
        return _played(self).delayed

    @property
    def waits(self) -> bool:
        """Whether something is to be tried again after a while."""
        return _played(self).waits

    @property
    def may_read(self) -> bool:
        """Whether there is more to read."""
        return _played(self).may_read

    @property
    def may_seek(self) -> bool:
        """Whether something is asked of it, and no page being fetched."""
        return _played(self).may_seek

    @property
    def may_commit(self) -> bool:
        """Whether there is something to store, no commit in flight, and no release under way."""
        return _played(self).may_commit

    @property
    def draining(self) -> bool:
        """Whether it is being given up."""
        return _played(self).holding.draining

    @property
    def progress(self) -> Progress:
        """What is settled by now."""
        return _played(self).lanes.progress()

    @property
    def moves(self) -> tuple[Moves, ...]:
        """What it has set aside and taken back that is not known to be stored."""
        return _played(self).moves

    @property
    def commit(self) -> Commit | None:
        """The commit in flight."""
        return _played(self).commit

    @property
    def page(self) -> tuple[bytes, bool] | None:
        """The page that is being fetched: of which key, and whether to be discarded."""
        page = _played(self).page
        return (page.key, page.discard) if page is not None else None

    @property
    def drained(self) -> Drained | None:
        """What to release with, if nothing is in flight any more. That changes a hold, so another one is asked."""
        return _play(self).holding.drained() if self.draining else None

    @property
    def hurried(self) -> Drained | None:
        """The same without waiting for anything, which must not be."""
        return _played(self).hurried

    def after(self, *deed: Any) -> Held:
        """What it becomes when something is done (see ``Play``)."""
        after = evolve(self, done=(*self.done, deed))
        return evolve(after, done=_SHORTEST.setdefault(after.meaning, after.done))

    @property
    def meaning(self) -> tuple[Any, ...]:
        """All that tells it from others from now on, but for who holds it."""
        grant = self.grant
        granted = (grant.progress, grant.unclean, grant.horizon, grant.aside)
        return (self.keys, self.at_once, self.lanes, granted, _played(self).meaning)


_PLAYED: dict[Held, Play] = {}
_SHORTEST: dict[tuple[Any, ...], tuple[Deed, ...]] = {}  # of the histories that mean the same, the one met first


def _played(held: Held) -> Play:
    if held not in _PLAYED:
        _PLAYED[held] = _play(held)
    return _PLAYED[held]


def _play(held: Held) -> Play:
    play = Play(held.partition, held.member, held.grant, log_of(held.keys), held.lanes)
    play.read(held.at_once)
    for verb, *about in held.done:
        getattr(play, verb)(*about)
    return play
