"""The fundamentals, each through the async API and through the blocking one, on memory and on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segmenter import (
    ConsumerDead,
    ConsumerError,
    EmptyGroupName,
    EmptyStreamName,
    ForeignMessage,
    GroupNotEmpty,
    InvalidArgument,
    InvalidBatchSize,
    InvalidPartitionCount,
    Message,
    MessageTooLarge,
    NonExistentStream,
    OutOfOrderAck,
    PartitionLost,
    SegmenterError,
    SessionMismatch,
    StaleDelivery,
    StreamError,
    StreamFull,
    StreamMismatch,
)
from tests.blocking.both import Place, both, eventually

# --- sending and consuming ------------------------------------------------------------------------------------------


@both
async def test_what_is_sent_is_handed_out(place: Place) -> None:
    async with place.segmenter() as segmenter:
        orders = await segmenter.register_stream("orders", partitions=4)
        sent = await orders.send("customer-42", b"created", headers={"trace": "abc"})
        async with await segmenter.register_consumer("orders", group="billing") as consumer:
            message = await anext(consumer)
            assert (message.key, message.data, message.headers) == ("customer-42", b"created", {"trace": "abc"})
            assert (message.partition, message.id, message.attempt) == (sent.partition, sent.id, 1)
            assert (message.stream, message.group) == ("orders", "billing")
            assert (orders.name, orders.partitions, orders.partition_of("customer-42")) == ("orders", 4, sent.partition)


@both
async def test_messages_of_a_key_come_in_the_order_they_were_sent(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    sent = await orders.send_many((f"k{n % 7}", b"%d" % n) for n in range(700))
    assert len({(receipt.partition, receipt.id) for receipt in sent}) == 700
    by_key: dict[str, list[int]] = {}
    consumer = await segmenter.register_consumer("orders", group="g")
    async for message in consumer:
        by_key.setdefault(message.key, []).append(int(message.data))
        message.ack()
        if sum(map(len, by_key.values())) == 700:
            break
    assert by_key == {f"k{key}": list(range(key, 700, 7)) for key in range(7)}


@both
async def test_batches_are_read_settled_and_stored(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    consumer = await segmenter.register_consumer("orders", group="g", batch_size=50)
    assert await consumer.read(timeout=0) == []
    await orders.send_many((f"k{n % 7}", b"%d" % n) for n in range(500))
    data: list[bytes] = []
    while len(data) < 500:
        batch = await consumer.read()
        assert 0 < len(batch) <= 50
        for message in batch:
            message.ack()
            assert message.settled
        data += [message.data for message in batch]
    await consumer.commit()
    assert sorted(map(int, data)) == list(range(500))
    assert (await segmenter.describe("orders", "g")).lag == 0


@both
async def test_batches_of_one_partition(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    await orders.send_many((f"k{n}", b"%d" % n) for n in range(100))
    consumer = await segmenter.register_consumer("orders", group="g", batch_size=8)
    seen = 0
    batches = consumer.batches()
    while seen < 100:
        batch = await asyncio.to_thread(next, batches) if hasattr(batches, "__next__") else await anext(batches)
        assert len({message.partition for message in batch}) == 1
        await consumer.ack(*batch)
        seen += len(batch)
    assert (await segmenter.describe("orders", "g")).lag == 0


@both
async def test_each_group_gets_every_message(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await orders.send_many((f"k{n}", b"%d" % n) for n in range(20))
    for group in ("billing", "shipping"):
        async with await segmenter.register_consumer("orders", group=group) as consumer:
            data = {(await anext(consumer)).data for _ in range(20)}
            assert data == {b"%d" % n for n in range(20)}


# --- settling -------------------------------------------------------------------------------------------------------


@both
async def test_iteration_hands_out_one_message_of_a_key_at_a_time(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("a", b"2"), ("b", b"1")])
    consumer = await segmenter.register_consumer("orders", group="g")
    first, second = await anext(consumer), await anext(consumer)
    assert {first.key, second.key} == {"a", "b"}
    assert await consumer.read(timeout=0) == []
    (first if first.key == "a" else second).ack()
    assert (await anext(consumer)).data == b"2"


@both
async def test_messages_of_a_key_are_acknowledged_in_order(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("a", b"2")])
    consumer = await segmenter.register_consumer("orders", group="g")
    first, second = await consumer.read()
    with pytest.raises(OutOfOrderAck, match="cannot be acknowledged, rejected or parked before"):
        second.ack()
    first.ack()
    second.ack()
    second.ack()  # twice is harmless
    assert second.settled


@both
async def test_a_local_acknowledgement_is_stored_though_nothing_more_is_asked_for(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2")])
    consumer = await segmenter.register_consumer("orders", group="g")
    (await anext(consumer)).ack()
    await anext(consumer)  # in flight, so that nothing hurries the commit

    async def stored() -> bool:
        return bool((await segmenter.describe("orders", "g")).lag == 1)

    await eventually(stored)


@both
async def test_a_message_given_back_comes_again_before_the_later_ones_of_its_key(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("a", b"2"), ("b", b"1")])
    consumer = await segmenter.register_consumer("orders", group="g")
    failed, later, other = await consumer.read()
    await consumer.nack(failed, delay=0.05)
    for taken_back in (failed, later):
        with pytest.raises(StaleDelivery):
            taken_back.ack()
    other.ack()
    again = await consumer.read()
    assert [(message.data, message.attempt) for message in again] == [(b"1", 2), (b"2", 1)]
    again[0].nack()
    assert [message.attempt for message in await consumer.read()] == [3, 1]


@both
async def test_a_message_that_was_given_back_with_a_delay_waits_with_the_next_consumer_too(place: Place) -> None:
    """A deploy must not bring it back early."""
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2"), ("c", b"3")])
    consumer = await segmenter.register_consumer("orders", group="g")
    first, second, third = await consumer.read()
    first.nack(delay=3_600)
    await consumer.nack(second, delay=3_600)
    third.nack(delay=0.3)
    await consumer.shutdown()
    heir = await segmenter.register_consumer("orders", group="g")
    (again,) = await heir.read()
    assert (again.data, again.attempt) == (b"3", 2)
    assert await heir.read(timeout=0.05) == []


@both
async def test_what_is_in_hand_when_a_consumer_is_shut_down_has_not_been_tried(place: Place) -> None:
    """Or each deployment would bring a message nearer to the end of its attempts. What was acknowledged is done."""
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2"), ("b", b"3")])
    consumer = await segmenter.register_consumer("orders", group="g")
    done, *left = await consumer.read()
    done.ack()
    await consumer.shutdown(drain=False)
    with pytest.raises(ConsumerError):
        left[0].ack()
    heir = await segmenter.register_consumer("orders", group="g")
    assert [(message.data, message.attempt) for message in await heir.read()] == [(b"2", 1), (b"3", 1)]


@both
async def test_a_message_that_takes_too_long_is_taken_back(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    consumer = await segmenter.register_consumer("orders", group="g", max_processing_time=0.2)
    late = await anext(consumer)
    again = await anext(consumer)
    assert (again.data, again.attempt) == (b"1", 2)
    with pytest.raises(StaleDelivery):
        late.ack()
    await consumer.ack(again)


@both
async def test_pausing_and_seeking(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer("orders", group="g")
    sent = await orders.send_many([("a", b"%d" % n) for n in range(4)])
    await consumer.ack(*await consumer.read())
    consumer.pause()
    await consumer.seek(0, sent[1].id)
    assert await consumer.read(timeout=0.05) == []
    assert consumer.partitions == [0]
    consumer.resume()
    assert [message.data for message in await consumer.read()] == [b"2", b"3"]


# --- rebalancing ----------------------------------------------------------------------------------------------------


async def _work(consumer: Any, handled: list[tuple[str, int]], limit: int) -> None:
    async for message in consumer:
        handled.append((message.key, int(message.data)))
        message.ack()
        if len(handled) >= limit:
            return


@both
async def test_two_consumers_share_the_partitions_and_keep_the_order(place: Place) -> None:
    producer = place.segmenter()
    orders = await producer.register_stream("orders", partitions=4)
    options = {"group": "g", "session_timeout": 2.0}
    first = await place.segmenter().register_consumer("orders", **options)
    handled: list[tuple[str, int]] = []
    working = [asyncio.ensure_future(_work(first, handled, 2000))]
    for start in range(0, 1000, 100):
        await orders.send_many([(f"k{n % 13}", b"%d" % n) for n in range(start, start + 100)])
    second = await place.segmenter().register_consumer("orders", **options)
    working.append(asyncio.ensure_future(_work(second, handled, 2000)))
    for start in range(1000, 2000, 100):
        await orders.send_many([(f"k{n % 13}", b"%d" % n) for n in range(start, start + 100)])

    async def shared() -> bool:
        return len(first.partitions) == 2 == len(second.partitions)

    await eventually(shared)
    await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
    for consumer in (first, second):
        await consumer.shutdown(drain=False)
    await asyncio.gather(*working)
    assert sorted(number for _, number in handled) == list(range(2000)), "a graceful move loses and doubles nothing"
    for key in {key for key, _ in handled}:
        numbers = [number for each, number in handled if each == key]
        assert numbers == sorted(numbers)


@both
async def test_a_partition_moves_when_its_messages_are_settled_or_their_consumer_is_dead(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(20)])
    options = {"group": "g", "session_timeout": 0.5, "batch_size": 100}
    slow = await segmenter.register_consumer("orders", **options)
    held: list[Message] = []
    while len(held) < 20:
        held += await slow.read()
    heir = await place.segmenter().register_consumer("orders", **options)
    assert await heir.read(timeout=0.3) == [], "a partition moved while its messages were in flight"
    await slow.ack(*held[:5])
    slow.halt()
    again: list[Message] = []
    while len(again) < 15:
        again += await heir.read()
    with pytest.raises((PartitionLost, StaleDelivery)):
        held[-1].ack()
    assert {message.data for message in again} == {message.data for message in held[5:]}


@both
async def test_hooks_are_told_when_partitions_come_and_go(place: Place) -> None:
    segmenter = place.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    told: list[tuple[str, int]] = []
    consumer = await segmenter.register_consumer(
        "orders",
        group="g",
        on_assigned=lambda partition: told.append(("assigned", partition)),
        on_revoked=lambda partition: told.append(("revoked", partition)),
    )

    async def assigned() -> bool:
        return len(told) == 2

    await eventually(assigned)
    await consumer.shutdown()
    assert sorted(told) == [("assigned", 0), ("assigned", 1), ("revoked", 0), ("revoked", 1)]


# --- bad input ------------------------------------------------------------------------------------------------------


@both
async def test_what_cannot_be_is_refused_and_loses_nothing(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, partition_size=3)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=2)
    stranger = await segmenter.register_consumer("orders", group="other", session_timeout=2)
    await orders.send_many([("k", b"0"), ("k", b"1"), ("k", b"2")])
    messages = await consumer.read()
    refused: list[tuple[Any, type[Exception], str]] = [
        (lambda: segmenter.register_stream(""), EmptyStreamName, "such as 'orders'"),
        (lambda: segmenter.register_stream("a", partitions=0), InvalidPartitionCount, "from 1 to 1024"),
        (lambda: segmenter.register_stream("orders", partitions=2), StreamMismatch, "partitions"),
        (lambda: segmenter.get_stream("nowhere"), NonExistentStream, "nowhere"),
        (lambda: segmenter.register_consumer("nowhere", group="g"), NonExistentStream, "nowhere"),
        (lambda: segmenter.register_consumer("orders", group=""), EmptyGroupName, "such as 'billing'"),
        (lambda: segmenter.register_consumer("orders", group="g", batch_size=0), InvalidBatchSize, "0"),
        (lambda: segmenter.register_consumer("orders", group="g", commit_interval=-1), InvalidArgument, "-1"),
        (lambda: segmenter.register_consumer("orders", group="g"), SessionMismatch, "time-out of 2 s"),
        (lambda: segmenter.describe("orders", "nobody"), StreamError, "no group 'nobody'"),
        (lambda: segmenter.remove_group("orders", "g"), GroupNotEmpty, "stop them"),
        (lambda: segmenter.reset_group("orders", "g", "earliest"), GroupNotEmpty, "stop them"),
        (lambda: orders.send("", b""), InvalidArgument, "key is empty"),
        (lambda: orders.send("k", "text"), InvalidArgument, "data is of type str"),
        (lambda: orders.send("k", b"x" * (2 << 20)), MessageTooLarge, "limit is 1,048,576"),
        (lambda: orders.send("k", b"3"), StreamFull, "yet to settle 3 messages"),
        (lambda: orders.send_many(["k"]), InvalidArgument, "a tuple of key and data"),
        (lambda: orders.alter(partition_size=0), InvalidArgument, "0"),
        (lambda: consumer.seek(7, "earliest"), InvalidArgument, "partition 7 is not owned"),
        (lambda: consumer.ack("message"), ForeignMessage, "is not a message"),
        (lambda: stranger.ack(messages[0]), ForeignMessage, "not handed out by this consumer"),
        (lambda: stranger.nack(messages[0]), ForeignMessage, "not handed out by this consumer"),
    ]
    for call, error, words in refused:
        with pytest.raises(error, match=words):
            await call()
    await consumer.ack(*messages)
    assert [message.data for message in messages] == [b"0", b"1", b"2"]


# --- closing --------------------------------------------------------------------------------------------------------


@both
async def test_what_is_not_acknowledged_is_delivered_again_after_a_shutdown(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2"), ("c", b"3")])
    async with await segmenter.register_consumer("orders", group="g") as consumer:
        messages = await consumer.read()
        messages[0].ack()
        messages[2].ack()
    with pytest.raises((PartitionLost, StaleDelivery)):
        messages[1].ack()
    async with await segmenter.register_consumer("orders", group="g") as consumer:
        assert [message.data for message in await consumer.read()] == [b"2"]


@both
async def test_after_a_shutdown_nothing_can_be_read(place: Place) -> None:
    segmenter = place.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer("orders", group="g")
    waiting = asyncio.ensure_future(consumer.read())
    iterating = asyncio.ensure_future(anext(consumer, None))
    await asyncio.sleep(0)
    await consumer.shutdown(drain=False)
    await consumer.shutdown()
    for call in (waiting, consumer.read(timeout=1), consumer.commit()):
        with pytest.raises(ConsumerDead, match="was shut down"):
            await call
    assert await iterating is None
    assert [message async for message in consumer] == []


@both
async def test_a_shutdown_waits_for_what_is_in_flight(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    consumer = await segmenter.register_consumer("orders", group="g")
    message = await anext(consumer)
    ending = asyncio.ensure_future(consumer.shutdown())
    assert await consumer_is_leaving(segmenter)
    assert not ending.done()
    message.ack()
    await ending
    assert (await segmenter.describe("orders", "g")).lag == 0


async def consumer_is_leaving(segmenter: Any) -> bool:
    async def leaving() -> bool:
        return any(member.leaving for member in (await segmenter.describe("orders", "g")).members)

    await eventually(leaving)
    return True


@both
async def test_after_closing_everything_says_so(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    consumer = await segmenter.register_consumer("orders", group="g")
    message = await anext(consumer)
    await segmenter.aclose()
    await segmenter.aclose()
    for call in (orders.send("k", b""), segmenter.get_stream("orders"), consumer.read(), consumer.commit()):
        with pytest.raises(ConsumerDead):
            await call
    with pytest.raises(SegmenterError):
        message.ack()
    with pytest.raises(SegmenterError):
        message.nack()
    assert [message async for message in consumer] == []
    await consumer.shutdown()
    snapshot = await place.segmenter().describe("orders", "g")
    assert (snapshot.members, snapshot.lag) == ((), 1)
