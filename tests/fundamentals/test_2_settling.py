"""Acknowledging, giving back, and what is stored when."""

from __future__ import annotations

import asyncio

import pytest

from segmenter import ConsumerDead, OutOfOrderAck, PartitionLost, StaleDelivery
from segmenter.core.observations import Stalled
from tests.world import World, virtually


@virtually
async def test_iteration_hands_out_one_message_of_a_key_at_a_time(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("a", b"2"), ("b", b"1")])
    async with segmenter.register_consumer("orders", group="g", observer=world.observer("c")) as consumer:
        first, second = await anext(consumer), await anext(consumer)
        assert {first.key, second.key} == {"a", "b"}
        third = asyncio.ensure_future(anext(consumer))
        await asyncio.sleep(3)
        assert not third.done(), "the second message of a key was handed out before the first was settled"
        first.ack()
        assert (await third).data == b"2"


@virtually
async def test_a_consumer_that_stands_still_says_which_keys_it_waits_for(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("a", b"2")])
    async with segmenter.register_consumer("orders", group="g", observer=world.observer("c")) as consumer:
        first = await anext(consumer)
        following = asyncio.ensure_future(anext(consumer))
        await world.until(lambda: bool(world.times(Stalled)))
        assert [seen.keys for _, _, seen in world.observed if isinstance(seen, Stalled)] == [("a",)]
        first.ack()
        await following


@virtually
async def test_what_is_not_acknowledged_is_delivered_again_after_a_shutdown(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2"), ("c", b"3")])
    async with segmenter.register_consumer("orders", group="g") as consumer:
        messages = await consumer.read(timeout=1)
        messages[0].ack()
        messages[2].ack()
    async with segmenter.register_consumer("orders", group="g") as consumer:
        assert [message.data for message in await consumer.read(timeout=1)] == [b"2"]


@virtually
async def test_an_awaited_acknowledgement_is_stored_when_it_returns(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    consumer = await segmenter.register_consumer("orders", group="g", commit_interval=10)
    await consumer.ack(*await consumer.read(timeout=1))
    assert (await segmenter.describe("orders", "g")).lag == 0


@virtually
async def test_a_local_acknowledgement_is_stored_within_the_interval(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2")])
    consumer = await segmenter.register_consumer("orders", group="g", commit_interval=0.1)
    message = await anext(consumer)
    await anext(consumer)  # in flight, so that nothing hurries the commit
    message.ack()
    await asyncio.sleep(0.12)
    assert (await segmenter.describe("orders", "g")).lag == 1


@virtually
async def test_messages_of_a_key_are_acknowledged_in_order(world: World) -> None:
    """Otherwise a crash would redeliver the first after the second had taken effect."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("a", b"2")])
    async with segmenter.register_consumer("orders", group="g") as consumer:
        first, second = await consumer.read(timeout=1)
        with pytest.raises(OutOfOrderAck, match="cannot be acknowledged, rejected or parked before"):
            second.ack()
        first.ack()
        second.ack()
        second.ack()  # twice is harmless
        assert second.settled


@virtually
async def test_a_message_given_back_comes_again_before_the_later_ones_of_its_key(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("a", b"2"), ("b", b"1")])
    async with segmenter.register_consumer("orders", group="g") as consumer:
        batch = await consumer.read(timeout=1)
        failed = next(message for message in batch if message.data == b"1" and message.key == "a")
        other = next(message for message in batch if message.key == "b")
        began = world.loop.time()
        await consumer.nack(failed, delay=2)
        other.ack()
        with pytest.raises(StaleDelivery):
            failed.ack()
        again = await consumer.read(timeout=10)
        assert [(message.key, message.data) for message in again] == [("a", b"1"), ("a", b"2")]
        assert [message.attempt for message in again] == [2, 1]
        assert world.loop.time() - began == pytest.approx(2, abs=0.1)


@virtually
async def test_a_message_that_takes_too_long_is_taken_back(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    async with segmenter.register_consumer("orders", group="g", max_processing_time=5) as consumer:
        late = await anext(consumer)
        again = await anext(consumer)
        assert world.loop.time() == pytest.approx(5, abs=0.1)
        assert (again.data, again.attempt) == (b"1", 2)
        with pytest.raises(StaleDelivery):
            late.ack()
        again.ack()


@virtually
async def test_after_a_shutdown_nothing_can_be_read_or_acknowledged(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    consumer = await segmenter.register_consumer("orders", group="g")
    message = await anext(consumer)
    await consumer.shutdown(drain=False)
    await consumer.shutdown()
    with pytest.raises((PartitionLost, StaleDelivery)):
        message.ack()
    with pytest.raises(ConsumerDead, match="was shut down"):
        await consumer.read(timeout=1)
    with pytest.raises(ConsumerDead):
        await consumer.commit()
    assert [message async for message in consumer] == []


@virtually
async def test_a_shutdown_waits_for_what_is_in_flight(world: World) -> None:
    """A handler that is running when the process is told to stop would otherwise run beside its successor's."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    consumer = await segmenter.register_consumer("orders", group="g", drain_timeout=5)
    message = await anext(consumer)
    world.loop.call_later(2, message.ack)
    await consumer.shutdown()
    assert world.loop.time() == pytest.approx(2, abs=0.1)
    assert (await segmenter.describe("orders", "g")).lag == 0


@virtually
async def test_a_shutdown_waits_no_longer_than_its_drain_timeout(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    consumer = await segmenter.register_consumer("orders", group="g", drain_timeout=5)
    message = await anext(consumer)
    await consumer.shutdown()
    assert world.loop.time() == pytest.approx(5, abs=0.1)
    assert (await segmenter.describe("orders", "g")).partitions[0].owner is None
    with pytest.raises((PartitionLost, StaleDelivery)):
        message.ack()


@virtually
async def test_paused_partitions_are_not_handed_out_and_stay_owned(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    keys = {orders.partition_of(f"k{n}"): f"k{n}" for n in range(20)}
    consumer = await segmenter.register_consumer("orders", group="g")
    await asyncio.sleep(1)
    consumer.pause(0)
    await orders.send_many([(keys[0], b"paused"), (keys[1], b"open")])
    assert [message.data for message in await consumer.read(timeout=2)] == [b"open"]
    assert consumer.partitions == [0, 1]
    consumer.resume(0)
    assert [message.data for message in await consumer.read(timeout=2)] == [b"paused"]


@virtually
async def test_a_pause_counts_from_the_next_message_on(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2")])
    consumer = await segmenter.register_consumer("orders", group="g")
    (await anext(consumer)).ack()
    consumer.pause()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(consumer), 5)
    consumer.resume()
    assert (await anext(consumer)).data == b"2"


@virtually
async def test_seeking_moves_the_group_within_a_partition(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    sent = await orders.send_many([("a", b"%d" % n) for n in range(4)])
    consumer = await segmenter.register_consumer("orders", group="g")
    await consumer.ack(*await consumer.read(timeout=1))
    await consumer.seek(0, sent[1].id)
    assert [message.data for message in await consumer.read(timeout=1)] == [b"2", b"3"]
    await consumer.seek(0, "earliest")
    assert [message.data for message in await consumer.read(timeout=1)] == [b"0", b"1", b"2", b"3"]
    await consumer.seek(0, "latest")
    assert await consumer.read(timeout=1) == []
    with pytest.raises(ValueError, match="partition 7 is not owned"):
        await consumer.seek(7, "earliest")


@virtually
async def test_a_slow_key_does_not_hold_up_the_others(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("slow", b"0"), *((f"k{n}", b"") for n in range(5000))])
    consumer = await segmenter.register_consumer("orders", group="g", read_ahead=100)
    slow = await anext(consumer)
    assert slow.key == "slow"
    for _ in range(5000):
        message = await anext(consumer)
        message.ack()
    await consumer.commit()
    lane = (await segmenter.describe("orders", "g")).partitions[0]
    assert (lane.lag, lane.committed) == (1, "0-0")
    slow.ack()
    await consumer.commit()
    assert (await segmenter.describe("orders", "g")).lag == 0
