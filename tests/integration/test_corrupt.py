"""Another program writes to the logs of a real server: what is no message is told, and stopped at or passed over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from segmenter import Consumer, ConsumerDead, Corrupt, Message, Segmenter, Worker, sync
from segmenter.core import observations as obs
from segmenter_redis import RedisBackend
from tests.integration.test_faults import opened, run
from tests.servers import Server

pytestmark = pytest.mark.tampers("XADD")

LOG = "{shop:orders:%d}:log"
EVENTS = "{shop:orders}:group:g:events"
CORRUPT: dict[str, tuple[bytes | str, ...]] = {
    "another program's": ("foo", "bar"),
    "only a key": ("k", "x"),
    "only data": ("d", "x"),
    "in capitals": ("K", "x", "D", "y"),
    "two keys": ("k", "x", "d", "y", "k", "z"),
    "many fields": tuple(f"x{number}" for number in range(200)),
    "bytes": (b"\xff", b"\x00"),
}


def add(server: Server, *fields: bytes | str, key: str = LOG % 0) -> str:
    """Write an entry as ``XADD`` does; return its id."""
    with server.tampering() as client:
        entry_id: bytes = client.execute_command("XADD", key, "*", *fields)
    return entry_id.decode()


class Seen:
    """What consumers were handed and told."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.told: list[obs.Corrupt] = []

    def observe(self, observation: obs.Observation) -> None:
        if isinstance(observation, obs.Corrupt):
            self.told.append(observation)

    async def acknowledge(self, consumer: Consumer, count: int | None = None) -> None:
        """Handle what comes, so many messages or until the consumer ends."""
        while count is None or len(self.data) < count:
            batch = await consumer.read(timeout=10)
            self.data += [message.data for message in batch]
            await consumer.ack(*batch)

    @asynccontextmanager
    async def consumer(self, segmenter: Segmenter, **options: Any) -> AsyncIterator[Consumer]:
        options = {"group": "g", "session_timeout": 1.0, "observer": self.observe, **options}
        async with segmenter.register_consumer("orders", **options) as consumer:
            yield consumer


async def lag(segmenter: Segmenter) -> int:
    return (await segmenter.describe("orders", "g")).lag


@pytest.mark.parametrize("partitions", [1, 8])
@pytest.mark.parametrize("fields", CORRUPT.values(), ids=list(CORRUPT))
def test_an_idle_consumer_stops_at_it_a_restart_too_and_one_that_is_to_go_on_does(
    server: Server, fields: tuple[bytes | str, ...], partitions: int
) -> None:
    seen = Seen()

    async def test() -> None:
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=partitions)
            key = next(f"k{n}" for n in range(99) if orders.partition_of(f"k{n}") == 0)
            await orders.send(key, b"0")
            entry_id = ""
            for attempt in range(2):
                async with seen.consumer(segmenter) as consumer:
                    if not attempt:
                        await seen.acknowledge(consumer, 1)
                        entry_id = add(server, *fields)
                        await orders.send(key, b"2")
                    with pytest.raises(ConsumerDead, match=f"entry {entry_id} of partition 0 of 'orders'") as stopped:
                        await seen.acknowledge(consumer)
                    assert isinstance(stopped.value.__cause__, Corrupt)
                assert (seen.data, len(seen.told)) == ([b"0"], attempt + 1)
            add(server, *fields)
            async with seen.consumer(segmenter, on_loss="continue") as consumer:
                await seen.acknowledge(consumer, 2)
                while await lag(segmenter):
                    assert await consumer.read(timeout=0.05) == []
            assert (seen.data, len(seen.told)) == ([b"0", b"2"], 4)
            with server.client as client:
                (mirror,) = client.xinfo_groups(LOG % 0)
                assert mirror["lag"] == 0
            async with seen.consumer(segmenter) as consumer:  # which is told of neither
                await orders.send(key, b"4")
                await seen.acknowledge(consumer, 3)
            assert (seen.data, len(seen.told)) == ([b"0", b"2", b"4"], 4)

    run(test)


@pytest.mark.parametrize("on_loss", ["raise", "continue"])
def test_a_busy_consumer_stops_at_it_or_passes_over_it(server: Server, on_loss: str) -> None:
    seen = Seen()

    async def test() -> None:
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            async with seen.consumer(segmenter, on_loss=on_loss) as consumer:
                working = asyncio.ensure_future(seen.acknowledge(consumer, 1000))
                await orders.send_many([(f"k{n}", b"%d" % n) for n in range(500)])
                entry_id = add(server, "foo", "bar")
                for number in range(5, 10):
                    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(100 * number, 100 * number + 100)])
                if on_loss == "raise":
                    with pytest.raises(ConsumerDead, match=entry_id):
                        await working
                else:
                    await working
            assert seen.data == [b"%d" % n for n in range(500 if on_loss == "raise" else 1000)]
            assert [told.id for told in seen.told] == [entry_id]
            assert await lag(segmenter) == (501 if on_loss == "raise" else 0)

    run(test)


ODD: dict[str, Mapping[str, bytes]] = {
    "data first": {"d": b"x", "k": b"a"},
    "a field more": {"k": b"a", "d": b"x", "x": b"h"},
    "headers first": {"h": b'{"n":"v"}', "k": b"a", "d": b"x"},
    "a hundred fields": {"k": b"a", **{f"x{number}": b"" for number in range(100)}, "d": b"x"},
    "headers that are none": {"k": b"a", "d": b"x", "h": b"\xff{"},
}


@pytest.mark.parametrize("given", ODD.values(), ids=list(ODD))
def test_what_another_program_sends_is_taken_by_name(server: Server, given: Mapping[str, bytes]) -> None:
    async def test() -> None:
        async with opened(server.url) as segmenter:
            await segmenter.register_stream("orders", partitions=1)
            add(server, *(part for pair in given.items() for part in pair))
            async with Seen().consumer(segmenter) as consumer:
                message = await anext(consumer)
                assert (message.key, message.data, message.raw_headers) == ("a", b"x", given.get("h", b""))
                if given.get("h", b"{").startswith(b"{"):
                    assert message.headers == ({"n": "v"} if "h" in given else {})
                else:
                    with pytest.raises(Corrupt, match="no JSON object of texts"):
                        _ = message.headers
                await consumer.ack(message)

    run(test)


@pytest.mark.parametrize("on_loss", ["raise", "continue"])
def test_a_worker_stops_at_it_or_passes_over_it(server: Server, on_loss: Any) -> None:
    handled: list[bytes] = []
    stopping: list[asyncio.Future[None]] = []
    seen = Seen()

    async def test() -> None:
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=2)
            key = next(f"k{n}" for n in range(99) if orders.partition_of(f"k{n}") == 0)
            await orders.send_many([(key, b"%d" % number) for number in range(50)])
            add(server, "foo", "bar")
            await orders.send(key, b"last")
            worker = Worker(backend=RedisBackend(server.url, "shop"), group="g")

            @worker.handler("orders", session_timeout=1.0, on_loss=on_loss, observer=seen.observe)
            async def handle(data: bytes, message: Message) -> None:
                handled.append(data)
                if data == b"last":
                    stopping.append(asyncio.ensure_future(worker.stop()))

            if on_loss == "raise":
                with pytest.raises(Corrupt, match="is no message"):
                    await worker.run()
            else:
                await worker.run()
            assert handled == [b"%d" % number for number in range(50)] + [b"last"] * (on_loss == "continue")
            assert len(seen.told) == 1
            assert await lag(segmenter) == (2 if on_loss == "raise" else 0)

    run(test)


def test_a_blocking_consumer_stops_at_it_and_passes_over_it(server: Server) -> None:
    with sync.Segmenter(server.url, namespace="shop") as segmenter:
        orders = segmenter.register_stream("orders", partitions=1)
        orders.send("a", b"0")
        add(server, "foo", "bar")
        orders.send("a", b"2")
        got: list[bytes] = []

        def consume(consumer: sync.Consumer) -> None:
            for message in consumer:
                got.append(message.data)
                message.ack()
                if message.data == b"2":
                    return

        with segmenter.register_consumer("orders", group="g") as consumer:
            with pytest.raises(ConsumerDead) as stopped:
                consume(consumer)
            assert isinstance(stopped.value.__cause__, Corrupt)
        assert got == [b"0"]
        with segmenter.register_consumer("orders", group="g", on_loss="continue") as consumer:
            consume(consumer)
            consumer.commit()
            assert segmenter.describe("orders", "g").lag == 0
        assert got == [b"0", b"2"]


def test_ids_as_high_as_64_bits_allow_go_through(server: Server) -> None:
    seen = Seen()

    async def test() -> None:
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            with server.tampering() as client:
                client.execute_command("XADD", LOG % 0, f"{2**64 - 2}-1", "k", "a", "d", "0")
            await orders.send("a", b"1")
            add(server, "foo", "bar")
            async with seen.consumer(segmenter, on_loss="continue") as consumer:
                await seen.acknowledge(consumer, 2)
                while await lag(segmenter):
                    assert await consumer.read(timeout=0.05) == []
            assert seen.data == [b"0", b"1"]
            found = [message async for message in segmenter.tail("orders", start="earliest", follow=False)]
            assert [message.timestamp.year for message in found] == [9999, 9999]

    run(test)


def test_a_foreign_event_of_a_group_is_ignored(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()
    foreign = [("foo", "bar"), ("e", "freed", "p", "0"), ("e", "asked", "p", "x"), (b"e", b"\xff")]
    well_formed = [("e", "freed", "p", "999", "x", "1", "m", "a"), ("e", "asked", "p", "999")]

    async def test() -> None:
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=2)
            async with seen.consumer(segmenter) as consumer:
                ids = [add(server, *fields, key=EVENTS) for fields in (*foreign, *well_formed)]
                await orders.send("a", b"0")
                await seen.acknowledge(consumer, 1)
                async with seen.consumer(segmenter) as other:
                    while len(other.partitions) != 1:
                        assert await other.read(timeout=0.05) == []
                assert await segmenter.rebalances("orders", "g")
            ignored = [record.getMessage() for record in caplog.records if "event ignored" in record.getMessage()]
            assert [sum(entry_id in line for line in ignored) for entry_id in ids] == [1, 1, 1, 1, 0, 0]

    with caplog.at_level(logging.DEBUG, logger="segmenter"):
        run(test)
