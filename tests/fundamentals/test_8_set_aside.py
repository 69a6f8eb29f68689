"""Messages that fail for good are set aside, parked or dead, and can be taken up again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from random import Random

import pytest

from segmenter import Consumer, Message, OutOfOrderAck, Segmenter, SetAside, Shelves, StaleDelivery, Stream, StreamError
from segmenter.core import parking
from segmenter.core.aside import Request
from segmenter.core.command import PartitionSlot
from segmenter.core.letters import Redrive
from segmenter.core.observations import Congested
from segmenter.testing.simulation import FaultyBackend, Network
from segmenter_memory import MemoryBackend
from tests.world import World, virtually

Outcome = Callable[[Message], None]


async def handle(world: World, consumer: Consumer, outcome: Outcome) -> None:
    """Hand every message to a function that ends it, and keep it in ``handled``."""
    async for message in consumer:
        world.note("a", message)
        outcome(message)


async def start(world: World, outcome: Outcome, *, partitions: int = 1) -> tuple[Stream, Shelves, Consumer]:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=partitions)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, observer=world.observer("a"))
    world.tasks.append(world.loop.create_task(handle(world, consumer, outcome)))
    return orders, await segmenter.shelves("orders", "g"), consumer


def datas(letters: list[SetAside]) -> list[bytes]:
    return [letter.data for letter in letters]


async def send(orders: Stream, *messages: str) -> None:
    """Each is named by its key and a number: ``a1``."""
    for message in messages:
        await orders.send(message[0], message.encode())


def failing(*bad: bytes) -> tuple[set[bytes], Outcome]:
    """An outcome that parks these messages as long as they are in the set, and acknowledges all others."""
    broken = set(bad)

    def outcome(message: Message) -> None:
        if message.data in broken:
            message.park(f"cannot handle {message.data.decode()}")
        else:
            message.ack()

    return broken, outcome


@virtually
async def test_a_parked_message_holds_back_the_later_ones_of_its_key_and_no_others(world: World) -> None:
    _, outcome = failing(b"a1")
    orders, shelves, _ = await start(world, outcome)
    await send(orders, "a1", "b1", "a2", "b2", "a3")
    await asyncio.sleep(1)
    assert [data for _, _, data in world.handled] == [b"a1", b"b1", b"b2"]
    parked = await shelves.parked()
    assert [(each.data, each.attempts, each.reason) for each in parked] == [
        (b"a1", 1, "cannot handle a1"),
        (b"a2", 0, parking.BEHIND),
        (b"a3", 0, parking.BEHIND),
    ]
    snapshot = await world.segmenters[0].describe("orders", "g")
    assert (snapshot.lag, snapshot.partitions[0].parked) == (0, 3)


@virtually
async def test_what_is_parked_is_redriven_in_order_while_new_messages_arrive(world: World) -> None:
    broken, outcome = failing(b"a1")
    orders, shelves, _ = await start(world, outcome)
    await send(orders, "a1", "a2", "a3")
    await asyncio.sleep(1)
    broken.clear()
    world.handled.clear()
    assert await shelves.redrive("a") == 3
    await send(orders, "a4", "b1", "a5")
    await asyncio.sleep(2)
    await send(orders, "a6")
    await asyncio.sleep(1)
    assert world.by_key() == {"a": [b"a1", b"a2", b"a3", b"a4", b"a5", b"a6"], "b": [b"b1"]}
    assert await shelves.parked() == []
    lane = world.store.slots[PartitionSlot("orders", 0)].lanes["g"]
    assert lane.aside.requests == ()


@virtually
async def test_a_redrive_reaches_the_owner_at_once(world: World) -> None:
    """Not at its next heartbeat."""
    broken, outcome = failing(b"a1")
    orders, shelves, _ = await start(world, outcome)
    await send(orders, "a1")
    await asyncio.sleep(1)
    broken.clear()
    asked_at = world.loop.time()
    await shelves.redrive()
    await world.until(lambda: len(world.handled) == 2)
    assert world.loop.time() - asked_at <= 0.01


@virtually
async def test_a_message_that_fails_again_stays_parked_with_what_is_behind_it(world: World) -> None:
    broken, outcome = failing(b"a1", b"a2")
    orders, shelves, _ = await start(world, outcome)
    await send(orders, "a1", "a2", "a3")
    await asyncio.sleep(1)
    broken.discard(b"a1")
    world.handled.clear()
    await shelves.redrive()
    await asyncio.sleep(1)
    assert world.by_key() == {"a": [b"a1", b"a2"]}
    assert [(each.data, each.reason) for each in await shelves.parked()] == [
        (b"a2", "cannot handle a2"),
        (b"a3", parking.BEHIND),
    ]
    broken.clear()
    await shelves.redrive()
    await asyncio.sleep(1)
    assert world.by_key() == {"a": [b"a1", b"a2", b"a2", b"a3"]}


@virtually
async def test_a_long_list_is_redriven_page_by_page_in_order(world: World) -> None:
    broken, outcome = failing(b"a0")
    orders, shelves, _ = await start(world, outcome)
    await orders.send_many([("a", b"a%d" % number) for number in range(1_000)])
    await asyncio.sleep(2)
    assert len(await shelves.parked(limit=5_000)) == 1_000
    broken.clear()
    world.handled.clear()
    await shelves.redrive()
    await send(orders, "a-last")
    await asyncio.sleep(5)
    assert world.by_key()["a"] == [*(b"a%d" % number for number in range(1_000)), b"a-last"]
    assert await shelves.parked() == []


@virtually
async def test_what_is_parked_can_be_discarded_and_its_key_goes_on(world: World) -> None:
    broken, outcome = failing(b"a1", b"b1")
    orders, shelves, _ = await start(world, outcome)
    await send(orders, "a1", "a2", "b1")
    await asyncio.sleep(1)
    broken.clear()
    world.handled.clear()
    assert await shelves.discard("a") == 2
    await asyncio.sleep(1)
    await send(orders, "a3")
    await asyncio.sleep(1)
    assert world.by_key() == {"a": [b"a3"]}
    assert datas(await shelves.parked()) == [b"b1"]


@virtually
async def test_parked_keys_stay_parked_when_the_partition_moves(world: World) -> None:
    """Otherwise a restart would let a key overtake its own failure."""
    broken, outcome = failing(b"a1")
    orders, shelves, consumer = await start(world, outcome)
    await send(orders, "a1")
    await asyncio.sleep(1)
    consumer.halt()
    broken.clear()
    await world.worker("b")
    await send(orders, "a2", "b1")
    await asyncio.sleep(3)
    assert world.by_key() == {"a": [b"a1"], "b": [b"b1"]}
    await shelves.redrive()
    await asyncio.sleep(1)
    assert world.by_key()["a"] == [b"a1", b"a1", b"a2"]


@virtually
async def test_a_request_outlives_the_owner_that_was_to_carry_it_out(world: World) -> None:
    broken, outcome = failing(b"a1")
    orders, shelves, consumer = await start(world, outcome)
    await send(orders, "a1", "a2")
    await asyncio.sleep(1)
    consumer.halt()
    broken.clear()
    await shelves.redrive("a")
    await world.worker("b")
    await asyncio.sleep(3)
    assert world.by_key() == {"a": [b"a1", b"a1", b"a2"]}


@virtually
async def test_a_dead_letter_lets_its_key_go_on(world: World) -> None:
    def outcome(message: Message) -> None:
        message.reject("no such account") if message.data == b"a1" else message.ack()

    orders, shelves, _ = await start(world, outcome)
    await send(orders, "a1", "a2")
    await asyncio.sleep(1)
    assert world.by_key() == {"a": [b"a1", b"a2"]}
    (letter,) = await shelves.dead()
    assert (letter.key, letter.data, letter.attempts, letter.reason) == ("a", b"a1", 1, "no such account")
    assert letter.timestamp.year == 2023


@virtually
async def test_dead_letters_are_replayed_to_the_end_and_purged(world: World) -> None:
    dead = {b"a1", b"b1"}

    def outcome(message: Message) -> None:
        message.reject() if message.data in dead else message.ack()

    orders, shelves, _ = await start(world, outcome, partitions=4)
    await send(orders, "a1", "a2", "b1")
    await asyncio.sleep(1)
    dead.clear()
    letters = await shelves.dead("a")
    assert await shelves.replay(letters) == 1
    assert await shelves.replay(letters) == 0, "once more sends nothing twice"
    await asyncio.sleep(1)
    assert world.by_key() == {"a": [b"a1", b"a2", b"a1"], "b": [b"b1"]}
    assert await shelves.purge() == 1
    assert await shelves.dead() == []


@virtually
async def test_setting_aside_has_its_place_in_the_order_of_the_key(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await send(orders, "a1", "a2", "a3")
    consumer = await world.segmenters[0].register_consumer("orders", group="g", session_timeout=1.0)
    first, second, third = await consumer.read(timeout=1)
    for end in (second.park, second.reject):
        with pytest.raises(OutOfOrderAck, match="cannot be acknowledged, rejected or parked before"):
            end("too early")
    first.park("bad")
    first.park("twice changes nothing")
    with pytest.raises(StaleDelivery):
        third.ack()
    await consumer.commit()
    shelves = await world.segmenters[0].shelves("orders", "g")
    assert datas(await shelves.parked()) == [b"a1", b"a2", b"a3"]


@virtually
async def test_a_partition_full_of_dead_letters_is_read_no_further_and_says_so(
    world: World,
) -> None:
    """Without a bound, one bad release of a handler would fill the server's memory."""

    def outcome(message: Message) -> None:
        message.reject()

    orders, shelves, _ = await start(world, outcome)
    for _ in range(13):
        await orders.send_many([("a", b"d") for _ in range(1_000)])
    await world.until(lambda: bool(world.times(Congested)), limit_s=30)
    handled = len(world.handled)
    assert 10_000 <= handled < 13_000
    await asyncio.sleep(5)
    assert (len(world.handled), len(world.times(Congested))) == (handled, 1)
    await shelves.purge()
    await world.until(lambda: len(world.handled) == 13_000)


@virtually
async def test_a_message_that_kills_its_process_is_found_while_the_others_get_done(world: World) -> None:
    """The second unclean end makes the owners careful; each further one counts an attempt of the culprit alone."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await send(orders, "a1", "x1", "b1", "c1", "a2")
    attempts, marks = [], []
    for number in range(5):
        consumer = await world.segmenter().register_consumer("orders", group="g", session_timeout=1.0, batch_size=100)
        while batch := await consumer.read(timeout=5):
            deadly = [message for message in batch if message.data == b"x1"]
            if deadly and deadly[0].attempt <= 2:
                attempts.append((number, [message.data for message in batch], deadly[0].attempt))
                marks.append(world.store.slots[PartitionSlot("orders", 0)].lanes["g"].progress.trying)
                consumer.halt()
                break
            for message in batch:
                world.note("a", message)
                message.park("it kills") if message in deadly else message.ack()
            await consumer.commit()
        else:
            break
    everything = [b"a1", b"x1", b"b1", b"c1", b"a2"]
    assert attempts[:2] == [(0, everything, 1), (1, everything, 1)]
    assert attempts[2:] == [(2, [b"x1"], 1), (3, [b"x1"], 2)]
    assert marks[2:] == [1, 1], "the mark was not stored before the message was handed out"
    assert sorted(data for _, _, data in world.handled) == sorted(everything)
    shelves = await world.segmenters[0].shelves("orders", "g")
    assert datas(await shelves.parked()) == [b"x1"]


@virtually
async def test_a_message_that_kills_its_process_when_it_is_redriven_is_found_as_well(world: World) -> None:
    """It lies behind the watermark, and others are done between the deaths: no progress tells of it."""
    _, outcome = failing(b"x1")
    orders, shelves, consumer = await start(world, outcome)
    await send(orders, "x1", "x2")
    await asyncio.sleep(1)
    await consumer.shutdown()
    await shelves.redrive("x")
    deaths: list[int] = []

    async def live() -> None:
        consumer = await world.segmenter().register_consumer("orders", group="g", session_timeout=1.0)
        async for message in consumer:
            if message.data != b"x1":
                message.ack()
            elif message.attempt > 2:
                message.park("it kills")
            else:
                deaths.append(message.attempt)
                consumer.halt()
                return

    lane = world.store.slots[PartitionSlot("orders", 0)].lanes["g"]
    while lane.aside.requests:
        living = world.loop.create_task(live())
        world.tasks.append(living)
        await send(orders, "a1")
        await asyncio.sleep(2)
        lane = world.store.slots[PartitionSlot("orders", 0)].lanes["g"]
    assert deaths == [1, 1, 1, 2], "two before they are careful, and each one after that is counted"
    assert [(each.data, each.reason) for each in await shelves.parked()] == [
        (b"x1", "it kills"),
        (b"x2", parking.BEHIND),
    ]


async def busily(world: World, orders: Stream, *keys: str) -> None:
    """Send all the time."""
    for number in itertools.count(100):
        await send(orders, *(f"{key}{number}" for key in keys))
        await asyncio.sleep(0.005)


@virtually
async def test_a_redrive_goes_on_though_the_key_never_rests_and_answers_take_their_time(world: World) -> None:
    """There is always a commit under way, and always something that was parked just now."""
    broken, outcome = failing(b"a1")
    network = Network(Random(5))
    network.delay_s = 0.05
    far = Segmenter(backend=FaultyBackend(MemoryBackend(store=world.store), network), host=world.host)
    world.segmenters.append(far)
    orders = await world.segmenter().register_stream("orders", partitions=1)
    consumer = await far.register_consumer("orders", group="g", session_timeout=1.0, commit_interval=0.01)
    world.tasks.append(world.loop.create_task(handle(world, consumer, outcome)))
    await send(orders, "a1", "a2")
    world.tasks.append(world.loop.create_task(busily(world, orders, "a", "b")))
    await asyncio.sleep(1)
    broken.clear()
    await (await world.segmenters[1].shelves("orders", "g")).redrive("a")
    await asyncio.sleep(2)
    redriven = world.by_key()["a"]
    assert redriven[:3] == [b"a1", b"a1", b"a2"]
    assert len(redriven) > 200, "what had arrived by then"


@virtually
async def test_a_request_whose_announcement_was_lost_is_found_within_a_session_on_a_busy_partition(
    world: World,
) -> None:
    broken, outcome = failing(b"a1")
    orders, _, _ = await start(world, outcome)
    await send(orders, "a1")
    world.tasks.append(world.loop.create_task(busily(world, orders, "b")))
    await asyncio.sleep(1)
    broken.clear()
    world.store.apply(Redrive(PartitionSlot("orders", 0), "g", Request("redrive", b"a", "t")))
    await world.until(lambda: len(world.by_key()["a"]) == 2, limit_s=1.0)


@virtually
async def test_moving_a_group_forgets_what_is_parked_behind_the_new_place(world: World) -> None:
    """It will be read once more, and must not come twice."""
    broken, outcome = failing(b"a2")
    orders, shelves, consumer = await start(world, outcome)
    await send(orders, "a1", "a2", "a3")
    await asyncio.sleep(1)
    broken.clear()
    await consumer.seek(0, "earliest")
    await asyncio.sleep(1)
    assert world.by_key() == {"a": [b"a1", b"a2", b"a1", b"a2", b"a3"]}
    assert await shelves.parked() == []


@virtually
async def test_shelves_of_a_group_that_is_not_there_are_an_error(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=1)
    shelves = await world.segmenters[0].shelves("orders", "nobody")
    for ask in (shelves.parked, shelves.dead, shelves.redrive, shelves.discard, shelves.purge):
        with pytest.raises(StreamError, match="there is no group 'nobody' on 'orders'"):
            await ask()
