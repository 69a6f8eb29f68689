"""What other programs write into our logs is told by its id, and stopped at or passed over, as ``on_loss`` says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from segmenter import ConsumerDead, Corrupt, Message
from segmenter.core import observations as obs
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.observations import HandedBack, Lost
from tests.public_reports.shop import Shop
from tests.world import World, virtually

LOG = PartitionSlot("orders", 0)
FOREIGN = (b"foo", b"bar")
SESSION_S = 1.0


class Reader:
    """A consumer or a worker of one group, again and again, and what it has handled."""

    def __init__(self, world: World, shop: Shop, kind: str, on_loss: str) -> None:
        self.world, self.shop, self.kind = world, shop, kind
        self.options: dict[str, Any] = {
            "on_loss": on_loss,
            "session_timeout": SESSION_S,
            "observer": shop.seen.append,
        }
        self.data: list[str] = []
        self.end: Callable[[], Awaitable[None]]

    async def start(self) -> asyncio.Task[None]:
        """Run until it fails; once this returns it is a member."""
        if self.kind == "worker":

            async def handle(text: str) -> None:
                self.data.append(text)

            worker = self.shop.worker(handle, **self.options)
            running = self.world.run(worker)
            await self.world.until(lambda: worker.ready or running.done())
            self.end = worker.stop
            return running
        consumer = await self.world.segmenter().register_consumer("orders", group="g", **self.options)

        async def consume() -> None:
            async for message in consumer:
                self.data.append(message.data.decode())
                message.ack()

        task = self.world.loop.create_task(consume())
        self.world.tasks.append(task)
        self.end = consumer.shutdown
        return task

    @property
    def told(self) -> list[str]:
        """The ids of corrupt entries, as observers were told."""
        return [seen.id for seen in self.shop.seen if isinstance(seen, obs.Corrupt)]


def of_partition(shop: Shop, number: int) -> str:
    """A key that belongs to a partition."""
    return next(key for key in (f"k{n}" for n in range(1_000)) if shop.orders.partition_of(key) == number)


async def failure(task: asyncio.Task[None]) -> Corrupt:
    """What a consumer or a worker has ended with."""
    await asyncio.wait([task], timeout=30)
    error = task.exception()
    if isinstance(error, ConsumerDead):
        error = error.__cause__
    assert isinstance(error, Corrupt)
    return error


@pytest.mark.parametrize("kind", ["consumer", "worker"])
@pytest.mark.parametrize("partitions", [1, 8])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_whoever_meets_an_entry_of_another_program_stops_at_it_and_says_which(
    busy: bool, partitions: int, kind: str
) -> None:
    """No public report: ``XADD log * foo bar``. An idle consumer stopped in silence, a busy one with an IndexError."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(partitions=partitions)
        reader = Reader(world, shop, kind, "raise")
        key = of_partition(shop, 0)
        task = await reader.start()
        before = [f"{number}" for number in range(50 if busy else 1)]
        if busy:
            await shop.orders.send_many([(key, text) for text in before])
        else:
            await shop.orders.send(key, before[0])
            await world.until(lambda: reader.data == before)
            await asyncio.sleep(5)
        entry_id = world.store.add_entry(LOG, *FOREIGN).decode()
        await shop.orders.send(key, "behind it")
        error = await failure(task)
        for words in (entry_id, "partition 0", "'orders'", "no field 'k' and no field 'd', but 'foo'", "on_loss="):
            assert words in str(error)
        assert reader.data == before
        assert reader.told == [entry_id]
        assert (await failure(await reader.start())).id == entry_id, "a restart tells the same"
        assert reader.data == before, "and what was before it is not handled again"
        lenient = Reader(world, shop, kind, "continue")
        await lenient.start()
        await world.until(lambda: lenient.data == ["behind it"])

    test()


@pytest.mark.parametrize("kind", ["consumer", "worker"])
@pytest.mark.parametrize("partitions", [1, 8])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_with_on_loss_continue_an_entry_of_another_program_is_told_once_and_passed_over(
    busy: bool, partitions: int, kind: str
) -> None:
    """The same, for whoever would rather go on."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(partitions=partitions)
        reader = Reader(world, shop, kind, "continue")
        key = of_partition(shop, 0)
        task = await reader.start()
        expected = [f"{number}" for number in range(60)]
        ids = []
        for text in expected:
            await shop.orders.send(key, text)
            if int(text) % 20 == 10:
                if not busy:
                    await world.until(lambda text=text: reader.data[-1:] == [text])  # type: ignore[misc]
                    await asyncio.sleep(5)
                ids.append(world.store.add_entry(LOG, *FOREIGN).decode())
                await asyncio.sleep(0 if busy else 5)
        await shop.settled()
        assert reader.data == expected
        assert reader.told == ids
        assert not task.done()
        await reader.end()
        again = Reader(world, shop, kind, "raise")
        await again.start()
        await shop.orders.send(key, "last")
        await world.until(lambda: again.data == ["last"])
        assert reader.told == ids

    test()


ODD = {
    "data first": (b"d", b"x", b"k", b"a"),
    "a field before": (b"id", b"7", b"k", b"a", b"d", b"x"),
    "a field between": (b"k", b"a", b"id", b"7", b"d", b"x"),
    "a fifth field": (b"k", b"a", b"d", b"x", b"trace", b'{"h":"y"}'),
    "headers first": (b"h", b'{"trace":"y"}', b"d", b"x", b"k", b"a"),
}


@pytest.mark.parametrize("kind", ["consumer", "worker"])
@pytest.mark.parametrize("fields", ODD.values(), ids=ODD)
def test_key_data_and_headers_are_taken_by_name(fields: tuple[bytes, ...], kind: str) -> None:
    """No public report: ``XADD log * d x k a`` was handed out as key ``x``, and a fifth field as headers."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "before"))
        got: list[tuple[str, bytes, dict[str, str]]] = []

        def note(message: Message) -> None:
            got.append((message.key, message.data, message.headers))

        async def handle(_text: str, message: Message) -> None:
            note(message)

        world.store.add_entry(LOG, *fields)
        await shop.orders.send("a", "behind")
        if kind == "worker":
            await shop.run(handle)
        else:
            consumer = await world.segmenter().register_consumer("orders", group="g")
            while len(got) < 3:
                messages = await consumer.read(timeout=5)
                for message in messages:
                    note(message)
                await consumer.ack(*messages)
        await shop.settled()
        headers = {"trace": "y"} if b"h" in fields[::2] else {}
        assert got == [("a", b"before", {}), ("a", b"x", headers), ("a", b"behind", {})]

    test()


GARBAGE = {
    "no UTF-8": b"\xff{",
    "no JSON": b"trace=1",
    "a list": b"[1]",
    "numbers": b'{"trace": 1}',
    "too deep": b"[" * 100_000,
    "half an emoji": b'{"trace": "\xed\xa0\xbd"}',
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE)
def test_headers_that_are_garbage_concern_only_whoever_asks_for_them(raw: bytes) -> None:
    """No public report: a raw UnicodeDecodeError, JSONDecodeError or RecursionError, without the id of the message."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open()
        asked: list[str] = []

        async def handle(text: str, message: Message) -> None:
            shop.handled.append((text, message.attempt))
            if text == "asks":
                with pytest.raises(Corrupt) as refused:
                    _ = message.headers
                assert message.id in str(refused.value)
                assert (refused.value.partition, refused.value.id) == (0, message.id)
                asked.append(message.id)

        task = await shop.run(handle, on_loss="raise")
        world.store.add_entry(LOG, b"k", b"a", b"d", b"does not ask", b"h", raw)
        entry_id = world.store.add_entry(LOG, b"k", b"a", b"d", b"asks", b"h", raw).decode()
        await shop.orders.send("a", "ours")
        await shop.settled()
        assert shop.handled == [("does not ask", 1), ("asks", 1), ("ours", 1)]
        assert asked == [entry_id]
        assert (shop.parked, shop.retried) == ([], [])
        assert not task.done()

    test()


@virtually
async def test_a_handler_that_asks_for_headers_that_are_garbage_fails_like_any_other(world: World) -> None:
    """The same: its message is tried again and parked, and its worker goes on."""
    shop = await Shop(world).open()

    async def handle(text: str, message: Message) -> None:
        shop.handled.append((text, message.attempt))
        _ = message.headers

    task = await shop.run(handle)
    world.store.add_entry(LOG, b"k", b"a", b"d", b"bad", b"h", b"{")
    await shop.orders.send("b", "good")
    await world.until(lambda: bool(shop.parked))
    await shop.settled()
    assert [attempt for text, attempt in shop.handled if text == "bad"] == [1, 2, 3]
    assert ("good", 1) in shop.handled
    ((key, _, reason),) = shop.parked
    assert (key, "Corrupt: the headers of message" in reason) == ("a", True)
    assert not task.done()


EVENTS = {
    "another program's": FOREIGN,
    "without its fields": (b"e", b"changed"),
    "of a kind that is not there": (b"e", b"cancelled", b"p", b"0"),
    "no number": (b"e", b"freed", b"p", b"x", b"x", b"1", b"m", b"a"),
    "a number of other digits": (b"e", b"asked", b"p", "\u0663".encode()),
    "no UTF-8": (b"e", b"\xff"),
    "a partition that is not there": (b"e", b"freed", b"p", b"99", b"x", b"1", b"m", b"a"),
    "a number without end": (b"e", b"wanted", b"p", b"9" * 5_000, b"x", b"1", b"m", b"a"),
}


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("fields", EVENTS.values(), ids=EVENTS)
def test_a_foreign_event_of_a_group_changes_nothing(fields: tuple[bytes, ...], busy: bool) -> None:
    """No public report: an exception in a callback ended the consumers of the group without a word."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(partitions=4)
        consumers = [await world.worker(name) for name in "ab"]
        await world.until(lambda: [len(consumer.partitions) for consumer in consumers] == [2, 2])
        generation = (await world.segmenter().describe("orders", "g")).generation
        since = world.loop.time()
        for number in range(20):
            if busy:
                await shop.orders.send(f"k{number}", "before")
            world.store.add_entry(GroupSlot("orders", "g"), *fields)
        await asyncio.sleep(3 * SESSION_S)
        await shop.orders.send_many([(f"k{number}", "behind") for number in range(20)])
        await world.until(lambda: len(world.handled) == (40 if busy else 20))
        described = await world.segmenter().describe("orders", "g")
        assert described.generation == generation
        assert {member.id for member in described.members} == {consumer.id for consumer in consumers}
        moves = [seen for at, _, seen in world.observed if at >= since and isinstance(seen, HandedBack | Lost)]
        assert moves == []
        late = await world.worker("c")  # reads what the log of events has told before
        await world.until(lambda: len(late.partitions) == 1)

    test()
