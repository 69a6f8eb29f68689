"""What goes wrong at the server is told, and what can go on goes on."""

from __future__ import annotations

import asyncio
import logging

import pytest
from attrs import evolve

from segmenter import ConsumerDead, StreamLost
from segmenter.core.command import PartitionSlot
from segmenter.core.observations import Lost, Skipped
from segmenter.core.partition import PartitionState
from tests.world import World, virtually


@virtually
async def test_an_idle_consumer_notices_within_a_heartbeat_that_its_stream_is_gone(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    await asyncio.sleep(0.5)
    del world.store.slots[PartitionSlot("orders", 0)]
    began = world.loop.time()
    with pytest.raises(ConsumerDead, match="is gone") as stopped:
        await consumer.read(timeout=30)
    assert isinstance(stopped.value.__cause__, StreamLost)
    assert world.loop.time() - began <= 2 * 0.2 + 0.01


@virtually
async def test_a_server_that_lost_a_suffix_is_claimed_anew_and_read_from_what_it_kept(world: World) -> None:
    """Going on as if nothing had happened would settle messages that nobody has read."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    slot = PartitionSlot("orders", 0)
    await world.worker("a")
    await orders.send_many([("k", b"%d" % number) for number in range(5)])
    await world.until(lambda: len(world.handled) == 5)
    await asyncio.sleep(0.5)
    earlier = world.store.slots[slot]
    await orders.send_many([("k", b"%d" % number) for number in range(5, 8)])
    await world.until(lambda: len(world.handled) == 8)
    await asyncio.sleep(0.5)
    world.store.slots[slot], world.store.history = earlier, "1"  # the last three and their commit are gone
    await asyncio.sleep(0.5)
    assert len(world.times(Lost, "a")) == 1
    again = await world.segmenter().get_stream("orders")
    await again.send("k", b"after")
    await world.until(lambda: world.handled[-1][2] == b"after")


@virtually
async def test_messages_that_were_dropped_unread_are_counted(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, partition_size=10, on_full="drop_oldest")
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, observer=world.observer("c"))
    await asyncio.sleep(0.5)
    consumer.halt()
    for number in range(25):
        await orders.send("k", b"%d" % number)
    await world.worker("heir")
    await world.until(lambda: len(world.handled) == 10)
    assert [seen.count for _, _, seen in world.observed if isinstance(seen, Skipped)] == [15]
    assert [data for _, _, data in world.handled] == [b"%d" % number for number in range(15, 25)]


@virtually
async def test_a_trimmed_log_under_an_idle_owner_is_noticed(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer(
        "orders", group="g", session_timeout=1.0, read_ahead=1, observer=world.observer("c")
    )
    await orders.send_many([("k", b"%d" % number) for number in range(6)])
    await anext(consumer)  # held, so that nothing is committed
    state = world.store.slots[PartitionSlot("orders", 0)]
    assert isinstance(state, PartitionState)
    world.store.slots[PartitionSlot("orders", 0)] = evolve(state, log=state.log.without_first(4))
    await world.until(lambda: any(isinstance(seen, Skipped) for _, _, seen in world.observed))
    assert [seen.count for _, _, seen in world.observed if isinstance(seen, Skipped)] == [4]


def test_losses_are_logged_as_warnings(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(world: World) -> None:
        segmenter = world.segmenter()
        orders = await segmenter.register_stream("orders", partitions=1)
        await orders.send_many([("k", b"0"), ("k", b"1")])
        async with segmenter.register_consumer("orders", group="g", session_timeout=1.0) as consumer:
            message = await anext(consumer)
            world.loop.call_later(2, message.ack)
            (await anext(consumer)).ack()

    with caplog.at_level(logging.DEBUG, "segmenter"):
        virtually(scene)()
    stalled = [record for record in caplog.records if "Stalled" in record.message]
    assert [record.levelname for record in stalled] == ["WARNING"]
    assert (stalled[0].stream, stalled[0].group, stalled[0].keys) == ("orders", "g", ("k",))  # type: ignore[attr-defined]
