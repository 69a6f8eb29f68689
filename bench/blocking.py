"""What does the blocking API cost beside the async one, and beside plain redis-py, which blocks too?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench import consume, produce
from bench.loads import BATCH, PARTITIONS, messages
from bench.measure import Contest, Place, Run, Way
from segmenter import sync

__all__ = ["contests"]

CALL = BATCH * PARTITIONS  # messages in a call: a batch for each partition

Handling = Callable[[sync.Consumer, int], None]


@contextmanager
def _opened(place: Place) -> Iterator[tuple[sync.Segmenter, sync.Stream]]:
    with sync.Segmenter(place.url, namespace=place.fresh_namespace()) as segmenter:
        yield segmenter, segmenter.register_stream("s", partitions=PARTITIONS, partition_size=10**7)
        segmenter.remove_stream("s")


def _send_many(place: Place) -> Run:
    count = place.count(produce.COUNT)
    with _opened(place) as (_, stream):
        stream.send_many(messages(CALL))
        with place.timing(count) as made:
            for _ in range(0, count, CALL):
                stream.send_many(messages(CALL))
    return made


def _ours(handling: Handling) -> Way:
    def way(place: Place) -> Run:
        count = place.count(consume.COUNT)
        with _opened(place) as (segmenter, stream):
            consumer = segmenter.register_consumer("s", group="g", batch_size=BATCH)
            consumer.pause()
            stream.send_many(messages(count))
            with place.timing(count) as made:
                consumer.resume()
                handling(consumer, count)
            consumer.shutdown(drain=False)
        return made

    return way


def _batches(consumer: sync.Consumer, count: int) -> None:
    done = 0
    while done < count:
        batch = consumer.read(timeout=5)
        for message in batch:
            message.ack()
        done += len(batch)
    consumer.commit()


def _iteration(consumer: sync.Consumer, count: int) -> None:
    for message in itertools.islice(consumer, count):
        message.ack()
    consumer.commit()


def contests() -> list[Contest]:
    """The contests of the async API, each with the blocking way beside it."""
    (producing,), (consuming,) = produce.contests(), consume.contests()
    raw, batches, iteration, *_ = consuming.ways
    return [
        Contest("produce in batches, blocking", {**producing.ways, "sync send_many of 2,000": _send_many}),
        Contest(
            "consume and settle, blocking",
            {
                **{name: consuming.ways[name] for name in (raw, batches, iteration)},
                "sync: read batches of 500, ack each": _ours(_batches),
                "sync: for, ack each": _ours(_iteration),
            },
        ),
    ]
