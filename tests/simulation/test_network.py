"""What a bad network must not do: double a message, or let a consumer act after its lease."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from segmenter import BackendError, PartitionLost, Segmenter, SendUnknown
from segmenter.core.beats import Beaten
from segmenter.core.command import PartitionSlot
from segmenter.core.observations import Admitted, Departed, Lost, Observation
from segmenter.testing.simulation import FaultyBackend, Network
from segmenter_memory import MemoryBackend
from tests.world import World, virtually


def _behind(world: World, network: Network) -> Segmenter:
    segmenter = Segmenter(backend=FaultyBackend(MemoryBackend(store=world.store), network), host=world.host)
    world.segmenters.append(segmenter)
    return segmenter


def _stored(world: World) -> list[bytes]:
    return [fields[3] for _, fields in world.store.slots[PartitionSlot("orders", 0)].log.entries]


@virtually
async def test_a_send_whose_answers_get_lost_stands_in_the_log_once_and_in_order(world: World) -> None:
    network = Network(Random(5))
    segmenter = _behind(world, network)
    orders = await segmenter.register_stream("orders", partitions=1)
    network.lose_reply = network.lose_request = 0.4
    for number in range(100):
        await orders.send("k", b"%d" % number)
    assert _stored(world) == [b"%d" % number for number in range(100)]


@virtually
async def test_a_send_that_is_given_up_is_unknown_and_what_follows_goes_on(world: World) -> None:
    """Saying "failed" would make the user send again what may stand there already."""
    network = Network(Random(5))
    segmenter = _behind(world, network)
    orders = await segmenter.register_stream("orders", partitions=1, send_timeout=1)
    await orders.send("k", b"before")
    network.lose_reply = 1.0
    with pytest.raises(SendUnknown, match="may or may not be in the stream"):
        await orders.send("k", b"lost answer")
    network.lose_reply = 0.0
    await orders.send("k", b"after")
    assert _stored(world) == [b"before", b"lost answer", b"after"]


@virtually
async def test_a_consumer_that_cannot_beat_hands_out_nothing_after_its_lease(world: World) -> None:
    """By then another may own the partition; what was read ahead is no longer its to hand out."""
    network = Network(Random(5))
    segmenter = _behind(world, network)
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send_many([(f"k{number}", b"") for number in range(50)])
    consumer = await segmenter.register_consumer(
        "orders", group="g", session_timeout=1.0, batch_size=1, observer=world.observer("c")
    )
    assert len(await consumer.read(timeout=1)) == 1
    network.down = True
    cut_at = world.loop.time()
    handed_out = 0
    while world.loop.time() < cut_at + 3:
        batch = await consumer.read(timeout=0.05)
        handed_out += len(batch)
        assert not batch or world.loop.time() < cut_at + 0.8 + 0.01
        await asyncio.sleep(0.1)
    assert handed_out > 3, "it may go on for as long as the lease lasts"
    assert len(world.times(Lost, "c")) == 1
    assert len(world.times(Departed, "c")) == 1
    network.down = False
    assert len(await consumer.read(timeout=5)) == 1, "back again, as a new member"


@virtually
async def test_a_send_that_was_only_ever_refused_is_certainly_not_in_the_stream(world: World) -> None:
    """Unknown would make the user look for what cannot be there."""
    network = Network(Random(5))
    orders = await _behind(world, network).register_stream("orders", partitions=1, send_timeout=1)
    network.refusing = True
    with pytest.raises(BackendError, match="refuses for the present") as refused:
        await orders.send("k", b"refused")
    assert refused.value.refused
    network.refusing = False
    await orders.send("k", b"after")
    assert _stored(world) == [b"after"]


@virtually
async def test_a_send_that_was_refused_after_an_answer_got_lost_is_unknown(world: World) -> None:
    network = Network(Random(5))
    orders = await _behind(world, network).register_stream("orders", partitions=1, send_timeout=1)
    network.lose_reply = 1.0
    sending = asyncio.ensure_future(orders.send("k", b"stands there"))
    await asyncio.sleep(0.2)
    network.refusing = True
    with pytest.raises(SendUnknown, match="may or may not be in the stream"):
        await sending
    assert _stored(world) == [b"stands there"]


@virtually
async def test_attempts_are_spread_ever_wider(world: World) -> None:
    """Everybody at once, again and again, would keep a server down that tries to come back."""
    network = Network(Random(5))
    orders = await _behind(world, network).register_stream("orders", partitions=1, send_timeout=10)
    network.refusing = True
    asked: list[float] = []
    network.asked = lambda: asked.append(world.loop.time())
    with pytest.raises(BackendError):
        await orders.send("k", b"x")
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert waits[0] <= 0.05 + 0.03
    assert max(waits) <= 1.0 + 0.03
    assert min(waits[6:]) >= 0.5
    assert len(set(waits)) > 5, "no two wait as long"


@virtually
async def test_an_acknowledgement_is_lost_aloud_if_the_release_that_carries_it_has_no_answer_before_the_lease_is_over(
    world: World,
) -> None:
    """Whoever waits for it to be stored would otherwise wait for ever."""
    network = Network(Random(5))
    orders = await world.segmenter().register_stream("orders", partitions=2)
    await orders.send_many([(f"k{number}", b"") for number in range(50)])
    consumer = await _behind(world, network).register_consumer("orders", group="g", session_timeout=1.0, batch_size=50)
    messages = await consumer.read(timeout=1)
    await world.worker("other")
    await asyncio.sleep(0.5)  # one of the two partitions drains
    network.down = True
    waiting = [asyncio.ensure_future(consumer.ack(message)) for message in messages]
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), timeout=5)
    assert {type(outcome) for outcome in outcomes} == {PartitionLost}
    assert consumer.partitions == []


@virtually
async def test_a_lease_counts_from_when_its_join_was_first_asked_for(world: World) -> None:
    """Not from a repetition, as the first one may have gone through; nor from that of another change in between."""
    network = Network(Random(5))

    def replied(_sent: float, _command: object, reply: object) -> None:
        network.down = network.down or (isinstance(reply, Beaten) and bool(reply.silent))

    def observed(seen: Observation) -> None:
        network.down = network.down or (isinstance(seen, Admitted) and bool(world.times(Departed, "a")))
        world.observer("a")(seen)

    await world.segmenter().register_stream("orders", partitions=2)
    await _behind(world, network).register_consumer("orders", group="g", session_timeout=1.0, observer=observed)
    (await world.worker("b")).halt()
    network.replied = replied  # cut off as soon as it knows that the other is silent, which it tries to write down
    await world.until(lambda: bool(world.times(Departed, "a")))
    await asyncio.sleep(0.5)  # its join is asked for again and again, and once more the change before it
    network.down = False
    await world.until(lambda: len(world.times(Departed, "a")) == 2)
    asked_at, over_at = world.times(Departed, "a")
    assert asked_at < world.times(Admitted, "a")[1] < over_at
    assert over_at - asked_at == pytest.approx(0.8, abs=0.01)
