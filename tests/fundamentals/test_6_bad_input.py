"""What cannot be is refused at once, with the value and the remedy, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from segmenter import (
    ConsumerDead,
    Durability,
    EmptyGroupName,
    EmptyStreamName,
    ForeignMessage,
    InvalidArgument,
    InvalidBatchSize,
    InvalidName,
    InvalidPartitionCount,
    InvalidPartitionSize,
    MessageTooLarge,
    NonExistentStream,
    PartitionLost,
    Segmenter,
    SessionMismatch,
    StreamError,
    StreamMismatch,
)
from tests.world import World, virtually

Call = Callable[[Segmenter], Awaitable[object]]

REFUSED_CALLS: dict[str, tuple[Call, type[Exception], str]] = {
    "an empty stream name": (lambda seg: seg.register_stream(""), EmptyStreamName, "such as 'orders'"),
    "a name with a space": (lambda seg: seg.register_stream("my orders"), InvalidName, "'my orders'.*1 to 128 letters"),
    "a name with braces": (lambda seg: seg.register_stream("{a}"), InvalidName, r"'\{a\}'"),
    "a name with a colon": (lambda seg: seg.register_stream("a:b"), InvalidName, "'a:b'"),
    "a name with a newline at its end": (lambda seg: seg.register_stream("a\n"), InvalidName, r"'a\\n'"),
    "a name that is too long": (lambda seg: seg.register_stream("a" * 129), InvalidName, "1 to 128"),
    "a name that is no text": (lambda seg: seg.register_stream(b"a"), InvalidName, "b'a'"),  # type: ignore[arg-type]
    "no partitions": (
        lambda seg: seg.register_stream("a", partitions=0),
        InvalidPartitionCount,
        "0: .* from 1 to 1024",
    ),
    "negative partitions": (lambda seg: seg.register_stream("a", partitions=-1), InvalidPartitionCount, "-1"),
    "too many partitions": (lambda seg: seg.register_stream("a", partitions=1025), InvalidPartitionCount, "1025"),
    "half a partition": (
        lambda seg: seg.register_stream("a", partitions=1.5),  # type: ignore[arg-type]
        InvalidPartitionCount,
        "1.5",
    ),
    "true partitions": (lambda seg: seg.register_stream("a", partitions=True), InvalidPartitionCount, "True"),
    "partitions as text": (
        lambda seg: seg.register_stream("a", partitions="8"),  # type: ignore[arg-type]
        InvalidPartitionCount,
        "'8'",
    ),
    "an empty partition": (lambda seg: seg.register_stream("a", partition_size=0), InvalidPartitionSize, "0"),
    "an unknown policy": (
        lambda seg: seg.register_stream("a", on_full="explode"),  # type: ignore[arg-type]
        InvalidArgument,
        "'explode'.*'raise', 'wait', 'drop_oldest'",
    ),
    "no time to send": (lambda seg: seg.register_stream("a", send_timeout=0), InvalidArgument, "send_timeout_s is 0"),
    "a durability that is a word": (
        lambda seg: seg.register_stream("a", durability="disk"),  # type: ignore[arg-type]
        InvalidArgument,
        r"'disk': use Durability\(",
    ),
    "negative replicas": (
        lambda seg: seg.register_stream("a", durability=Durability(replicas=-1)),
        InvalidArgument,
        "-1 replicas",
    ),
    "an unknown stream": (lambda seg: seg.get_stream("nothing"), NonExistentStream, "register it first"),
    "a consumer of an unknown stream": (
        lambda seg: seg.register_consumer("nothing", group="g"),
        NonExistentStream,
        "'nothing': register it first",
    ),
    "a description of an unknown group": (lambda seg: seg.describe("orders", "nobody"), StreamError, "'nobody'"),
    "a reset of an unknown group": (
        lambda seg: seg.reset_group("orders", "nobody", "earliest"),
        StreamError,
        "'nobody'",
    ),
    "other partitions": (
        lambda seg: seg.register_stream("orders", partitions=3),
        StreamMismatch,
        "2 partitions.*not 3",
    ),
    "another size": (
        lambda seg: seg.register_stream("orders", partitions=2, partition_size=7),
        StreamMismatch,
        "alter",
    ),
}


@pytest.mark.parametrize("what", REFUSED_CALLS)
def test_a_call_that_cannot_be_is_refused(what: str) -> None:
    call, kind, words = REFUSED_CALLS[what]

    @virtually
    async def scene(world: World) -> None:
        segmenter = world.segmenter()
        await segmenter.register_stream("orders", partitions=2)
        with pytest.raises(kind, match=words):
            await call(segmenter)

    scene()


REFUSED_CONSUMERS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "an empty group": ({"group": ""}, EmptyGroupName, "such as 'billing'"),
    "a group with a slash": ({"group": "a/b"}, InvalidName, "'a/b'"),
    "no batch": ({"batch_size": 0}, InvalidBatchSize, "0: .* from 1"),
    "no time to process": ({"max_processing_time": 0}, InvalidArgument, "max_processing_time_s is 0"),
    "a session that is too short": ({"session_timeout": 0.1}, InvalidArgument, "0.1.* from 0.2"),
    "a session without end": ({"session_timeout": float("nan")}, InvalidArgument, "nan"),
    "a place that is a word": ({"start": "middle"}, InvalidArgument, "'middle'.*'earliest', 'latest'"),
    "a place without a time zone": ({"start": datetime(2026, 1, 1)}, InvalidArgument, "time zone"),
    "a seat with a star": ({"instance_id": "pod*"}, InvalidName, r"'pod\*'"),
    "an unknown take-over": ({"takeover": "now"}, InvalidArgument, "'silence', 'immediate'"),
    "an unknown policy": ({"on_loss": "shrug"}, InvalidArgument, "'raise', 'continue'"),
    "no read-ahead": ({"read_ahead": 0}, InvalidArgument, "read_ahead is 0"),
}


@pytest.mark.parametrize("what", REFUSED_CONSUMERS)
def test_a_consumer_that_cannot_be_is_refused_before_anything_is_stored(what: str) -> None:
    options, kind, words = REFUSED_CONSUMERS[what]

    @virtually
    async def scene(world: World) -> None:
        segmenter = world.segmenter()
        await segmenter.register_stream("orders", partitions=2)
        before = dict(world.store.slots)
        with pytest.raises(kind, match=words):
            segmenter.register_consumer("orders", **{"group": "g", **options})
        assert world.store.slots == before

    scene()


REFUSED_MESSAGES: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "an empty key": (("", b"x"), InvalidArgument, "ordered by it"),
    "a key that is a number": ((42, b"x"), InvalidArgument, "42 is of type int: use str or bytes"),
    "no key": ((None, b"x"), InvalidArgument, "None"),
    "a key beyond the limit": (("k" * 1025, b"x"), MessageTooLarge, "1,025 bytes: the limit is 1,024"),
    "text for a payload": (("k", "x"), InvalidArgument, "str: encode it to bytes"),
    "a payload beyond the limit": (("k", b"x" * ((1 << 20) + 1)), MessageTooLarge, "1,048,577 bytes"),
    "a header that is a number": (("k", b"x", {"n": 1}), InvalidArgument, "'n': 1 is not text"),
    "headers that are a list": (("k", b"x", ["n"]), InvalidArgument, r"\['n'\]: use a mapping"),
    "too many headers": (("k", b"x", {str(n): "" for n in range(65)}), MessageTooLarge, "65 headers: the limit is 64"),
    "headers beyond the limit": (("k", b"x", {"h": "x" * (1 << 20)}), MessageTooLarge, "headers has 1,0"),
}


@pytest.mark.parametrize("what", REFUSED_MESSAGES)
def test_a_message_that_cannot_be_is_refused_and_sends_nothing(what: str) -> None:
    message, kind, words = REFUSED_MESSAGES[what]

    @virtually
    async def scene(world: World) -> None:
        orders = await world.segmenter().register_stream("orders", partitions=1)
        with pytest.raises(kind, match=words):
            await orders.send(*message)
        with pytest.raises(kind, match=words):
            await orders.send_many([("k", b"before"), message])
        await orders.send("k", b"after")
        async with world.segmenter().register_consumer("orders", group="g", session_timeout=1.0) as consumer:
            assert [message.data for message in await consumer.read(timeout=5)] == [b"after"]

    scene()


@virtually
async def test_what_is_no_message_at_all_is_refused(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    messages: list[Any] = [b"data", ("k",), ("k", b"x", {}, 1), "kx"]
    for message in messages:
        with pytest.raises(InvalidArgument, match=f"message {re.escape(repr(message))}: use a tuple"):
            await orders.send_many([message])


# --- acknowledging ---


@virtually
async def test_only_what_a_consumer_handed_out_can_be_acknowledged_by_it(world: World) -> None:
    """Durable on return would otherwise be said of a message that somebody else is to store."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("k", b"x")
    one = await segmenter.register_consumer("orders", group="one", session_timeout=1.0)
    two = await segmenter.register_consumer("orders", group="two", session_timeout=1.0)
    foreign = await anext(one)
    for what, words in ((foreign, "not handed out by this consumer"), (b"x", "b'x' is not a message")):
        with pytest.raises(ForeignMessage, match=words):
            await two.ack(what)  # type: ignore[arg-type]
        with pytest.raises(ForeignMessage, match=words):
            await two.nack(what)  # type: ignore[arg-type]
    assert not foreign.settled
    await one.ack(foreign)


@virtually
async def test_a_message_of_a_partition_that_has_moved_is_refused(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send("k", b"x")
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    message = await anext(consumer)
    await consumer.shutdown(drain=False)
    with pytest.raises(PartitionLost):
        message.ack()


@virtually
async def test_after_a_shutdown_everything_says_so(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    await consumer.shutdown()
    await consumer.shutdown()
    for use in (lambda: consumer.read(timeout=1), consumer.commit, lambda: consumer.seek(0, "earliest")):
        with pytest.raises(ConsumerDead, match="shut down: register a new one"):
            await use()
    assert [message async for message in consumer] == []
    await segmenter.aclose()
    await segmenter.aclose()
    with pytest.raises(ConsumerDead, match="make a new one"):
        await segmenter.register_stream("orders", partitions=1)
    with pytest.raises(ConsumerDead, match="was closed"):
        await orders.send("k", b"late")


@virtually
async def test_another_session_time_out_is_refused(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    with pytest.raises(SessionMismatch, match="1 s, not 2 s"):
        await segmenter.register_consumer("orders", group="g", session_timeout=2.0)


@virtually
async def test_a_place_that_cannot_be_leaves_the_partition_where_it_was(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    consumer = await segmenter.register_consumer("orders", group="g", session_timeout=1.0)
    await asyncio.sleep(0.5)
    with pytest.raises(InvalidArgument, match="partition 7 is not owned"):
        await consumer.seek(7, "earliest")
    with pytest.raises(InvalidArgument, match="'nowhere'"):
        await consumer.seek(0, "nowhere")
    assert consumer.partitions == [0]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host", "scheme 'ftp'"),
        ("redis://host:port", "not a URL"),
        ("", "pass one"),
        ("localhost:6379", "scheme 'localhost'"),
    ],
)
def test_a_url_that_cannot_be_is_refused_at_once(url: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGMENTER_URL", raising=False)
    with pytest.raises(InvalidArgument, match=words):
        Segmenter(url)
