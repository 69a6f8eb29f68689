"""Each fault that was found in the Go library by running it, and a test that ours does not have it."""

from __future__ import annotations

import asyncio

import pytest

from segmenter import ConsumerDead, StreamFull, StreamMismatch
from segmenter.core.observations import Granted, HandedBack
from tests.world import World, virtually


@virtually
async def test_unacknowledged_messages_were_overtaken_by_newer_ones(world: World) -> None:
    """It delivered 0, 1, then 2, 3, then 0, 1 again, all of one key."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("k", b"%d" % number) for number in range(4)])
    async with segmenter.register_consumer("orders", group="g", batch_size=2, max_processing_time=2) as consumer:
        first = await consumer.read(timeout=1)
        assert await consumer.read(timeout=1) == []
        again = await consumer.read(timeout=5)
        assert [message.data for message in first] == [message.data for message in again] == [b"0", b"1"]


@virtually
async def test_a_blocked_read_still_received_from_a_revoked_partition(world: World) -> None:
    """What it received was in nobody's hands for a while, and came out of order."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    former = await world.worker("former")
    await world.until(lambda: len(former.partitions) == 2)
    later = await world.worker("later")
    await world.until(lambda: len(later.partitions) == 1)
    moved = later.partitions[0]
    key = next(f"k{number}" for number in range(99) if orders.partition_of(f"k{number}") == moved)
    await orders.send(key, b"after the move")
    await asyncio.sleep(2)
    assert world.handled == [("later", key, b"after the move")]


@virtually
async def test_a_full_stream_dropped_messages_that_nobody_had_read(world: World) -> None:
    """20 were sent, 5 could be read, and nobody was told."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, partition_size=5)
    accepted = 0
    for number in range(20):
        try:
            await orders.send("k", b"%d" % number)
            accepted += 1
        except StreamFull:
            break
    async with segmenter.register_consumer("orders", group="g", batch_size=100) as consumer:
        assert len(await consumer.read(timeout=1)) == accepted == 5


@virtually
async def test_a_crash_took_seconds_and_stalled_the_survivors_partitions(world: World) -> None:
    """7.5 s until the dead consumer's partitions moved, and 7.4 s of silence in the healthy ones."""
    orders = await world.segmenter().register_stream("orders", partitions=4)
    survivor = await world.worker("survivor")
    victim = await world.worker("victim")
    await world.until(lambda: len(victim.partitions) == 2)
    mine = set(survivor.partitions)
    keys = [f"k{number}" for number in range(99) if orders.partition_of(f"k{number}") in mine]
    stalls: list[float] = []
    victim.halt()
    for key in keys:
        began = world.loop.time()
        await orders.send(key, key.encode())
        await world.until(lambda key=key: world.handled[-1:] == [("survivor", key, key.encode())])  # type: ignore[misc]
        stalls.append(world.loop.time() - began)
        await asyncio.sleep(0.05)
    assert max(stalls) < 0.02
    assert len(survivor.partitions) == 4


@virtually
async def test_a_shutdown_took_seconds_and_reads_went_on_after_it(world: World) -> None:
    """4.8 s for four partitions."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    consumer = await segmenter.register_consumer("orders", group="g")
    await world.until(lambda: len(consumer.partitions) == 4)
    began = world.loop.time()
    await consumer.shutdown()
    assert world.loop.time() - began < 0.05
    await orders.send("k", b"")
    with pytest.raises(ConsumerDead):
        await consumer.read(timeout=1)


@virtually
async def test_a_living_consumer_looked_dead_between_two_beats(world: World) -> None:
    """Its heartbeat key expired before it was written again; here ten sessions pass without a move."""
    await world.segmenter().register_stream("orders", partitions=4)
    await world.worker("a")
    await world.worker("b")
    await asyncio.sleep(1)
    granted, handed_back = len(world.times(Granted)), len(world.times(HandedBack))
    await asyncio.sleep(10)
    assert (len(world.times(Granted)), len(world.times(HandedBack))) == (granted, handed_back)


@virtually
async def test_a_lost_lock_was_only_logged(world: World) -> None:
    """It went on processing beside the new owner; here it stops, and cannot acknowledge."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("k", b"0")
    lost: list[int] = []
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, on_lost=lost.append)
    message = await anext(consumer)
    world.store.slots.clear()  # the server lost everything, and with it the ownership
    message.ack()
    await asyncio.sleep(2)
    assert lost == [0]
    with pytest.raises(ConsumerDead):
        await consumer.read(timeout=1)


@virtually
async def test_an_older_assignment_could_overwrite_a_newer_one(world: World) -> None:
    """Twenty members join at once; every write is a compare-and-set, so generations only rise."""
    await world.segmenter().register_stream("orders", partitions=20)
    generations: list[int] = []

    def note(observation: object) -> None:
        generation = getattr(observation, "generation", None)
        if generation is not None:
            generations.append(generation)

    first = await world.segmenter().register_consumer("orders", group="g", session_timeout=1.0, observer=note)
    others = await asyncio.gather(*(world.worker(f"w{number}") for number in range(19)))
    await asyncio.sleep(3)
    assert generations == sorted(generations)
    assert [len(consumer.partitions) for consumer in (first, *others)] == [1] * 20


@virtually
async def test_payloads_came_wrapped_in_json(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    payload = bytes(range(256))
    await orders.send("k", payload)
    async with segmenter.register_consumer("orders", group="g") as consumer:
        assert (await consumer.read(timeout=1))[0].data == payload


@virtually
async def test_two_processes_could_register_one_stream_with_different_partition_counts(world: World) -> None:
    outcomes = await asyncio.gather(
        *(world.segmenter().register_stream("orders", partitions=count) for count in (4, 8, 4, 8)),
        return_exceptions=True,
    )
    counts = {outcome.partitions for outcome in outcomes if not isinstance(outcome, BaseException)}
    assert len(counts) == 1
    assert sum(isinstance(outcome, StreamMismatch) for outcome in outcomes) == 2


@virtually
async def test_a_slow_handler_got_its_message_again_while_it_ran(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await world.worker("slow", work_s=30, max_processing_time=60)
    await orders.send("k", b"0")
    await asyncio.sleep(50)
    assert len(world.handled) == 1


@virtually
async def test_a_group_never_saw_what_was_sent_before_it_came(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=4)
    await orders.send_many([(f"k{number}", b"") for number in range(10)])
    await world.worker("late")
    await world.until(lambda: len(world.handled) == 10)
