"""What a user of the async API writes, as mypy, pyright and ty see it: they read this file, nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import assert_type

from attrs import frozen

from segmenter import (
    Consumer,
    Durability,
    Fence,
    GroupSnapshot,
    LoggedMessage,
    Message,
    Rebalance,
    Reject,
    Retry,
    Segmenter,
    Sent,
    SetAside,
    Shelves,
    Stream,
    StreamFull,
    StreamSnapshot,
    Worker,
)
from segmenter.testing import Rehearsal


@frozen
class Order:
    number: int


async def produce(segmenter: Segmenter) -> None:
    orders = await segmenter.register_stream("orders", partitions=8, on_full="wait", durability=Durability(disk=True))
    assert_type(orders, Stream[bytes])
    assert_type(await segmenter.get_stream("orders", send_timeout=timedelta(seconds=5)), Stream[bytes])
    assert_type(await orders.send("customer-42", b"created", headers={"trace": "abc"}), Sent)
    assert_type(await orders.send_many([("customer-42", b"paid"), (b"k", b"", {"trace": "abc"})]), Sequence[Sent])
    assert_type(orders.partition_of("customer-42"), int)
    await orders.alter(partition_size=10)
    objects = await segmenter.register_stream("objects", type=Order)
    assert_type(objects, Stream[Order])
    await objects.send("customer-42", Order(1))
    await objects.send("k", b"")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # ty: ignore[invalid-argument-type]


async def consume(segmenter: Segmenter) -> None:
    async def flush(partition: int) -> None: ...

    start = datetime.now(UTC)
    async with segmenter.register_consumer("orders", group="billing", start=start, on_revoked=flush) as consumer:
        assert_type(consumer, Consumer)
        async for message in consumer:
            assert_type(message, Message)
            assert_type(message.fence, Fence)
            message.ack()
        batch = await consumer.read(timeout=1)
        assert_type(batch, list[Message])
        await consumer.ack(*batch)
        await consumer.nack(*batch, delay=timedelta(seconds=1))
        await consumer.commit()
        await consumer.seek(0, to="earliest")
        await consumer.shutdown(drain=False)
    segmenter.register_consumer("orders")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # ty: ignore[missing-argument]


worker = Worker("redis://localhost:6379", namespace="shop", group="billing")


@asynccontextmanager
async def opened(worker: Worker) -> AsyncGenerator[Stream[str]]:
    yield await worker.segmenter.register_stream("notes", type=str)


@worker.handler("orders", type=Order, key_concurrency=64, retry=Retry(attempts=5), on_exhausted="park")
async def bill(order: Order, message: Message) -> None:
    if order.number < 0:
        raise Reject("no order")
    await message.forward(worker.state, message.key, "billed")


@worker.handler("parcels", type=str, batch=100)
def ship(parcels: list[str]) -> None: ...


@worker.handler("bills", type=str)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # ty: ignore[no-matching-overload]
def of_another_type(bill: int) -> None: ...


async def work() -> None:
    Worker(lifespan=opened, threads="8")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # ty: ignore[invalid-argument-type]
    await worker.run()
    await worker.stop()
    assert_type(worker.ready, bool)
    assert_type(worker.test(), Rehearsal)


async def look(segmenter: Segmenter) -> None:
    assert_type(await segmenter.describe("orders", "billing"), GroupSnapshot)
    assert_type(await segmenter.describe_stream("orders"), StreamSnapshot)
    async for message in segmenter.tail("orders", start="earliest", follow=False):
        assert_type(message, LoggedMessage)
    shelves = await segmenter.shelves("orders", "billing")
    assert_type(shelves, Shelves)
    assert_type(await shelves.parked("customer-42", limit=10), list[SetAside])
    assert_type(await segmenter.rebalances("orders", "billing"), list[Rebalance])


async def main() -> None:
    async with Segmenter("redis://localhost:6379", namespace="shop") as segmenter:
        try:
            await produce(segmenter)
        except StreamFull as error:
            assert_type(error.lag, int)
        await consume(segmenter)
        await look(segmenter)
