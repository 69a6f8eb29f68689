"""What goes wrong at the server is told, and what can go on goes on."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from attrs import evolve

from segmenter import ConsumerDead, LogTruncated, OffsetOutOfRange, Segmenter, SendsLost, Stream, StreamLost
from segmenter.core.command import Command, GroupSlot, PartitionSlot, Read, ReadReply, StreamSlot
from segmenter.core.log import parse_position
from segmenter.core.observations import Departed, Gap, Lost, Observation, Truncation
from segmenter.core.partition import PartitionState, Probe
from segmenter_memory import MemoryBackend, Store
from segmenter_memory.backend import MemorySession
from tests.world import World, virtually


@pytest.mark.parametrize("at_rest_s", [0.45, 0.85, 1.05, 1.45])
def test_an_idle_consumer_notices_within_a_heartbeat_that_its_stream_is_gone(at_rest_s: float) -> None:
    """Whenever that may be: a consumer at rest has no other reason to wake up."""

    @virtually
    async def story(world: World) -> None:
        segmenter = world.segmenter()
        await segmenter.register_stream("orders", partitions=1)
        consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
        await asyncio.sleep(at_rest_s)
        del world.store.slots[PartitionSlot("orders", 0)]
        began = world.loop.time()
        with pytest.raises(ConsumerDead, match="is gone") as stopped:
            await consumer.read(timeout=30)
        assert isinstance(stopped.value.__cause__, StreamLost)
        assert world.loop.time() - began <= 0.2 + 0.01

    story()


SLOT = PartitionSlot("orders", 0)


async def lose_the_last(world: World, count: int, **options: Any) -> Stream:
    """Five messages that stay, some that the server loses together with their commit; all were handled."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await world.worker("a", **options)
    await orders.send_many([("k", b"%d" % number) for number in range(5)])
    await world.until(lambda: len(world.handled) == 5)
    await asyncio.sleep(0.5)
    earlier = world.store.slots[SLOT]
    await orders.send_many([("k", b"%d" % number) for number in range(5, 5 + count)])
    await world.until(lambda: len(world.handled) == 5 + count)
    await asyncio.sleep(0.5)
    world.store.slots[SLOT], world.store.history = earlier, "1"
    return orders


@virtually
async def test_a_server_that_lost_a_suffix_is_claimed_anew_and_read_from_what_it_kept(world: World) -> None:
    """Going on as if nothing had happened would settle messages that nobody has read."""
    await lose_the_last(world, 3, on_loss="continue")
    await asyncio.sleep(0.5)
    assert len(world.times(Lost, "a")) == 1
    assert [seen.count for _, _, seen in world.observed if isinstance(seen, Truncation)] == [3]
    again = await world.segmenter().get_stream("orders")
    await again.send("k", b"after")
    await world.until(lambda: world.handled[-1][2] == b"after")


@virtually
async def test_the_end_of_a_log_that_is_lost_stops_the_consumer_with_the_exact_range(world: World) -> None:
    await lose_the_last(world, 3)
    (consumer,) = world.consumers
    began = world.loop.time()
    with pytest.raises(ConsumerDead) as stopped:
        await consumer.read(timeout=30)
    cause = stopped.value.__cause__
    assert isinstance(cause, LogTruncated)
    kept = world.store.slots[SLOT].log.entries
    assert (cause.partition, cause.count, cause.after) == (0, 3, kept[4][0].decode())
    assert cause.until > cause.after
    assert world.loop.time() - began <= 2 * 0.2 + 0.01


@virtually
async def test_a_loss_is_counted_even_if_new_messages_have_come_before_anyone_looked(world: World) -> None:
    """Their ids are later than those of the lost ones: positions alone would show nothing."""
    await lose_the_last(world, 3, on_loss="continue")
    other = await world.segmenter().get_stream("orders")
    await other.send_many([("k", b"new"), ("k", b"newer"), ("k", b"newest"), ("k", b"and more")])
    await asyncio.sleep(1.0)
    seen = [seen for _, _, seen in world.observed if isinstance(seen, Truncation)]
    assert [truncation.count for truncation in seen] == [3]
    assert [data for _, _, data in world.handled[-4:]] == [b"new", b"newer", b"newest", b"and more"]


@virtually
async def test_a_rollback_that_lost_nothing_that_was_read_is_no_truncation(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await world.worker("a")
    await orders.send_many([("k", b"0"), ("k", b"1")])
    await world.until(lambda: len(world.handled) == 2)
    await asyncio.sleep(0.5)
    world.store.history = "1"
    await orders.send("k", b"2")
    await world.until(lambda: len(world.handled) >= 3)
    await asyncio.sleep(0.5)
    assert not [seen for _, _, seen in world.observed if isinstance(seen, Truncation | Gap)]


@virtually
async def test_progress_that_speaks_of_messages_beyond_the_end_is_cut_to_the_end(world: World) -> None:
    """Somebody deleted from the log: a position beyond its end sees nothing, and trims what nobody has read."""
    orders = await lose_the_last(world, 0, on_loss="continue")
    state = world.store.slots[SLOT]
    shorter = evolve(state.log, entries=state.log.entries[:3], added=3, last=parse_position(state.log.entries[2][0]))
    world.store.slots[SLOT] = evolve(state, log=shorter)
    await world.until(lambda: any(isinstance(seen, Truncation) for _, _, seen in world.observed))
    await asyncio.sleep(0.5)
    lane = world.store.slots[SLOT].lanes["g"]
    assert (lane.progress.read, lane.progress.offset) == (3, shorter.entries[-1][0])
    await (await world.segmenter().get_stream("orders")).send("k", b"after")
    await world.until(lambda: world.handled[-1][2] == b"after")
    assert orders.partitions == 1


class SlowToTell(MemorySession):
    """A session on which the answers to probes are long on their way."""

    def execute(self, command: Command[Any, Any]) -> asyncio.Future[Any]:
        answered = super().execute(command)
        return asyncio.ensure_future(self._late(answered)) if isinstance(command, Probe) else answered

    @staticmethod
    async def _late(answered: asyncio.Future[Any]) -> Any:
        await asyncio.sleep(0.15)
        return await answered


@virtually
async def test_a_message_that_comes_while_a_probe_is_answered_is_no_loss(world: World) -> None:
    """It lies beyond the end that the answer tells."""

    class Slow(MemoryBackend):
        async def session(self) -> MemorySession:
            return SlowToTell(world.store)

    orders = await world.segmenter().register_stream("orders", partitions=1)
    segmenter = Segmenter(backend=Slow(store=world.store), host=world.host)
    world.segmenters.append(segmenter)
    seen: list[Observation] = []
    options: dict[str, Any] = {"group": "g", "session_timeout": 1.0, "observer": seen.append}
    async with segmenter.register_consumer("orders", **options) as consumer:
        for number in range(20):
            await asyncio.sleep(0.31)  # at another moment between two probes each time
            await orders.send("k", b"%d" % number)
            await consumer.ack(*await consumer.read(timeout=0.1))
        assert not [each for each in seen if isinstance(each, Lost)]


class Deaf(MemorySession):
    """A session on which the answers to some reads never come."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.to_lose = 0

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        if not self.to_lose:
            return super().read(read)
        self.to_lose -= 1
        return asyncio.get_running_loop().create_future()


@virtually
async def test_messages_come_though_the_connection_that_waits_for_them_is_dead(world: World) -> None:
    """Such as after a firewall has forgotten it: the wait is a minute, and nothing else would be noticed before."""
    sessions: list[Deaf] = []

    class Deafening(MemoryBackend):
        async def session(self) -> MemorySession:
            sessions.append(Deaf(world.store))
            return sessions[-1]

    orders = await world.segmenter().register_stream("orders", partitions=4)
    segmenter = Segmenter(backend=Deafening(store=world.store), host=world.host)
    world.segmenters.append(segmenter)
    async with segmenter.register_consumer("orders", group="g", session_timeout=1.0, batch_size=100) as consumer:
        for session in sessions:
            session.to_lose = 1
        await orders.send("k", b"0")
        await consumer.ack(*await consumer.read(timeout=1))
        await orders.send_many([(f"k{number}", b"1") for number in range(40)])
        assert await consumer.read(timeout=1) == []
        assert len(await consumer.read(timeout=2)) == 40


@virtually
async def test_what_was_finished_ahead_and_is_lost_is_not_taken_for_what_comes_in_its_place(world: World) -> None:
    """An heir knows of it only what the lane tells: ordinals, that the next messages get."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    consumer = await world.segmenter().register_consumer("orders", group="g", session_timeout=1.0)
    await orders.send_many([("k", b"0"), ("l", b"1"), ("m", b"2")])
    _, *later = await consumer.read(timeout=1)
    await consumer.ack(*later)
    consumer.halt()
    state = world.store.slots[SLOT]
    shorter = evolve(state.log, entries=state.log.entries[:1], added=1, last=parse_position(state.log.entries[0][0]))
    world.store.slots[SLOT] = evolve(state, log=shorter)
    await world.worker("heir", on_loss="continue")
    await world.until(lambda: any(isinstance(seen, Truncation) for _, _, seen in world.observed))
    (seen,) = [seen for _, _, seen in world.observed if isinstance(seen, Truncation)]
    assert (seen.count, seen.after, seen.until) == (2, shorter.entries[0][0].decode(), "")
    await (await world.segmenter().get_stream("orders")).send_many([("l", b"new"), ("m", b"newer")])
    await world.until(lambda: len(world.handled) >= 3)
    assert world.by_key() == {"k": [b"0"], "l": [b"new"], "m": [b"newer"]}


# --- sends ---


@virtually
async def test_acknowledged_sends_that_the_server_lost_are_named_before_anything_follows_them(world: World) -> None:
    orders = await lose_the_last(world, 3, on_loss="continue")
    with pytest.raises(SendsLost) as lost:
        await orders.send("k", b"next")
    assert (lost.value.count, len(lost.value.ids), lost.value.partition) == (3, 3, 0)
    assert lost.value.ids[0] > world.store.slots[SLOT].log.entries[-1][0].decode()
    assert len(world.store.slots[SLOT].log.entries) == 5
    await orders.send_many([("k", b"%d" % number) for number in (5, 6, 7)])
    await orders.send("k", b"next")
    assert [entry[1][3] for entry in world.store.slots[SLOT].log.entries[5:]] == [b"5", b"6", b"7", b"next"]


@virtually
async def test_a_partition_that_forgot_a_silent_producer_has_lost_nothing(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1, send_timeout=1.0)
    await orders.send("k", b"0")
    world.store.slots[SLOT] = evolve(world.store.slots[SLOT], producers={})
    with pytest.raises(SendsLost, match="lost 1 messages"):
        await orders.send("k", b"1")
    await orders.send("k", b"1")
    world.store.slots[SLOT] = evolve(world.store.slots[SLOT], producers={})
    await asyncio.sleep(10.0)  # of virtual time: ten send deadlines, after which it may have been forgotten
    await orders.send("k", b"2")


# --- gaps ---


@virtually
async def test_messages_that_were_dropped_unread_stop_the_consumer_by_default(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1, partition_size=10, on_full="drop_oldest")
    consumer = await world.segmenter().register_consumer("orders", group="g", session_timeout=1.0)
    await asyncio.sleep(0.5)
    consumer.halt()
    for number in range(25):
        await orders.send("k", b"%d" % number)
    heir = await world.segmenter().register_consumer("orders", group="g", session_timeout=1.0)
    with pytest.raises(ConsumerDead) as stopped:
        await heir.read(timeout=30)
    cause = stopped.value.__cause__
    assert isinstance(cause, OffsetOutOfRange)
    assert (cause.count, cause.partition, cause.group) == (15, 0, "g")


@virtually
async def test_messages_that_were_dropped_unread_are_counted(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, partition_size=10, on_full="drop_oldest")
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, observer=world.observer("c"))
    await asyncio.sleep(0.5)
    consumer.halt()
    for number in range(25):
        await orders.send("k", b"%d" % number)
    await world.worker("heir", on_loss="continue")
    await world.until(lambda: len(world.handled) == 10)
    assert [seen.count for _, _, seen in world.observed if isinstance(seen, Gap)] == [15]
    assert [data for _, _, data in world.handled] == [b"%d" % number for number in range(15, 25)]


@virtually
async def test_a_trimmed_log_under_an_idle_owner_is_noticed(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer(
        "orders", group="g", session_timeout=1.0, read_ahead=1, on_loss="continue", observer=world.observer("c")
    )
    await orders.send_many([("k", b"%d" % number) for number in range(6)])
    await anext(consumer)  # held, so that nothing is committed
    state = world.store.slots[PartitionSlot("orders", 0)]
    assert isinstance(state, PartitionState)
    world.store.slots[PartitionSlot("orders", 0)] = evolve(state, log=state.log.without_first(4))
    await world.until(lambda: any(isinstance(seen, Gap) for _, _, seen in world.observed))
    assert [seen.count for _, _, seen in world.observed if isinstance(seen, Gap)] == [4]


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


# --- what vanished ---


@virtually
async def test_a_group_whose_document_vanished_is_lost_and_not_made_anew(world: World) -> None:
    await world.segmenter().register_stream("orders", partitions=1)
    consumer = await world.segmenter().register_consumer("orders", group="g", session_timeout=1.0)
    await asyncio.sleep(0.5)
    del world.store.slots[GroupSlot("orders", "g")]
    began = world.loop.time()
    with pytest.raises(ConsumerDead, match="document of group 'g'") as stopped:
        await consumer.read(timeout=30)
    assert isinstance(stopped.value.__cause__, StreamLost)
    assert world.loop.time() - began <= 0.2 + 0.01


@virtually
async def test_a_stream_is_not_made_over_the_remains_of_another(world: World) -> None:
    """Its configuration was lost: another number of partitions would send keys elsewhere, with messages left behind."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await orders.send("k", b"kept")
    del world.store.slots[StreamSlot("orders")]
    for _ in range(2):
        with pytest.raises(StreamLost, match="remove_stream"):
            await world.segmenter().register_stream("orders", partitions=4)
    assert sum(len(world.store.slots[PartitionSlot("orders", number)].log.entries) for number in range(2)) == 1
    await segmenter.remove_stream("orders")
    await world.segmenter().register_stream("orders", partitions=4)


@pytest.mark.parametrize("forgotten_s", [0.5, 0.8, 0.9, 0.95])
def test_a_server_that_forgot_nearly_a_session_of_beats_costs_nobody_its_membership(forgotten_s: float) -> None:
    """The first to beat would find all others silent, though they are as alive as before."""

    @virtually
    async def story(world: World) -> None:
        await world.segmenter().register_stream("orders", partitions=2)
        await asyncio.gather(world.worker("a"), world.worker("b"))
        group = GroupSlot("orders", "g")
        await asyncio.sleep(2.5)
        earlier = world.store.slots[group]
        await asyncio.sleep(forgotten_s)
        members = set(world.store.slots[group].document.members)
        world.store.slots[group] = earlier
        await asyncio.sleep(3)
        assert set(world.store.slots[group].document.members) == members
        assert world.times(Departed) == []

    story()
