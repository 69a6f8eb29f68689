"""However a task that uses the library is cancelled, its consumer leaves its group in order, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from segmenter import Consumer, Segmenter, Worker
from segmenter.core.observations import Departed
from segmenter_memory import MemoryBackend
from tests.public_reports.shop import Shop
from tests.servers import Server
from tests.world import World, virtually

SESSION_S = 20.0
Block = Callable[[World, Shop], Awaitable[None]]


async def consume(consumer: Consumer) -> None:
    async for message in consumer:
        message.ack()


async def taken_over(world: World, shop: Shop) -> float:
    """How long it takes until another consumer gets a message of each partition."""
    began = world.loop.time()
    async with world.segmenter().register_consumer("orders", group="g", session_timeout=SESSION_S) as heir:
        await shop.orders.send_many([(f"k{number}", "") for number in range(20)])
        got: set[int] = set()
        while len(got) < 4:
            for message in await heir.read(timeout=60):
                got.add(message.partition)
                message.ack()
    return world.loop.time() - began


# --- ways to be cancelled -------------------------------------------------------------------------------------------


async def by_a_timeout(world: World, _shop: Shop) -> None:
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(1),
            world.segmenter().register_consumer("orders", group="g", session_timeout=SESSION_S) as consumer,
        ):
            await consume(consumer)


async def by_a_task_group(world: World, _shop: Shop) -> None:
    async def use() -> None:
        async with world.segmenter().register_consumer("orders", group="g", session_timeout=SESSION_S) as consumer:
            await consume(consumer)

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError

    with suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(use())
            group.create_task(fail())


async def again_in_every_turn(world: World, _shop: Shop) -> None:
    """As the cancel scopes of anyio do, until the task has left them."""

    async def use() -> None:
        async with world.segmenter().register_consumer("orders", group="g", session_timeout=SESSION_S) as consumer:
            await consume(consumer)

    task = world.loop.create_task(use())
    await asyncio.sleep(1)
    for _ in range(10_000):
        if task.done():
            break
        task.cancel()
        await asyncio.sleep(0)
    assert task.done()


async def with_its_segmenter(world: World, _shop: Shop) -> None:
    async def use() -> None:
        segmenter = Segmenter(backend=MemoryBackend(store=world.store), host=world.host)
        async with segmenter, segmenter.register_consumer("orders", group="g", session_timeout=SESSION_S) as consumer:
            await consume(consumer)

    task = world.loop.create_task(use())
    await asyncio.sleep(1)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def while_it_drains(world: World, _shop: Shop) -> None:
    consumer = await world.segmenter().register_consumer("orders", group="g", session_timeout=SESSION_S)
    assert await consumer.read(timeout=1)  # and settles nothing
    task = world.loop.create_task(consumer.shutdown())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await consumer.shutdown()  # once more, and nobody cancels this


async def in_the_middle_of_a_worker(world: World, shop: Shop) -> None:
    async def handle(_text: str) -> None:
        await asyncio.sleep(1e6)

    task = await shop.run(handle, session_timeout=SESSION_S)
    await asyncio.sleep(1)
    for _ in range(100):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    assert task.cancelled()


WAYS: list[Block] = [
    by_a_timeout,
    by_a_task_group,
    again_in_every_turn,
    with_its_segmenter,
    while_it_drains,
    in_the_middle_of_a_worker,
]


@pytest.mark.parametrize("way", WAYS)
def test_whoever_is_cancelled_leaves_in_order(way: Block) -> None:
    """aio-libs/aiokafka#583 and #647, ag2ai/faststream#3000: partitions waited for a whole session."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(*((f"k{number}", "") for number in range(20)), partitions=4)
        before = asyncio.all_tasks()
        await way(world, shop)
        assert await taken_over(world, shop) < 2
        for segmenter in world.segmenters:
            await segmenter.aclose()  # raises nothing, though nobody cancels any more
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
        assert not left

    test()


# --- moments to be cancelled at -------------------------------------------------------------------------------------


def test_a_registration_that_is_cut_short_leaves_no_member_behind() -> None:
    """apache/kafka#5962 (KAFKA-7610): a start-up time limit with a retry filled the group with dead members."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(partitions=4)
        segmenter = world.segmenter()
        turns = 0
        while True:
            task = asyncio.ensure_future(segmenter.register_consumer("orders", group="g", session_timeout=SESSION_S))
            for _ in range(turns):  # at each moment on the way in turn
                await asyncio.sleep(0)
            if task.done():
                break
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            turns += 1
        assert turns > 5
        await task.result().shutdown()
        assert (await segmenter.describe("orders", "g")).members == ()
        assert not segmenter._consumers
        assert await taken_over(world, shop) < 2

    test()


def test_a_segmenter_that_is_cut_short_while_it_opens_leaves_no_connection(server: Server) -> None:
    """The same, one step before: whatever is opened by halves is closed."""

    async def main() -> None:
        for turns in range(60):
            segmenter = Segmenter(server.url)
            task = asyncio.ensure_future(segmenter.__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await segmenter.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        asyncio.run(main())
        gc.collect()
    assert len(server.client.client_list()) == 1  # whoever asks


@pytest.mark.parametrize("scheme", ["memory", "redis"])
def test_the_end_of_the_event_loop_is_an_orderly_end(scheme: str, newest_server: Server, namespace: str) -> None:
    """No public report: ``asyncio.run()`` ends while a background task consumes, and cancels every task."""
    url = "memory://loop-end" if scheme == "memory" else newest_server.url
    departed: list[str] = []

    async def use() -> None:
        async with (
            Segmenter(url, namespace=namespace) as segmenter,
            segmenter.register_consumer(
                "orders",
                group="g",
                observer=lambda seen: departed.append(seen.reason) if isinstance(seen, Departed) else None,
            ) as consumer,
        ):
            ready.set()
            await consume(consumer)

    ready = asyncio.Event()

    async def main() -> None:
        async with Segmenter(url, namespace=namespace) as segmenter:
            await segmenter.register_stream("orders", partitions=2)
        background.append(asyncio.ensure_future(use()))
        await ready.wait()

    background: list[asyncio.Future[None]] = []
    asyncio.run(main())
    assert departed == ["left"]


@pytest.mark.parametrize("scheme", ["memory", "redis"])
def test_a_handler_that_cancels_every_task_ends_its_worker_in_order(
    scheme: str, newest_server: Server, namespace: str
) -> None:
    """aio-libs/aiokafka#647: leaving a group while being cancelled, here by a shutdown hook in the wrong place."""
    url = "memory://all-tasks" if scheme == "memory" else newest_server.url
    departed: list[str] = []
    worker = Worker(url, namespace=namespace, group="g")

    @worker.handler(
        "orders", observer=lambda seen: departed.append(seen.reason) if isinstance(seen, Departed) else None
    )
    async def handle(_data: bytes) -> None:
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(60)

    async def main() -> None:
        async with Segmenter(url, namespace=namespace) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=2)
            await orders.send("k", b"")
        await worker.run()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert departed == ["left"]
