"""Processes, event loops and blocked loops: what belongs where, and how everything ends."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import evolve

from segmenter import Consumer, ConsumerDead, ConsumerError, HandlerStuck, Message, NotHere, Segmenter
from tests.world import World, virtually

LIMIT_S = 30


def test_objects_of_another_event_loop_say_so() -> None:
    """Awaited in two loops, a connection would mix its answers up, or hang for ever."""
    opened: dict[str, Any] = {}

    async def first() -> None:
        segmenter = Segmenter("memory://")
        opened["segmenter"] = segmenter
        opened["stream"] = await segmenter.register_stream("orders", partitions=1)
        opened["consumer"] = await segmenter.register_consumer("orders", group="g")
        opened["consumer"].halt()

    async def second() -> None:
        uses: list[Callable[[], Awaitable[Any]]] = [
            lambda: opened["stream"].send("k", b"x"),
            lambda: opened["stream"].send_many([("k", b"x")]),
            lambda: opened["consumer"].read(timeout=1),
            lambda: opened["segmenter"].get_stream("orders"),
        ]
        for use in uses:
            with pytest.raises(NotHere, match="belongs to another event loop: open a Segmenter in this one"):
                await use()

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of the heart's thread, which is the point
def test_objects_of_the_parent_refuse_to_work_after_a_fork() -> None:
    """Parent and child would write to one connection and read each other's answers."""

    async def main() -> int:
        async with Segmenter("memory://") as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    await orders.send("k", b"x")
                except NotHere as error:
                    status = 0 if "before this process was forked" in str(error) else 2
                finally:
                    os._exit(status)
            _, status = os.waitpid(child, 0)  # noqa: ASYNC222 - the child ends at once
            await orders.send("k", b"of the parent")
            return os.waitstatus_to_exitcode(status)

    assert asyncio.run(main()) == 0


FORGETFUL = """
    import asyncio
    from segmenter import Segmenter

    async def main():
        segmenter = Segmenter({url!r}, namespace={namespace!r})
        orders = await segmenter.register_stream("orders", partitions=2)
        await orders.send("k", b"x")
        consumer = await segmenter.register_consumer("orders", group="g", session_timeout=0.5)
        message = await anext(consumer)
        await consumer.ack(message)
        print(message.data)

    asyncio.run(main())
"""


@pytest.mark.parametrize("place", ["memory", "redis"])
def test_a_program_that_forgets_to_close_ends_all_the_same(
    place: str, namespace: str, request: pytest.FixtureRequest
) -> None:
    """A thread or a task that is left must neither keep the interpreter nor write a traceback."""
    url = "memory://" if place == "memory" else request.getfixturevalue("newest_server").url
    program = textwrap.dedent(FORGETFUL).format(url=url, namespace=namespace)
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "b'x'", "")


def test_a_handler_that_blocks_the_loop_costs_the_consumer_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """The heart beats from a thread of its own: without proof of life it would hold the partitions for ever."""

    async def main() -> None:
        async with Segmenter("memory://") as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            await orders.send("k", b"x")
            consumer = await segmenter.register_consumer(
                "orders", group="g", session_timeout=0.3, max_processing_time=0.1
            )
            message = await anext(consumer)
            deadline = time.monotonic() + LIMIT_S
            while not any("stands still" in record.message for record in caplog.records):
                assert time.monotonic() < deadline  # this loop is the handler that blocks
            with pytest.raises(ConsumerDead) as stopped:
                await consumer.read(timeout=LIMIT_S)
            assert isinstance(stopped.value.__cause__, HandlerStuck)
            assert "move blocking code to a thread" in str(stopped.value)
            assert not message.settled

    with caplog.at_level(logging.ERROR, "segmenter.heart"):
        asyncio.run(main())


@virtually
async def test_a_handler_that_is_cancelled_leaves_its_message_to_be_handed_out_again(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("k", b"0"), ("k", b"1")])
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, max_processing_time=3.0)
    started = asyncio.Event()

    async def handler() -> None:
        async for _ in consumer:
            started.set()
            await asyncio.sleep(3600)

    task = asyncio.ensure_future(handler())
    await started.wait()
    task.cancel()
    began = world.loop.time()
    again = [await anext(consumer)]
    again[0].ack()
    again.append(await anext(consumer))
    assert [(message.data, message.attempt) for message in again] == [(b"0", 2), (b"1", 1)]
    assert world.loop.time() - began <= 3.0 + 0.01


async def next_attempt(segmenter: Segmenter) -> int:
    """Which attempt of the only message its next consumer gets."""
    async with segmenter.register_consumer("orders", group="g", session_timeout=1.0) as heir:
        return (await anext(heir)).attempt


@virtually
async def test_what_is_in_hand_when_a_block_is_left_has_not_been_tried(world: World) -> None:
    segmenter = world.segmenter()
    await (await segmenter.register_stream("orders", partitions=1)).send("k", b"0")
    for _ in range(3):
        assert await next_attempt(segmenter) == 1


@virtually
async def test_what_is_not_settled_when_a_consumer_has_had_its_time_to_drain_has_not_been_tried(world: World) -> None:
    segmenter = world.segmenter()
    await (await segmenter.register_stream("orders", partitions=1)).send("k", b"0")
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, drain_timeout=2.0)
    message, began = await anext(consumer), world.loop.time()
    await consumer.shutdown()
    assert world.loop.time() - began == pytest.approx(2.0, abs=0.1)
    with pytest.raises(ConsumerError):
        message.ack()
    assert await next_attempt(segmenter) == 1


@virtually
async def test_what_is_in_hand_when_an_exception_leaves_the_block_has_been_tried(world: World) -> None:
    """Whoever is started again for ever by such a message shall see it by its attempt."""
    segmenter = world.segmenter()
    await (await segmenter.register_stream("orders", partitions=1)).send("k", b"0")
    attempts: list[int] = []

    async def fail() -> None:
        async with segmenter.register_consumer("orders", group="g", session_timeout=1.0) as consumer:
            attempts.append((await anext(consumer)).attempt)
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await fail()
    assert [*attempts, await next_attempt(segmenter)] == [1, 2, 3]


@virtually
async def test_a_process_that_wakes_hands_out_nothing_that_it_had_read_before(world: World) -> None:
    """Another may own the partition by now; whatever the process does first must not be to start a message."""
    asleep_s = 0.0
    world.host = evolve(world.host, clock=lambda: world.loop.time() + asleep_s)
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"1"), ("b", b"2"), ("c", b"3")])
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0, batch_size=1)
    assert len(await consumer.read(timeout=1)) == 1
    asleep_s = 0.7
    assert len(await consumer.read(timeout=0)) == 1, "it may go on for as long as the lease lasts"
    asleep_s = 1.5
    assert await consumer.read(timeout=0) == []


async def settled(consumer: Consumer, batch: list[Message]) -> list[bytes]:
    await consumer.ack(*batch)
    return [message.data for message in batch]


@virtually
async def test_reading_that_is_cancelled_loses_no_message(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    data: list[bytes] = []
    for number in range(20):
        reading = asyncio.ensure_future(consumer.read())
        await orders.send("k", b"%d" % number)
        for _ in range(number % 7):
            await asyncio.sleep(0)
        reading.cancel()
        (batch,) = await asyncio.gather(reading, return_exceptions=True)
        data += await settled(consumer, [] if isinstance(batch, BaseException) else batch)
    while len(data) < 20:
        batch = await consumer.read(timeout=1)
        assert batch
        data += await settled(consumer, batch)
    assert data == [b"%d" % number for number in range(20)]


@virtually
async def test_a_cancelled_send_neither_doubles_nor_reorders_the_others(world: World) -> None:
    """It may or may not have been appended; what follows it is."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    for number in range(20):
        sending = asyncio.ensure_future(orders.send("k", b"%d" % number))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        if number % 2:
            sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    async with world.segmenter().register_consumer("orders", group="g", batch_size=100, session_timeout=1) as consumer:
        numbers = [int(message.data) for message in await consumer.read(timeout=1)]
    assert set(range(0, 20, 2)) <= set(numbers)
    assert numbers == sorted(set(numbers))
