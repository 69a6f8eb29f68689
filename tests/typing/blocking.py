"""What a user of the blocking API writes, as mypy, pyright and ty see it: they read this file, nothing runs it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import assert_type

from segmenter import (
    Durability,
    GroupSnapshot,
    LoggedMessage,
    Message,
    Rebalance,
    Retry,
    Sent,
    SetAside,
    StreamFull,
    StreamSnapshot,
    sync,
)
from segmenter.testing import Rehearsal


def produce(segmenter: sync.Segmenter) -> None:
    orders: sync.Stream = segmenter.register_stream("orders", on_full="wait", durability=Durability(replicas=1))
    # ty takes what is opened for Any where its type is that of an argument.
    assert_type(segmenter.register_stream("orders", partitions=8), sync.Stream)  # ty: ignore[type-assertion-failure]
    assert_type(segmenter.get_stream("orders", send_timeout=5), sync.Stream)  # ty: ignore[type-assertion-failure]
    assert_type(orders.send("customer-42", b"created", headers={"trace": "abc"}), Sent)
    assert_type(orders.send_many([("customer-42", b"paid"), (b"k", b"", {"trace": "abc"})]), Sequence[Sent])
    assert_type(orders.partition_of("customer-42"), int)
    orders.alter(partition_size=10)
    orders.send("customer-42", "text")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # ty: ignore[invalid-argument-type]
    orders.send()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # ty: ignore[missing-argument]
    segmenter.register_stream("orders", partitons=8)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # ty: ignore[unknown-argument]


def handle(message: Message) -> None:
    assert_type(message.key, str)
    message.ack()


def consume(segmenter: sync.Segmenter) -> None:
    def flush(partition: int) -> None: ...

    with segmenter.register_consumer("orders", group="billing", start=datetime.now(UTC), on_revoked=flush) as consumer:
        assert_type(consumer, sync.Consumer)
        for message in consumer:
            assert_type(message, Message)
            handle(message)
        assert_type(consumer.batches(), Iterator[list[Message]])
        batch = consumer.read(timeout=1)
        assert_type(batch, list[Message])
        consumer.ack(*batch)
        consumer.nack(*batch, delay=timedelta(seconds=1))
        consumer.commit()
        consumer.seek(0, to="earliest")
        consumer.pause(0, 1)
        consumer.resume()
        consumer.shutdown(drain=False)
        consumer.read(timeout="1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # ty: ignore[invalid-argument-type]
    segmenter.register_consumer("orders")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # ty: ignore[missing-argument]


def forward(segmenter: sync.Segmenter, message: Message) -> None:
    notes: sync.Stream[str] = segmenter.register_stream("notes", type=str)
    assert_type(segmenter.register_stream("notes", type=str), sync.Stream[str])  # ty: ignore[type-assertion-failure]
    assert_type(segmenter.get_stream("notes", type=str), sync.Stream[str])  # ty: ignore[type-assertion-failure]
    notes.send("customer-42", "text")
    notes.send("customer-42", b"bytes")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # ty: ignore[invalid-argument-type]
    message.forward(notes, "customer-42", "text")
    message.forward(notes, "customer-42", b"bytes")  # type: ignore[misc] # pyright: ignore[reportArgumentType] # ty: ignore[invalid-argument-type]


def look(segmenter: sync.Segmenter) -> None:
    assert_type(segmenter.streams(), list[str])
    assert_type(segmenter.describe_stream("orders"), StreamSnapshot)
    for message in segmenter.tail("orders", start="earliest", follow=False):
        assert_type(message, LoggedMessage)
    shelves = segmenter.shelves("orders", "billing")
    assert_type(shelves, sync.Shelves)
    assert_type(shelves.parked("customer-42", limit=10), list[SetAside])
    assert_type(shelves.redrive(), int)
    assert_type(segmenter.rebalances("orders", "billing"), list[Rebalance])
    segmenter.pause_group("orders", "billing")
    segmenter.resume_group("orders")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # ty: ignore[missing-argument]


worker = sync.Worker("redis://localhost:6379", namespace="shop", group="billing", threads=8)


@contextmanager
def opened(worker: sync.Worker) -> Generator[sync.Stream[str]]:
    assert_type(worker.segmenter, sync.Segmenter)
    yield worker.segmenter.register_stream("notes", type=str)


@worker.handler("orders", type=str, retry=Retry(attempts=5), on_exhausted="halt")
def bill(order: str, message: Message) -> None:
    message.forward(worker.state, message.key, order)


@worker.handler("parcels", type=str, batch=100)
def ship(parcels: list[str]) -> None: ...


@worker.handler("notes")
def note(note: bytes) -> None: ...


@worker.handler("bills", type=str)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # ty: ignore[no-matching-overload]
def of_another_type(bill: int) -> None: ...


def work() -> None:
    sync.Worker(lifespan=opened, threads="8")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # ty: ignore[invalid-argument-type]
    worker.handler("orders", retries=5)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    worker.run()
    worker.stop()
    worker.request_stop()
    worker.main()
    assert_type(worker.ready, bool)
    assert_type(worker.test(), Rehearsal)


def main() -> None:
    with sync.Segmenter("redis://localhost:6379", namespace="shop") as segmenter:
        try:
            produce(segmenter)
        except StreamFull as error:
            assert_type(error.lag, int)
        consume(segmenter)
        snapshot = segmenter.describe("orders", "billing")
        assert_type(snapshot, GroupSnapshot)
        segmenter.reset_group("orders", "billing", to="latest")
        segmenter.remove_group("orders", "billing")
        segmenter.remove_stream("orders")
    segmenter.close()
