"""A pipeline: orders come in, bills go out, and each order is settled by sending its bill.

Run it with ``segmenter run pipeline:worker``, against the server of ``SEGMENTER_URL``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from attrs import frozen

from segmenter import Message, Reject, Stream, Worker

__all__ = ["Bill", "Order", "worker"]


@frozen
class Order:
    """What a customer wants."""

    number: int
    pieces: int
    price_cents: int


@frozen
class Bill:
    """What a customer owes."""

    order: int
    cents: int


@asynccontextmanager
async def bills(worker: Worker) -> AsyncGenerator[Stream[Bill]]:
    """Open the stream that bills go to; handlers find it in ``worker.state``."""
    yield await worker.segmenter.register_stream("bills", partitions=4, type=Bill)


worker = Worker(namespace="shop", group="billing", lifespan=bills)


@worker.handler("orders", type=Order, key_concurrency=16)
async def bill(order: Order, message: Message) -> None:
    """Settle an order by sending its bill: both, or neither."""
    if order.pieces < 1:
        raise Reject(f"{order.pieces} pieces")
    await message.forward(worker.state, message.key, Bill(order.number, order.pieces * order.price_cents))
