"""The desk of a consumer, where messages change hands between the thread of the loop and those of the user.

The key lanes belong to the loop's thread. What user threads do to them is laid down here: acknowledgements lie until
the loop collects them, in bulk; anything else is done by the loop at once, while the user waits. What the loop hands
out lies here in bulk too, and goes back, as if it had not been handed out, when nobody comes for it soon.
"""

# The desk and its lanes are one mechanism with the messages, as seen from two threads.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from functools import partial
from threading import get_ident
from typing import Any, TypeVar

from segmenter.core.forward import Outgoing
from segmenter.core.lanes import KeyLanes
from segmenter.core.message import READY, STARTED, Message
from segmenter.core.refusals import out_of_order, stale
from segmenter.errors import ConsumerError
from segmenter.logs import Log
from segmenter.runtime.pump import Pump
from segmenter.sync.portal import Portal

__all__ = ["Desk", "LentLanes"]

R = TypeVar("R")
Forwarding = Callable[[Message, Outgoing], Awaitable[None]]

COLLECT_S = 0.005  # from an acknowledgement to its lane at the latest; the next call collects too
LIE_S = 0.010  # at most, for what is handed out and not come for: short beside any time-out or hand-over
LIMIT_TRAY = 512  # messages

_log = Log("segmenter.sync")


class Desk:
    """What lies between the threads, for one consumer."""

    def __init__(self, portal: Portal, pump: Pump) -> None:
        self.portal = portal
        self.acked: dict[Message, None] = {}  # by the user, in that order, and not known to the lanes yet
        self._expected = False  # whether the loop will come to collect
        self._pump = pump
        self._tray: deque[Message] = deque()  # handed out by the lanes, and not come for yet
        self._tray_ends: asyncio.TimerHandle | None = None
        self._appetite = 1  # messages for the tray: about as many as the user handles while they may lie

    # --- in the user's threads --------------------------------------------------------------------------------------

    def pick(self, limit: int, least: int = 1) -> list[Message]:
        """Of the messages that lie here, if they are enough, one batch; nothing once the lease is over.

        What follows a message of its key that is neither settled nor in the batch goes back.
        """
        picked: dict[Message, None] = {}
        blocked: list[Message] = []
        message = None
        if len(self._tray) < least or not self._pump.delivery.open:
            return []
        try:
            while len(picked) < limit and (message := _one(self._tray)) is not None:
                before = message._before
                if message._state != STARTED:
                    continue  # taken back while it lay here
                if before is None or before in picked or before.settled:
                    picked[message] = None
                else:
                    blocked.append(message)
        except BaseException:  # such as KeyboardInterrupt, anywhere
            blocked += [*picked, message] if message is not None else picked
            raise
        finally:
            if blocked:
                self.portal.tell(partial(self.put_back, blocked))
        return list(picked)

    def lay_down(self, message: Message) -> None:
        """An acknowledgement, for the loop to collect."""
        self.portal.check()
        self.acked[message] = None
        if not self._expected:
            self._expected = True
            try:
                self.portal.tell(self._expect)
            except BaseException:  # such as KeyboardInterrupt: the next one tells
                self._expected = False
                raise

    def call(self, start: Callable[[], Awaitable[R]]) -> R:
        """Have something awaited in the loop, which takes in what lies here first."""

        async def served() -> R:
            with self._pump.delivery.waiting():
                self.clear()
                return await start()

        return self.portal.call(served)

    def do(self, change: Callable[[], None]) -> None:
        """Have something done in the loop, after the same."""

        async def done() -> None:
            change()

        self.call(done)

    # --- in the loop's thread: what comes from the user -------------------------------------------------------------

    def _expect(self) -> None:
        asyncio.get_running_loop().call_later(COLLECT_S, self._collect_expected)

    def _collect_expected(self) -> None:
        self._expected = False  # before the last look, so that whatever is laid down after it is announced
        self.collect()

    def collect(self) -> None:
        """Settle what was acknowledged."""
        if self.acked:
            self._pump.delivery.note_activity()
        for message in list(self.acked):
            try:
                message._lanes.settle(message)
            except ConsumerError as error:  # taken back in the same moment, or lost: it will be handed out again
                _log.warning("acknowledged too late: %s", error)
            del self.acked[message]

    def clear(self) -> None:
        """Take in all that lies here."""
        self.collect()
        if self._tray_ends is not None:
            self._tray_ends.cancel()
            self._end_tray(in_time=True)

    # --- in the loop's thread: what goes to the user ----------------------------------------------------------------

    def lay_out(self, batch: int) -> bool:
        """Put on the tray what may be started, in whole batches if there is enough; tell whether there is anything."""
        taken = self._pump.delivery.take(max(batch, self._appetite // batch * batch))
        if taken:
            self._tray.extend(taken)
            if self._tray_ends is None:
                end = partial(self._end_tray, in_time=False)
                self._tray_ends = asyncio.get_running_loop().call_later(LIE_S, end)
        return bool(taken)

    def _end_tray(self, *, in_time: bool) -> None:
        """Put back what is left, and see from it how much to lay out next."""
        self._tray_ends = None
        left: list[Message] = []
        while (message := _one(self._tray)) is not None:
            left.append(message)
        more = in_time and not left
        self._appetite = min(2 * self._appetite, LIMIT_TRAY) if more else max(1, self._appetite // 2)
        if left:
            self.put_back(left)

    def put_back(self, messages: Iterable[Message]) -> None:
        """Messages that were handed out have reached nobody: they were not handed out."""
        for message in messages:
            assert isinstance(message._lanes, LentLanes)  # noqa: S101 - which made it
            message._lanes.put_back(message)
        self._pump.wake()


class LentLanes(KeyLanes):
    """Key lanes whose messages are in the hands of other threads than the loop's."""

    def __init__(self, desk: Desk, *, forwarding: Forwarding, **given: Any) -> None:
        super().__init__(forwarding=partial(self._forward, forwarding), **given)
        self.acked = desk.acked
        self._desk = desk
        self._thread = get_ident()  # of the loop

    # --- what messages ask, in any thread ---------------------------------------------------------------------------

    def settle(self, message: Message) -> None:
        """Acknowledge a message: in the loop's thread at once, in others as soon as it is collected."""
        if get_ident() == self._thread:
            super().settle(message)
        elif not message.settled:
            self._check_current(message)
            before = message._before
            if before is not None and not before.settled:
                raise out_of_order(message, before)
            self._desk.lay_down(message)

    def give_back(self, message: Message, delay_s: float) -> None:
        """Take a message back, in the loop's thread."""
        if get_ident() == self._thread:
            super().give_back(message, delay_s)
        else:
            self._check_current(message)
            self._desk.do(partial(super().give_back, message, delay_s))

    def bury(self, message: Message, reason: str) -> None:
        """Make a dead letter of a message, in the loop's thread."""
        self._set_aside(message, partial(super().bury, message, reason))

    def park(self, message: Message, reason: str) -> None:
        """Park a message and all that follow it under its key, in the loop's thread."""
        self._set_aside(message, partial(super().park, message, reason))

    def _set_aside(self, message: Message, change: Callable[[], None]) -> None:
        if get_ident() == self._thread:
            change()
        elif not message.settled:
            self._check_current(message)
            self._desk.do(change)

    def _forward(self, forwarding: Forwarding, message: Message, outgoing: Outgoing) -> Awaitable[None]:
        """Settle a message by what is sent in its place; other threads than the loop's have waited when it returns."""
        if get_ident() == self._thread:
            return forwarding(message, outgoing)
        if not message.settled:  # otherwise it is refused there
            self._check_current(message)
        self._desk.call(lambda: forwarding(message, outgoing))
        return Done()

    def _check_current(self, message: Message) -> None:
        if message._state != STARTED:
            raise (self._closed or stale)(message)

    # --- what differs in the loop's thread --------------------------------------------------------------------------

    @property
    def _plain(self) -> bool:
        """Nothing is: what is handed out is linked, as it goes on from here in other batches than it was taken in."""
        return False

    def put_back(self, message: Message) -> None:
        """Undo that a message was handed out."""
        if message._state != STARTED:
            return
        del self.chains.started[message]
        if message.ordinal != self.caution.trying:
            self.chains.make_ready(message)
        else:  # once its mark is stored, which it is, it goes out again
            message._state = READY
            self.caution.mark(message)
            self.changed()

    def leave(self) -> None:
        """Leave what is in hand to whoever comes next, unless it lies here acknowledged."""
        self._desk.collect()
        super().leave()

    def take_back_before(self, handed_out: float) -> list[Message]:
        """Take back what takes too long, unless it lies here acknowledged."""
        self._desk.collect()
        return super().take_back_before(handed_out)


class Done:
    """What can be awaited, and has happened."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


def _one(tray: deque[Message]) -> Message | None:
    """The next of a queue that other threads take from too."""
    try:
        return tray.popleft()
    except IndexError:
        return None
