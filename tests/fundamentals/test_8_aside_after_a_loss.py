"""What is set aside outlives the log that it was copied from: nothing that is sent later takes its place.

Somebody cut the end off a log while the lanes stayed, as if the log alone had been restored from an older copy. What is
sent then gets the ordinals of what is lost.
"""

from __future__ import annotations

import asyncio

from attrs import evolve

from segmenter import Consumer, Message, Stream
from segmenter.core.command import PartitionSlot
from segmenter.core.log import parse_position
from segmenter.core.observations import Truncation
from segmenter.shelves import Shelves
from tests.world import World, virtually

SLOT = PartitionSlot("orders", 0)


class Handlers:
    """Park, reject or keep what they are told to, and acknowledge all else."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.consumer: Consumer  # who gets what is handled
        self.parks: set[bytes] = set()
        self.rejects: set[bytes] = set()
        self.keeps: set[bytes] = set()

    async def handle(self, consumer: Consumer) -> None:
        async for message in consumer:
            self.world.note("a", message)
            self.end(message)

    def end(self, message: Message) -> None:
        if message.data in self.parks:
            message.park("cannot be handled")
        elif message.data in self.rejects:
            message.reject("cannot be handled")
        elif message.data not in self.keeps:
            message.ack()


async def start(world: World) -> tuple[Stream, Shelves, Handlers]:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    handlers = Handlers(world)
    await consume(world, handlers)
    return orders, await segmenter.shelves("orders", "g"), handlers


async def consume(world: World, handlers: Handlers) -> None:
    handlers.consumer = consumer = await world.segmenters[0].register_consumer(
        "orders", group="g", session_timeout=1.0, on_loss="continue", observer=world.observer("a")
    )
    world.tasks.append(world.loop.create_task(handlers.handle(consumer)))


async def send(orders: Stream, *messages: str) -> None:
    """Each is named by its key and a number: ``a1``."""
    for message in messages:
        await orders.send(message[0], message.encode())
    await asyncio.sleep(1)


def cut(world: World, left: int) -> None:
    """The log has lost all behind its first entries, and the producers what they knew."""
    state = world.store.slots[SLOT]
    entries = state.log.entries[:left]
    last = parse_position(entries[-1][0]) if entries else (0, 0)
    log = evolve(state.log, entries=entries, added=state.log.first_ordinal + left, last=last)
    world.store.slots[SLOT] = evolve(state, log=log, producers={})


async def lose(world: World, left: int) -> Stream:
    """Cut the log, let the consumer find out, and return the stream for somebody who sends on."""
    cut(world, left)
    await asyncio.sleep(1)
    return await world.segmenter().get_stream("orders")


def lost(world: World) -> list[int]:
    return [seen.count for _, _, seen in world.observed if isinstance(seen, Truncation)]


@virtually
async def test_what_is_parked_is_not_overwritten_by_what_gets_its_ordinal(world: World) -> None:
    orders, shelves, handlers = await start(world)
    handlers.parks = {b"a1"}
    await send(orders, "b1", "a1", "a2")
    handlers.parks.clear()
    orders = await lose(world, left=1)
    assert lost(world) == [2]
    await send(orders, "a3", "a4", "a5")
    assert [each.data for each in await shelves.parked()] == [b"a1", b"a2", b"a3", b"a4", b"a5"]
    await shelves.redrive()
    await send(orders, "a6")
    assert world.by_key() == {"b": [b"b1"], "a": [b"a1", b"a1", b"a2", b"a3", b"a4", b"a5", b"a6"]}
    assert await shelves.parked() == []


@virtually
async def test_a_letter_in_hand_and_a_message_of_its_ordinal_are_two(world: World) -> None:
    orders, shelves, handlers = await start(world)
    handlers.parks, handlers.keeps = {b"a1"}, {b"a1"}
    await send(orders, "b1", "a1")
    handlers.parks.clear()
    orders = await lose(world, left=1)
    await shelves.redrive()
    await asyncio.sleep(1)
    await send(orders, "b2", "b3")
    assert world.by_key() == {"b": [b"b1", b"b2", b"b3"], "a": [b"a1", b"a1"]}


@virtually
async def test_a_dead_letter_is_not_overwritten_by_one_of_the_same_ordinal(world: World) -> None:
    orders, shelves, handlers = await start(world)
    handlers.rejects = {b"a1", b"a2", b"a3", b"a4"}
    await send(orders, "a1", "a2")
    orders = await lose(world, left=0)
    await send(orders, "a3", "a4")
    assert {each.data for each in await shelves.dead()} == handlers.rejects
    assert await shelves.replay(await shelves.dead()) == 4
    assert await shelves.dead() == []


@virtually
async def test_moving_a_group_forgets_only_what_will_be_read_once_more(world: World) -> None:
    """What is parked and no longer in the log would be lost for good."""
    orders, shelves, handlers = await start(world)
    handlers.parks = {b"a1", b"b1"}
    await send(orders, "a1", "b1")
    await handlers.consumer.shutdown()
    cut(world, left=1)
    orders = await world.segmenter().get_stream("orders")
    await send(orders, "c1", "c2")
    await world.segmenters[0].reset_group("orders", "g", "earliest")
    assert [each.data for each in await shelves.parked()] == [b"b1"]
    handlers.parks.clear()
    world.handled.clear()
    await consume(world, handlers)
    await shelves.redrive()
    await send(orders, "b2")
    assert world.by_key() == {"a": [b"a1"], "b": [b"b1", b"b2"], "c": [b"c1", b"c2"]}


@virtually
async def test_a_second_loss_and_a_third_take_nothing_either(world: World) -> None:
    orders, shelves, handlers = await start(world)
    sent = [f"{key}{number}" for number in range(4) for key in "ad"]
    handlers.parks = {name.encode() for name in sent if name[0] == "a"}
    handlers.rejects = {name.encode() for name in sent if name[0] == "d"}
    for number in range(4):
        await send(orders, f"a{number}", f"d{number}")
        orders = await lose(world, left=0)
    assert lost(world) == [2, 2, 2, 2]
    assert [each.data for each in await shelves.parked()] == [b"a0", b"a1", b"a2", b"a3"]
    assert {each.data for each in await shelves.dead()} == {b"d0", b"d1", b"d2", b"d3"}
    handlers.parks.clear()
    world.handled.clear()
    await shelves.redrive()
    await send(orders, "a4")
    assert world.by_key()["a"] == [b"a0", b"a1", b"a2", b"a3", b"a4"]
