"""A partition in somebody's hands, as a value: what it was granted with, and what was done with it since.

The real ``Holding`` and ``KeyLanes`` change as they go. So they are made anew from that history whenever something is
to be asked or done, which is exact, and cheap because the same few histories come again and again.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from attrs import evolve, frozen

from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.log import Log, Record
from segmenter.core.message import Message
from segmenter.core.partition import Claimed, Commit, Progress
from segmenter.core.signals import Drained
from segmenter.runtime.holding import Holding

__all__ = ["GROUP", "Held", "log_of"]

GROUP = GroupSlot("orders", "g")


@cache
def log_of(keys: str) -> Log:
    """The log of a partition with a message for each letter, which is its key."""
    return Log().append([Record(key.encode(), b"").fields for key in keys], 1_000)


@frozen
class Held:
    """A hold; its methods return what it becomes."""

    partition: int
    member: str
    grant: Claimed
    keys: str  # of the messages in the log
    done: tuple[str, ...] = ()

    @property
    def running(self) -> tuple[int, ...]:
        """The ordinals of the messages whose handlers run."""
        return tuple(_played(self).running)

    @property
    def startable(self) -> bool:
        """Whether a handler may start."""
        return _played(self).holding.lanes.startable

    @property
    def draining(self) -> bool:
        """Whether it is being given up."""
        return _played(self).holding.draining

    @property
    def progress(self) -> Progress:
        """What is settled by now."""
        return _played(self).holding.lanes.progress()

    @property
    def commit(self) -> Commit | None:
        """The commit in flight."""
        return _played(self).commit

    @property
    def drained(self) -> Drained | None:
        """What to release with, if nothing is in flight any more."""
        return _played(self).drained

    @property
    def hurried(self) -> Drained | None:
        """The same without waiting for anything, which must not be."""
        return Drained(self.partition, _played(self).commits + 1, self.progress) if self.draining else None

    def start(self) -> tuple[Held, int]:
        """Start the next handler; tell which message it is for, or -1 if there is none after all."""
        after = self._after("start")
        started = [ordinal for ordinal in after.running if ordinal not in self.running]
        return after, started[0] if started else -1

    def finish(self, ordinal: int) -> Held:
        """A handler ends, and its message is settled."""
        return self._after(f"finish {ordinal}")

    @property
    def may_commit(self) -> bool:
        """Whether there is something to store, no commit in flight, and no release under way."""
        return self.commit is None and "release" not in self.done and _played(self).holding.dirty

    def send_progress(self) -> tuple[Held, Commit]:
        """Start a commit."""
        after = self._after("commit")
        assert after.commit is not None
        return after, after.commit

    def committed(self) -> Held:
        """The commit in flight was stored."""
        return self._after("committed")

    def stop(self) -> Held:
        """It is to move."""
        return self._after("stop")

    def released(self) -> Held:
        """It is on its way out: it asks for no release any more."""
        return self._after("release")

    def _after(self, what: str) -> Held:
        after = evolve(self, done=(*self.done, what))
        return evolve(after, done=_SHORTEST.setdefault(after._meaning, after.done))

    @property
    def _meaning(self) -> tuple[Any, ...]:
        """All that tells histories apart from now on: many orders of starts, ends and commits come to the same."""
        holding, commit = _played(self).holding, self.commit
        in_commit = (commit.number, commit.progress) if commit is not None else None
        flags = (holding.dirty, self.draining, "stop" in self.done, _played(self).commits)
        return (self.keys, self.grant.progress, frozenset(self.running), self.progress, in_commit, flags)


class _Play:
    """The real objects, led through a history."""

    def __init__(self, held: Held) -> None:
        slot = PartitionSlot(GROUP.stream, held.partition)
        self.running: dict[int, Message] = {}
        self.commit: Commit | None = None
        self.commits = 0
        self.holding = Holding(
            slot, GROUP.group, held.member, held.grant, clock=lambda: 0.0, touched=lambda holding: None
        )
        self.holding.offer(log_of(held.keys).after(self.holding.lanes.backlog.position, len(held.keys)))
        for what in held.done:
            self._do(what)

    def _next_commit(self) -> Commit:
        commit = self.holding.next_commit()
        assert isinstance(commit, Commit)  # nothing is forwarded
        return commit

    def _do(self, what: str) -> None:
        verb, _, ordinal = what.partition(" ")
        match verb:
            case "start":
                self.running.update((message.ordinal, message) for message in self.holding.lanes.take(1))
            case "finish":
                self.holding.lanes.settle(self.running.pop(int(ordinal)))
            case "commit":
                self.commit = self._next_commit()
                self.commits += 1
            case "committed":
                assert self.commit is not None
                self.holding.committed(self.commit)
                self.commit = None
            case "stop":
                self.holding.draining = True
                self.holding.lanes.stop()
            case _:
                self.holding.drained()  # asked for once; from then on nothing is committed beside the release
                self.holding.draining = False

    @cached_property
    def drained(self) -> Drained | None:
        """What to release with; the holding tells it once."""
        return self.holding.drained()


_PLAYED: dict[Held, _Play] = {}
_SHORTEST: dict[tuple[Any, ...], tuple[str, ...]] = {}  # of the histories that mean the same, the one met first


def _played(held: Held) -> _Play:
    if held not in _PLAYED:
        _PLAYED[held] = _Play(held)
    return _PLAYED[held]
