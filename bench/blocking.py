"""What does the blocking API cost beside the async one, and beside plain redis-py, which blocks too?"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from bench.consume import _batches as _async_batches
from bench.consume import _iteration as _async_iteration
from bench.consume import _ours as _async
from bench.consume import _raw as _raw_consume
from bench.measure import Contest, timed
from bench.produce import _raw_pipeline
from bench.produce import _send_many as _async_send_many
from segmenter import sync

__all__ = ["contest"]

COUNT = 50_000
BATCH = 500
DATA = b"x" * 100
PARTITIONS = 4

Handling = Callable[[sync.Consumer], int]


def _send_many(url: str, number: int) -> float:
    with sync.Segmenter(url, namespace=f"blocking-produce-{number}") as segmenter:
        stream = segmenter.register_stream("s", partitions=PARTITIONS, partition_size=10**6)

        def job() -> int:
            for first in range(0, COUNT, BATCH * PARTITIONS):
                numbers = range(first, first + BATCH * PARTITIONS)
                stream.send_many((b"key-%d" % (index % 97), DATA) for index in numbers)
            return COUNT

        rate = timed(job)
        segmenter.remove_stream("s")
    return rate


def _ours(handling: Handling, batch_size: int = BATCH) -> Callable[[str, int], float]:
    def way(url: str, number: int) -> float:
        with sync.Segmenter(url, namespace=f"blocking-{handling.__name__}-{batch_size}-{number}") as segmenter:
            stream = segmenter.register_stream("s", partitions=PARTITIONS, partition_size=10**6)
            stream.send_many((b"key-%d" % (index % 97), DATA) for index in range(COUNT))
            with segmenter.register_consumer("s", group="g", batch_size=batch_size) as consumer:
                rate = timed(lambda: handling(consumer))
            segmenter.remove_stream("s")
        return rate

    return way


def _batches(consumer: sync.Consumer) -> int:
    done = 0
    while done < COUNT:
        batch = consumer.read(timeout=5)
        for message in batch:
            message.ack()
        done += len(batch)
    consumer.commit()
    return done


def _iteration(consumer: sync.Consumer) -> int:
    for message in itertools.islice(consumer, COUNT):
        message.ack()
    consumer.commit()
    return COUNT


contest = [
    Contest(
        "produce in batches, blocking",
        {
            "redis-py pipeline of 500 XADD": _raw_pipeline,
            "async send_many": _async_send_many,
            "sync send_many": _send_many,
        },
    ),
    Contest(
        "consume and settle, blocking",
        {
            "redis-py XREADGROUP 100 + XACK": _raw_consume,
            "async read of 500, ack each": _async(_async_batches),
            "sync read of 500, ack each": _ours(_batches),
            "async for, ack each": _async(_async_iteration),
            "sync for, ack each": _ours(_iteration),
        },
    ),
]
