"""Sends that count only once replicas or disks have them, on real servers with and without replicas."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from segmenter import Durability, Segmenter, SendUnknown, Stream
from segmenter.core.command import PartitionSlot
from segmenter.core.creation import CreatePartition
from segmenter.core.log import Record
from segmenter.core.retention import Append, Appended, Duplicate, Unconfirmed
from segmenter_redis import RedisBackend
from tests.servers import Server, newest, oldest

LIMIT_S = 30
SLOT = PartitionSlot("orders", 0)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    asyncio.run(bounded())


@pytest.fixture(params=["redis-8.2", "redis-7.0"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Server]]:
    """A primary and its replica, in step."""
    binary = newest() if request.param == "redis-8.2" else oldest()
    primary = Server(binary, "--repl-diskless-sync-delay", "0")
    replica = Server(binary, "--replicaof", "127.0.0.1", str(primary.port))
    with primary.client as client:
        client.set("in", "step")
        assert client.execute_command("WAIT", 1, LIMIT_S * 1000) == 1
    yield primary, replica
    replica.stop()
    primary.stop()


async def opened(segmenter: Segmenter, durability: Durability, send_timeout: float = 10.0) -> Stream:
    return await segmenter.register_stream("orders", partitions=2, durability=durability, send_timeout=send_timeout)


def test_a_send_returns_when_the_replica_has_it(pair: tuple[Server, Server]) -> None:
    primary, replica = pair

    async def test() -> None:
        async with Segmenter(primary.url, namespace="shop") as segmenter:
            orders = await opened(segmenter, Durability(replicas=1))
            sent = await orders.send_many([(f"k{number}", b"%d" % number) for number in range(100)])
            with replica.client as client:
                held = sum(client.xlen(f"{{shop:orders:{number}}}:log") for number in range(2))
            assert (len(sent), held) == (100, 100)

    run(test)


def test_with_too_few_replicas_a_send_is_unknown_and_says_how_many_there_were(pair: tuple[Server, Server]) -> None:
    primary, _ = pair

    async def test() -> None:
        async with Segmenter(primary.url, namespace="shop") as segmenter:
            orders = await opened(segmenter, Durability(replicas=2), send_timeout=0.5)
            with pytest.raises(SendUnknown, match=r"1 replicas have them, where .*replicas=2"):
                await orders.send("k", b"x")
            with primary.client as client:
                number = orders.partition_of("k")
                assert client.xlen(f"{{shop:orders:{number}}}:log") == 1  # repeated, and appended once

    run(test)


def test_a_repeated_append_waits_for_the_replica_again(pair: tuple[Server, Server]) -> None:
    """WAIT speaks of what its own connection wrote: after a reconnect it would say yes to what nobody has."""
    primary, replica = pair

    async def test() -> None:
        batch = Append(SLOT, "p", 1, 1, [Record(b"k", b"x")], 100, durability=Durability(replicas=1))
        session = await RedisBackend(primary.url, "shop").session()
        again = await RedisBackend(primary.url, "shop").session()
        await session.execute(CreatePartition(SLOT, "born"))
        assert isinstance(await session.execute(batch), Appended)
        replica.pause()
        assert await again.execute(batch) == Unconfirmed(0, disk=False)
        replica.resume()
        assert isinstance(await again.execute(batch), Duplicate)
        await session.aclose()
        await again.aclose()

    run(test)


def test_a_send_that_is_cancelled_leaves_nothing_behind_that_complains(pair: tuple[Server, Server]) -> None:
    """Closing while it waited for a replica logged that an exception was never retrieved."""
    primary, replica = pair
    complaints: list[dict[str, Any]] = []

    async def test() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with Segmenter(primary.url, namespace="shop") as segmenter:
            orders = await opened(segmenter, Durability(replicas=1))
            await orders.send("k", b"held")
            replica.pause()
            waiting = asyncio.ensure_future(orders.send("k", b"not held"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(waiting, 0.2)
        gc.collect()
        await asyncio.sleep(0)

    run(test)
    replica.resume()
    assert complaints == []


def test_a_send_returns_when_it_is_on_disk() -> None:
    server = Server(newest(), "--appendonly", "yes", "--appendfsync", "everysec")

    async def test() -> None:
        async with Segmenter(server.url, namespace="shop") as segmenter:
            orders = await opened(segmenter, Durability(disk=True))
            await asyncio.gather(*[orders.send(f"k{number}", b"%d" % number) for number in range(20)])
            server.restart()
            again = await opened(segmenter, Durability(disk=True))
            await again.send("k", b"after")
            with server.client as client:
                assert sum(client.xlen(f"{{shop:orders:{number}}}:log") for number in range(2)) == 21

    try:
        run(test)
    finally:
        server.stop()


def test_a_disk_that_is_written_once_a_second_is_asked_once_for_each_send() -> None:
    """Asked again too early it would have to write once more, and each send would take two seconds."""
    server = Server(newest(), "--appendonly", "yes", "--appendfsync", "everysec")

    async def test() -> None:
        async with Segmenter(server.url, namespace="shop") as segmenter:
            orders = await opened(segmenter, Durability(disk=True))
            for _ in range(3):
                await orders.send("k", b"x")

    try:
        run(test)
        with server.client as client:
            assert client.info("commandstats")["cmdstat_waitaof"]["calls"] == 3
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("binary", "words"), [(newest, "appendonly"), (oldest, "unknown command")], ids=["no-aof", "redis-7.0"]
)
def test_a_disk_that_cannot_be_asked_about_is_told_at_once(binary: Callable[[], str], words: str) -> None:
    server = Server(binary())

    async def test() -> None:
        async with Segmenter(server.url, namespace="shop") as segmenter:
            orders = await opened(segmenter, Durability(disk=True))
            with pytest.raises(SendUnknown, match=words):
                await orders.send("k", b"x")

    try:
        run(test)
    finally:
        server.stop()
