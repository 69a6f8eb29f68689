"""What becomes of a message other than being acknowledged, and looking on, through both APIs and from other threads."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from segmenter import InvalidArgument, OutOfOrderAck, PartitionLost, StaleDelivery, StreamFull, sync
from segmenter.core.caution import Caution
from segmenter.core.partition import Progress
from segmenter.sync.desk import LentLanes
from tests.blocking.both import Place, both, eventually

# --- rejected and parked --------------------------------------------------------------------------------------------


@both
async def test_a_rejected_message_is_a_dead_letter_and_its_key_goes_on(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("k", b"1"), ("k", b"2"), ("k", b"3")])
    consumer = await segmenter.register_consumer("orders", group="g")
    first, second, third = await consumer.read()
    with pytest.raises(OutOfOrderAck):
        second.reject("too early")
    first.ack()
    second.reject("no such order")
    second.reject("twice is harmless")
    third.ack()
    assert [each.settled for each in (first, second, third)] == [True, True, True]
    assert not second.current
    await consumer.commit()
    shelves = await segmenter.shelves("orders", "g")
    (letter,) = await shelves.dead()
    assert (letter.key, letter.data, letter.reason) == ("k", b"2", "no such order")
    assert await shelves.replay([letter]) == 1
    again = await anext(consumer)
    assert again.data == b"2"
    assert await shelves.purge() == 0


@both
async def test_a_parked_key_waits_until_it_is_redriven_in_order(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2"), ("a", b"3")])
    consumer = await segmenter.register_consumer("orders", group="g")
    first = await anext(consumer)
    first.park("the bank is closed")
    other = await anext(consumer)
    assert (other.key, other.data) == ("b", b"2")
    await consumer.ack(other)
    shelves = await segmenter.shelves("orders", "g")
    assert [(each.data, each.reason) for each in await shelves.parked("a")] == [
        (b"1", "the bank is closed"),
        (b"3", "behind a parked message of its key"),
    ]
    assert await shelves.redrive() == 2
    for data in (b"1", b"3"):
        message = await anext(consumer)
        assert message.data == data
        await consumer.ack(message)
    assert await shelves.parked() == []
    assert await shelves.discard() == 0


@both
async def test_what_was_taken_back_cannot_be_set_aside(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("k", b"")
    consumer = await segmenter.register_consumer("orders", group="g")
    message = await anext(consumer)
    await consumer.nack(message)
    for attempt in (message.reject, message.park):
        with pytest.raises(StaleDelivery):
            attempt()
    with pytest.raises(StaleDelivery):
        await message.forward(orders, "k", b"")
    held = await anext(consumer)
    await segmenter.aclose()
    for attempt in (held.reject, held.park):
        with pytest.raises((PartitionLost, StaleDelivery)):
            attempt()


# --- forwarded ------------------------------------------------------------------------------------------------------


@both
async def test_a_forwarded_message_is_settled_by_what_is_sent_in_its_place(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    bills = await segmenter.register_stream("bills", partitions=1, partition_size=1, type=str)
    keeper = await segmenter.register_consumer("bills", group="g")
    await orders.send_many([("k", b"1"), ("k", b"2")])
    consumer = await segmenter.register_consumer("orders", group="g")
    message = await anext(consumer)
    await message.forward(bills, "customer-42", "eleven", {"trace": "abc"})
    assert message.settled
    bill = await anext(keeper)
    assert (bill.key, bill.data, bill.headers) == ("customer-42", b"eleven", {"trace": "abc"})
    message = await anext(consumer)
    with pytest.raises(StreamFull):
        await message.forward(bills, "customer-42", "twelve")
    assert message.current
    with pytest.raises(InvalidArgument, match="of type bytes"):
        await message.forward(bills, "customer-42", b"twelve")
    await keeper.ack(bill)
    await eventually_forwarded(message, bills)
    assert (await anext(keeper)).data == b"twelve"


async def eventually_forwarded(message: Any, bills: Any) -> None:
    async def forwarded() -> bool:
        with suppress(StreamFull):
            await message.forward(bills, "customer-42", "twelve")
        return bool(message.settled)

    await eventually(forwarded)


# --- looking and steering -------------------------------------------------------------------------------------------


@both
async def test_a_namespace_is_looked_at_without_being_touched(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await orders.send_many([("a", b"1"), ("b", b"2"), ("a", b"3")])
    consumer = await segmenter.register_consumer("orders", group="g")
    assert await segmenter.streams() == ["orders"]
    assert await segmenter.groups("orders") == ["g"]
    assert (await segmenter.describe_stream("orders")).groups == ("g",)
    assert consumer.id in [each.member for each in await segmenter.rebalances("orders", "g")]
    seen = [message.data async for message in segmenter.tail("orders", start="earliest", follow=False)]
    assert sorted(seen) == [b"1", b"2", b"3"]


@both
async def test_whoever_follows_a_stream_or_a_group_is_told_and_may_stop(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("a", b"1")
    following = segmenter.tail("orders", start="earliest")
    assert (await anext(following)).data == b"1"
    await orders.send("a", b"2")
    assert (await anext(following)).data == b"2"
    await following.aclose()
    hearing = segmenter.hear([("orders", "g")], wait=0.1)
    assert await anext(hearing) == []
    consumer = await segmenter.register_consumer("orders", group="g")
    while not (heard := await anext(hearing)):
        pass
    assert consumer.id in str(heard)
    await hearing.aclose()


@both
async def test_a_paused_group_hands_everything_back_and_goes_on(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    consumer = await segmenter.register_consumer("orders", group="g")

    async def owns(count: int) -> bool:
        return len(consumer.partitions) == count

    await eventually(lambda: owns(2))
    await segmenter.pause_group("orders", "g")
    await eventually(lambda: owns(0))
    await segmenter.reset_group("orders", "g", "latest")
    await segmenter.resume_group("orders", "g")
    await eventually(lambda: owns(2))
    await orders.send("k", b"after")
    assert (await anext(consumer)).data == b"after"


# --- lanes lent to other threads ------------------------------------------------------------------------------------


def _lanes(caution: Caution) -> LentLanes:
    desk: Any = SimpleNamespace(acked={}, collect=lambda: None, took_back=lambda: None)
    about: dict[str, Any] = {"stream": "orders", "group": "g", "partition": 0, "epoch": 1}
    return LentLanes(
        desk,
        forwarding=lambda *_: None,  # type: ignore[arg-type]
        progress=Progress(b"0-0"),
        caution=caution,
        clock=lambda: 0.0,
        touched=lambda: None,
        **about,
    )


def _entries(count: int) -> list[tuple[bytes, tuple[bytes, ...]]]:
    return [(b"%d-0" % number, (b"k", b"k", b"d", b"")) for number in range(1, count + 1)]


def test_what_lay_ready_goes_back_as_it_came_and_goes_out_again_in_order() -> None:
    lanes = _lanes(Caution())
    lanes.offer(_entries(3))
    first, *others = lanes.take(3, whole_batch=True)
    for message in reversed(others):
        lanes.put_back(message)
    assert lanes.take(3, whole_batch=True) == []  # the first one of the key is in hand
    lanes.settle(first)
    assert lanes.take(3, whole_batch=True) == others
    assert [message.attempt for message in others] == [1, 1]


def test_a_suspect_that_lay_ready_goes_out_again_once_its_mark_is_stored() -> None:
    lanes = _lanes(Caution(unclean=2, horizon=2))
    lanes.offer(_entries(2))
    assert lanes.take(2, whole_batch=True) == []  # it is marked first
    lanes.caution.stored(lanes.progress())
    (suspect,) = lanes.take(2, whole_batch=True)
    lanes.put_back(suspect)
    assert (lanes.in_flight, lanes.startable) == (0, False)
    lanes.caution.stored(lanes.progress())
    assert lanes.take(2, whole_batch=True) == [suspect]
    lanes.settle(suspect)
    assert lanes.progress().read == 1


def test_an_iteration_outlives_its_segmenter_in_silence() -> None:
    segmenter = sync.Segmenter("memory://")
    segmenter.register_stream("orders", partitions=1).send("k", b"1")
    following = segmenter.tail("orders", start="earliest")
    assert next(following).data == b"1"
    segmenter.close()
    following.close()
    assert list(following) == []
