"""How handlers come to an end: in time, too late, cancelled, never; and who owns their partition then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import evolve

from segmenter import HandlerStuck, Message, Retry, Worker
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.group import Expired
from segmenter.core.observations import (
    Granted,
    HandedBack,
    HandlerStands,
    HandlerTimedOut,
    Lost,
    Observation,
    Retried,
)
from tests.world import World, virtually

SESSION_S = 1.0


class Crew:
    """Workers of one group, and what their handlers did: (worker, what, data or key, when)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.said: list[tuple[str, str, bytes, float]] = []

    def worker(self, name: str, work: Callable[[Message], Awaitable[Any]], **options: Any) -> Worker:
        worker = self.world.handlers()
        options = {"session_timeout": SESSION_S, "retry": Retry(initial=0.1, jitter=0), **options}

        @worker.handler("orders", observer=self.world.observer(name), **options)
        async def handle(data: bytes, message: Message) -> None:
            self.said.append((name, "began", data, self.world.loop.time()))
            await work(message)
            self.said.append((name, "ended", data, self.world.loop.time()))

        return worker

    def times(self, name: str, what: str, data: bytes | None = None) -> list[float]:
        return [at for who, did, of, at in self.said if (who, did) == (name, what) and data in (None, of)]


def naps(for_s: float) -> Callable[[Message], Awaitable[None]]:
    async def nap(_message: Message) -> None:
        await asyncio.sleep(for_s)

    return nap


async def deaf(_message: Message) -> None:
    """Goes on when it is cancelled, as code does that catches everything; the end of the test cancels it again."""
    try:
        await asyncio.sleep(10_000)
    except asyncio.CancelledError:
        await asyncio.sleep(10_000)


# --- stopping -------------------------------------------------------------------------------------------------------


@virtually
async def test_a_stop_lets_handlers_end_and_starts_no_more(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(50)])
    crew = Crew(world)
    worker = crew.worker("w", naps(3), key_concurrency=4)
    running = world.run(worker)
    await world.until(lambda: len(crew.times("w", "began")) == 8)
    await asyncio.sleep(1)
    await worker.stop()
    await running
    assert len(crew.times("w", "began")) == len(crew.times("w", "ended")) == 8
    described = await segmenter.describe("orders", "g")
    assert (described.lag, described.members) == (42, ())
    assert world.loop.time() < 3.5


@virtually
async def test_what_is_cancelled_at_the_end_of_the_drain_timeout_has_not_been_tried(world: World) -> None:
    """A handler that was cut off by every deployment would otherwise be parked after five of them."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("slow", b"slow"), ("quick", b"quick")])
    crew, attempts = Crew(world), list[int]()

    async def work(message: Message) -> None:
        attempts.append(message.attempt)
        await asyncio.sleep(100 if message.key == "slow" else 1)

    for _ in range(3):
        worker = crew.worker("w", work, key_concurrency=2, drain_timeout=5)
        running = world.run(worker)
        await world.ready(worker)
        await asyncio.sleep(3)
        began = world.loop.time()
        await worker.stop()
        await running
        assert world.loop.time() - began == pytest.approx(5, abs=0.2)
    assert attempts == [1, 1, 1, 1]
    assert (await segmenter.describe("orders", "g")).lag == 1


@virtually
async def test_what_was_taken_along_and_not_begun_is_left_to_the_next_owner_at_once(world: World) -> None:
    """Messages that are handled one at a time are taken some at a time; that must not show."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(10)])
    crew = Crew(world)
    first, second = crew.worker("first", naps(1)), crew.worker("second", naps(1))
    running = world.run(first)
    await world.until(lambda: len(crew.times("first", "began")) == 3)
    await first.stop()
    await running
    assert world.loop.time() < 3.5
    world.run(second)
    await world.until(lambda: len(crew.times("second", "ended")) == 7)
    assert [data for _, what, data, _ in crew.said if what == "began"] == [b"%d" % n for n in range(10)]


@virtually
async def test_nothing_that_was_taken_along_starts_after_the_lease(world: World) -> None:
    """The machine slept while a handler was at work: somebody else may be at the rest by now."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(5)])
    slept_s, story = [0.0], list[str]()
    host = evolve(world.host, clock=lambda: world.loop.time() + slept_s[0])
    worker = world.handlers(host=host)

    def observe(seen: Observation) -> None:
        if isinstance(seen, Granted | Lost):
            story.append(type(seen).__name__)

    @worker.handler("orders", session_timeout=SESSION_S, observer=observe)
    async def handle(data: bytes) -> None:
        story.append(data.decode())
        if story == ["Granted", "0", "1"]:
            slept_s[0] = 100.0

    world.run(worker)
    await world.until(lambda: story[-1:] == ["4"])
    assert story[:4] == ["Granted", "0", "1", "Lost"]
    assert story.index("2") > story.index("Granted", 4)


@virtually
async def test_a_worker_that_is_cancelled_hands_over_at_once(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("k", b"")
    crew = Crew(world)
    running = world.run(crew.worker("w", naps(100)))
    await world.until(lambda: crew.times("w", "began") != [])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    described = await segmenter.describe("orders", "g")
    assert (described.members, described.partitions[0].owner) == ((), None)
    assert world.loop.time() < 1


# --- moving ---------------------------------------------------------------------------------------------------------


@virtually
async def test_a_partition_moves_when_its_handlers_have_ended(world: World) -> None:
    """Two handlers of one key would run beside each other otherwise."""
    orders = await world.segmenter().register_stream("orders", partitions=2)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(40)])
    crew = Crew(world)
    world.run(crew.worker("first", naps(2), key_concurrency=4))
    await world.until(lambda: len(crew.times("first", "began")) == 8)
    world.run(crew.worker("second", naps(2), key_concurrency=4))
    await world.until(lambda: len(world.times(Granted, "second")) == 1)
    await world.until(lambda: len(crew.times("first", "ended")) + len(crew.times("second", "ended")) == 40)
    assert world.times(Granted, "second")[0] >= world.times(HandedBack, "first")[0] >= crew.times("first", "ended")[0]
    assert len(crew.said) == 80, "nothing was handled twice"


@virtually
async def test_what_was_taken_along_of_a_partition_that_is_to_move_is_not_begun(world: World) -> None:
    """The next owner would wait for each of them otherwise."""
    orders = await world.segmenter().register_stream("orders", partitions=2)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(40)])
    crew = Crew(world)
    world.run(crew.worker("first", naps(0.2)))
    await world.until(lambda: len(crew.times("first", "began")) == 2)
    second = crew.worker("second", naps(0.2))
    world.run(second)
    await world.ready(second)
    joined = world.loop.time()
    await world.until(lambda: world.times(HandedBack, "first") != [])
    assert world.loop.time() - joined < 0.3, "a handler's time and a little"


@virtually
async def test_a_partition_moves_when_handlers_have_ended_that_had_passed_on_their_messages(world: World) -> None:
    """What a handler does after it has settled its message is as much of its work as what it did before."""
    orders = await world.segmenter().register_stream("orders", partitions=2)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(40)])
    crew = Crew(world)

    async def pass_on(message: Message) -> None:
        bills = await first.segmenter.register_stream("bills", partitions=1)
        await message.forward(bills, message.key, message.data)
        await asyncio.sleep(2)

    first = crew.worker("first", pass_on, key_concurrency=4)
    world.run(first)
    await world.until(lambda: len(crew.times("first", "began")) == 8)
    await asyncio.sleep(0.5)
    world.run(crew.worker("second", naps(2)))
    await world.until(lambda: len(world.times(Granted, "second")) == 1)
    assert len(crew.times("first", "ended")) >= 4, "those of the partition had ended"


@virtually
async def test_a_partition_that_is_to_move_is_not_waited_for_longer_than_its_drain_timeout(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=2)
    await orders.send_many([(f"k{n}", b"%d" % n) for n in range(10)])
    crew = Crew(world)
    world.run(crew.worker("first", naps(1000), drain_timeout=5))
    await world.until(lambda: len(crew.times("first", "began")) == 2)
    second = crew.worker("second", naps(0.1))
    world.run(second)
    await world.ready(second)
    joined = world.loop.time()
    await world.until(lambda: world.times(Granted, "second") != [])
    assert world.times(Granted, "second")[0] - joined == pytest.approx(5, abs=0.3)
    assert world.times(Retried) == world.times(HandlerTimedOut) == []


@virtually
async def test_a_handler_that_ends_after_its_partition_was_lost_settles_nothing(world: World) -> None:
    """It is cancelled at once; if it ends all the same, the next owner's delivery is the one that counts."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("k", b"")
    crew, told = Crew(world), list[float]()

    async def work(_message: Message) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            told.append(world.loop.time())
            await asyncio.sleep(0.2)  # and returns as if it had done its work

    world.run(crew.worker("w", work))
    await world.until(lambda: crew.times("w", "began") != [])
    await evict_all(world)
    await world.until(lambda: world.times(Lost) != [])
    assert told == world.times(Lost)
    await world.until(lambda: len(crew.times("w", "began")) == 2)
    assert (await segmenter.describe("orders", "g")).lag == 1


@virtually
async def test_no_partition_is_claimed_while_a_handler_of_an_earlier_hold_is_at_work(world: World) -> None:
    """The same process would handle one message twice at once."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send("k", b"")
    crew = Crew(world)

    async def reluctant(_message: Message) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(4)
            raise

    world.run(crew.worker("w", reluctant, session_timeout=20.0))
    await world.until(lambda: crew.times("w", "began") != [])
    await evict_all(world)
    await world.until(lambda: world.times(Lost) != [])
    await world.until(lambda: len(world.times(Granted)) == 2)
    assert world.times(Granted)[1] - world.times(Lost)[0] >= 4
    await world.until(lambda: len(crew.times("w", "began")) == 2)


async def evict_all(world: World) -> None:
    """Have everybody expelled, as after a silence that was too long."""
    slot = GroupSlot("orders", "g")
    data = world.store.slots[slot]
    world.store.slots[slot] = _without_members(data)


def _without_members(data: Any) -> Any:
    document = data.document.on(Expired(tuple(data.document.members)))
    return evolve(data, document=evolve(document, version="evicted"))


# --- taking too long ------------------------------------------------------------------------------------------------


@virtually
async def test_a_handler_that_takes_too_long_is_cancelled_and_that_was_an_attempt(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send_many([("slow", b"1"), ("slow", b"2"), ("quick", b"")])
    crew, seen = Crew(world), list[tuple[str, int]]()

    async def work(message: Message) -> None:
        seen.append((message.key, message.attempt))
        await asyncio.sleep(1000 if message.key == "slow" and message.attempt == 1 else 1)

    world.run(crew.worker("w", work, key_concurrency=2, max_processing_time=10))
    await world.until(lambda: len(crew.times("w", "ended")) == 2)
    assert crew.times("w", "began", b"1") == pytest.approx([0, 10.1], abs=0.3)
    assert [(what.after_s, what.key) for _, _, what in world.observed if isinstance(what, HandlerTimedOut)] == [
        (10, "slow")
    ]
    (retried,) = [what for _, _, what in world.observed if isinstance(what, Retried)]
    assert retried.reason == "TimeoutError: the handler did not end within max_processing_time, 10 s"
    await world.until(lambda: len(crew.times("w", "ended")) == 3, limit_s=30)
    assert seen == [("slow", 1), ("quick", 1), ("slow", 2), ("slow", 1), ("slow", 2)]


@virtually
async def test_a_slot_whose_handler_was_cancelled_is_as_good_as_new(world: World) -> None:
    """A cancellation that is still on the books of its task would make the next one look like the end of the loop."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send_many([("k", b"1"), ("k", b"2")])
    crew = Crew(world)

    async def work(message: Message) -> None:
        if message.attempt == 1:
            await asyncio.sleep(1000)
        if message.attempt == 2:
            raise asyncio.CancelledError  # as from a task of the handler's own

    world.run(crew.worker("w", work, max_processing_time=2, retry=Retry(initial=0)))
    await world.until(lambda: len(crew.times("w", "ended")) == 2)
    reasons = [seen.reason.partition(":")[0] for _, _, seen in world.observed if isinstance(seen, Retried)]
    assert reasons == ["TimeoutError", "CancelledError"] * 2


@virtually
async def test_a_cancelled_handler_may_clean_up_and_nothing_of_its_partition_starts_meanwhile(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send("slow", b"slow")
    crew = Crew(world)

    async def work(message: Message) -> None:
        try:
            await asyncio.sleep(1000 if message.attempt == 1 and message.key == "slow" else 0)
        except asyncio.CancelledError:
            await asyncio.sleep(0.4)
            raise

    world.run(crew.worker("w", work, key_concurrency=10, max_processing_time=10))
    await world.until(lambda: crew.times("w", "began") != [])
    await world.until(lambda: world.times(HandlerTimedOut) != [])
    await orders.send("other", b"other")
    await world.until(lambda: len(crew.times("w", "ended")) == 2)
    assert crew.times("w", "began", b"other")[0] >= world.times(HandlerTimedOut)[0] + 0.4


@virtually
async def test_a_handler_that_ends_beside_one_that_is_being_cancelled_takes_up_nothing(world: World) -> None:
    """The same, for a slot that has been at work meanwhile."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send("slow", b"slow")
    crew = Crew(world)

    async def work(message: Message) -> None:
        try:
            await asyncio.sleep(
                {b"slow": 1000, b"other": 9.7, b"third": 0}[message.data] if message.attempt == 1 else 0
            )
        except asyncio.CancelledError:
            await asyncio.sleep(0.4)
            raise

    world.run(crew.worker("w", work, key_concurrency=2, max_processing_time=10))
    await world.until(lambda: crew.times("w", "began") != [])
    await asyncio.sleep(0.5)
    await orders.send_many([("other", b"other"), ("third", b"third")])
    await world.until(lambda: len(crew.times("w", "ended")) == 3)
    (timed_out,) = world.times(HandlerTimedOut)
    assert timed_out < crew.times("w", "ended", b"other")[0] < timed_out + 0.4
    assert crew.times("w", "began", b"third")[0] >= timed_out + 0.4


@virtually
async def test_a_handler_that_does_not_end_costs_the_process_its_partitions_and_not_the_others(world: World) -> None:
    """Within max_processing_time and a session somebody else goes on, and the supervisor is told."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=4)
    keys = {orders.partition_of(f"k{n}"): f"k{n}" for n in range(40)}
    await orders.send_many([(keys[0], b"deaf"), (keys[0], b"after"), (keys[1], b"well")])
    crew = Crew(world)

    async def work(message: Message) -> None:
        if message.data == b"deaf" and message.attempt == 1:
            await deaf(message)
        await asyncio.sleep(4.5 if message.data == b"long" else 0.5)

    stuck = world.run(crew.worker("stuck", work, max_processing_time=5))
    await world.until(lambda: len(crew.times("stuck", "began")) == 2)
    await asyncio.sleep(4)
    await orders.send(keys[1], b"long")
    await asyncio.sleep(0.5)
    world.run(crew.worker("peer", work, max_processing_time=5))
    await world.until(lambda: crew.times("peer", "began") != [])
    assert crew.times("peer", "began")[0] <= 5 + SESSION_S + 0.1
    assert world.store.slots[PartitionSlot("orders", 0)].lanes["g"].unclean == 1
    await world.until(lambda: len(crew.times("peer", "ended")) == 2)
    assert not stuck.done(), "it still drains the other partition"
    with pytest.raises(HandlerStuck, match=r"handler .*handle went on after it was cancelled"):
        await stuck
    assert len(world.times(HandlerStands)) == 1
    ended = [(who, data) for who, what, data, _ in crew.said if what == "ended"]
    assert ended == [("stuck", b"well"), ("peer", b"deaf"), ("peer", b"after"), ("stuck", b"long")]
    assert (await segmenter.describe("orders", "g")).lag == 0


@virtually
async def test_a_stuck_handler_stops_the_other_handlers_of_the_worker_gracefully(world: World) -> None:
    segmenter = world.segmenter()
    for stream in ("orders", "other"):
        await (await segmenter.register_stream(stream, partitions=1)).send("k", b"x")
    worker, ended = world.handlers(), list[float]()

    @worker.handler("orders", session_timeout=SESSION_S, max_processing_time=5)
    async def bad(_data: bytes, message: Message) -> None:
        await deaf(message)

    @worker.handler("other", session_timeout=SESSION_S)
    async def good(_data: bytes) -> None:
        await asyncio.sleep(8)
        ended.append(world.loop.time())

    with pytest.raises(HandlerStuck):
        await world.run(worker)
    assert ended == pytest.approx([8], abs=0.1)
    assert (await segmenter.describe("other", "g")).lag == 0


@virtually
async def test_a_handler_that_is_deaf_when_the_worker_stops_does_not_keep_it_for_ever(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("k", b"")
    crew = Crew(world)
    worker = crew.worker("w", deaf, drain_timeout=5)
    running = world.run(worker)
    await world.until(lambda: crew.times("w", "began") != [])
    await worker.stop()
    with pytest.raises(HandlerStuck):
        await running
    assert world.loop.time() <= 5 + SESSION_S + 0.1
    assert (await segmenter.describe("orders", "g")).members == ()
