"""Consumers join, leave and die; partitions move; nothing is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from segmenter import GroupNotEmpty, InvalidArgument, NonExistentGroup, SeatTaken, SessionMismatch, StreamLost
from segmenter.core.command import PartitionSlot
from segmenter.core.observations import Departed, Granted, HandedBack, Lost
from segmenter.errors import ConsumerDead
from segmenter.stream import Stream
from tests.world import World, virtually


async def _produce(stream: Stream, count: int, pause_s: float = 0.01) -> None:
    for number in range(count):
        await stream.send(f"k{number % 37}", b"%d" % number)
        await asyncio.sleep(pause_s)


def _assert_whole_and_in_order(world: World, count: int, *, again: int = 0) -> None:
    firsts: dict[str, list[int]] = {}
    for key, datas in world.by_key().items():
        firsts[key] = list(dict.fromkeys(map(int, datas)))
    assert {number for numbers in firsts.values() for number in numbers} == set(range(count)), "something was lost"
    assert all(numbers == sorted(numbers) for numbers in firsts.values()), "a key was handled out of order"
    assert len(world.handled) <= count + again, "more was handled again than was in flight"


@virtually
async def test_consumers_share_the_partitions(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=8)
    consumers = [await world.worker(name) for name in "abc"]
    await asyncio.sleep(1)
    assert sorted(len(consumer.partitions) for consumer in consumers) == [2, 3, 3]
    assert sorted(number for consumer in consumers for number in consumer.partitions) == list(range(8))


@virtually
async def test_a_hand_off_takes_milliseconds_and_moves_nothing_else(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=8)
    first = await world.worker("a")
    await asyncio.sleep(0.5)
    producing = asyncio.ensure_future(_produce(orders, 400))
    await asyncio.sleep(1)
    await world.worker("b")
    await producing
    await world.until(lambda: len(world.handled) == 400)
    assert len(world.times(HandedBack, "a")) == 4
    assert len(first.partitions) == 4
    assert max(world.times(Granted, "b")) - min(world.times(HandedBack, "a")) < 0.010
    _assert_whole_and_in_order(world, 400)


@virtually
async def test_a_partition_is_handed_over_when_its_last_message_is_settled(world: World) -> None:
    """Two handlers of one key at once would be the end of order."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(20)])
    slow = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, batch_size=100)
    held = await slow.read(timeout=1)
    other = await world.worker("b")
    await asyncio.sleep(5)
    assert other.partitions == [], "a partition moved while its messages were in flight"
    await slow.ack(*held)
    await world.until(lambda: len(other.partitions) == 1)
    assert world.handled == []


@virtually
async def test_a_dead_consumers_partitions_are_taken_over(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=4)
    victim = await world.worker("victim", work_s=0.02)
    await world.worker("heir", work_s=0.02)
    producing = asyncio.ensure_future(_produce(orders, 600))
    await asyncio.sleep(2)
    killed_at = world.loop.time()
    victim.halt()
    await producing
    await world.until(lambda: len({data for _, _, data in world.handled}) == 600)
    taken = [at for at in world.times(Granted, "heir") if at > killed_at]
    assert len(taken) == 2
    assert max(taken) - killed_at < 1.0 + 2 * 0.2 + 0.1, "session and two heartbeats"
    _assert_whole_and_in_order(world, 600, again=10)


@virtually
async def test_what_was_finished_out_of_order_is_not_done_again(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(100)])
    victim = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, batch_size=100)
    batch = await victim.read(timeout=1)
    await victim.ack(*(message for message in batch if int(message.data) % 3))
    victim.halt()
    await world.worker("heir")
    await world.until(lambda: len(world.handled) == 34)
    await asyncio.sleep(1)
    assert {int(data) for _, _, data in world.handled} == set(range(0, 100, 3))


@virtually
async def test_leaving_hands_everything_over_at_once(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=4)
    leaver = await world.worker("leaver")
    stayer = await world.worker("stayer")
    producing = asyncio.ensure_future(_produce(orders, 300))
    await asyncio.sleep(1)
    began = world.loop.time()
    await leaver.shutdown()
    await world.until(lambda: len(stayer.partitions) == 4)
    assert world.loop.time() - began < 0.05
    await producing
    await world.until(lambda: len(world.handled) == 300)
    _assert_whole_and_in_order(world, 300)


@virtually
async def test_ten_consumers_starting_together_cause_few_moves(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=32)
    consumers = await asyncio.gather(*(world.worker(f"w{number}") for number in range(10)))
    await asyncio.sleep(2)
    assert sorted(len(consumer.partitions) for consumer in consumers) == [3] * 8 + [4] * 2
    assert len(world.times(HandedBack)) <= 32, "a partition moved more than once"


@virtually
async def test_half_the_members_dying_at_once(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=12)
    consumers = [await world.worker(f"w{number}", work_s=0.01) for number in range(6)]
    producing = asyncio.ensure_future(_produce(orders, 500))
    await asyncio.sleep(1.5)
    for consumer in consumers[:3]:
        consumer.halt()
    await producing
    await world.until(lambda: len({data for _, _, data in world.handled}) == 500)
    _assert_whole_and_in_order(world, 500, again=30)
    assert sorted(len(consumer.partitions) for consumer in consumers[3:]) == [4, 4, 4]


@virtually
async def test_a_restart_under_its_instance_id_takes_its_partitions_up_again(world: World) -> None:
    """A rolling restart of ten processes should move nothing ten times."""
    await world.segmenter().register_stream("orders", partitions=4)
    await world.worker("other", instance_id="seat-b")
    first = await world.worker("first", instance_id="seat-a")
    await asyncio.sleep(1)
    mine = first.partitions
    second = await world.worker("second", instance_id="seat-a")
    await world.until(lambda: second.partitions == mine)
    await world.until(lambda: bool(world.times(Departed, "first")))
    assert world.times(Lost) == []
    with pytest.raises(ConsumerDead, match="seat-a") as stopped:
        await first.read(timeout=1)
    assert isinstance(stopped.value.__cause__, SeatTaken)


@virtually
async def test_a_dead_seat_is_taken_up_after_its_silence_or_at_once_by_choice(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=4)
    for takeover, longest in (("silence", 1.5), ("immediate", 0.1)):
        dead = await world.worker(f"dead-{takeover}", group=takeover, instance_id="seat")
        await world.until(lambda dead=dead: len(dead.partitions) == 4)  # type: ignore[misc]
        dead.halt()
        began = world.loop.time()
        heir = await world.worker(f"heir-{takeover}", group=takeover, instance_id="seat", takeover=takeover)
        await world.until(lambda heir=heir: len(heir.partitions) == 4)  # type: ignore[misc]
        assert world.loop.time() - began < longest


@virtually
async def test_hooks_are_told_when_partitions_come_and_go(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    told: list[tuple[str, int]] = []

    async def flush(partition: int) -> None:
        await asyncio.sleep(0.5)
        told.append(("revoked", partition))

    consumer = await segmenter.register_consumer(
        "orders",
        group="g",
        session_timeout=1.0,
        on_assigned=lambda partition: told.append(("assigned", partition)),
        on_revoked=flush,
        on_lost=lambda partition: told.append(("lost", partition)),
    )
    await world.until(lambda: len(told) == 2)
    other = await world.worker("b")
    await world.until(lambda: len(other.partitions) == 1)
    assert told[:2] == [("assigned", 0), ("assigned", 1)]
    assert told[2][0] == "revoked", "the partition moved before the hook had ended"
    consumer.halt()
    await world.until(lambda: len(told) == 4)
    assert told[3][0] == "lost"


@virtually
async def test_all_of_a_group_use_one_session_timeout(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    with pytest.raises(SessionMismatch, match="time-out of 1 s, not 2 s"):
        await segmenter.register_consumer("orders", group="g", session_timeout=2.0)


@virtually
async def test_a_refused_session_timeout_says_how_it_can_be_changed(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    remedy = r"time-out of 1 s, not 2 s, and its 1 member must.*alter_group\('orders', 'g', session_timeout=2\)"
    with pytest.raises(SessionMismatch, match=remedy):
        await segmenter.register_consumer("orders", group="g", session_timeout=2.0)
    await segmenter.pause_group("orders", "g")
    with pytest.raises(SessionMismatch):
        await segmenter.register_consumer("orders", group="g", session_timeout=2.0)
    with pytest.raises(GroupNotEmpty, match=r"has 1 member .*stop them before its session time-out is changed"):
        await segmenter.alter_group("orders", "g", session_timeout=2.0)


@virtually
async def test_a_group_without_members_takes_another_session_timeout_over(world: World) -> None:
    """A deployment that stops everything and starts it with another value, and keeps its place."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await orders.send_many([(f"k{number}", b"x") for number in range(10)])
    for seconds in (1.0, 4.0, 2.5):
        worker = await world.worker(f"at {seconds}", session_timeout=seconds)
        await world.until(lambda: len(world.handled) == 10)
        assert (await segmenter.describe("orders", "g")).session_timeout == seconds
        await worker.shutdown()
    assert len(world.handled) == 10, "the group was not begun anew"


@virtually
async def test_a_session_timeout_is_altered_by_an_operator_while_nobody_is_there(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    with pytest.raises(NonExistentGroup):
        await segmenter.alter_group("orders", "g", session_timeout=2.0)
    worker = await world.worker("a")
    await worker.shutdown()
    for seconds in (2.0, 2.0, 0.2, 3600):
        await segmenter.alter_group("orders", "g", session_timeout=seconds)
        assert (await segmenter.describe("orders", "g")).session_timeout == seconds
    await segmenter.pause_group("orders", "g")
    await segmenter.alter_group("orders", "g", session_timeout=timedelta(seconds=2))
    assert (await segmenter.describe("orders", "g")).state == "paused"
    for wrong in (0.1, 3601, float("nan"), -1, "soon", None):
        with pytest.raises(InvalidArgument):
            await segmenter.alter_group("orders", "g", session_timeout=wrong)  # type: ignore[arg-type]
    await segmenter.remove_group("orders", "g")
    with pytest.raises(NonExistentGroup):
        await segmenter.alter_group("orders", "g", session_timeout=2.0)


@virtually
async def test_of_two_session_timeouts_that_come_at_once_one_is_refused(world: World) -> None:
    """Whichever comes first; nobody is a member of a group with another one than its own."""
    await world.segmenter().register_stream("orders", partitions=2)
    for number in range(10):
        group = f"g{number}"
        first = await world.worker("first", group=group)
        await first.shutdown()
        await asyncio.sleep(0.001 * number)
        both = await asyncio.gather(
            *(world.worker(f"w{seconds}", group=group, session_timeout=seconds) for seconds in (2.0, 3.0)),
            return_exceptions=True,
        )
        (refused,) = [each for each in both if isinstance(each, BaseException)]
        (member,) = [each for each in both if not isinstance(each, BaseException)]
        assert isinstance(refused, SessionMismatch)
        described = await world.segmenter().describe("orders", group)
        assert [it.id for it in described.members] == [member.id]


@virtually
async def test_describe_shows_who_owns_what_and_how_far_it_is(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    consumer = await segmenter.register_consumer("orders", group="g")
    await world.until(lambda: consumer.partitions == [0, 1])
    await orders.send_many([(f"k{n}", b"") for n in range(30)])
    snapshot = await segmenter.describe("orders", "g")
    assert snapshot.lag == 30
    assert [partition.owner for partition in snapshot.partitions] == [consumer.id] * 2
    assert [(member.id, member.partitions) for member in snapshot.members] == [(consumer.id, (0, 1))]
    with pytest.raises(NonExistentGroup, match="no group 'other'"):
        await segmenter.describe("orders", "other")


@virtually
async def test_a_group_is_removed_or_reset_when_nobody_is_in_it(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2, partition_size=5)
    await orders.send_many([(f"k{n}", b"") for n in range(5)])
    consumer = await segmenter.register_consumer("orders", group="g")
    await consumer.ack(*await consumer.read(timeout=1))
    for refused in (segmenter.remove_group("orders", "g"), segmenter.reset_group("orders", "g", "earliest")):
        with pytest.raises(GroupNotEmpty, match="stop them, or pause the group, before"):
            await refused
    await consumer.shutdown()
    await segmenter.reset_group("orders", "g", "earliest")
    assert (await segmenter.describe("orders", "g")).lag == 5
    await segmenter.remove_group("orders", "g")
    with pytest.raises(NonExistentGroup, match="no group"):
        await segmenter.describe("orders", "g")
    await segmenter.register_consumer("orders", group="g", start="latest")
    assert (await segmenter.describe("orders", "g")).lag == 0


@virtually
async def test_a_paused_group_hands_out_nothing_and_goes_on_where_it_was(world: World) -> None:
    """Its members stay: they beat, are not missed, and need not be started again."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    consumers = [await world.worker(name) for name in ("a", "b")]
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(10)])
    await world.until(lambda: len(world.handled) == 10)
    await segmenter.pause_group("orders", "g")
    await world.until(lambda: not any(consumer.partitions for consumer in consumers))
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(10, 20)])
    await asyncio.sleep(5)
    paused = await segmenter.describe("orders", "g")
    assert (paused.state, paused.lag, len(paused.members)) == ("paused", 10, 2)
    assert {partition.state for partition in paused.partitions} == {"paused"}
    assert len(world.handled) == 10
    assert world.times(Departed) == []
    await segmenter.resume_group("orders", "g")
    await world.until(lambda: len(world.handled) == 20)
    assert sorted(int(data) for _, _, data in world.handled) == list(range(20))


@virtually
async def test_what_is_in_flight_when_a_group_is_paused_is_finished_first(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await world.worker("a", work_s=3.0)
    await orders.send_many([("k", b"0"), ("k", b"1")])
    await world.until(lambda: len(world.handled) == 1)
    await segmenter.pause_group("orders", "g")
    with pytest.raises(GroupNotEmpty, match="has yet to hand partition 0"):
        await segmenter.reset_group("orders", "g", "latest")
    await asyncio.sleep(5)
    paused = await segmenter.describe("orders", "g")
    assert [(it.owner, it.lag, it.lag_seconds > 4) for it in paused.partitions] == [(None, 1, True)]


@virtually
async def test_a_paused_group_is_moved_under_its_members_and_they_go_on_from_there(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await world.worker("a")
    await orders.send_many([("k", b"%d" % n) for n in range(3)])
    await world.until(lambda: len(world.handled) == 3)
    await segmenter.pause_group("orders", "g")
    await asyncio.sleep(1)
    await segmenter.reset_group("orders", "g", "earliest")
    await segmenter.resume_group("orders", "g")
    await world.until(lambda: len(world.handled) == 6)
    await segmenter.pause_group("orders", "g")
    await asyncio.sleep(1)
    await orders.send("k", b"skipped")
    await segmenter.reset_group("orders", "g", "latest")
    await segmenter.resume_group("orders", "g")
    await orders.send("k", b"3")
    await world.until(lambda: len(world.handled) == 7)
    assert [data for _, _, data in world.handled] == [b"0", b"1", b"2", b"0", b"1", b"2", b"3"]


@virtually
async def test_a_member_that_dies_in_a_paused_group_is_missed_all_the_same(world: World) -> None:
    """Or a group could never be reset: what the dead one held would stay held."""
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    await world.worker("a")
    ghost = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    await world.until(lambda: len(ghost.partitions) == 1)
    ghost.halt()
    await segmenter.pause_group("orders", "g")
    await asyncio.sleep(3)
    assert len((await segmenter.describe("orders", "g")).members) == 1
    await segmenter.reset_group("orders", "g", "latest")


@virtually
async def test_who_joins_a_paused_group_waits_for_it_to_go_on(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("k", b"x")
    async with segmenter.register_consumer("orders", group="g"):
        pass
    await segmenter.pause_group("orders", "g")
    consumer = await segmenter.register_consumer("orders", group="g")
    assert await consumer.read(timeout=5) == []
    await segmenter.resume_group("orders", "g")
    (message,) = await consumer.read(timeout=5)
    assert message.data == b"x"
    with pytest.raises(NonExistentGroup):
        await segmenter.pause_group("orders", "other")


@virtually
async def test_a_removed_group_stops_the_members_that_still_run(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    ghost = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    reaper = await world.worker("reaper")
    ghost.pause()
    await asyncio.sleep(1)
    document = world.store.slots[next(slot for slot in world.store.slots if type(slot).__name__ == "GroupSlot")]
    assert len(document.document.members) == 2
    await reaper.shutdown()
    await ghost.shutdown()
    await segmenter.remove_group("orders", "g")
    assert Counter(type(slot).__name__ for slot in world.store.slots)["GroupSlot"] == 1, "the tombstone stays"


@virtually
async def test_a_vanished_partition_is_loud(world: World) -> None:
    """Silence would mean that messages wait for ever while everything looks healthy."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    await orders.send("k", b"")
    message = await anext(consumer)
    del world.store.slots[PartitionSlot("orders", 0)]
    message.ack()
    await asyncio.sleep(1)
    with pytest.raises(ConsumerDead, match="is gone") as stopped:
        await consumer.read(timeout=1)
    assert isinstance(stopped.value.__cause__, StreamLost)
    with pytest.raises(StreamLost):
        await orders.send("k", b"")
