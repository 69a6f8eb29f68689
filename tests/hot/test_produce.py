"""What a message costs on its way out, in calls and in blocks of memory: limits that a change may lower, not raise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from segmenter import Segmenter, Stream
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.hashing import DEFAULT_HASH
from segmenter.core.log import Records
from segmenter.core.retention import Append, Appended
from segmenter.runtime.intake import Router
from segmenter_memory import MemoryBackend
from segmenter_memory.backend import MemorySession
from segmenter_redis.codec import encode
from segmenter_redis.keys import Keys
from segmenter_redis.packing import head_of, pack
from tests.hot.counting import Calls, blocks_kept, calls_made

R = TypeVar("R")

COUNT = 500
KEYS = [b"key-%d" % number for number in range(97)]
MESSAGES = [(KEYS[index % len(KEYS)], b"x" * 100) for index in range(COUNT)]
REDIS = Keys("shop")
HEAD = head_of("EVALSHA", "0" * 40, 4, *REDIS.of_partition(PartitionSlot("s", 0)))
RECORDS = Records(tuple(key for key, _ in MESSAGES), tuple(data for _, data in MESSAGES))


def sort() -> Any:
    return Router(4, DEFAULT_HASH).shares(MESSAGES, 10**6)


def packet() -> bytes:
    call = encode(Append(PartitionSlot("s", 0), "p", 1, 1, RECORDS, 10**6), REDIS)
    return b"".join(pack(call.args, call.payload, HEAD))


def test_sorting_calls_twelve_functions_a_message() -> None:
    """One of ours, which checks it, and of C's five that look at it, the hash, a place in a dictionary and in lists."""
    assert calls_made(sort) / COUNT < 12.5


def test_sorting_makes_no_object_for_a_message() -> None:
    """What is made for each is looked at by the garbage collector, which took half as long as all the rest."""
    assert blocks_kept(sort) / COUNT < 0.7  # numbers above 256, which say where a message stood


def test_a_batch_is_packed_without_a_call_for_each_message() -> None:
    assert calls_made(packet) < 75


def test_a_packet_is_one_block() -> None:
    assert blocks_kept(packet) < 30


class Echo(MemorySession):
    """A session whose appends have been made as soon as they are asked for."""

    appends = 0

    def execute(self, command: Command[Any, R]) -> asyncio.Future[Any]:
        if not isinstance(command, Append):
            return super().execute(command)
        Echo.appends += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_result(Appended(b"1-0", b"1-%d" % (len(command.records) - 1)))
        return future


class EchoBackend(MemoryBackend):
    """A store that takes everything in and keeps nothing."""

    async def session(self) -> MemorySession:
        return Echo(self.store)


def counted(job: Callable[[Stream], Awaitable[Any]], partitions: int = 4) -> tuple[int, int]:
    """How many calls a job makes, those of the event loop included, and how many appends."""

    async def main() -> tuple[int, int]:
        async with Segmenter(backend=EchoBackend()) as segmenter:
            stream = await segmenter.register_stream("s", partitions=partitions, partition_size=10**6)
            await stream.send_many([(b"%d" % number, b"") for number in range(100)])
            before = Echo.appends
            with Calls() as calls:
                await job(stream)
            return calls.made, Echo.appends - before

    return asyncio.run(main())


async def send_by_tasks(stream: Stream) -> None:
    async def task(number: int) -> None:
        for index in range(5):
            await stream.send(KEYS[(number + index) % len(KEYS)], b"x" * 100)

    await asyncio.gather(*(task(number) for number in range(100)))


async def send_many(stream: Stream) -> None:
    await stream.send_many(MESSAGES)


def test_an_awaited_send_makes_few_calls() -> None:
    """About half of them are the event loop's; one more is two percent."""
    calls, _ = counted(send_by_tasks)
    assert calls / 500 < 50


def test_sending_many_makes_hardly_more_calls_than_sorting() -> None:
    calls, _ = counted(send_many)
    assert calls / COUNT < 14


@pytest.mark.parametrize(("partitions", "appends"), [(1, 1), (4, 4)])
def test_what_is_sent_together_makes_one_append_for_each_partition(partitions: int, appends: int) -> None:
    assert counted(send_many, partitions)[1] == appends


def test_sends_of_one_turn_share_an_append() -> None:
    async def at_once(stream: Stream) -> None:
        await asyncio.gather(*(stream.send(key, b"") for key in KEYS))

    assert counted(at_once, partitions=1)[1] == 1
