"""A place to try a backend in: a session, one partition or two, a group, and short words for the usual commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from segmenter.core.command import Command, Cursor, GroupSlot, PartitionSlot, Read, ReadReply
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.log import Record
from segmenter.core.partition import Claim, Claimed, Commit, CommitReply, Probe, Probed, Progress
from segmenter.core.retention import Append, Appended, AppendReply
from segmenter.port import Backend, Session

__all__ = ["ORDERS", "OTHERS", "Place", "conforms"]

R = TypeVar("R")

ORDERS = PartitionSlot("orders", 0)
OTHERS = PartitionSlot("orders", 1)
GROUP = GroupSlot("orders", "a")
START = Cursor(ORDERS, b"0-0")


class Place:
    """What a test works with."""

    def __init__(self, backend: Backend, session: Session) -> None:
        self.backend = backend
        self.session = session
        self.sent = 0

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

    async def entries(self) -> list[Any]:
        return list((await self.read()).get(ORDERS, ()))

    async def data(self) -> list[bytes]:
        """What the messages of the log say."""
        return [entry[1][3] for entry in await self.entries()]


def conforms(test: Callable[[Place], Coroutine[Any, Any, None]]) -> Callable[[Backend], None]:
    """Run a test of every backend, with a session that is closed in the end."""

    async def run(backend: Backend) -> None:
        session = await backend.session()
        try:
            async with asyncio.timeout(30):
                await test(Place(backend, session))
        finally:
            await session.aclose()

    def wrapped(backend: Backend) -> None:
        asyncio.run(run(backend))

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


def ids(reply: AppendReply) -> tuple[bytes, bytes]:
    """First and last id of a batch that went in."""
    assert isinstance(reply, Appended), reply
    return reply.first, reply.last
