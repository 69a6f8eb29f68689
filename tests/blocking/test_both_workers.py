"""Workers, each through the async API and through the blocking one, on memory and on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from segmenter import InvalidArgument, Message, Reject, RetriesExhausted, Retry, SegmenterError
from tests.blocking.both import Place, both, eventually


@asynccontextmanager
async def at_work(worker: Any) -> AsyncGenerator[asyncio.Future[None]]:
    running = asyncio.ensure_future(worker.run())
    try:
        yield running
    finally:
        await worker.stop()
        await asyncio.wait([running])
    await running


async def settled(place: Place, group: str = "g") -> None:
    segmenter = place.segmenter()

    async def all_of_it() -> bool:
        return group in await segmenter.groups("orders") and (await segmenter.describe("orders", group)).lag == 0

    await eventually(all_of_it)


@both
async def test_a_worker_handles_each_key_in_order_until_it_is_stopped(place: Place) -> None:
    orders = await place.segmenter().register_stream("orders", partitions=2, type=str)
    worker, handled = place.worker(group="g"), dict[str, list[int]]()

    def handle(order: str, message: Message) -> None:
        handled.setdefault(message.key, []).append(int(order))

    worker.handler("orders", type=str, key_concurrency=8)(handle)
    assert (worker.healthy, worker.ready) == (False, False)
    await worker.stop()  # which does nothing, as long as it does not run
    async with at_work(worker):
        await orders.send_many((f"k{n % 7}", f"{n}") for n in range(210))
        await settled(place)
        assert (worker.healthy, worker.ready) == (True, True)
    assert (worker.healthy, worker.ready) == (False, False)
    assert handled == {f"k{key}": list(range(key, 210, 7)) for key in range(7)}
    assert (await place.segmenter().describe("orders", "g")).members == ()


@both
async def test_what_fails_is_tried_again_and_parked_and_what_is_rejected_is_dead(place: Place) -> None:
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2, type=str)
    worker, attempts = place.worker(group="g"), list[int]()

    def handle(order: str, message: Message) -> None:
        if order == "nonsense":
            raise Reject("no order")
        if order == "broken":
            attempts.append(message.attempt)
            raise ValueError(order)

    worker.handler("orders", type=str, retry=Retry(attempts=2, initial=0.001))(handle)
    async with at_work(worker):
        await orders.send_many([("a", "broken"), ("a", "behind it"), ("b", "nonsense"), ("c", "fine")])
        await settled(place)
        shelves = await segmenter.shelves("orders", "g")
        assert [letter.key for letter in await shelves.parked()] == ["a", "a"]
        assert [letter.reason for letter in await shelves.dead()] == ["no order"]
    assert attempts == [1, 2]


@both
async def test_what_a_handler_decides_about_its_message_stands(place: Place) -> None:
    """Park and reject are asked for in the handler's thread, and belong to that of the loop."""
    segmenter = place.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    worker = place.worker(group="g")

    def handle(order: bytes, message: Message) -> None:
        {b"park": message.park, b"reject": message.reject, b"ack": lambda reason: message.ack()}[order]("as it says")

    worker.handler("orders")(handle)
    async with at_work(worker):
        await orders.send_many([("a", b"park"), ("b", b"reject"), ("c", b"ack"), ("a", b"ack")])
        await settled(place)
        shelves = await segmenter.shelves("orders", "g")
        assert [letter.data for letter in await shelves.parked()] == [b"park", b"ack"]
        assert [letter.data for letter in await shelves.dead()] == [b"reject"]


@both
async def test_a_worker_ends_with_what_a_handler_has_ended_it_for(place: Place) -> None:
    orders = await place.segmenter().register_stream("orders", partitions=1)
    worker = place.worker(group="g")

    def handle(order: bytes) -> None:
        raise ValueError(order)

    worker.handler("orders", retry=Retry(attempts=1), on_exhausted="halt")(handle)
    running = asyncio.ensure_future(worker.run())
    await orders.send("k", b"broken")
    with pytest.raises(RetriesExhausted, match="broken"):
        await running


@both
async def test_a_handler_may_ask_its_worker_to_stop(place: Place) -> None:
    orders = await place.segmenter().register_stream("orders", partitions=1)
    worker = place.worker(group="g")

    def handle(order: bytes) -> None:
        worker.request_stop()

    worker.handler("orders")(handle)
    await orders.send("k", b"the last one")
    await worker.run()
    assert (await place.segmenter().describe("orders", "g")).lag == 0


@both
async def test_a_worker_may_run_again_and_not_twice_at_once(place: Place) -> None:
    orders = await place.segmenter().register_stream("orders", partitions=1)
    worker, handled = place.worker(group="g"), list[bytes]()
    worker.handler("orders")(handled.append)
    for order in (b"first", b"second"):
        async with at_work(worker):
            await orders.send("k", order)
            await settled(place)
            with pytest.raises(SegmenterError, match="running already"):
                await worker.run()
            assert worker.healthy, "the one that runs is not disturbed"
    assert handled == [b"first", b"second"]


@both
async def test_what_cannot_be_is_refused(place: Place) -> None:
    with pytest.raises(InvalidArgument, match="threads"):
        place.worker(threads=0)
    worker = place.worker(group="g")
    with pytest.raises(InvalidArgument, match="no handlers"):
        await worker.run()
    with pytest.raises(SegmenterError, match="does not run"):
        _ = worker.segmenter
    worker.handler("orders")(print)
    with pytest.raises(InvalidArgument, match="already"):
        worker.handler("orders")(print)
