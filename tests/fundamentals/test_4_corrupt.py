"""An entry of a log that is no message of ours is told, and stopped at or passed over; it never ends in silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from segmenter import Consumer, ConsumerDead, Corrupt, Message, PartitionLost, Retry, Segmenter, Stream
from segmenter.core import observations as obs
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.partition import PartitionState, Progress
from segmenter.core.watermark import LIMIT_RANGES
from tests.world import World, virtually

SLOT = PartitionSlot("orders", 0)
FOREIGN = (b"foo", b"bar")


def flat(text: str) -> tuple[bytes, ...]:
    return tuple(text.encode().split(b" "))


CORRUPT = {
    "another program's": FOREIGN,
    "only a key": flat("k x"),
    "only data": flat("d x"),
    "in capitals": flat("K x D y"),
    "two keys": flat("k x d y k z"),
}
ODD = {
    "data first": flat("d odd k a"),
    "a field more": flat("k a d odd x h"),
    "a hundred fields": (*(b"x%d" % n for n in range(200)), *flat("k a d odd")),
}


class Tampered(World):
    """A world in which another program writes to the logs."""

    @property
    def state(self) -> PartitionState:
        state: PartitionState = self.store.slots[SLOT]
        return state

    def progress(self, partition: int = 0) -> Progress:
        progress: Progress = self.store.slots[PartitionSlot("orders", partition)].lanes["g"].progress
        return progress

    def told(self) -> list[obs.Corrupt]:
        return [seen for _, _, seen in self.observed if isinstance(seen, obs.Corrupt)]

    def data(self) -> list[bytes]:
        return [data for _, _, data in self.handled]

    async def stream(self, partitions: int = 1) -> Stream:
        return await self.segmenter().register_stream("orders", partitions=partitions)

    async def consumer(self, name: str = "a", **options: Any) -> Consumer:
        options = {"group": "g", "session_timeout": 1.0, "observer": self.observer(name), **options}
        return await self.segmenter().register_consumer("orders", **options)

    async def settled(self, count: int) -> None:
        """Wait until so much is stored as settled."""
        await self.until(lambda: self.progress().read == count)
        assert self.progress() == Progress(self.state.log.entries[count - 1][0], count)


def tampered(test: Any) -> Any:
    """As ``virtually``, in such a world."""

    async def story(world: World) -> None:
        world.__class__ = Tampered
        await test(world)

    story.__name__, story.__doc__, story.__module__ = test.__name__, test.__doc__, test.__module__
    return virtually(story)


async def death(consumer: Consumer) -> Corrupt:
    """What a consumer ends with that acknowledges all it gets."""
    with pytest.raises(ConsumerDead) as stopped:
        await acknowledge_all(consumer)
    assert isinstance(stopped.value.__cause__, Corrupt)
    return stopped.value.__cause__


async def acknowledge_all(consumer: Consumer) -> None:
    """Go on until nothing has come for a while."""
    while batch := await consumer.read(timeout=20):
        await consumer.ack(*batch)


# --- by name ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", ODD.values(), ids=list(ODD))
def test_a_message_of_another_program_is_taken_by_the_names_of_its_fields(fields: tuple[bytes, ...]) -> None:
    """By position, its data would be handed out as its key."""

    @tampered
    async def story(world: Tampered) -> None:
        orders = await world.stream()
        await world.worker("a")
        await orders.send("a", b"0")
        world.store.add_entry(SLOT, *fields)
        await orders.send("a", b"2")
        await world.settled(3)
        assert world.by_key() == {"a": [b"0", b"odd", b"2"]}
        assert world.told() == []

    story()


# --- on_loss="raise" --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("idle", [True, False], ids=["idle", "busy"])
@pytest.mark.parametrize("fields", CORRUPT.values(), ids=list(CORRUPT))
def test_a_consumer_stops_at_a_corrupt_entry_and_says_which(fields: tuple[bytes, ...], idle: bool) -> None:
    """It did so without a word, or with an IndexError, and a restart told no more."""

    @tampered
    async def story(world: Tampered) -> None:
        orders = await world.stream()
        consumer = await world.consumer()
        await orders.send_many([("a", b"0"), ("b", b"1")])
        if idle:
            await consumer.ack(*await consumer.read(timeout=5))
            await asyncio.sleep(3)
        entry_id = world.store.add_entry(SLOT, *fields).decode()
        await orders.send("b", b"3")
        error = await death(consumer)
        assert (error.stream, error.group, error.partition, error.id) == ("orders", "g", 0, entry_id)
        assert entry_id in str(error)
        assert error.reason in str(error)
        assert "on_loss='continue'" in str(error)
        assert [(seen.partition, seen.id, seen.reason) for seen in world.told()] == [(0, entry_id, error.reason)]
        assert world.progress().read == 2

    story()


@tampered
async def test_all_before_a_corrupt_entry_is_handled_and_stored_and_a_restart_stops_there_again(
    world: Tampered,
) -> None:
    """If the consumer ended as soon as it reads it, what lies before it would never be handled."""
    orders = await world.stream()
    await orders.send_many([(key, b"%d" % number) for number in range(300) for key in "abc"])
    world.store.add_entry(SLOT, *FOREIGN)
    await orders.send("a", b"behind")
    error = await death(await world.consumer())
    assert world.progress() == Progress(world.state.log.entries[899][0], 900)
    for _ in range(2):
        consumer = await world.consumer()
        assert (await death(consumer)).id == error.id
    assert world.progress().read == 900


@tampered
async def test_what_is_settled_in_other_partitions_is_stored_and_they_move_at_once(world: Tampered) -> None:
    """The consumer leaves in order, so nothing is handled twice and nobody waits for a session."""
    orders = await world.stream(partitions=8)
    consumer = await world.consumer(session_timeout=30.0, commit_interval=20.0)
    await orders.send_many([(f"k{number}", b"x") for number in range(100)])
    got: list[Message] = []
    while len(got) < 100:
        got += await consumer.read(timeout=5)
    for message in got:
        message.ack()
    world.store.add_entry(SLOT, *FOREIGN)
    with pytest.raises(ConsumerDead):
        await consumer.read(timeout=5)
    began = world.loop.time()
    await world.until(lambda: sum(world.progress(number).read for number in range(8)) == 100)
    await world.until(lambda: not any(world.store.slots[PartitionSlot("orders", n)].lanes["g"].owner for n in range(8)))
    assert world.loop.time() - began < 1.0


@tampered
async def test_a_message_in_hand_is_waited_for(world: Tampered) -> None:
    """It may be settled in time; what waits for another attempt is not given up either."""
    orders = await world.stream()
    consumer = await world.consumer()
    await orders.send("a", b"0")
    (message,) = await consumer.read(timeout=5)
    world.store.add_entry(SLOT, *FOREIGN)
    assert await consumer.read(timeout=3) == []
    assert len(world.told()) == 1
    message.nack(delay=2.0)
    (again,) = await consumer.read(timeout=5)
    assert again.attempt == 2
    again.ack()
    assert (await death(consumer)).partition == 0
    assert world.progress().read == 1


@tampered
async def test_a_worker_ends_with_it_once_its_handlers_have(world: Tampered) -> None:
    orders = await world.stream(partitions=2)
    worker = world.handlers(group="g")

    @worker.handler("orders", session_timeout=1.0, retry=Retry(attempts=2, initial=0.1))
    async def handle(data: bytes, message: Message) -> None:
        await asyncio.sleep(0.5)
        world.note("a", message)

    running = world.run(worker)
    await world.ready(worker)
    await orders.send_many([(f"k{number}", b"x") for number in range(20)])
    world.store.add_entry(SLOT, *FOREIGN)
    with pytest.raises(Corrupt, match="is no message"):
        await running
    done = world.progress(0).read + world.progress(1).read + sum(e - s for s, e in world.progress(1).ranges)
    assert done == len(world.handled)
    assert world.progress(0).read == len(world.state.log.entries) - 1


# --- on_loss="continue" -----------------------------------------------------------------------------------------------

PLACES = {
    "alone": "#",
    "first": "# a b",
    "last": "a b #",
    "in the middle": "a b a # b a",
    "several in a row": "a # # # b # #",
    "all over": "# a # b # a # b #",
}


@pytest.mark.parametrize("partitions", [1, 8])
@pytest.mark.parametrize("idle", [True, False], ids=["idle", "busy"])
@pytest.mark.parametrize("batches", [True, False], ids=["batches", "one by one"])
@pytest.mark.parametrize("order", PLACES.values(), ids=list(PLACES))
def test_a_corrupt_entry_is_told_once_and_passed_over(order: str, batches: bool, idle: bool, partitions: int) -> None:
    """The partition goes on, and the offset moves over it, though nothing else comes."""

    @tampered
    async def story(world: Tampered) -> None:
        orders = await world.stream(partitions)
        keys = {key: next(f"{key}{n}" for n in range(99) if orders.partition_of(f"{key}{n}") == 0) for key in "ab"}
        consumer = await world.consumer(on_loss="continue", batch_size=2 if batches else 1)
        if idle:
            assert await consumer.read(timeout=3) == []
        for number, key in enumerate(order.split()):
            if key == "#":
                world.store.add_entry(SLOT, *FOREIGN)
            else:
                await orders.send(keys[key], b"%d" % number)
        seen: dict[str, list[bytes]] = {}
        while batch := await consumer.read(timeout=2):
            for message in batch:
                seen.setdefault(message.key, []).append(message.data)
            await consumer.ack(*batch)
        expected: dict[str, list[bytes]] = {}
        for number, key in enumerate(order.split()):
            if key != "#":
                expected.setdefault(keys[key], []).append(b"%d" % number)
        assert seen == expected
        await world.settled(len(order.split()))
        assert len(world.told()) == len({told.id for told in world.told()}) == order.count("#")
        await consumer.shutdown()
        await world.consumer("heir")
        await asyncio.sleep(2)
        assert len(world.told()) == order.count("#")

    story()


@tampered
async def test_it_is_stored_that_an_entry_is_passed_over_though_nothing_is_acknowledged(world: Tampered) -> None:
    """Otherwise whoever takes over is told again, for as long as a message before it is in hand."""
    orders = await world.stream()
    first = await world.consumer("a", on_loss="continue")
    await orders.send("a", b"0")
    assert len(await first.read(timeout=5)) == 1
    world.store.add_entry(SLOT, *FOREIGN)
    await world.until(lambda: world.progress().ranges == ((1, 2),), 1.0)
    first.halt()
    await world.worker("heir")
    await world.settled(2)
    assert len(world.told()) == 1


@tampered
async def test_who_takes_over_is_not_told_again_though_earlier_messages_are_in_hand(world: Tampered) -> None:
    """What is passed over counts as settled ahead of what is not."""
    orders = await world.stream()
    first = await world.consumer("a", on_loss="continue")
    await orders.send("a", b"0")
    world.store.add_entry(SLOT, *FOREIGN)
    await orders.send("b", b"2")
    got: list[Message] = []
    while len(got) < 2:
        got += await first.read(timeout=5)
    got[1].ack()
    await world.until(lambda: world.progress().ranges == ((1, 3),))
    first.halt()
    await world.worker("heir")
    await world.settled(3)
    assert world.data() == [b"0"]
    assert len(world.told()) == 1


@tampered
async def test_a_corrupt_entry_among_what_was_settled_ahead_is_not_told_again(world: Tampered) -> None:
    orders = await world.stream()
    first = await world.consumer("a", on_loss="continue")
    await orders.send("a", b"0")
    await orders.send("b", b"1")
    world.store.add_entry(SLOT, *FOREIGN)
    await orders.send("b", b"3")
    held: list[Message] = []
    while len(held) < 3:
        held += await first.read(timeout=5)
        for message in held[1:]:
            if message.current:
                message.ack()
    await world.until(lambda: world.progress().ranges == ((1, 4),))
    first.halt()
    world.store.add_entry(SLOT, *FOREIGN)
    second = await world.consumer("b")  # under on_loss="raise"
    assert (await death(second)).id == world.state.log.entries[4][0].decode()
    assert [told.id for told in world.told()] == [world.state.log.entries[n][0].decode() for n in (2, 4)]


@tampered
async def test_while_a_key_is_parked_others_pass_a_corrupt_entry(world: Tampered) -> None:
    orders = await world.stream()
    consumer = await world.consumer(on_loss="continue")
    shelves = await world.segmenters[0].shelves("orders", "g")
    await orders.send("a", b"0")
    (message,) = await consumer.read(timeout=5)
    message.park("bad")
    await consumer.commit()
    await orders.send("a", b"1")
    world.store.add_entry(SLOT, *FOREIGN)
    world.store.add_entry(SLOT, *flat("d 3 k a"))
    await orders.send("b", b"4")
    world.store.add_entry(SLOT, *FOREIGN)
    (other,) = await consumer.read(timeout=5)
    await consumer.ack(other)
    await world.settled(6)
    assert other.data == b"4"
    assert [letter.data for letter in await shelves.parked()] == [b"0", b"1", b"3"]
    await shelves.redrive()
    again: list[bytes] = []
    while batch := await consumer.read(timeout=2):
        again += [message.data for message in batch]
        await consumer.ack(*batch)
    assert again == [b"0", b"1", b"3"]
    assert len(world.told()) == 2


@tampered
async def test_a_parked_key_before_a_corrupt_entry_does_not_keep_the_consumer_from_stopping(world: Tampered) -> None:
    orders = await world.stream()
    consumer = await world.consumer()
    await orders.send("a", b"0")
    world.store.add_entry(SLOT, *FOREIGN)
    (message,) = await consumer.read(timeout=5)
    message.park("bad")
    assert (await death(consumer)).partition == 0
    assert world.progress().read == 1
    assert len(await (await world.segmenters[0].shelves("orders", "g")).parked()) == 1


@pytest.mark.parametrize("on_loss", ["raise", "continue"])
def test_after_unclean_ends_a_corrupt_entry_is_met_one_message_at_a_time(on_loss: str) -> None:
    """Whoever takes over hands out one message at a time, each once its mark is stored."""

    @tampered
    async def story(world: Tampered) -> None:
        orders = await world.stream()
        world.store.add_entry(SLOT, *(FOREIGN if on_loss == "continue" else flat("d - k z")))
        await orders.send("a", b"1")
        await orders.send("b", b"2")
        world.store.add_entry(SLOT, *FOREIGN)
        await orders.send("c", b"4")
        for name in ("first", "second"):
            killed = await world.consumer(name, on_loss=on_loss)
            assert await killed.read(timeout=10)
            killed.halt()
        last = await world.consumer("last", on_loss=on_loss)
        if on_loss == "raise":
            await death(last)
            assert world.progress().read == 3
        else:
            while batch := await last.read(timeout=10):
                assert len(batch) == 1
                await last.ack(*batch)
            await world.settled(5)
        assert world.state.lanes["g"].unclean == (2 if on_loss == "raise" else 0)

    story()


@tampered
async def test_many_corrupt_entries_before_a_message_in_hand_do_not_fill_the_lane(world: Tampered) -> None:
    """Each of them is finished ahead of what is in hand; a partition reads no further at a limit of such ranges."""
    orders = await world.stream()
    consumer = await world.consumer(on_loss="continue", batch_size=500)
    await orders.send("a", b"0")
    for number in range(LIMIT_RANGES + 500):
        world.store.add_entry(SLOT, *FOREIGN)
        await orders.send(f"b{number}", b"x")
    count = 0
    while batch := await consumer.read(timeout=2):
        count += len(batch)
        await consumer.ack(*batch)
    assert count == LIMIT_RANGES + 501
    await world.settled(2 * (LIMIT_RANGES + 500) + 1)


@tampered
async def test_a_partition_that_moves_takes_its_corrupt_entry_along(world: Tampered) -> None:
    """The one that stops hands over what it has; the other owner stops there too, and the rest goes on."""
    orders = await world.stream()
    first = await world.consumer("a", instance_id="a")
    await orders.send("a", b"0")
    world.store.add_entry(SLOT, *FOREIGN)
    await orders.send("a", b"2")
    (message,) = await first.read(timeout=5)
    await first.shutdown()
    with pytest.raises(PartitionLost):
        message.ack()
    second = await world.consumer("b")
    assert (await death(second)).partition == 0
    await world.worker("c", on_loss="continue")
    await world.settled(3)
    assert world.data() == [b"2"]


# --- what is logged, and told elsewhere -------------------------------------------------------------------------------


def test_it_is_logged_as_an_error_by_its_id(caplog: pytest.LogCaptureFixture) -> None:
    @tampered
    async def story(world: Tampered) -> None:
        await world.stream()
        await world.worker("a", on_loss="continue")
        entry_id = world.store.add_entry(SLOT, b"secret-name", b"secret-value").decode()
        await world.settled(1)
        (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert entry_id in record.getMessage()
        assert "secret-value" not in record.getMessage()

    with caplog.at_level(logging.DEBUG, logger="segmenter"):
        story()


@tampered
async def test_headers_of_another_program_fail_where_they_are_looked_at(world: Tampered) -> None:
    """Whoever does not look at them is not concerned."""
    await world.stream()
    consumer = await world.consumer()
    entry_id = world.store.add_entry(SLOT, *flat("k a d 0 h"), b"\xff{").decode()
    (message,) = await consumer.read(timeout=5)
    with pytest.raises(Corrupt, match=f"the headers of message {entry_id}") as raised:
        _ = message.headers
    assert (raised.value.stream, raised.value.partition, raised.value.id) == ("orders", 0, entry_id)
    message.reject("bad headers")
    await consumer.commit()
    (dead,) = await (await world.segmenters[0].shelves("orders", "g")).dead()
    assert (dead.data, dead.letter.headers) == (b"0", b"\xff{")
    with pytest.raises(Corrupt, match=entry_id):
        _ = dead.headers


@tampered
async def test_an_id_as_high_as_64_bits_allow_is_handed_out(world: Tampered) -> None:
    await world.stream()
    consumer = await world.consumer()
    world.store._clock_us = lambda: (2**64 - 2) * 1000  # pyright: ignore[reportPrivateUsage]
    world.store.add_entry(SLOT, *flat("k a d 0"))
    (message,) = await consumer.read(timeout=5)
    assert message.id == f"{2**64 - 2}-0"
    assert message.timestamp.year == 9999
    await consumer.ack(message)
    assert world.progress().read == 1


async def tailed(segmenter: Segmenter, **options: Any) -> AsyncIterator[bytes]:
    async for message in segmenter.tail("orders", start="earliest", **options):
        yield message.data


@pytest.mark.parametrize("follow", [True, False])
def test_tail_skips_what_is_no_message_with_a_warning(follow: bool, caplog: pytest.LogCaptureFixture) -> None:
    @tampered
    async def story(world: Tampered) -> None:
        orders = await world.stream(2)
        await orders.send("a", b"0")
        first = world.store.add_entry(SLOT, *FOREIGN)
        world.store.add_entry(SLOT, *flat("d 1 k a"))
        last = [world.store.add_entry(SLOT, *FOREIGN) for _ in range(1000)][-1]
        if follow:
            await orders.send("a", b"2")
        seen: list[bytes] = []
        async for data in tailed(world.segmenters[0], follow=follow):
            seen.append(data)
            if data == b"2":
                break
        assert sorted(seen) == [b"0", b"1"] + [b"2"] * follow
        skipped = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(skipped) == 1001
        assert skipped[0].startswith(f"entry skipped stream=orders partition=0 id={first.decode()}: it is no message")
        assert last.decode() in skipped[-1]

    with caplog.at_level(logging.DEBUG, logger="segmenter.tail"):
        story()


EVENTS = {
    "another program's": FOREIGN,
    "without its fields": flat("e changed"),
    "without an epoch": flat("e freed p 0"),
    "no number": flat("e asked p x"),
    "no UTF-8": (b"e", b"\xff"),
    "of a partition that is not there": flat("e freed p 4 x 1 m nobody"),
    "of a partition that cannot be there": flat("e wanted p 9999999999999999 x 1 m ME"),
    "a request in one that cannot be there": flat("e asked p 9999999999999999"),
    "under an epoch that will not be": flat("e freed p 0 x 9999999999999999 m nobody"),
}


@pytest.mark.parametrize("fields", EVENTS.values(), ids=list(EVENTS))
def test_a_foreign_event_of_a_group_is_ignored(fields: tuple[bytes, ...]) -> None:
    """Events are advice; an exception in a callback would end the consumers of the group in silence."""

    @tampered
    async def story(world: Tampered) -> None:
        orders = await world.stream(4)
        group = GroupSlot("orders", "g")
        first = await world.worker("a")
        for _ in range(3):
            world.store.add_entry(group, *(first.id.encode() if each == b"ME" else each for each in fields))
        await orders.send("a", b"0")
        await world.worker("b")
        await world.until(lambda: all(len(consumer.partitions) == 2 for consumer in world.consumers), 3.0)
        world.store.add_entry(group, *fields)
        await orders.send("a", b"1")
        await world.until(lambda: world.data() == [b"0", b"1"])
        history = await world.segmenters[0].rebalances("orders", "g")
        assert [rebalance.cause for rebalance in history][-1] == "balanced"

    story()
