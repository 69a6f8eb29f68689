"""A partition in somebody's hands, as a value: the real ``Holding``, made anew from what was done with it."""

from __future__ import annotations

from functools import cached_property, lru_cache

from attrs import evolve, frozen

from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.log import Log, Record
from segmenter.core.message import Message
from segmenter.core.partition import Claimed, Commit, Progress
from segmenter.core.signals import Drained
from segmenter.runtime.holding import Holding

__all__ = ["GROUP", "Work", "log_of"]

GROUP = GroupSlot("orders", "g")


@frozen
class Work:
    """What is done under one grant."""

    partition: int
    member: str
    grant: Claimed
    log: Log
    done: tuple[str, ...] = ()

    def after(self, what: str) -> Work:
        """The work when one more thing was done."""
        return evolve(self, done=(*self.done, what))

    @property
    def play(self) -> Play:
        """The real objects."""
        return _played(self)


class Play:
    """The real objects, led through what was done."""

    def __init__(self, work: Work) -> None:
        self.running: dict[int, Message] = {}
        self.commit: Commit | None = None
        self.stored: Progress = work.grant.progress
        self.number = 0
        slot = PartitionSlot(GROUP.stream, work.partition)
        self.holding = Holding(
            slot, GROUP.group, work.member, work.grant, clock=lambda: 0.0, touched=lambda holding: None
        )
        self.holding.offer(work.log.after(self.holding.lanes.backlog.position, work.log.added))
        for what in work.done:
            self._do(what)

    @property
    def progress(self) -> Progress:
        """What is settled by now."""
        return self.holding.lanes.progress()

    @cached_property
    def drained(self) -> Drained | None:
        """What to release with, if nothing is in flight any more; the holding tells it once."""
        return self.holding.drained()

    def _do(self, what: str) -> None:
        verb, _, ordinal = what.partition(" ")
        match verb:
            case "begin":
                self.running.update((message.ordinal, message) for message in self.holding.lanes.take(1))
            case "finish":
                self.holding.lanes.settle(self.running.pop(int(ordinal)))
            case "commit":
                commit = self.holding.next_commit()
                assert isinstance(commit, Commit)  # nothing is forwarded
                self.commit = commit
                self.number = self.commit.number
            case "stored":
                assert self.commit is not None
                self.holding.committed(self.commit)
                self.stored, self.commit = self.commit.progress, None
            case _:
                self.holding.draining = True
                self.holding.lanes.stop()


@lru_cache(maxsize=100_000)
def _played(work: Work) -> Play:
    return Play(work)


def log_of(messages: int, keys: int) -> Log:
    """The log of a partition, as in the specification: message i has key i % keys."""
    return Log().append([Record(b"%d" % (number % keys), b"").fields for number in range(messages)], 1_000)
