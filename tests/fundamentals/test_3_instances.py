"""Consumers under an instance_id: restarts that move nothing, and two processes under one name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from segmenter import Consumer, ConsumerDead, SeatTaken, Segmenter
from segmenter.core.command import GroupSlot
from segmenter.core.group import GroupState, ProcessInfo
from segmenter.core.observations import Departed, Granted, HandedBack, Lost
from segmenter.testing import virtual_host
from segmenter_memory import MemoryBackend
from tests.world import World, virtually

SESSION_S = 1.0


def document(world: World, group: str = "g") -> GroupState:
    found: GroupState | None = world.store.slots[GroupSlot("orders", group)].document
    assert found is not None
    return found


def owned(consumers: Iterable[Consumer]) -> list[list[int]]:
    return [consumer.partitions for consumer in consumers]


async def three_seats(world: World, partitions: int = 9) -> list[Consumer]:
    """Three consumers with seats, each with its share."""
    await world.segmenter().register_stream("orders", partitions=partitions)
    consumers = [await world.worker(f"pod-{n}", instance_id=f"pod-{n}") for n in range(3)]
    await settled(world, consumers, partitions)
    return consumers


async def settled(world: World, consumers: Iterable[Consumer], partitions: int = 9) -> None:
    """Every partition is owned, and the shares are even."""
    held = list(consumers)

    def even() -> bool:
        sizes = [len(consumer.partitions) for consumer in held]
        return sum(sizes) == partitions and max(sizes) - min(sizes) <= 1

    await world.until(even)


def moves(world: World, since: float, names: Iterable[str]) -> list[str]:
    """What others than those that were restarted saw of partitions since then."""
    kinds = (Granted, HandedBack, Lost)
    seen = [(at, name, observed) for at, name, observed in world.observed if at >= since and name in set(names)]
    return [f"{name}: {observed}" for _, name, observed in seen if isinstance(observed, kinds)]


# --- an orderly restart -----------------------------------------------------------------------------------------------


@virtually
async def test_a_rolling_restart_gives_each_its_own_back_and_moves_nothing_else(world: World) -> None:
    """What a StatefulSet does at each deployment: it ends a pod in order, and starts it anew under its name."""
    consumers = await three_seats(world)
    before = owned(consumers)
    for number in (2, 1, 0):
        began = world.loop.time()
        others = [f"pod-{n}" for n in range(3) if n != number] + [f"new-pod-{n}" for n in range(3) if n != number]
        await consumers[number].shutdown()
        await asyncio.sleep(0.7 * SESSION_S)  # a new container, an import
        consumers[number] = await world.worker(f"new-pod-{number}", instance_id=f"pod-{number}")
        await world.until(lambda number=number: consumers[number].partitions == before[number])  # type: ignore[misc]
        await asyncio.sleep(2 * SESSION_S)
        assert moves(world, began, others) == []
    assert owned(consumers) == before
    rebalances = await world.segmenter().rebalances("orders", "g")
    assert {rebalance.cause for rebalance in rebalances[-9:]} == {"leaving", "left", "joined"}


@virtually
async def test_a_seat_takes_its_partitions_up_at_once_when_it_comes_back(world: World) -> None:
    """They are free, so nobody is waited for."""
    consumers = await three_seats(world)
    mine = consumers[0].partitions
    await consumers[0].shutdown()
    began = world.loop.time()
    heir = await world.worker("new", instance_id="pod-0")
    await world.until(lambda: heir.partitions == mine)
    assert world.loop.time() - began < 0.1 * SESSION_S


@virtually
async def test_a_restart_that_comes_before_the_end_moves_nothing_else_either(world: World) -> None:
    """A surge: the new one displaces the old one, which hands over."""
    consumers = await three_seats(world)
    before, began = owned(consumers), world.loop.time()
    consumers[1] = await world.worker("new", instance_id="pod-1")
    await world.until(lambda: consumers[1].partitions == before[1])
    await asyncio.sleep(2 * SESSION_S)
    assert moves(world, began, ["pod-0", "pod-2"]) == []
    assert not document(world).away


@virtually
async def test_who_leaves_in_order_is_not_displaced_by_its_restart(world: World) -> None:
    """It was told to end, and ends well, though its successor comes while a handler is still at work."""
    consumers = await three_seats(world)
    orders = await world.segmenter().get_stream("orders")
    slow = await world.segmenter().register_consumer("orders", group="slow", session_timeout=SESSION_S, instance_id="x")
    sent = await orders.send("k", b"x")
    (message,) = await slow.read(timeout=5)
    leaving = asyncio.ensure_future(slow.shutdown())
    await asyncio.sleep(0.1)
    heir = await world.worker("heir", group="slow", instance_id="x")
    await world.until(lambda: len(heir.partitions) == 8)
    assert sent.partition not in heir.partitions, "a message of it is in hand"
    message.ack()
    await leaving
    await world.until(lambda: len(heir.partitions) == 9)
    assert slow._pump.failure is None
    assert [data for who, _, data in world.handled if who == "heir"] == []
    assert len(consumers) == 3


@virtually
async def test_what_is_meant_for_a_seat_waits_for_a_session_and_then_goes_to_others(world: World) -> None:
    """Scaling down: nobody comes back under that name."""
    consumers = await three_seats(world)
    await consumers[2].shutdown()
    began = world.loop.time()
    described = await world.segmenter().describe("orders", "g")
    assert [(it.instance_id, len(it.partitions)) for it in described.away] == [("pod-2", 3)]
    assert [member.instance_id for member in described.members] == ["pod-0", "pod-1"]
    assert [partition.state for partition in described.partitions].count("away") == 3
    await asyncio.sleep(0.9 * SESSION_S)
    assert [len(share) for share in owned(consumers[:2])] == [3, 3]
    await settled(world, consumers[:2])
    assert SESSION_S <= world.loop.time() - began < 1.5 * SESSION_S
    assert not document(world).away
    assert (await world.segmenter().rebalances("orders", "g"))[-1].cause == "vacated"


@virtually
async def test_who_leaves_for_ever_gives_its_seat_up_at_once(world: World) -> None:
    consumers = await three_seats(world)
    began = world.loop.time()
    await consumers[2].shutdown(forever=True)
    await settled(world, consumers[:2])
    assert world.loop.time() - began < 0.2 * SESSION_S
    assert not document(world).away


@virtually
async def test_a_worker_may_be_stopped_for_ever_too(world: World) -> None:
    for forever in (False, True):
        worker = world.handlers(group=f"g{forever}")

        @worker.handler("orders", instance_id="pod-0", session_timeout=SESSION_S)
        async def handle(data: bytes) -> None: ...

        await world.segmenter().register_stream("orders", partitions=3)
        world.run(worker)
        await world.ready(worker)
        await worker.stop(forever=forever)
        assert bool(document(world, f"g{forever}").away) is not forever


@virtually
async def test_without_an_instance_id_what_is_left_goes_to_others_at_once(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=9)
    consumers = [await world.worker(name) for name in "abc"]
    await settled(world, consumers)
    began = world.loop.time()
    await consumers[0].shutdown()
    await settled(world, consumers[1:])
    assert world.loop.time() - began < 0.2 * SESSION_S


# --- neighbours -------------------------------------------------------------------------------------------------------


@virtually
async def test_a_crash_is_waited_for_as_ever_and_a_restart_within_it_takes_the_seat(world: World) -> None:
    consumers = await three_seats(world)
    before = owned(consumers)
    consumers[0].halt()
    heir = await world.worker("new", instance_id="pod-0")
    await world.until(lambda: heir.partitions == before[0])
    heir.halt()
    await settled(world, consumers[1:])
    assert not document(world).away


@virtually
async def test_a_restart_that_crashes_within_the_time_of_its_seat_loses_it_after_a_session(world: World) -> None:
    consumers = await three_seats(world)
    await consumers[0].shutdown()
    heir = await world.worker("new", instance_id="pod-0")
    await world.until(lambda: len(heir.partitions) == 3)
    heir.halt()
    began = world.loop.time()
    await settled(world, consumers[1:])
    assert world.loop.time() - began < 2 * SESSION_S


@virtually
async def test_a_crash_while_draining_is_a_crash(world: World) -> None:
    """It has not left, so its seat is not kept for longer than its silence."""
    consumers = await three_seats(world, partitions=3)
    orders = await world.segmenter().get_stream("orders")
    busy = await world.segmenter().register_consumer("orders", group="busy", session_timeout=SESSION_S, instance_id="x")
    other = await world.worker("other", group="busy")
    await settled(world, [busy, other], 3)
    await orders.send_many([(f"k{n}", b"x") for n in range(20)])
    await busy.read(timeout=5)
    leaving = asyncio.ensure_future(busy.shutdown())
    await asyncio.sleep(0.2)
    assert document(world, "busy").members[busy.id].returning
    busy.halt()
    await leaving
    await settled(world, [other], 3)
    assert not document(world, "busy").away
    assert len(consumers) == 3


@virtually
async def test_a_group_of_one_restarts_into_all_of_it(world: World) -> None:
    """Also an hour later: whoever comes back finds its own, and nobody has to wait."""
    await world.segmenter().register_stream("orders", partitions=4)
    for pause_s in (0.1, 3 * SESSION_S, 3_600.0):
        only = await world.worker("only", instance_id="pod-0")
        began = world.loop.time()
        await world.until(lambda only=only: len(only.partitions) == 4)  # type: ignore[misc]
        assert world.loop.time() - began < 0.1 * SESSION_S
        await only.shutdown()
        await asyncio.sleep(pause_s)


@virtually
async def test_a_newcomer_gets_its_share_at_once_and_the_rest_when_the_seats_are_given_up(world: World) -> None:
    consumers = await three_seats(world)
    for consumer in consumers:
        await consumer.shutdown()
    began = world.loop.time()
    newcomer = await world.worker("newcomer")
    await world.until(lambda: len(newcomer.partitions) == 2)
    assert world.loop.time() - began < 0.2 * SESSION_S
    assert [len(it.partitions) for it in (await world.segmenter().describe("orders", "g")).away] == [3, 2, 2]
    await world.until(lambda: len(newcomer.partitions) == 9)
    assert world.loop.time() - began < 1.5 * SESSION_S


@virtually
async def test_a_newcomer_hours_later_does_not_wait(world: World) -> None:
    """The document tells when the seats were left, by the server's clock."""
    consumers = await three_seats(world)
    for consumer in consumers:
        await consumer.shutdown()
    await asyncio.sleep(7_200)
    began = world.loop.time()
    newcomer = await world.worker("newcomer")
    await world.until(lambda: len(newcomer.partitions) == 9)
    assert world.loop.time() - began < 0.2 * SESSION_S


@virtually
async def test_a_newcomer_takes_its_share_and_a_seat_that_is_away_gets_no_more(world: World) -> None:
    consumers = await three_seats(world)
    await consumers[0].shutdown()
    newcomer = await world.worker("newcomer")
    present = [*consumers[1:], newcomer]
    await world.until(lambda: min(len(consumer.partitions) for consumer in present) == 2)
    (away,) = (await world.segmenter().describe("orders", "g")).away
    await consumers[1].shutdown(forever=True)
    await world.until(lambda: sum(len(it.partitions) for it in (consumers[2], newcomer)) == 9 - len(away.partitions))
    assert document(world).assigned_to(away.member) == set(away.partitions)
    back = await world.worker("back", instance_id="pod-0")
    await world.until(lambda: set(back.partitions) >= set(away.partitions))
    await settled(world, [consumers[2], newcomer, back])


@virtually
async def test_with_fewer_partitions_than_members_an_idle_seat_leaves_nothing_behind(world: World) -> None:
    consumers = await three_seats(world, partitions=2)
    (idle,) = (number for number, share in enumerate(owned(consumers)) if not share)
    began = world.loop.time()
    await consumers[idle].shutdown()
    assert not document(world).away
    back = await world.worker("back", instance_id=f"pod-{idle}")
    await asyncio.sleep(2 * SESSION_S)
    assert back.partitions == []
    assert moves(world, began, [f"pod-{number}" for number in range(3) if number != idle]) == []


@virtually
async def test_an_immediate_takeover_of_a_seat_that_is_away_is_a_restart_like_any_other(world: World) -> None:
    consumers = await three_seats(world)
    before = owned(consumers)
    await consumers[1].shutdown()
    heir = await world.worker("heir", instance_id="pod-1", takeover="immediate")
    await world.until(lambda: heir.partitions == before[1])
    assert owned(consumers)[::2] == before[::2]


@virtually
async def test_a_pause_ends_the_wait_for_seats_that_are_away(world: World) -> None:
    """When a group is paused nothing is meant for anybody; whoever is there when it goes on shares everything."""
    consumers = await three_seats(world)
    operator = world.segmenter()
    await consumers[0].shutdown()
    await operator.pause_group("orders", "g")
    assert not document(world).away
    await operator.resume_group("orders", "g")
    await settled(world, consumers[1:])
    back = await world.worker("back", instance_id="pod-0")
    await settled(world, [*consumers[1:], back])


@virtually
async def test_who_leaves_a_paused_group_keeps_nothing(world: World) -> None:
    consumers = await three_seats(world)
    operator = world.segmenter()
    await operator.pause_group("orders", "g")
    await world.until(lambda: owned(consumers) == [[], [], []])
    await consumers[0].shutdown()
    assert not document(world).away
    await operator.resume_group("orders", "g")
    await settled(world, consumers[1:])


@virtually
async def test_a_group_whose_seats_are_all_away_has_no_members(world: World) -> None:
    """It can be moved, altered and removed."""
    consumers = await three_seats(world)
    for consumer in consumers:
        await consumer.shutdown()
    operator = world.segmenter()
    await operator.reset_group("orders", "g", "earliest")
    await operator.alter_group("orders", "g", session_timeout=2.0)
    assert len((await operator.describe("orders", "g")).away) == 3
    await operator.remove_group("orders", "g")
    assert await operator.groups("orders") == []


# --- two processes under one name -------------------------------------------------------------------------------------


def process(world: World, host: str, pid: int) -> Segmenter:
    """A process of that name."""
    its = virtual_host(world.loop, f"{host}.{pid}.")
    segmenter = Segmenter(
        backend=MemoryBackend(store=world.store),
        host=type(its)(
            clock=its.clock, nonce=its.nonce, place_heart=its.place_heart, process=lambda: ProcessInfo(host, pid, "1")
        ),
    )
    world.segmenters.append(segmenter)
    return segmenter


async def consume(segmenter: Segmenter, seat: str = "pod-1") -> Consumer:
    return await segmenter.register_consumer("orders", group="g", session_timeout=SESSION_S, instance_id=seat)


@virtually
async def test_the_displaced_learn_which_process_took_over(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=2)
    first = await consume(process(world, "node-a", 17))
    await consume(process(world, "node-b", 23))
    with pytest.raises(ConsumerDead, match=r"'pod-1'.*host node-b, pid 23") as stopped:
        await first.read(timeout=2)
    assert isinstance(stopped.value.__cause__, SeatTaken)


@virtually
async def test_two_processes_that_displace_each_other_are_told_and_the_last_one_stays(world: World) -> None:
    """Otherwise each would take the seat back for ever, and nothing would be handled."""
    await world.segmenter().register_stream("orders", partitions=2)
    hosts = [process(world, "node-a", 17), process(world, "node-b", 23)]
    holders = []
    for number in range(4):
        holders.append(await consume(hosts[number % 2]))
        await asyncio.sleep(SESSION_S)
    before = document(world)
    with pytest.raises(SeatTaken, match=r"3 times.*alive \(host node-b, pid 23\).*\(host node-a, pid 17\) was not"):
        await consume(hosts[0])
    assert document(world) == before, "who is refused changes nothing"
    assert len(holders[-1].partitions) == 2
    await consume(hosts[0], "pod-2")
    await asyncio.sleep(61)
    await consume(hosts[0])  # and later it is one displacement like any other


@virtually
async def test_a_process_that_crashes_and_starts_again_and_again_keeps_its_seat(world: World) -> None:
    """It displaces nobody that lives."""
    await world.segmenter().register_stream("orders", partitions=2)
    for number in range(5):
        (await consume(process(world, "node-a", number))).halt()
        await asyncio.sleep(0.3 * SESSION_S)
    holder = await consume(process(world, "node-a", 5))
    await world.until(lambda: len(holder.partitions) == 2)


@virtually
async def test_restarts_in_order_are_no_contest(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=2)
    for number in range(6):
        holder = await consume(process(world, "node-a", number))
        await world.until(lambda holder=holder: len(holder.partitions) == 2)  # type: ignore[misc]
        await holder.shutdown()
    assert not document(world).displaced
    assert world.times(Departed) == []


@virtually
async def test_members_say_which_process_they_are(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=2)
    plain = await process(world, "node-a.example.org", 17).register_consumer("orders", group="g", session_timeout=1)
    named = await consume(process(world, "billing-worker-7d9f8b6c5-x2x4z", 23))
    members = {member.id: member for member in (await world.segmenter().describe("orders", "g")).members}
    assert (members[plain.id].host, members[plain.id].pid, members[plain.id].version) == ("node-a.example.org", 17, "1")
    assert plain.id.startswith("node-a-17-")
    assert named.id.startswith("pod-1-")
    assert members[named.id].host == "billing-worker-7d9f8b6c5-x2x4z"
