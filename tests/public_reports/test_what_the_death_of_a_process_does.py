"""What kills its process is found out, and nothing else is charged for it."""

from __future__ import annotations

import asyncio

from segmenter import Message, Retry, Worker
from tests.public_reports.shop import Shop
from tests.world import World, virtually

POISON = "5"


async def die(worker: Worker, task: asyncio.Task[None]) -> None:
    """Have a process die: nothing is handed over, and nothing more is stored."""
    assert worker._shift is not None
    for post in worker._shift._posts:
        assert post._runner is not None
        post._runner._pump.end(None)
    task.cancel()
    await asyncio.wait([task])


@virtually
async def test_a_message_that_kills_its_process_costs_no_message_of_another_partition_an_attempt(
    world: World,
) -> None:
    """celery/celery#5120 and its like: a task kills its worker again and again.

    A process that took four partitions over had a message of each next in line, and its death counted for all four.
    """
    shop = await Shop(world).open(*((f"k{number}", f"{number}") for number in range(12)), partitions=4)
    deadly = asyncio.Event()

    async def handle(text: str, message: Message) -> None:
        shop.handled.append((text, message.attempt))
        if text == POISON:
            deadly.set()
        await asyncio.sleep(0.3)

    deaths = 0
    while not shop.parked:
        deadly.clear()
        worker = shop.worker(handle, retry=Retry(attempts=2), session_timeout=1)
        task = world.run(worker)
        await world.until(lambda: deadly.is_set() or bool(shop.parked))
        if deadly.is_set():
            deaths += 1
            await die(worker, task)
    await shop.settled()
    assert [(key, attempt) for key, attempt, _ in shop.parked] == [(f"k{POISON}", 3)]
    assert deaths == 4  # two until it is suspected, and both attempts
    assert {attempt for text, attempt in shop.handled if text != POISON} == {1}
