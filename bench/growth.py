"""What grows with the number of partitions and of members, and what must not?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from bench.loads import DATA, handled, on_asyncio, opened, owning
from bench.measure import Contest, Place, Run
from segmenter import Consumer, Segmenter

__all__ = ["contests"]

PARTITIONS = (4, 64, 256, 1024)
MEMBERS = (1, 16, 64, 256)
BATCH = 100  # messages of a partition in a call
COUNT = BATCH * PARTITIONS[-1]
TOGETHER = 16  # members that join at once: the more do, the more often they get in each other's way
SETTLED_S = 1.0  # connections are opened when they are first needed, and load all scripts
WATCHED_S = 10.0  # five heartbeats

Figure = Callable[[Place, str], Awaitable[float]]


def _produce(partitions: int) -> Callable[[Place], Run]:
    """The client's and the server's processor time for a message, at equal batches."""

    async def job(place: Place) -> Run:
        call = BATCH * partitions
        async with opened(place, partitions) as (_, stream):
            for _ in range(2):  # the first of them makes what is made once
                with place.timing(COUNT) as made:
                    for first in range(0, COUNT, call):
                        await stream.send_many((b"%d" % index, DATA) for index in range(first, first + call))
        made.value = (made.client_us or 0) + (made.server_us or 0)
        return made

    return on_asyncio(job)


def _consume(partitions: int) -> Callable[[Place], Run]:
    """The same, to handle them: each partition is read and committed once for each batch."""

    async def job(place: Place) -> Run:
        call, rounds = BATCH * partitions, list[Run]()
        async with opened(place, partitions) as (segmenter, stream):
            consumer = await segmenter.register_consumer("s", group="g", batch_size=BATCH, session_timeout=60)
            await owning(consumer, partitions)
            for first in range(0, COUNT, call):
                consumer.pause()
                await stream.send_many((b"%d" % index, DATA) for index in range(first, first + call))
                with place.timing(COUNT) as made:
                    consumer.resume()
                    await handled(consumer, call)
                rounds.append(made)
            await consumer.shutdown()
        client_us, server_us = (sum(getattr(each, of) for each in rounds) for of in ("client_us", "server_us"))
        return Run(client_us + server_us, client_us, server_us)

    return on_asyncio(job)


def _members(members: int, figure: Figure) -> Callable[[Place], Run]:
    async def job(place: Place) -> Run:
        namespace = place.fresh_namespace()
        async with AsyncExitStack() as stack:
            segmenter = await stack.enter_async_context(Segmenter(place.url, namespace=namespace))
            await segmenter.register_stream("s", partitions=members)
            consumers: list[Consumer] = []
            for first in range(0, members, TOGETHER):
                joining = [
                    segmenter.register_consumer("s", group="g") for _ in range(first, min(first + TOGETHER, members))
                ]
                consumers += await asyncio.gather(*map(stack.enter_async_context, joining))
            await asyncio.gather(*(owning(consumer, 1) for consumer in consumers))
            while any(len(consumer.partitions) > 1 for consumer in consumers):
                await asyncio.sleep(0.1)
            return Run(await figure(place, namespace))

    return on_asyncio(job)


async def _document(place: Place, namespace: str) -> float:
    return float(place.server.hstrlen(f"{{{namespace}:s}}:group:g:document", "body"))


async def _traffic(place: Place, _: str) -> float:
    """What goes over the server's network in a second, but for what it costs to ask."""
    await asyncio.sleep(SETTLED_S)
    first, began = _bytes(place), _bytes(place)
    await asyncio.sleep(WATCHED_S)
    return (_bytes(place) - began - (began - first)) / WATCHED_S


def _bytes(place: Place) -> int:
    stats = place.server.info("stats")
    return int(stats["total_net_input_bytes"] + stats["total_net_output_bytes"])


def contests(*, short: bool) -> list[Contest]:
    partitions = PARTITIONS[::3] if short else PARTITIONS
    members = MEMBERS[:3] if short else MEMBERS
    return [
        Contest(
            "processor time to produce a message, client and server, in batches of 100",
            {f"{count} partitions": _produce(count) for count in partitions},
            unit="us",
            limits={f"{count} partitions": 1.2 for count in partitions[1:]},
            rounds=3,
        ),
        Contest(
            "processor time to consume a message, client and server, in batches of 100",
            {f"{count} partitions": _consume(count) for count in partitions},
            unit="us",
            limits={f"{count} partitions": 1.2 for count in partitions[1:]},
            rounds=3,
        ),
        Contest(
            "size of a group's document, a partition for each member",
            {f"{count} members": _members(count, _document) for count in members},
            unit="bytes",
            rounds=1,
        ),
        Contest(
            "traffic of a group at rest, beats and reads",
            {f"{count} members": _members(count, _traffic) for count in members},
            unit="bytes/s",
            rounds=1,
        ),
    ]
