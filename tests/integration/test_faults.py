"""The public API while the network and the server misbehave: what is lost (nothing), doubled (no send), reordered."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from segmenter import Consumer, Segmenter, Stream
from segmenter.core.observations import Observation
from segmenter_redis import RedisBackend
from tests.integration.proxy import Proxy
from tests.servers import Server, newest, oldest

LIMIT_S = 60
SESSION_S = 0.6
KEYS = 40


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    asyncio.run(bounded())


@asynccontextmanager
async def opened(url: str, reply_timeout_s: float = 0.3) -> AsyncIterator[Segmenter]:
    async with Segmenter(backend=RedisBackend(url, "shop", reply_timeout_s=reply_timeout_s)) as segmenter:
        yield segmenter


def stored(server: Server, partitions: int) -> dict[bytes, list[int]]:
    """What stands in the logs, by key."""
    numbers: dict[bytes, list[int]] = defaultdict(list)
    client: Any
    with server.client as client:
        for partition in range(partitions):
            for _, fields in client.xrange(f"{{shop:orders:{partition}}}:log"):
                numbers[fields[b"k"]].append(int(fields[b"d"]))
    return numbers


class Work:
    """A producer and a consumer that go on and on, and what came out."""

    def __init__(self) -> None:
        self.sent = 0
        self.handled: list[tuple[str, int]] = []
        self.observed: list[Observation] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    async def send(self, stream: Stream, count: int) -> None:
        """Send numbers, each key's in a row, and wait for the acknowledgement of all."""
        first, self.sent = self.sent, self.sent + count
        await stream.send_many([(f"k{number % KEYS}", b"%d" % number) for number in range(first, first + count)])

    def observe(self, observation: Observation) -> None:
        self.observed.append(observation)
        self._news.set()

    def consume(self, consumer: Consumer) -> None:
        self._tasks.append(asyncio.ensure_future(self._consume(consumer)))

    async def _consume(self, consumer: Consumer) -> None:
        async for message in consumer:
            self.handled.append((message.key, int(message.data)))
            self._news.set()
            try:
                message.ack()
            except Exception:
                continue  # it was taken away meanwhile, and comes again

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def all_handled(self) -> None:
        await self.until(lambda: len({number for _, number in self.handled}) == self.sent)

    def check(self) -> None:
        """Each key's messages were first handled in the order they were sent in."""
        firsts: dict[str, list[int]] = defaultdict(list)
        for key, number in self.handled:
            if number not in firsts[key]:
                firsts[key].append(number)
        assert all(numbers == sorted(numbers) for numbers in firsts.values())
        assert sum(map(len, firsts.values())) == self.sent

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def consumer_of(segmenter: Segmenter, **options: Any) -> Any:
    return segmenter.register_consumer("orders", group="g", session_timeout=SESSION_S, **options)


# --- the network ---


def test_under_a_thousand_dropped_replies_every_send_stands_once_and_in_order(server: Server) -> None:
    """A client library that repeats by itself would have stored some of them several times."""
    partitions, drops = 8, 1_000
    acknowledged: dict[bytes, list[int]] = defaultdict(list)

    async def sender(orders: Stream, proxy: Proxy, key: str) -> None:
        number = 0
        while proxy.dropped < drops:
            await orders.send(key, b"%d" % number)
            acknowledged[key.encode()].append(number)
            number += 1

    async def test() -> None:
        async with Proxy(server.port) as proxy, opened(proxy.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=partitions)
            proxy.drops = lambda chunk: chunk.count(b"Appended") if proxy.dropped < drops else 0
            await asyncio.gather(*[sender(orders, proxy, f"k{number}") for number in range(400)])
            assert proxy.dropped >= drops
        assert stored(server, partitions) == acknowledged

    run(test)


def test_connections_that_are_reset_again_and_again_cost_nothing_but_time(server: Server) -> None:
    async def test() -> None:
        work = Work()
        async with Proxy(server.port) as proxy, opened(proxy.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=4)
            work.consume(await consumer_of(segmenter))
            for _ in range(30):
                await work.send(orders, 100)
                proxy.reset()
            await work.all_handled()
            work.check()
            await work.end()
        assert sum(map(len, stored(server, 4).values())) == work.sent

    run(test)


def test_a_black_hole_that_is_shorter_than_the_session_is_survived(server: Server) -> None:
    """Half-open: connections stand and nothing comes, which only a time-out notices."""

    async def test() -> None:
        work = Work()
        async with Proxy(server.port) as proxy, opened(proxy.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=4)
            consumer = await consumer_of(segmenter)
            work.consume(consumer)
            await work.send(orders, 200)
            before = consumer.id
            proxy.hold()
            asyncio.get_running_loop().call_later(SESSION_S / 4, proxy.heal)
            await work.send(orders, 200)
            await work.all_handled()
            work.check()
            assert consumer.id == before
            await work.end()

    run(test)


def test_a_black_hole_that_is_longer_than_the_session_moves_the_partitions_and_back(server: Server) -> None:
    async def test() -> None:
        work = Work()
        async with Proxy(server.port) as proxy, opened(proxy.url) as cut_off, opened(server.url) as other:
            orders = await other.register_stream("orders", partitions=4)
            consumer = await consumer_of(cut_off)
            work.consume(consumer)
            await work.send(orders, 200)
            await work.all_handled()
            before = consumer.id
            proxy.hold()
            heir = await consumer_of(other)
            work.consume(heir)
            await work.send(orders, 200)
            await work.all_handled()
            assert heir.partitions == [0, 1, 2, 3]
            proxy.heal()
            rounds = 0
            while len(consumer.partitions) != 2:
                rounds += 1
                assert rounds < 1_000
                await work.send(orders, 10)
            assert consumer.id != before
            await work.all_handled()
            work.check()
            await work.end()

    run(test)


def test_slow_replies_change_nothing(server: Server) -> None:
    async def test() -> None:
        work = Work()
        async with Proxy(server.port) as proxy, opened(proxy.url, 2.0) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=4)
            consumer = await consumer_of(segmenter)
            before = consumer.id
            work.consume(consumer)
            proxy.delay_s = 0.05
            for _ in range(5):
                await work.send(orders, 100)
            await work.all_handled()
            work.check()
            assert consumer.id == before
            assert len(work.handled) == work.sent
            await work.end()

    run(test)


def test_a_server_that_refuses_is_not_besieged(server: Server) -> None:
    """No hot loop: a server that comes back would be met by a storm of connections."""

    async def test() -> None:
        async with Proxy(server.port) as proxy, opened(proxy.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=8, send_timeout=2.0)
            await consumer_of(segmenter)
            proxy.refusing = True
            proxy.reset()
            before = proxy.attempts
            messages = [(f"k{number}", b"x") for number in range(100)]
            with pytest.raises(Exception, match="orders"):
                await orders.send_many(messages)
            assert proxy.attempts - before < 150  # in 2 s: 8 partitions, a reader, a heart
            proxy.refusing = False
            await orders.send_many(messages)

    run(test)


# --- the server ---


def _kill_clients(client: Any) -> None:
    client.execute_command("CLIENT", "KILL", "TYPE", "normal")


DISTURBANCES: dict[str, Callable[[Any], object]] = {
    "connections killed": _kill_clients,
    "all clients paused": lambda client: client.execute_command("CLIENT", "PAUSE", 300, "ALL"),
    "scripts flushed": lambda client: client.script_flush(),
    "busy": lambda client: client.execute_command("DEBUG", "SLEEP", "0.4"),
}


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_a_server_that_is_disturbed_loses_and_reorders_nothing(server: Server, disturbance: str) -> None:
    async def test() -> None:
        work = Work()
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=4)
            work.consume(await consumer_of(segmenter))
            for _ in range(4):
                sending = asyncio.ensure_future(work.send(orders, 500))
                with server.client as client:
                    await asyncio.to_thread(DISTURBANCES[disturbance], client)
                await sending
            await work.all_handled()
            work.check()
            await work.end()
        assert sum(map(len, stored(server, 4).values())) == work.sent

    run(test)


Plain = Any  # a plain client of the server


def _occupy(server: Server, client: Plain) -> None:
    client.config_set("busy-reply-threshold", 20)

    def loop() -> None:
        with Redis(port=server.port, socket_timeout=None) as other, suppress(ResponseError):  # it is killed in the end
            other.eval("while true do end", 0)

    threading.Thread(target=loop, daemon=True).start()
    deadline = time.monotonic() + LIMIT_S
    with suppress(ResponseError):  # BUSY
        while client.ping():
            assert time.monotonic() < deadline


def _free(server: Server, client: Plain) -> None:
    client.script_kill()


def _break_disk(server: Server, client: Plain) -> None:
    shutil.rmtree(server.directory)
    client.config_set("save", "3600 1")
    _save(client, "err")


def _mend_disk(server: Server, client: Plain) -> None:
    Path(server.directory).mkdir()
    client.config_set("dir", server.directory)
    _save(client, "ok")


def _save(client: Plain, status: str) -> None:
    client.bgsave()
    deadline = time.monotonic() + LIMIT_S
    while client.info("persistence")["rdb_last_bgsave_status"] != status:
        assert time.monotonic() < deadline


Change = Callable[[Server, Plain], object]
REFUSALS: dict[str, tuple[Change, Change]] = {
    "READONLY": (
        lambda _, client: client.execute_command("REPLICAOF", "127.0.0.1", "1"),
        lambda _, client: client.execute_command("REPLICAOF", "NO", "ONE"),
    ),
    "NOREPLICAS": (
        lambda _, client: client.config_set("min-replicas-to-write", 1),
        lambda _, client: client.config_set("min-replicas-to-write", 0),
    ),
    "BUSY": (_occupy, _free),
    "MISCONF": (_break_disk, _mend_disk),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_refuses_writes_for_a_while_is_waited_for(server: Server, refusal: str) -> None:
    """Longer than a session, so that even the membership is lost meanwhile."""
    begin, end = REFUSALS[refusal]

    async def test() -> None:
        work = Work()
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=4)
            work.consume(await consumer_of(segmenter, on_loss="continue"))
            await work.send(orders, 200)
            await work.all_handled()
            with server.client as client:
                await asyncio.to_thread(begin, server, client)
                sending = asyncio.ensure_future(work.send(orders, 200))
                done, _ = await asyncio.wait([sending], timeout=2 * SESSION_S)
                assert not done
                await asyncio.to_thread(end, server, client)
            await sending
            await work.all_handled()
            work.check()
            await work.end()
        assert sum(map(len, stored(server, 4).values())) == work.sent

    run(test)


@pytest.mark.parametrize("binary", [newest, oldest], ids=["redis-8.2", "redis-7.0"])
def test_a_server_killed_in_the_middle_and_restarted_from_its_log_has_lost_nothing(binary: Callable[[], str]) -> None:
    server = Server(binary(), "--appendonly", "yes", "--appendfsync", "always")

    async def test() -> None:
        work = Work()
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=4)
            work.consume(await consumer_of(segmenter))
            for _ in range(3):
                sending = asyncio.ensure_future(work.send(orders, 2_000))
                before = len(work.handled)
                await work.until(lambda before=before: len(work.handled) > before + 50)  # type: ignore[misc]
                await asyncio.to_thread(server.restart)
                await sending
            await work.all_handled()
            work.check()
            await work.end()
        assert sum(map(len, stored(server, 4).values())) == work.sent

    try:
        run(test)
    finally:
        server.stop()
