"""What a message costs on its way in, in calls and in blocks of memory: limits that a change may lower, not raise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from segmenter import Consumer, Segmenter, Worker
from segmenter.core.command import Entry
from segmenter.core.lanes import KeyLanes
from segmenter.core.partition import Progress
from segmenter.testing import run_virtually, virtual_host
from segmenter_memory import MemoryBackend, Store
from tests.hot.counting import Calls, blocks_kept, calls_made

COUNT = 500
KEYS = [b"key-%d" % number for number in range(97)]
ENTRIES: Sequence[Entry] = [(b"1-%d" % n, [b"k", KEYS[n % len(KEYS)], b"d", b"x" * 100]) for n in range(COUNT)]


def lanes() -> KeyLanes:
    kept = KeyLanes(
        stream="s",
        group="g",
        partition=0,
        epoch=1,
        progress=Progress(),
        clock=time.monotonic,
        touched=lambda: None,
    )
    kept.offer(ENTRIES)
    return kept


def in_a_batch() -> None:
    for message in lanes().take(COUNT, whole_batch=True):
        message.ack()


def one_by_one() -> None:
    kept = lanes()
    while (message := kept.next()) is not None:
        message.ack()


def out_of_turn() -> None:
    """Everything is linked, since what is handed out is settled from its end."""
    for message in reversed(lanes().take(len(KEYS))):
        message.ack()


def test_in_a_batch_a_message_makes_nine_calls() -> None:
    """Of ours it is made, asks to be settled, and is; the rest is C's: a place in a queue, and two lengths."""
    assert calls_made(in_a_batch) / COUNT < 9.5


def test_one_by_one_a_message_makes_sixteen_calls() -> None:
    assert calls_made(one_by_one) / COUNT < 16.5


def test_in_the_chains_a_message_makes_fifty_six_calls() -> None:
    assert calls_made(out_of_turn) / len(KEYS) < 57


def test_a_message_in_hand_is_one_block() -> None:
    """It holds what was read as it was parsed; a number of its own above 256 says where it stands."""
    assert blocks_kept(lambda: lanes().take(COUNT, whole_batch=True)) / COUNT < 1.7


Job = Callable[[MemoryBackend], Awaitable[Calls]]


def consumed(job: Job) -> float:
    """How many calls a message makes in a job, those of the event loop, its clock and the backend in memory included.

    Time is virtual: how often a handler gives way to others would otherwise depend on the machine.
    """

    async def main() -> float:
        loop = asyncio.get_running_loop()
        backend = MemoryBackend(store=Store(lambda: int(loop.time() * 1_000_000)))
        async with opened(backend) as segmenter:
            stream = await segmenter.register_stream("s", partitions=1)
            await stream.send_many((KEYS[n % len(KEYS)], b"") for n in range(COUNT))
        return (await job(backend)).made / COUNT

    return run_virtually(main)


def opened(backend: MemoryBackend) -> Segmenter:
    return Segmenter(backend=backend, host=virtual_host(asyncio.get_running_loop()))


async def read(backend: MemoryBackend) -> Calls:
    async with opened(backend) as it, it.register_consumer("s", group="g", batch_size=COUNT) as consumer:
        with Calls() as calls:
            for message in await consumer.read():
                message.ack()
        return calls


async def iterated(backend: MemoryBackend) -> Calls:
    async with opened(backend) as segmenter, segmenter.register_consumer("s", group="g") as consumer:
        with Calls() as calls:
            await settle(consumer, COUNT)
        return calls


async def settle(consumer: Consumer, count: int) -> None:
    async for message in consumer:
        message.ack()
        count -= 1
        if not count:
            return


def handled(key_concurrency: int) -> Job:
    async def job(backend: MemoryBackend) -> Calls:
        host = virtual_host(asyncio.get_running_loop())
        worker, calls, done = Worker(backend=backend, group="g", host=host), Calls(), 0

        @worker.handler("s", key_concurrency=key_concurrency)
        async def handle(_data: bytes) -> None:
            nonlocal done
            done += 1
            if done == 1:
                calls.__enter__()
            elif done == COUNT:
                calls.__exit__()
                worker.request_stop()

        await worker.run()
        return calls

    return job


@pytest.mark.parametrize(
    ("job", "limit"),
    [(read, 10), (iterated, 25), (handled(1), 17.5), (handled(64), 26)],
    ids=["read", "async for", "a handler", "a handler of 64 keys"],
)
def test_a_consumer_makes_few_calls_for_a_message(job: Job, limit: float) -> None:
    """Slots of other keys are not even started for a handler that waits for nothing."""
    made = consumed(job)
    assert made < limit, made
