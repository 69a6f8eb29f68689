"""A message that failed waits for its next attempt, whoever owns its partition then: deploys, moves, crashes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segmenter import Consumer, Message, Retry, Segmenter, Worker
from segmenter.core.observations import Granted, Retried
from tests.world import World, virtually

MINUTE = Retry(attempts=5, initial=60, maximum=60, jitter=0)
Call = tuple[float, str, int]  # when, what, and which attempt


class Deploy:
    """Workers of the same program, one after the other or beside each other; and what their handler was called with."""

    def __init__(self, world: World, *bad: str, fails: int = 1, **options: Any) -> None:
        self.world = world
        self.calls: list[Call] = []
        self._bad, self._fails, self._options = bad, fails, {"retry": MINUTE, **options}
        self._running: list[tuple[Worker, asyncio.Task[None]]] = []

    async def start(self, name: str = "w") -> None:
        worker = self.world.handlers()

        @worker.handler("orders", type=str, observer=self.world.observer(name), **self._options)
        async def handle(value: str, message: Message) -> None:
            self.calls.append((self.world.loop.time(), value, message.attempt))
            if value in self._bad and message.attempt <= self._fails:
                raise ValueError(value)

        self._running.append((worker, self.world.run(worker)))
        await self.world.ready(worker)

    async def stop(self) -> None:
        worker, running = self._running.pop(0)
        await worker.stop()
        await running

    def times(self, value: str) -> list[float]:
        return [at for at, what, _ in self.calls if what == value]

    def attempts(self, value: str) -> list[int]:
        return [attempt for _, what, attempt in self.calls if what == value]


async def sent(segmenter: Segmenter, *pairs: tuple[str, str], partitions: int = 1) -> None:
    orders = await segmenter.register_stream("orders", partitions=partitions, type=str)
    await orders.send_many(pairs)


async def failed(world: World, delay: float, keys: int = 1) -> Consumer:
    """A consumer that has given back the messages of some keys, which is stored."""
    consumer = await world.segmenter().register_consumer("orders", group="g")
    messages = [await anext(consumer) for _ in range(keys)]
    await consumer.nack(*messages, delay=delay)
    await consumer.commit()
    return consumer


# --- deploys and moves ------------------------------------------------------------------------------------------------


@virtually
async def test_a_wait_goes_on_over_a_restart(world: World) -> None:
    """The next attempt comes when the wait is over: not at the restart, and not after a second wait."""
    await sent(world.segmenter(), ("a", "bad"))
    deploy = Deploy(world, "bad")
    await deploy.start()
    await world.until(lambda: len(deploy.calls) == 1)
    await asyncio.sleep(20)
    await deploy.stop()
    await asyncio.sleep(10)
    await deploy.start()
    await asyncio.sleep(60)
    first, second = deploy.times("bad")
    assert second - first == pytest.approx(60, abs=0.1)
    assert deploy.attempts("bad") == [1, 2]


@virtually
async def test_a_wait_that_ends_while_nobody_runs_is_over(world: World) -> None:
    await sent(world.segmenter(), ("a", "bad"))
    deploy = Deploy(world, "bad")
    await deploy.start()
    await world.until(lambda: len(deploy.calls) == 1)
    await deploy.stop()
    await asyncio.sleep(300)
    began = world.loop.time()
    await deploy.start()
    await world.until(lambda: len(deploy.calls) == 2)
    assert world.loop.time() - began < 1


@virtually
async def test_deploys_in_a_row_use_up_no_attempt(world: World) -> None:
    """Five of them within seconds would park what an outage elsewhere made fail."""
    await sent(world.segmenter(), ("a", "bad"), ("a", "next"))
    deploy = Deploy(world, "bad", fails=4)
    for _ in range(6):
        await deploy.start()
        await asyncio.sleep(1.2)
        await deploy.stop()
    assert deploy.attempts("bad") == [1]
    await deploy.start()
    await asyncio.sleep(300)
    assert deploy.attempts("bad") == [1, 2, 3, 4, 5]
    waits = [later - earlier for earlier, later in zip(deploy.times("bad"), deploy.times("bad")[1:], strict=False)]
    assert waits == pytest.approx([60, 60, 60, 60], abs=0.1)
    assert deploy.attempts("next") == [1]


@virtually
async def test_a_wait_goes_on_where_a_partition_moves_to(world: World) -> None:
    """A worker that joins takes partitions over; their messages wait there as they did."""
    keys = [f"k{n}" for n in range(40)]
    await sent(world.segmenter(), *((key, key) for key in keys), partitions=4)
    deploy = Deploy(world, *keys, key_concurrency=64)
    await deploy.start("first")
    await world.until(lambda: len(world.times(Retried)) == len(keys))
    await asyncio.sleep(20)
    await deploy.start("second")
    await world.until(lambda: len(world.times(Granted, "second")) == 2)
    await asyncio.sleep(60)
    for key in keys:
        assert [attempt for _, what, attempt in deploy.calls if what == key] == [1, 2]
        first, second = deploy.times(key)
        assert second - first == pytest.approx(60, abs=0.1)


@virtually
async def test_a_key_that_waits_delays_no_other_key_of_the_next_owner(world: World) -> None:
    segmenter = world.segmenter()
    await sent(segmenter, ("a", "bad"), ("a", "after"), ("b", "1"))
    deploy = Deploy(world, "bad")
    await deploy.start()
    await world.until(lambda: len(deploy.calls) == 2)
    await deploy.stop()
    orders = await segmenter.get_stream("orders", type=str)
    await orders.send_many([("a", "last"), ("b", "2"), ("c", "3")])
    began = world.loop.time()
    await deploy.start()
    await world.until(lambda: len(deploy.calls) == 4)
    assert world.loop.time() - began < 1
    assert sorted(what for _, what, _ in deploy.calls) == ["1", "2", "3", "bad"]
    await asyncio.sleep(60)
    assert [what for _, what, _ in deploy.calls[4:]] == ["bad", "after", "last"]


@virtually
async def test_two_keys_that_wait_at_a_hand_over_wait_each_for_itself(world: World) -> None:
    segmenter = world.segmenter()
    await sent(segmenter, ("a", "early"), ("b", "late"))
    deploy = Deploy(world, "early", "late", key_concurrency=2)
    consumer = await segmenter.register_consumer("orders", group="g")
    early, late = await anext(consumer), await anext(consumer)
    early.nack(10)
    late.nack(40)
    began = world.loop.time()
    await consumer.shutdown()
    await deploy.start()
    await asyncio.sleep(50)
    assert deploy.times("early")[0] - began == pytest.approx(10, abs=0.1)
    assert deploy.times("late")[0] - began == pytest.approx(40, abs=0.1)
    assert (deploy.attempts("early"), deploy.attempts("late")) == ([2], [2])


# --- crashes ----------------------------------------------------------------------------------------------------------


@virtually
async def test_a_wait_goes_on_over_a_crash(world: World) -> None:
    await sent(world.segmenter(), ("a", "bad"), ("b", "bad"))
    victim = await failed(world, 60, keys=2)
    began = world.loop.time()
    await asyncio.sleep(20)
    victim.halt()
    deploy = Deploy(world)
    await deploy.start()
    await asyncio.sleep(60)
    assert [at - began for at in deploy.times("bad")] == pytest.approx([60, 60], abs=0.1)
    assert deploy.attempts("bad") == [2, 2], "the crash is no attempt"


@virtually
async def test_a_wait_goes_on_over_crashes_that_make_owners_careful(world: World) -> None:
    """After two unclean ends messages go out one at a time: one that waits is neither tried early nor in the way."""
    await sent(world.segmenter(), ("a", "bad"))
    victim = await failed(world, 60)
    began = world.loop.time()
    for _ in range(2):
        victim.halt()
        victim = await world.segmenter().register_consumer("orders", group="g")
        await world.until(lambda victim=victim: victim.partitions == [0])  # type: ignore[misc]
        assert await victim.read(timeout=1) == []
    victim.halt()
    orders = await world.segmenter().get_stream("orders", type=str)
    await orders.send("b", "fine")
    deploy = Deploy(world)
    await deploy.start()
    await asyncio.sleep(60)
    fine, bad = deploy.times("fine")[0] - began, deploy.times("bad")[0] - began
    assert fine < 55
    assert bad == pytest.approx(60, abs=0.2)
    assert deploy.attempts("bad") == [2]


# --- consumers that pull ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks_after", [0.0, 0.5])
@pytest.mark.parametrize("delay", [1.0, 60.0])
def test_what_a_consumer_gave_back_with_a_delay_waits_with_the_next_one(delay: float, looks_after: float) -> None:
    """Nothing else happens in the partition: the end of the wait itself must wake the consumer, whenever it looked."""

    @virtually
    async def run(world: World) -> None:
        await sent(world.segmenter(), ("a", "bad"))
        consumer = await failed(world, delay)
        began = world.loop.time()
        await consumer.shutdown()
        heir = await world.segmenter().register_consumer("orders", group="g")
        await asyncio.sleep(looks_after)
        (message,) = await heir.read()
        assert world.loop.time() - began == pytest.approx(delay, abs=0.01)
        assert message.attempt == 2

    run()


@virtually
async def test_a_seek_forgets_waits(world: World) -> None:
    """Whoever moves a group back wants its messages now."""
    await sent(world.segmenter(), ("a", "bad"))
    consumer = await failed(world, 3_600)
    await consumer.shutdown()
    heir = await world.segmenter().register_consumer("orders", group="g")
    await world.until(lambda: heir.partitions == [0])
    await heir.seek(0, "earliest")
    (message,) = await heir.read(timeout=5)
    assert message.attempt == 1


@virtually
async def test_what_is_redriven_and_fails_waits_with_the_next_owner(world: World) -> None:
    segmenter = world.segmenter()
    await sent(segmenter, ("a", "bad"), ("a", "after"))
    consumer = await segmenter.register_consumer("orders", group="g")
    (await anext(consumer)).park("for now")
    await consumer.commit()
    assert await (await segmenter.shelves("orders", "g")).redrive("a") == 2
    (await anext(consumer)).nack(60)
    began = world.loop.time()
    await asyncio.sleep(20)
    await consumer.shutdown()
    deploy = Deploy(world)
    await deploy.start()
    await asyncio.sleep(60)
    assert [at - began for at in deploy.times("bad")] == pytest.approx([60], abs=1.0)
    assert [what for _, what, _ in deploy.calls] == ["bad", "after"]
