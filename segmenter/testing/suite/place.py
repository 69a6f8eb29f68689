"""A place to try a backend in: a session, one partition or two, a group, and short words for the usual commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from segmenter.core.command import Command, Cursor, GroupSlot, PartitionSlot, Read, ReadReply
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.log import Record
from segmenter.core.partition import Claim, Claimed, Commit, CommitReply, Probe, Probed, Progress
from segmenter.core.retention import Append, Appended, AppendReply
from segmenter.port import Backend, Session

__all__ = [
    "BEGIN_S",
    "GROUP",
    "LONG_S",
    "ORDERS",
    "OTHERS",
    "SOON_S",
    "START",
    "Place",
    "Suite",
    "conforms",
    "ids",
    "play",
]

R = TypeVar("R")
S = TypeVar("S", bound="Suite")

ORDERS = PartitionSlot("orders", 0)
OTHERS = PartitionSlot("orders", 1)
GROUP = GroupSlot("orders", "a")
START = Cursor(ORDERS, b"0-0")
LIMIT_S = 30  # of a test
LONG_S = 2.0  # that a read waits
BEGIN_S = 0.05  # until it certainly does
SOON_S = 1.0  # well below LONG_S, well above what a busy machine needs


class Suite:
    """What all parts of the suite ask of who runs them."""

    def reopened(self, backend: Backend) -> Backend:
        """Return another backend of the same place, as another process would open it.

        The default is the same object, which is right where nothing outlives it.
        """
        return backend


class Place:
    """What a test works with."""

    def __init__(self, backend: Backend, session: Session, reopened: Callable[[], Backend]) -> None:
        self.backend = backend
        self.session = session
        self.reopened = reopened
        self.sent = 0

    @asynccontextmanager
    async def another_session(self, backend: Backend | None = None) -> AsyncGenerator[Session]:
        """One more session, of the same backend or of another one."""
        session = await (backend or self.backend).session()
        try:
            yield session
        finally:
            await session.aclose()

    async def ask(self, command: Command[Any, R]) -> R:
        return await self.session.execute(command)

    async def create(self, *groups: str, slot: PartitionSlot = ORDERS) -> None:
        """A partition with a lane for each group."""
        await self.ask(CreatePartition(slot, "born"))
        for group in groups:
            await self.ask(CreateLane(slot, group, b"earliest"))

    def batch(self, count: int, capacity: int = 100, **options: Any) -> Append:
        """The next numbers of the producer ``p``."""
        records = [Record(b"k", b"%d" % (self.sent + n)) for n in range(count)]
        batch = Append(ORDERS, "p", 1, self.sent + 1, records, capacity, **options)
        self.sent += count
        return batch

    async def append(self, count: int, capacity: int = 100, **options: Any) -> AppendReply:
        return await self.ask(self.batch(count, capacity, **options))

    async def claim(self, member: str, if_epoch: int = 0, group: str = "a", **options: Any) -> int:
        """Own the partition; the epoch."""
        reply = await self.ask(Claim(ORDERS, group, member, 1, if_epoch, f"claim-{member}", **options))
        assert isinstance(reply, Claimed), reply
        return reply.epoch

    async def commit(
        self, member: str, epoch: int, number: int, offset: bytes, read: int, group: str = "a"
    ) -> CommitReply:
        return await self.ask(Commit(ORDERS, group, member, epoch, number, Progress(offset, read)))

    async def settle(self, count: int, group: str = "a") -> None:
        """Have a group settle the first entries."""
        ids = [entry[0] for entry in await self.entries()]
        epoch = await self.claim(f"by-{group}", group=group)
        await self.commit(f"by-{group}", epoch, 1, ids[count - 1], count, group)

    async def probe(self, group: str = "a") -> Probed:
        reply = await self.ask(Probe(ORDERS, group))
        assert isinstance(reply, Probed), reply
        return reply

    async def read(self, *cursors: Cursor, count: int = 100, wait_s: float = 0.0) -> ReadReply:
        return await self.session.read(Read(cursors or (START,), count, wait_s))

    async def waiting_read(self, *cursors: Cursor) -> asyncio.Future[ReadReply]:
        """A read that has begun to wait, by all that can be seen from here."""
        read = self.session.read(Read(cursors or (START,), 10, LONG_S))
        await asyncio.wait([read], timeout=BEGIN_S)
        return read

    async def entries(self, slot: PartitionSlot = ORDERS) -> list[Any]:
        return list((await self.read(Cursor(slot, b"0-0"))).get(slot, ()))

    async def data(self, slot: PartitionSlot = ORDERS) -> list[bytes]:
        """What the messages of a log say."""
        return [entry[1][3] for entry in await self.entries(slot)]


async def play(
    backend: Backend, test: Callable[[Place], Coroutine[Any, Any, None]], suite: Suite | None = None
) -> None:
    """Run a test in a place, with a session that is closed in the end."""
    suite = suite or Suite()
    session = await backend.session()
    try:
        async with asyncio.timeout(LIMIT_S):
            await test(Place(backend, session, lambda: suite.reopened(backend)))
    finally:
        await session.aclose()


def conforms(test: Callable[[S, Place], Coroutine[Any, Any, None]]) -> Callable[[S, Backend], None]:
    """Make a plain test of one in a place; it has an event loop of its own."""

    def wrapped(self: S, backend: Backend) -> None:
        asyncio.run(play(backend, partial(test, self), self))

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


def ids(reply: AppendReply) -> tuple[bytes, bytes]:
    """First and last id of a batch that went in."""
    assert isinstance(reply, Appended), reply
    return reply.first, reply.last
