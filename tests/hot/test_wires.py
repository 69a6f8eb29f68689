"""What a message costs on the wires: calls for what came, and round trips, as a real server counts them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
import redis

from segmenter import Consumer, Message, Segmenter, Stream
from segmenter.core.command import Cursor, GroupSlot, PartitionSlot, Read
from segmenter_redis.codec import decode_read
from segmenter_redis.keys import Keys
from tests.hot.counting import blocks_kept, calls_made
from tests.servers import Server

KEYS = Keys("shop")
PARTITIONS = 4
COUNT = 2_000
LOGS = [PartitionSlot("s", number) for number in range(PARTITIONS)]
READ = Read((Cursor(GroupSlot("s", "g"), b"0-0"), *(Cursor(log, b"0-0") for log in LOGS)), 500, 1.0)
ENTRY = [b"1-0", [b"k", b"key", b"d", b"x"]]
RAW = [[KEYS.log(log).encode(), [ENTRY] * 500] for log in LOGS]


def test_what_a_read_found_is_not_touched_again() -> None:
    assert calls_made(lambda: decode_read(READ, KEYS, RAW)) < 60
    assert blocks_kept(lambda: decode_read(READ, KEYS, RAW)) < 30


def commands(client: redis.Redis) -> dict[str, int]:
    """How often the server was asked for what."""
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in client.info("commandstats").items()}


def asked(server: Server, namespace: str, job: Callable[[Stream, Consumer], Awaitable[None]]) -> dict[str, int]:
    """What a job asks of the server, beside an idle consumer that owns everything."""

    async def main() -> dict[str, int]:
        with server.client as client:
            return await counted(client)

    async def counted(client: redis.Redis) -> dict[str, int]:
        async with asyncio.timeout(30), Segmenter(server.url, namespace=namespace) as segmenter:
            stream = await segmenter.register_stream("s", partitions=PARTITIONS)
            registration = segmenter.register_consumer(
                "s", group="g", batch_size=500, session_timeout=60, commit_interval=60
            )
            async with registration as consumer:
                await consumer.ack(*await read_all(consumer, await stream.send_many(messages(100))))
                before = commands(client)
                await job(stream, consumer)
                after = commands(client)
        return {name: count - before.get(name, 0) for name, count in after.items()}

    return asyncio.run(main())


async def read_all(consumer: Consumer, sent: Sequence[object]) -> list[Message]:
    found: list[Message] = []
    while len(found) < len(sent):
        found += await consumer.read(timeout=5)
    return found


def messages(count: int) -> Sequence[tuple[bytes, bytes]]:
    return [(b"key-%d" % number, b"x") for number in range(count)]


async def send(stream: Stream, consumer: Consumer) -> None:
    consumer.pause()
    await stream.send_many(messages(COUNT))


async def send_at_once(stream: Stream, consumer: Consumer) -> None:
    consumer.pause()
    await asyncio.gather(*(stream.send(key, data) for key, data in messages(100)))


async def send_and_settle(stream: Stream, consumer: Consumer) -> None:
    for message in await read_all(consumer, await stream.send_many(messages(COUNT))):
        message.ack()
    await consumer.commit()


@pytest.mark.parametrize("job", [send, send_at_once])
def test_sending_asks_once_for_each_partition(
    newest_server: Server, namespace: str, job: Callable[[Stream, Consumer], Awaitable[None]]
) -> None:
    found = asked(newest_server, namespace, job)
    batches = -(-COUNT // PARTITIONS // 500) if job is send else 1
    assert found["evalsha"] <= PARTITIONS * (batches + 1)  # keys are not quite even


def test_settling_asks_once_for_what_a_read_brought(newest_server: Server, namespace: str) -> None:
    """A read, and a commit for each partition: not one for each message, nor for each batch that is handed out."""
    found = asked(newest_server, namespace, send_and_settle)
    assert found["xread"] <= 6
    assert found["evalsha"] <= PARTITIONS * 4  # appends of 500, as keys are not quite even, and commits
