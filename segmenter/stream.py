"""A stream, as a producer holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic

from segmenter.codecs import Format, T
from segmenter.config import StreamOptions
from segmenter.core.command import PartitionSlot
from segmenter.core.forward import Outgoing
from segmenter.core.layout import StreamConfig
from segmenter.core.log import Record, in_columns
from segmenter.core.retention import Trim
from segmenter.errors import ConsumerDead, InvalidArgument, SegmenterError
from segmenter.port import Session
from segmenter.runtime.home import Home
from segmenter.runtime.host import Host
from segmenter.runtime.intake import Key, Router, Share, checked, encoded
from segmenter.runtime.lifecycle import Lifecycle
from segmenter.runtime.sender import Outbox, Outboxes
from segmenter.runtime.sent import Place, Sent, SentMany

__all__ = ["Stream"]


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
        place: object = None,
    ) -> None:
        self._name = name
        self._config = config
        self._options = options
        self._session = session
        self._lifecycle = lifecycle
        self._producer = producer
        self._host = host
        self._encode = None if form.encode is None else form.encoded
        self._place = place
        self._router = Router(config.partitions, config.hash_name)
        self._home = Home("stream", name)
        self._outboxes = Outboxes(self._outbox)
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
        return self._router.partition_of(encoded(key))

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
        self._home.check()
        parts = checked(key, self._payload(data), headers)
        return await self._outboxes[self._router.partition_of(parts[0])].send(parts)

    async def send_many(self, messages: Iterable[tuple[Key, T] | tuple[Key, T, Mapping[str, str]]]) -> Sequence[Sent]:
        """Append many messages, in the order given for each key, and return when the server has them all.

        Args:
            messages: tuples of key, data and, if there are any, headers.

        Returns:
            Where each message stands, in the order given.

        Raises:
            SegmenterError: as for ``send``, when the rest has come to its end; the exception's ``sent`` lists where
                each message stands, with ``None`` for those that failed.
        """
        self._home.check()
        shares = self._router.shares(self._payloads(messages), self.partition_size)
        parcels = [self._outboxes[share.partition].send_many(share.records) for share in shares]
        return _in_order(shares, await asyncio.gather(*parcels, return_exceptions=True))

    def outgoing(self, key: Key, data: T, headers: Mapping[str, str] | None = None) -> Outgoing:
        """Return a message on its way to this stream, for ``Message.forward``; nothing is sent yet.

        Raises:
            MessageTooLarge, InvalidArgument: the message cannot be, or the stream was opened with ``durability``.
        """
        self._home.check()
        if self._options.durability is not None:
            raise InvalidArgument(
                f"{self._name!r} was opened with durability, which a forwarded message cannot wait for: "
                "open it without, or send and then acknowledge"
            )
        record = Record(*checked(key, self._payload(data), headers))
        return Outgoing(
            PartitionSlot(self._name, self._router.partition_of(record.key)),
            in_columns([record]),
            self.partition_size,
            self._config.layout,
            "drop_oldest" if self._options.on_full == "drop_oldest" else "refuse",
            waits=self._options.on_full == "wait",
            place=self._place,
        )

    def _payload(self, data: T) -> bytes:
        return data if self._encode is None else self._encode(data)  # type: ignore[return-value]

    def _payloads(self, messages: Iterable[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        return messages if self._encode is None else self._encoded(messages)

    def _encoded(self, messages: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Encode the data; what is no message is refused where all of them are looked at."""
        for message in messages:
            match message:
                case tuple((key, data, *headers)):
                    yield (key, self._payload(data), *headers)
                case _:
                    yield message

    async def alter(self, *, partition_size: int) -> None:
        """Change how many messages each partition keeps. Other producers follow when they open the stream again.

        Raises:
            InvalidPartitionSize: the size cannot be.
        """
        StreamOptions(partitions=self.partitions, partition_size=partition_size)
        self._config = await self._lifecycle.alter_stream(self._name, partition_size)

    def _outbox(self, partition: int) -> Outbox:
        if self._closed:
            raise ConsumerDead("the Segmenter was closed: make a new one", stream=self._name)
        return Outbox(
            PartitionSlot(self._name, partition),
            self._producer,
            self._session,
            self._options,
            capacity=lambda: self.partition_size,
            layout=self._config.layout,
            chance=self._host.chance,
            make_room=self._make_room,
        )

    def _make_room(self) -> asyncio.Future[None]:
        """Have everything trimmed that all groups have settled; of those who ask at the same time, for all of them."""
        if self._making_room is None or self._making_room.done():
            self._making_room = asyncio.ensure_future(self._trim())
        return self._making_room

    async def _trim(self) -> None:
        trims = [self._session.execute(Trim(PartitionSlot(self._name, number))) for number in range(self.partitions)]
        await asyncio.gather(*trims, return_exceptions=True)

    def close(self, error: SegmenterError) -> None:
        """Fail whatever has not been answered; called when the Segmenter closes."""
        self._closed = True
        outboxes = [*self._outboxes.values()]
        self._outboxes.clear()  # whoever sends now would have one made
        for outbox in outboxes:
            outbox.close(error)


def _in_order(shares: Sequence[Share], outcomes: Sequence[Place | BaseException]) -> Sequence[Sent]:
    """Where each message stands, in the order given; the first failure is raised, and has the rest."""
    places: list[tuple[Sequence[int], Place]] = []
    failures: list[BaseException] = []
    for share, outcome in zip(shares, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            failures.append(outcome)
        else:
            places.append((share.indexes, outcome))
    sent = SentMany(sum([len(share.indexes) for share in shares]), places)
    if failures:
        failures[0].sent = sent.known  # type: ignore[attr-defined]
        raise failures[0]
    return sent
