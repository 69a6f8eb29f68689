"""Appends that count only once replicas or disks have them.

WAIT blocks its connection, and speaks only of what was written on that connection before. So these appends have a
wire of their own, which carries one packet at a time: every append that was started meanwhile, then one WAIT for all.
"""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import define

from segmenter.config import Durability
from segmenter.core.retention import Appended, AppendReply, Duplicate, Unconfirmed
from segmenter_redis.packing import Arguments
from segmenter_redis.wire import Request, Wire

__all__ = ["DurableAppends"]

WAIT_S = 1.0  # for replicas, at most; who has more time asks again
# For disks: with appendfsync everysec the server writes once a second, and puts that off for up to two while the disk
# is busy. Asking again writes once more, and then that is waited for: shorter waits could miss it each time.
WAIT_FOR_DISK_S = 4.0


@define
class _Pending:
    durability: Durability
    request: Request[AppendReply]
    done: asyncio.Future[AppendReply]


class DurableAppends:
    """The appends of a session that ask for more than the server's memory."""

    def __init__(self, wire: Wire, reply_timeout_s: float) -> None:
        self.wire = wire
        self._reply_timeout_s = reply_timeout_s
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Pending] = []
        self._busy = False

    def start(self, durability: Durability, request: Request[AppendReply]) -> asyncio.Future[AppendReply]:
        """Append with the next packet; what is answered is the reply, or ``Unconfirmed``."""
        done: asyncio.Future[AppendReply] = self._loop.create_future()
        self._waiting.append(_Pending(durability, request, done))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._next_packet)
        return done

    def _next_packet(self) -> None:
        self._busy = bool(self._waiting)
        if not self._waiting:
            return
        durability = self._waiting[0].durability
        packet = [pending for pending in self._waiting if pending.durability == durability]
        self._waiting = [pending for pending in self._waiting if pending.durability != durability]
        waiting: Request[tuple[int, int]] = Request(
            "Append", _words(durability), _copies, _wait_s(durability) + self._reply_timeout_s
        )
        self.wire.start(*(pending.request for pending in packet), waiting)
        waiting.future.add_done_callback(lambda future: self._confirmed(packet, future))

    def _confirmed(self, packet: list[_Pending], waited: asyncio.Future[tuple[int, int]]) -> None:
        for pending in packet:
            _conclude(pending, waited)
        self._next_packet()


def _conclude(pending: _Pending, waited: asyncio.Future[tuple[int, int]]) -> None:
    appended = pending.request.future
    for future in (appended, waited):
        if future.done() and not future.cancelled():
            future.exception()  # of two that failed one is told
    if pending.done.done():
        return
    if not appended.done():  # the script had to be sent anew, and came after the WAIT: have it repeated
        pending.done.set_result(Unconfirmed(0, disk=False))
    elif error := appended.exception() or waited.exception():
        pending.done.set_exception(error)
        pending.done.exception()  # whoever waits is told all the same; when the session is closed nobody does
    elif isinstance(appended.result(), Appended | Duplicate):
        pending.done.set_result(_judged(pending.durability, appended.result(), *waited.result()))
    else:
        pending.done.set_result(appended.result())


def _judged(wanted: Durability, reply: AppendReply, disk: int, replicas: int) -> AppendReply:
    enough = replicas >= wanted.replicas and (disk > 0 or not wanted.disk)
    return reply if enough else Unconfirmed(replicas, disk=disk > 0)


def _wait_s(durability: Durability) -> float:
    return WAIT_FOR_DISK_S if durability.disk else WAIT_S


def _words(durability: Durability) -> Arguments:
    wait_ms = round(_wait_s(durability) * 1000)
    if durability.disk:
        return "WAITAOF", 1, durability.replicas, wait_ms
    return "WAIT", durability.replicas, wait_ms


def _copies(raw: Any) -> tuple[int, int]:
    """Disks of the server itself, 0 or 1, and replicas."""
    return (0, int(raw)) if isinstance(raw, int) else (int(raw[0]), int(raw[1]))
