"""Typed payloads: what streams send and handlers get, and what happens when it does not fit."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import attrs
import msgspec
import pydantic
import pytest

from segmenter import Codec, InvalidArgument, Retry, Undecodable, Worker
from segmenter.codecs import codec_for
from tests.world import World, virtually

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


class Colour(Enum):
    RED = "red"


@attrs.frozen
class Line:
    article: str
    count: int


@attrs.frozen
class AttrsOrder:
    number: int
    at: datetime
    colour: Colour
    lines: list[Line]


@dataclasses.dataclass(frozen=True)
class DataOrder:
    number: int
    note: str | None = None


class StructOrder(msgspec.Struct, frozen=True):
    number: int
    at: datetime


class ModelOrder(pydantic.BaseModel):
    number: int
    at: datetime


class Reversed:
    """A codec of one's own."""

    def encode(self, value: str) -> bytes:
        return value[::-1].encode()

    def decode(self, data: bytes) -> str:
        return data.decode()[::-1]


CASES: list[tuple[Any, Any, bytes]] = [
    (bytes, b"\x00\xff", b"\x00\xff"),
    (str, "grün", "grün".encode()),
    (
        AttrsOrder,
        AttrsOrder(1, AT, Colour.RED, [Line("x", 2)]),
        b'{"number": 1, "at": "2026-05-04T03:02:01+00:00", "colour": "red", "lines": [{"article": "x", "count": 2}]}',
    ),
    (DataOrder, DataOrder(1), b'{"number": 1, "note": null}'),
    (StructOrder, StructOrder(1, AT), b'{"number":1,"at":"2026-05-04T03:02:01Z"}'),
    (ModelOrder, ModelOrder(number=1, at=AT), b'{"number":1,"at":"2026-05-04T03:02:01Z"}'),
    (Reversed(), "abc", b"cba"),
]


@pytest.mark.parametrize(("kind", "value", "payload"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_what_is_sent_is_what_handlers_get(kind: Any, value: Any, payload: bytes) -> None:
    worker, got = Worker(group="g"), list[Any]()

    @worker.handler("orders", type=kind)
    async def handle(order: Any) -> None:
        got.append(order)

    with worker.test() as rehearsal:
        rehearsal.send("orders", "k", value)
        rehearsal.send("orders", "k", payload)
        rehearsal.drain()
    assert got == [value, value]
    assert type(got[0]) is type(value)
    assert codec_for(kind).encoded(value) == payload


@virtually
async def test_a_stream_of_a_type_sends_objects(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, type=DataOrder)
    await orders.send("k", DataOrder(1, "by send"))
    await orders.send_many([("k", DataOrder(2)), ("k", DataOrder(3), {"by": "many"})])
    again = await segmenter.get_stream("orders", type=str)
    await again.send("k", "text")
    async with segmenter.register_consumer("orders", group="g") as consumer:
        batch = await consumer.read(timeout=1)
    assert [message.data for message in batch] == [
        b'{"number": 1, "note": "by send"}',
        b'{"number": 2, "note": null}',
        b'{"number": 3, "note": null}',
        b"text",
    ]
    assert batch[2].headers == {"by": "many"}


@virtually
async def test_what_is_not_of_the_type_is_refused_before_it_is_sent(world: World) -> None:
    """It would be found out by the receiver, later and elsewhere."""
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    misfits: list[tuple[Any, Any]] = [
        (DataOrder, AttrsOrder(1, AT, Colour.RED, [])),
        (StructOrder, {"number": 1}),
        (ModelOrder, StructOrder(1, AT)),
        (str, b"bytes"),
        (Reversed(), 5),
    ]
    for kind, value in misfits:
        stream = await segmenter.get_stream("orders", type=kind)
        with pytest.raises(InvalidArgument, match=f"data of type {type(value).__name__} is no "):
            await stream.send("k", value)
    plain = await segmenter.get_stream("orders")
    with pytest.raises(InvalidArgument, match="encode it to bytes first, or give the stream a type="):
        await plain.send("k", "text")  # type: ignore[arg-type]
    async with segmenter.register_consumer("orders", group="g") as consumer:
        assert await consumer.read(timeout=1) == []


@pytest.mark.parametrize("kind", [str, AttrsOrder, DataOrder, StructOrder, ModelOrder])
def test_what_cannot_be_decoded_is_treated_like_any_failure_and_tells_why(kind: Any) -> None:
    """Neither lost, nor in the way of other keys."""
    worker, got = Worker(group="g"), list[Any]()

    @worker.handler("orders", type=kind, retry=Retry(attempts=2))
    async def handle(order: Any) -> None:
        got.append(order)

    good = next(payload for case, _, payload in CASES if case is kind)
    with worker.test() as rehearsal:
        rehearsal.send("orders", "bad", b"\xff{")
        rehearsal.send("orders", "good", good)
        rehearsal.drain()
        (parked,) = rehearsal.parked
        assert (parked.key, parked.value, parked.attempt) == ("bad", b"\xff{", 2)
        assert parked.reason.startswith(f"Undecodable: the payload is no {kind.__name__}: ")
    assert len(got) == 1


def test_types_without_a_way_are_refused_where_they_are_named() -> None:
    worker = Worker(group="g")
    for kind, words in (
        (int, "type int: payloads can be bytes, str, attrs or data classes"),
        (dict, "pass an object with encode"),
        (object(), "use a type, or an object with encode"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            worker.handler("orders", type=kind)  # type: ignore[call-overload]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cattrs.preconf.json", None)
    with pytest.raises(
        InvalidArgument, match=r"type DataOrder needs cattrs: pip install 'segmenter-streams\[cattrs\]'"
    ):
        codec_for(DataOrder)


def test_an_error_of_decoding_keeps_its_cause() -> None:
    with pytest.raises(Undecodable) as undecodable:
        codec_for(StructOrder).decoded(b"{}")
    assert isinstance(undecodable.value.__cause__, msgspec.ValidationError)
    assert isinstance(Reversed(), Codec)


def test_extras_are_imported_only_when_a_type_asks_for_them() -> None:
    """Whoever sends bytes does not pay for three libraries."""
    code = "import segmenter, sys; print([name for name in ('cattrs', 'msgspec', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"
