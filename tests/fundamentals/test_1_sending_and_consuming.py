"""Streams, keys, messages: what goes in, and what comes out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from segmenter import Message, MessageTooLarge, NonExistentStream, StreamFull, StreamMismatch
from segmenter.config import Start
from tests.world import World, virtually


@virtually
async def test_what_is_sent_is_handed_out(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    sent = await orders.send("customer-42", b"created", headers={"trace": "abc"})
    async with segmenter.register_consumer("orders", group="billing") as consumer:
        message = await anext(consumer)
    assert (message.key, message.data, message.headers) == ("customer-42", b"created", {"trace": "abc"})
    assert (message.partition, message.id, message.attempt) == (sent.partition, sent.id, 1)
    assert (message.stream, message.group) == ("orders", "billing")
    assert message.timestamp == datetime.fromtimestamp(1_700_000_000, UTC)


@virtually
async def test_a_key_always_goes_to_the_same_partition(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=16)
    sent = {(await orders.send("customer-42", b"")).partition for _ in range(20)}
    assert sent == {orders.partition_of("customer-42")}


@virtually
async def test_messages_of_a_key_come_in_the_order_they_were_sent(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    await asyncio.gather(*(orders.send(f"k{n % 7}", b"%d" % n) for n in range(500)))
    await world.worker("a")
    await world.until(lambda: len(world.handled) == 500)
    assert all(list(map(int, datas)) == sorted(map(int, datas)) for datas in world.by_key().values())


@virtually
async def test_send_many_says_where_each_message_stands(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    sent = await orders.send_many((f"k{n}", b"%d" % n) for n in range(1200))
    assert [receipt.partition for receipt in sent] == [orders.partition_of(f"k{n}") for n in range(1200)]
    assert len({(receipt.partition, receipt.id) for receipt in sent}) == 1200


@virtually
async def test_where_a_message_stands_can_be_looked_up_in_any_way(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    sent = await orders.send_many([("a", b"0"), ("b", b"1"), ("a", b"2")])
    assert len(sent) == 3
    assert [sent[0], *sent[1:]] == list(sent)
    assert repr(sent[0]) == f"Sent(partition={sent[0].partition}, id='{sent[0].id}')"
    assert repr(sent) == repr(list(sent))
    one = await orders.send("a", b"3")
    assert one not in sent


@virtually
async def test_one_by_one_or_many_at_once_what_is_sent_later_comes_later(world: World) -> None:
    """They wait in different ways for the batch under way."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    async with asyncio.TaskGroup() as group:
        for number in range(0, 90, 3):
            group.create_task(orders.send("k", b"%d" % number))
            group.create_task(orders.send("k", b"%d" % (number + 1), {"h": "x"}))
            group.create_task(orders.send_many([("k", b"%d" % (number + 2))]))
    await world.worker("a")
    await world.until(lambda: len(world.handled) == 90)
    assert [int(data) for data in world.by_key()["k"]] == list(range(90))


@virtually
async def test_a_send_that_is_cancelled_before_it_is_under_way_is_not_sent(world: World) -> None:
    """And those that went with it are."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    tasks = [asyncio.create_task(orders.send("k", b"%d" % number)) for number in range(6)]
    many = asyncio.create_task(orders.send_many([("k", b"many")]))
    await asyncio.sleep(0)  # all have been handed over, and the batch is made in the next turn
    for task in (*tasks[1::2], many):
        task.cancel()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [False, True] * 3
    await world.worker("a")
    await world.until(lambda: len(world.handled) == 3)
    assert world.by_key()["k"] == [b"0", b"2", b"4"]


@virtually
async def test_no_batch_is_larger_than_its_partition(world: World) -> None:
    """It would never find room."""
    orders = await world.segmenter().register_stream("orders", partitions=1, partition_size=3, on_full="drop_oldest")
    sent = await asyncio.gather(*(orders.send("k", b"%d" % number) for number in range(10)))
    assert len({each.id for each in sent}) == 10


@virtually
async def test_each_group_gets_every_message(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=2)
    await world.worker("billing", group="billing")
    await world.worker("shipping", group="shipping")
    await orders.send_many((f"k{n}", b"%d" % n) for n in range(50))
    await world.until(lambda: len(world.handled) == 100)
    for group in ("billing", "shipping"):
        assert {data for name, _, data in world.handled if name == group} == {b"%d" % n for n in range(50)}


@virtually
async def test_a_new_group_begins_where_it_says(world: World) -> None:
    """Otherwise a consumer deployed after its producer never sees what came before."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    first = await orders.send("k", b"0")
    await asyncio.sleep(10)
    await orders.send("k", b"1")
    middle = datetime.fromtimestamp(1_700_000_000, UTC) + timedelta(seconds=5)
    expected: dict[Start, list[bytes]] = {"earliest": [b"0", b"1"], "latest": [], first.id: [b"1"], middle: [b"1"]}
    for number, (start, datas) in enumerate(expected.items()):
        async with segmenter.register_consumer("orders", group=f"g{number}", start=start) as consumer:
            assert [message.data for message in await consumer.read(timeout=0.5)] == datas, start


@virtually
async def test_a_batch_may_hold_several_messages_of_a_key_and_is_settled_as_a_unit(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("k", b"%d" % n) for n in range(5)])
    async with segmenter.register_consumer("orders", group="g", batch_size=3) as consumer:
        batch = await consumer.read(timeout=1)
        assert [message.data for message in batch] == [b"0", b"1", b"2"]
        assert await consumer.read(timeout=1) == [], "a later batch holds a key that is not settled"
        await consumer.ack(*batch)
        assert [message.data for message in await consumer.read(timeout=1)] == [b"3", b"4"]


@virtually
async def test_batches_hold_one_partition_each(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    await orders.send_many([(f"k{n}", b"") for n in range(40)])
    seen = 0
    async with segmenter.register_consumer("orders", group="g", batch_size=7) as consumer:
        async for batch in consumer.batches():
            assert len({message.partition for message in batch}) == 1
            assert len(batch) <= 7
            await consumer.ack(*batch)
            seen += len(batch)
            if seen == 40:
                break


@virtually
async def test_with_many_partitions_a_message_comes_as_soon_as_with_few(world: World) -> None:
    """Whatever a consumer waits for, it waits for all of its partitions."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=200)
    async with segmenter.register_consumer("orders", group="g") as consumer:
        await world.until(lambda: len(consumer.partitions) == 200)
        await asyncio.sleep(3)
        for number in range(20):
            sent_at = world.loop.time()
            await orders.send(f"k{number}", b"")
            async with asyncio.timeout(5):
                (await anext(consumer)).ack()
            assert world.loop.time() - sent_at < 0.01


@virtually
async def test_of_many_partitions_all_are_read_in_turn_while_there_is_much_to_read(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=200)
    await orders.send_many([(f"k{n}", b"") for n in range(5_000)])
    async with segmenter.register_consumer("orders", group="g", batch_size=100) as consumer:
        seen = 0
        while seen < 5_000:
            batch = await consumer.read(timeout=1)
            assert batch, "the next partitions have their turn at once"
            await consumer.ack(*batch)
            seen += len(batch)


@virtually
async def test_registering_again_is_harmless_and_other_properties_are_refused(world: World) -> None:
    """Two processes with different partition counts would send one key to two partitions."""
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=4, partition_size=100)
    again = await world.segmenter().register_stream("orders", partitions=4, partition_size=100)
    assert (again.partitions, again.partition_size) == (4, 100)
    with pytest.raises(StreamMismatch, match=r"4 partitions of 100, not 5 of 100"):
        await segmenter.register_stream("orders", partitions=5, partition_size=100)
    with pytest.raises(NonExistentStream, match="'other'"):
        await segmenter.get_stream("other")
    with pytest.raises(NonExistentStream, match="'other'"):
        await segmenter.register_consumer("other", group="g")


@virtually
async def test_a_full_partition_pushes_back_and_names_who_is_behind(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, partition_size=10)
    await orders.send_many([("k", b"%d" % n) for n in range(10)])
    with pytest.raises(StreamFull, match="no group is registered yet"):
        await orders.send("k", b"10")
    consumer = await segmenter.register_consumer("orders", group="slow")
    with pytest.raises(StreamFull, match="'slow' has yet to settle 10 messages") as refused:
        await orders.send("k", b"10")
    assert (refused.value.slowest, refused.value.lag, refused.value.retriable) == ("slow", 10, True)
    await consumer.ack(*await consumer.read(timeout=1))
    await orders.send("k", b"10")
    assert [message.data for message in await consumer.read(timeout=1)] == [b"10"]


@virtually
async def test_a_producer_may_wait_for_room(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1, partition_size=5, on_full="wait")
    await world.worker("a", work_s=0.1)
    await orders.send_many([("k", b"%d" % n) for n in range(30)])
    await world.until(lambda: len(world.handled) == 30)
    assert [data for _, _, data in world.handled] == [b"%d" % n for n in range(30)]


@virtually
async def test_a_producer_may_choose_to_lose_the_oldest(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, partition_size=5, on_full="drop_oldest")
    await orders.send_many([("k", b"%d" % n) for n in range(12)])
    await world.worker("a")
    await world.until(lambda: len(world.handled) == 5)
    assert [data for _, _, data in world.handled] == [b"%d" % n for n in range(7, 12)]


@virtually
async def test_a_partition_can_be_made_larger(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, partition_size=1)
    await orders.send("k", b"0")
    with pytest.raises(StreamFull):
        await orders.send("k", b"1")
    await orders.alter(partition_size=2)
    await orders.send("k", b"1")
    assert (await segmenter.get_stream("orders")).partition_size == 2


@virtually
async def test_what_cannot_be_sent_is_refused_before_anything_is(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    for key, data, headers, words in (
        ("", b"", None, "key is empty"),
        ("k" * 1025, b"", None, "1,025 bytes: the limit is 1,024"),
        ("k", b"x" * (1 << 20) + b"x", None, "payload has 1,048,577 bytes"),
        ("k", b"", {str(n): "" for n in range(65)}, "65 headers: the limit is 64"),
        ("k", b"", {"n": 1}, "header 'n': 1 is not text"),
        (5, b"", None, "key 5 is of type int"),
        ("k", "text", None, "data is of type str"),
    ):
        with pytest.raises(ValueError, match=words):
            await orders.send(key, data, headers)  # type: ignore[arg-type]
    with pytest.raises(MessageTooLarge):
        await orders.send_many([("k", b"fine"), ("k", b"x" * (2 << 20))])
    await world.worker("a")
    await orders.send("k", b"last")
    await world.until(lambda: bool(world.handled))
    assert [data for _, _, data in world.handled] == [b"last"]


@virtually
async def test_keys_may_be_bytes(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    await orders.send(b"\xff\x00", b"")
    async with segmenter.register_consumer("orders", group="g") as consumer:
        (message,) = await consumer.read(timeout=1)
        assert isinstance(message, Message)
        assert message.raw_key == b"\xff\x00"
        assert orders.partition_of(message.key) == message.partition
