"""A stream, as a producer holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Generic

from segmenter.codecs import Format, T
from segmenter.config import (
    LIMIT_BATCH,
    LIMIT_BATCH_BYTES,
    LIMIT_DATA_BYTES,
    LIMIT_HEADERS,
    LIMIT_KEY_BYTES,
    StreamOptions,
)
from segmenter.core.command import PartitionSlot
from segmenter.core.hashing import partition_of
from segmenter.core.layout import StreamConfig
from segmenter.core.log import Record
from segmenter.core.message import encode_headers
from segmenter.core.retention import Trim
from segmenter.errors import ConsumerDead, InvalidArgument, MessageTooLarge, SegmenterError
from segmenter.port import Session
from segmenter.runtime.home import Home
from segmenter.runtime.host import Host
from segmenter.runtime.lifecycle import Lifecycle
from segmenter.runtime.sender import Outbox, Sent

__all__ = ["Stream"]

Key = str | bytes


class Stream(Generic[T]):
    """A registered stream. Get one from ``Segmenter.register_stream`` or ``Segmenter.get_stream``.

    Every object is a producer of its own: messages that it sends one after the other to one key are appended in that
    order, each once, however often the connection breaks.
    """

    def __init__(
        self,
        name: str,
        config: StreamConfig,
        options: StreamOptions,
        session: Session,
        lifecycle: Lifecycle,
        producer: str,
        host: Host,
        form: Format[T],
    ) -> None:
        self._name = name
        self._config = config
        self._options = options
        self._session = session
        self._lifecycle = lifecycle
        self._producer = producer
        self._host = host
        self._form = form
        self._home = Home("stream", name)
        self._outboxes: dict[int, Outbox] = {}
        self._closed = False
        self._making_room: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Stream {self._name!r}: {self.partitions} partitions of {self.partition_size}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def partitions(self) -> int:
        """How many partitions it has."""
        return self._config.partitions

    @property
    def partition_size(self) -> int:
        """How many messages each partition keeps."""
        return self._config.partition_size

    def partition_of(self, key: Key) -> int:
        """The partition that a key belongs to, from 0."""
        return partition_of(_encoded(key), self._config.partitions, self._config.hash_name)

    async def send(self, key: Key, data: T, headers: Mapping[str, str] | None = None) -> Sent:
        """Append a message, and return when the server has it.

        Args:
            key: messages of one key are processed in the order they were sent; text is encoded as UTF-8.
            data: the payload, or a value of the stream's ``type``.
            headers: small text values that travel with it.

        Raises:
            StreamFull: the partition is full of messages that a group has yet to settle (``on_full="raise"``, or no
                room came in time); nothing was sent.
            ServerFull: the server's memory is full, and trimming what is settled did not help; nothing was sent.
            SendUnknown: no answer came in time, or too few replicas confirmed it (``durability``): the message may or
                may not be in the stream. A send that is cancelled is as unknown.
            SendsLost: the server has lost messages that it had acknowledged to this producer. Nothing of this one
                was sent, so that those can be sent again before it.
            MessageTooLarge, InvalidArgument: the message cannot be; nothing was sent.
            BackendError: the server refuses; with ``refused`` nothing was sent.
            NotHere: called in another process or event loop than the stream was opened in.
        """
        self._check()
        record = _record(key, self._form.encoded(data), headers)
        (sent,) = await self._outbox(self.partition_of(record.key)).add((record,))
        return sent

    async def send_many(self, messages: Iterable[tuple[Key, T] | tuple[Key, T, Mapping[str, str]]]) -> list[Sent]:
        """Append many messages, in the order given for each key, and return when the server has them all.

        Args:
            messages: tuples of key, data and, if there are any, headers.

        Returns:
            Where each message stands, in the order given.

        Raises:
            SegmenterError: as for ``send``, when the rest has come to its end; the exception's ``sent`` lists where
                each message stands, with ``None`` for those that failed.
        """
        self._check()
        encoded = self._form.encoded
        records = [_record(key, encoded(data), *headers) for key, data, *headers in map(_as_tuple, messages)]
        routes: dict[int, list[int]] = {}
        for index, record in enumerate(records):
            routes.setdefault(self.partition_of(record.key), []).append(index)
        parcels = [
            (chunk, self._outbox(partition).add([records[index] for index in chunk]))
            for partition, indexes in routes.items()
            for chunk in self._chunks(indexes, records)
        ]
        outcomes = await asyncio.gather(*(future for _, future in parcels), return_exceptions=True)
        return _collected(len(records), [chunk for chunk, _ in parcels], outcomes)

    def _chunks(self, indexes: list[int], records: list[Record]) -> list[list[int]]:
        """Split what goes to one partition into parcels that fit into a batch."""
        chunks: list[list[int]] = []
        size = 0
        limit = min(LIMIT_BATCH, self.partition_size)
        for index in indexes:
            weight = len(records[index].data) + len(records[index].key)
            if not chunks or len(chunks[-1]) >= limit or size + weight > LIMIT_BATCH_BYTES:
                chunks.append([])
                size = 0
            chunks[-1].append(index)
            size += weight
        return chunks

    async def alter(self, *, partition_size: int) -> None:
        """Change how many messages each partition keeps. Other producers follow when they open the stream again.

        Raises:
            InvalidPartitionSize: the size cannot be.
        """
        StreamOptions(partitions=self.partitions, partition_size=partition_size)
        self._config = await self._lifecycle.alter_stream(self._name, partition_size)

    def _outbox(self, partition: int) -> Outbox:
        outbox = self._outboxes.get(partition)
        if outbox is None:
            outbox = self._outboxes[partition] = Outbox(
                PartitionSlot(self._name, partition),
                self._producer,
                self._session,
                self._options,
                capacity=lambda: self.partition_size,
                layout=self._config.layout,
                chance=self._host.chance,
                make_room=self._make_room,
            )
        return outbox

    def _make_room(self) -> asyncio.Future[None]:
        """Have everything trimmed that all groups have settled; of those who ask at the same time, for all of them."""
        if self._making_room is None or self._making_room.done():
            self._making_room = asyncio.ensure_future(self._trim())
        return self._making_room

    async def _trim(self) -> None:
        trims = [self._session.execute(Trim(PartitionSlot(self._name, number))) for number in range(self.partitions)]
        await asyncio.gather(*trims, return_exceptions=True)

    def _check(self) -> None:
        self._home.check()
        if self._closed:
            raise ConsumerDead("the Segmenter was closed: make a new one", stream=self._name)

    def close(self, error: SegmenterError) -> None:
        """Fail whatever has not been answered; called when the Segmenter closes."""
        self._closed = True
        for outbox in self._outboxes.values():
            outbox.close(error)


def _as_tuple(message: Any) -> Any:
    if isinstance(message, tuple) and len(message) in {2, 3}:  # pyright: ignore[reportUnknownArgumentType]
        return message  # pyright: ignore[reportUnknownVariableType]
    raise InvalidArgument(f"message {message!r}: use a tuple of key and data, or of key, data and headers")


def _encoded(key: Key) -> bytes:
    return key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key


def _record(key: Key, data: bytes, headers: Mapping[str, str] | None = None) -> Record:
    if not isinstance(key, str | bytes):
        raise InvalidArgument(f"key {key!r} is of type {type(key).__name__}: use str or bytes")
    record = Record(_encoded(key), data, _encoded_headers(headers) if headers else b"")
    if not record.key:
        raise InvalidArgument("the key is empty: messages are ordered by it, so each needs one")
    _check_size("key", len(record.key), LIMIT_KEY_BYTES)
    _check_size("payload", len(record.data), LIMIT_DATA_BYTES)
    return record


def _encoded_headers(headers: Mapping[str, str]) -> bytes:
    if not isinstance(headers, Mapping):
        raise InvalidArgument(f"headers are {headers!r}: use a mapping of names to values, both text")
    if len(headers) > LIMIT_HEADERS:
        raise MessageTooLarge(f"{len(headers)} headers: the limit is {LIMIT_HEADERS}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgument(f"header {name!r}: {value!r} is not text: use str for both")
    encoded = encode_headers(headers)
    _check_size("headers", len(encoded), LIMIT_DATA_BYTES)
    return encoded


def _check_size(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise MessageTooLarge(
            f"the {what} has {size:,} bytes: the limit is {limit:,}; store it elsewhere and send a reference"
        )


def _collected(count: int, chunks: list[list[int]], outcomes: list[list[Sent] | BaseException]) -> list[Sent]:
    sent: list[Sent | None] = [None] * count
    failure: BaseException | None = None
    for chunk, outcome in zip(chunks, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            failure = failure or outcome
            continue
        for index, receipt in zip(chunk, outcome, strict=True):
            sent[index] = receipt
    if failure is not None:
        failure.sent = sent  # type: ignore[attr-defined]
        raise failure
    return [receipt for receipt in sent if receipt is not None]
