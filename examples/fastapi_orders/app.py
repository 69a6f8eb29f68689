"""A web application that takes orders in, and handles them in the same process: ``uvicorn app:app``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from segmenter import Segmenter, StreamFull, Worker

__all__ = ["Order", "app", "billed", "worker"]


class Order(BaseModel):
    """What a customer wants."""

    customer: str
    number: int


billed: list[Order] = []
worker = Worker(namespace="shop", group="billing")  # the server is that of SEGMENTER_URL


@worker.handler("orders", type=Order)
async def bill(order: Order) -> None:
    """Bill an order; those of one customer come in the order they were taken in."""
    billed.append(order)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the stream, and have the worker at work for as long as the application is."""
    async with Segmenter(namespace="shop") as seg:
        app.state.orders = await seg.register_stream("orders", partitions=4, type=Order)
        working = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            await worker.stop()
            await working


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=HTTPStatus.ACCEPTED)
async def take_in(order: Order) -> dict[str, str]:
    """Answer when the server has the order; if there is no room, the client may come again."""
    try:
        sent = await app.state.orders.send(order.customer, order)
    except StreamFull as full:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "try again later") from full
    return {"id": sent.id}
