"""Looking at streams and groups: what is there, and what is in it, without any effect on it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from segmenter import ConsumerDead, InvalidArgument, LoggedMessage, NonExistentStream, Segmenter, StreamLost
from tests.world import EPOCH_US, World, virtually


async def seen(segmenter: Segmenter, **options: object) -> list[bytes]:
    """What there is to see at present."""
    messages = segmenter.tail("orders", follow=False, **options)  # type: ignore[arg-type]
    return [message.data async for message in messages]


@virtually
async def test_streams_and_groups_are_listed(world: World) -> None:
    segmenter = world.segmenter()
    assert await segmenter.streams() == []
    for name in ("orders", "bills", "orders.old"):
        await segmenter.register_stream(name, partitions=1)
    for group in ("b", "a"):
        await segmenter.register_consumer("orders", group=group)
    assert await segmenter.streams() == ["bills", "orders", "orders.old"]
    assert await segmenter.groups("orders") == ["a", "b"]
    assert await segmenter.groups("orders.old") == []
    with pytest.raises(NonExistentStream):
        await segmenter.groups("other")


@virtually
async def test_a_removed_group_is_listed_no_more(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    async with segmenter.register_consumer("orders", group="a"):
        pass
    await segmenter.remove_group("orders", "a")
    assert await segmenter.groups("orders") == []


@virtually
async def test_a_removed_stream_leaves_nothing_behind(world: World) -> None:
    """A stream registered anew must not meet the groups of the old one."""
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    for group in ("kept", "removed"):
        async with segmenter.register_consumer("orders", group=group):
            pass
    await segmenter.remove_group("orders", "removed")
    await segmenter.remove_stream("orders")
    assert world.store.slots == {}
    orders = await segmenter.register_stream("orders", partitions=3)
    consumer = await segmenter.register_consumer("orders", group="kept")
    await orders.send("k", b"x")
    assert [message.data for message in await consumer.read(timeout=5)] == [b"x"]


@virtually
async def test_a_consumer_of_a_removed_stream_stops(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    await world.segmenter().remove_stream("orders")
    with pytest.raises(ConsumerDead) as ended:
        await consumer.read(timeout=5)
    assert isinstance(ended.value.__cause__, StreamLost)


@virtually
async def test_a_stream_is_described_by_what_its_partitions_hold(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2, partition_size=50)
    await orders.send_many([(f"k{n}", b"") for n in range(30)])
    for group in ("quick", "slow"):
        async with segmenter.register_consumer("orders", group=group, batch_size=50) as consumer:
            while group == "quick" and (messages := await consumer.read(timeout=1)):
                await consumer.ack(*messages)
    snapshot = await segmenter.describe_stream("orders")
    assert (snapshot.name, snapshot.partition_size, snapshot.messages) == ("orders", 50, 30)
    assert snapshot.groups == ("quick", "slow")
    assert [log.slowest for log in snapshot.partitions] == ["slow", "slow"]
    assert sum(log.added for log in snapshot.partitions) == 30


@virtually
async def test_how_far_a_group_is_behind_is_told_in_seconds_too(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    consumer = await segmenter.register_consumer("orders", group="g")
    await orders.send("k", b"x")
    await asyncio.sleep(7)
    snapshot = await segmenter.describe("orders", "g")
    assert snapshot.lag == 1
    assert snapshot.lag_seconds == pytest.approx(7, abs=0.1)
    await consumer.ack(*await consumer.read(timeout=1))
    assert (await segmenter.describe("orders", "g")).lag_seconds == 0


@virtually
async def test_the_state_of_a_partition_says_whose_it_is_and_whose_it_should_be(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)

    async def states() -> set[str]:
        return {partition.state for partition in (await segmenter.describe("orders", "g")).partitions}

    first = await segmenter.register_consumer("orders", group="g")
    await orders.send_many([(f"k{n}", b"") for n in range(9)])
    held = await first.read(timeout=1)
    assert await states() == {"owned"}
    await segmenter.register_consumer("orders", group="g")
    await asyncio.sleep(1)
    assert await states() == {"owned", "moving"}
    await first.ack(*held, *await first.read(timeout=1))
    for consumer in tuple(segmenter._consumers):
        await consumer.shutdown()
    assert await states() == {"idle"}


@virtually
async def test_the_beat_of_a_member_rises_while_it_is_alive(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    await segmenter.register_consumer("orders", group="g")
    before = (await segmenter.describe("orders", "g")).members[0].beat
    await asyncio.sleep(3)
    assert (await segmenter.describe("orders", "g")).members[0].beat > before


# --- messages -------------------------------------------------------------------------------------------------------


@virtually
async def test_what_is_there_comes_in_the_order_it_was_sent_over_all_partitions(world: World) -> None:
    """More of them than one read brings, and partitions that end at different times."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=3)
    sent = [b"%d" % n for n in range(1_500)]
    for first in range(0, len(sent), 100):
        await orders.send_many([(f"k{first % 7}", data) for data in sent[first : first + 100]])
        await asyncio.sleep(0.01)
    assert await seen(segmenter, start="earliest") == sent


@virtually
async def test_what_comes_in_is_followed(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=3)
    await orders.send("k", b"before")
    found: list[LoggedMessage] = []
    note = found.append

    async def follow() -> None:
        async with aclosing(segmenter.tail("orders")) as messages:
            async for message in messages:
                note(message)

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(1)
    await orders.send_many([(f"k{n}", b"%d" % n, {"n": str(n)}) for n in range(20)])
    await world.until(lambda: len(found) == 20)
    following.cancel()
    assert sorted(int(message.data) for message in found) == list(range(20))
    assert found[0].headers == {"n": found[0].data.decode()}
    assert found[0].timestamp.timestamp() == pytest.approx(EPOCH_US / 1e6 + 1, abs=0.1)


@virtually
async def test_looking_settles_nothing_and_holds_nothing_back(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await orders.send_many([(f"k{n}", b"") for n in range(9)])
    slots = dict(world.store.slots)
    assert len(await seen(segmenter, start="earliest")) == 9
    assert world.store.slots == slots


@virtually
async def test_a_place_to_begin_is_an_id_or_a_time(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    first = await orders.send("k", b"0")
    await asyncio.sleep(1)
    await orders.send("k", b"1")
    assert await seen(segmenter, start=first.id) == [b"1"]
    half_way = datetime.fromtimestamp(EPOCH_US / 1e6 + 0.5, UTC)
    assert await seen(segmenter, start=half_way) == [b"1"]
    assert await seen(segmenter, start="latest") == []


@virtually
async def test_some_partitions_may_be_chosen_and_others_do_not_exist(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(40)])
    chosen = await seen(segmenter, start="earliest", partitions=[2])
    assert chosen == [b"%d" % n for n in range(40) if orders.partition_of(f"k{n}") == 2]
    with pytest.raises(InvalidArgument, match="partition 4: 'orders' has partitions 0 to 3"):
        await seen(segmenter, partitions=[4])


@virtually
async def test_a_stream_that_vanishes_ends_the_look(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)

    async def follow() -> None:
        async for _ in segmenter.tail("orders"):
            pass

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0.5)
    await world.segmenter().remove_stream("orders")
    with pytest.raises(StreamLost, match="partition 0"):
        await following


# --- rebalances -----------------------------------------------------------------------------------------------------


@virtually
async def test_rebalances_are_told_with_their_causes_and_what_followed_from_them(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=4)
    first = await world.worker("a")
    await asyncio.sleep(1)
    second = await world.worker("b")
    await world.until(lambda: len(second.partitions) == 2)
    await first.shutdown()
    await world.until(lambda: len(second.partitions) == 4)
    known = await segmenter.rebalances("orders", "g")
    assert [it.cause for it in known] == ["created", "readied", "joined", "joined", "balanced", "leaving", "left"]
    joined, balanced, leaving, left = known[2], known[4], known[5], known[6]
    assert joined.member == joined.concerned[0] == first.id
    assert balanced.released == (2, 3)
    assert balanced.concerned == tuple(sorted([first.id, second.id]))
    assert leaving.released == (0, 1)
    assert sorted([*leaving.taken, *left.taken]) == [0, 1]
    assert all(it.seconds < 0.1 for it in known)
    assert joined.at.timestamp() < balanced.at.timestamp()


@virtually
async def test_a_hand_off_is_known_though_the_partition_has_moved_again(world: World) -> None:
    """Whoever hands a partition back tells since when it was his."""
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=4)
    first = await world.worker("a")
    await asyncio.sleep(1)
    second = await world.worker("b")
    await world.until(lambda: len(second.partitions) == 2)
    first_id, second_id = first.id, second.id
    await first.shutdown()
    await second.shutdown()
    last = await world.worker("c")
    await world.until(lambda: len(last.partitions) == 4)
    known = await segmenter.rebalances("orders", "g")
    joined, balanced = known[2], known[4]
    assert [(move.partition, move.former, move.owner) for move in joined.moves] == [
        (n, None, first_id) for n in range(4)
    ]
    assert [(move.partition, move.former, move.owner) for move in balanced.moves] == [
        (n, first_id, second_id) for n in (2, 3)
    ]
    for move in balanced.moves:
        assert move.released is not None
        assert move.taken is not None
        assert balanced.at <= move.released <= move.taken
        assert (move.taken - move.released).total_seconds() < 0.1
    assert [rebalance.taken for rebalance in known if rebalance.member == last.id] == [(0, 1, 2, 3)]


@virtually
async def test_a_take_over_from_the_dead_is_told_by_its_claims(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    survivor, ghost = await world.worker("a"), await world.worker("b")
    await world.until(lambda: len(ghost.partitions) == 1)
    ghost.halt()
    await world.until(lambda: len(survivor.partitions) == 2)
    last = (await segmenter.rebalances("orders", "g"))[-1]
    assert (last.cause, last.member, last.released, len(last.taken)) == ("expired", ghost.id, (), 1)


@virtually
async def test_who_is_alive_is_heard_within_a_third_of_a_session(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    await world.worker("a", session_timeout=10.0)
    ghost = await world.worker("b", session_timeout=10.0)
    await asyncio.sleep(1)
    assert {it.beating for it in (await segmenter.describe("orders", "g")).members} == {None}
    began = world.loop.time()
    heard = await segmenter.describe("orders", "g", listen=3)
    assert {it.beating for it in heard.members} == {True}
    assert world.loop.time() - began < 2.5, "it ends when all have beaten"
    ghost.halt()
    await asyncio.sleep(0.1)
    heard = await segmenter.describe("orders", "g", listen=3)
    assert {it.instance_id or it.id: it.beating for it in heard.members}[ghost.id] is False
