"""Consume, transform, produce: settling a message by sending another one in its place, both or neither."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve

from segmenter import (
    Durability,
    InvalidArgument,
    Message,
    OutOfOrderAck,
    PartitionLost,
    Segmenter,
    StaleDelivery,
    Stream,
    StreamFull,
)
from segmenter.core.command import PartitionSlot
from tests.world import World, virtually


async def made(world: World, *, partitions: int = 2, **options: object) -> tuple[Segmenter, Stream, Stream]:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=partitions)
    bills = await segmenter.register_stream("bills", partitions=partitions, **options)  # type: ignore[arg-type]
    return segmenter, orders, bills


def stored(world: World, stream: str) -> list[bytes]:
    """The data that stands in a stream."""
    slots = [slot for slot in world.store.slots if isinstance(slot, PartitionSlot) and slot.stream == stream]
    return [entry[1][3] for slot in sorted(slots) for entry in world.store.slots[slot].log.entries]


@virtually
async def test_a_forwarded_message_is_settled_and_sent_once(world: World) -> None:
    segmenter, orders, bills = await made(world)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    for number in range(20):
        await orders.send("abc"[number % 3], b"%d" % number)
    for _ in range(20):
        message = await anext(consumer)
        await message.forward(bills, message.key, b"bill " + message.data)
        assert message.settled
    assert sorted(stored(world, "bills")) == sorted(b"bill %d" % number for number in range(20))
    consumer.halt()
    await world.worker("b")
    await asyncio.sleep(3)
    assert world.handled == [], "what was forwarded came again"


@virtually
async def test_forwarding_keeps_the_order_of_keys_and_shares_commits(world: World) -> None:
    segmenter, orders, bills = await made(world, partitions=1)
    await orders.send_many([("abc"[number % 3], b"%d" % number) for number in range(30)])
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)

    async def forward(message: Message) -> None:
        await message.forward(bills, message.key, message.data, {"from": message.id})

    tasks = [asyncio.ensure_future(forward(await anext(consumer))) for _ in range(30)]
    await asyncio.gather(*tasks)
    assert sorted(map(int, stored(world, "bills"))) == list(range(30))
    by_key = [[int(data) for data in stored(world, "bills") if int(data) % 3 == key] for key in range(3)]
    assert by_key == [sorted(numbers) for numbers in by_key]


@virtually
async def test_what_cannot_be_sent_leaves_the_message_in_hand(world: World) -> None:
    segmenter, orders, bills = await made(world, partitions=1, partition_size=2)
    await bills.send_many([("k", b"1"), ("k", b"2")])
    await orders.send("k", b"x")
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    message = await anext(consumer)
    with pytest.raises(StreamFull, match="no group is registered yet"):
        await message.forward(bills, "k", b"y")
    assert not message.settled
    message.ack()
    await consumer.commit()
    assert stored(world, "bills") == [b"1", b"2"]


@virtually
async def test_where_the_stream_waits_for_room_so_does_what_is_forwarded(world: World) -> None:
    """Other messages go on meanwhile."""
    segmenter, orders, bills = await made(world, partitions=1, partition_size=2, on_full="wait")
    await bills.send_many([("k", b"1"), ("k", b"2")])
    await orders.send_many([("k", b"x"), ("other", b"z")])
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, max_processing_time=2)
    waiting = asyncio.ensure_future((await anext(consumer)).forward(bills, "k", b"y"))
    await asyncio.sleep(5)
    (await anext(consumer)).ack()
    await consumer.commit()
    assert not waiting.done()
    await world.worker("b", "bills")
    await waiting
    assert stored(world, "bills")[-1] == b"y"


@virtually
async def test_while_it_is_forwarded_nothing_else_becomes_of_a_message(world: World) -> None:
    segmenter, orders, bills = await made(world, partitions=1)
    await orders.send_many([("k", b"1"), ("k", b"2")])
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    first, second = await consumer.read(timeout=1)
    with pytest.raises(OutOfOrderAck):
        await second.forward(bills, "k", b"too early")
    sending = asyncio.ensure_future(first.forward(bills, "k", b"b"))
    await asyncio.sleep(0)
    with pytest.raises(StaleDelivery):
        first.nack()
    await sending
    with pytest.raises(StaleDelivery):
        await first.forward(bills, "k", b"once more")
    second.ack()
    assert stored(world, "bills") == [b"b"]


@virtually
async def test_a_former_owner_forwards_nothing(world: World) -> None:
    segmenter, orders, bills = await made(world, partitions=1)
    await orders.send("k", b"x")
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    message = await anext(consumer)
    slot = PartitionSlot("orders", 0)
    lane = world.store.slots[slot].lanes["g"]

    world.store.slots[slot] = world.store.slots[slot].with_lane(
        "g", evolve(lane, owner="another", epoch=lane.epoch + 1)
    )
    with pytest.raises(PartitionLost):
        await message.forward(bills, "k", b"late")
    assert stored(world, "bills") == []


@virtually
async def test_forwarding_where_no_single_step_reaches_is_refused_with_the_remedy(world: World) -> None:
    segmenter, orders, _ = await made(world, partitions=1)
    elsewhere = await world.segmenter().get_stream("bills")
    durable = await segmenter.get_stream("bills", durability=Durability(replicas=1))
    await orders.send("k", b"x")
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    message = await anext(consumer)
    with pytest.raises(InvalidArgument, match="open it with the Segmenter of this consumer, or send and then ack"):
        await message.forward(elsewhere, "k", b"y")
    with pytest.raises(InvalidArgument, match="opened with durability"):
        await message.forward(durable, "k", b"y")
    message.ack()


@virtually
async def test_a_message_can_be_forwarded_to_its_own_partition(world: World) -> None:
    segmenter, orders, _ = await made(world, partitions=1)
    await orders.send("k", b"1")
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    await (await anext(consumer)).forward(orders, "k", b"2")
    again = await anext(consumer)
    assert again.data == b"2"
    again.ack()
    await consumer.commit()
    assert (await segmenter.describe("orders", "g")).lag == 0
