"""Drives the machine of a member: tells it what happened, in that order, and does what it asks for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from segmenter.core import signals as sig
from segmenter.core.command import Command
from segmenter.core.group import UpdateGroup
from segmenter.core.machine import advance
from segmenter.core.member import Member
from segmenter.core.partition import Release
from segmenter.errors import BackendError
from segmenter.runtime.custody import Custody
from segmenter.runtime.ties import Ties

__all__ = ["Driver"]


class Driver:
    """A member and the commands that it has under way."""

    def __init__(self, ties: Ties, member: Member, custody: Custody, clock: Callable[[], float]) -> None:
        self.member = member
        self.changed_at = 0.0  # when the change of the document that is under way was first asked for
        self.stopped = False  # nothing is told any more, and nothing asked
        self._changing: UpdateGroup | None = None
        self._ties = ties
        self._custody = custody
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[sig.Event] = deque()

    def tell(self, event: sig.Event) -> None:
        """Have the machine told in the next turn."""
        self._inbox.append(event)
        self._ties.wake()

    def catch_up(self) -> None:
        """Tell the machine all that has happened."""
        while self._inbox and not self.stopped:
            self.advance(self._inbox.popleft())

    def advance(self, event: sig.Event) -> None:
        """Tell the machine now."""
        self.member, effects = advance(self.member, event, self._clock())
        for effect in effects:
            self._do(effect)

    def _do(self, effect: sig.Effect) -> None:
        match effect:
            case sig.Execute(command, again):
                self._execute(command) if not again else self._execute_again(command)
            case sig.Fetch(partition, grant):
                self._custody.fetch(self.member.me, partition, grant)
            case sig.Stop(partition):
                self._custody.stop(partition)
            case sig.Drop(partition):
                self._custody.drop(partition)
            case sig.Emit(observation):
                self._ties.observe(observation)

    def _execute(self, command: Command[Any, Any]) -> None:
        if isinstance(command, UpdateGroup) and command == self.member.changing != self._changing:
            self._changing, self.changed_at = command, self._clock()
        if not self.stopped:
            self._ties.session.execute(command).add_done_callback(lambda future: self._answered(command, future))

    def _execute_again(self, command: Command[Any, Any]) -> None:
        self._loop.call_later(self._ties.backoff.next_s(), self._execute, command)

    def _answered(self, command: Command[Any, Any], future: asyncio.Future[Any]) -> None:
        if future.cancelled() or self.stopped:
            return
        error = future.exception()
        if error is None:
            self._ties.backoff.reset()
            if isinstance(command, Release):
                self._custody.released(command, future.result())
            self.tell(sig.Replied(command, future.result()))
        elif isinstance(error, BackendError) and error.retriable:
            self.tell(sig.Unanswered(command))
        else:
            self._ties.failed(error)
