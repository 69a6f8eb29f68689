"""What a consumer is handed.

A message is touched on every path that is hot, so it is a plain object with slots: fields are read as they came from
the log, and decoded only when somebody asks.
"""

# Messages are made in bulk outside of their class, for speed.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from segmenter.core.entries import headers_of, time_of
from segmenter.errors import InvalidArgument

if TYPE_CHECKING:
    from segmenter.core.command import Entry
    from segmenter.core.forward import Outgoing
    from segmenter.core.lanes import KeyLanes

__all__ = [
    "DELAYED",
    "FORWARDED",
    "FRESH",
    "HELD",
    "READY",
    "SETTLED",
    "STALE",
    "STARTED",
    "Fence",
    "Message",
    "encode_headers",
    "started",
]

# Where a message is on its way through a consumer.
FRESH = 0  # read, not looked at yet
HELD = 1  # an earlier message of its key is not settled
READY = 2  # may start
DELAYED = 3  # given back, and to be handed out again later
STARTED = 4  # handed out
SETTLED = 5  # acknowledged
STALE = 6  # taken back: this delivery no longer counts
FORWARDED = 7  # being settled by what is sent in its place


_new = object.__new__

D = TypeVar("D", contravariant=True)
V = TypeVar("V")


class Target(Protocol[D]):
    """A stream that messages can be forwarded to."""

    def outgoing(self, key: str | bytes, data: D, headers: Mapping[str, str] | None) -> Outgoing:
        """What is to be sent, and where it goes."""
        ...


class Fence(NamedTuple):
    """A fencing token: in a store of your own, refuse a write of a partition whose epoch is below one seen before."""

    partition: int
    epoch: int


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """Return headers as they are stored; nothing for none."""
    return json.dumps(dict(headers), ensure_ascii=False, separators=(",", ":")).encode() if headers else b""


class Message:
    """A message of one partition, in this delivery.

    It is settled by ``ack()``, given back by ``nack()``, or set aside by ``reject()`` or ``park()``; all of these are
    local and take effect at once, and become durable with the next commit.
    """

    __slots__ = (
        "_after",
        "_before",
        "_lanes",
        "_state",
        "attempt",
        "batch",
        "data",
        "entry_id",
        "ordinal",
        "raw_headers",
        "raw_key",
    )

    def __init__(
        self,
        lanes: KeyLanes,
        ordinal: int,
        entry_id: bytes,
        raw_key: bytes,
        data: bytes,
        raw_headers: bytes,
        attempt: int,
    ) -> None:
        self._lanes = lanes
        self._state = FRESH
        self._before: Message | None = None  # the earlier message of the same key, while it is not settled
        self._after: Message | None = None
        self.ordinal = ordinal
        self.entry_id = entry_id
        self.raw_key = raw_key
        self.data = data
        self.raw_headers = raw_headers
        self.attempt = attempt
        self.batch = 0  # number of the hand-out that it went with

    def __repr__(self) -> str:
        return f"<Message {self.stream}/{self.partition} {self.id} key={self.key!r} attempt={self.attempt}>"

    @property
    def key(self) -> str:
        """The partition key; bytes that are no UTF-8 come as surrogates, as in file names."""
        return self.raw_key.decode("utf-8", "surrogateescape")

    @property
    def headers(self) -> dict[str, str]:
        """The headers that it was sent with.

        Raises:
            Corrupt: another program has written them, and not as a JSON object of texts.
        """
        return headers_of(self.raw_headers, self.entry_id, partition=self.partition, stream=self.stream)

    @property
    def id(self) -> str:
        """Its id in the partition's log, milliseconds and a sequence number; ids of a partition rise."""
        return self.entry_id.decode()

    @property
    def timestamp(self) -> datetime:
        """When the server took it in, by the server's clock."""
        return time_of(self.entry_id)

    @property
    def stream(self) -> str:
        """The stream it came through."""
        return self._lanes.stream

    @property
    def group(self) -> str:
        """The group it is processed for."""
        return self._lanes.group

    @property
    def partition(self) -> int:
        """The partition it came through."""
        return self._lanes.partition

    @property
    def fence(self) -> Fence:
        """The token by which a store of your own can refuse a late write of a former owner."""
        return Fence(self._lanes.partition, self._lanes.epoch)

    @property
    def settled(self) -> bool:
        """Whether this delivery was acknowledged, rejected or parked."""
        return self in self._lanes.acked or self._state == SETTLED

    @property
    def current(self) -> bool:
        """Whether this delivery counts: it is not settled, and not taken or given back."""
        return self._state == STARTED and self not in self._lanes.acked

    @property
    def under_way(self) -> bool:
        """Whether it was left to what is sent in its place, and that is not decided."""
        return self._state == FORWARDED

    def handed_out_by(self, consumer: object) -> bool:
        """Whether it came through this consumer, in this delivery or an earlier one."""
        return self._lanes.consumer is consumer

    def ack(self) -> None:
        """Settle the message: it is done. Acknowledging twice changes nothing.

        Raises:
            OutOfOrderAck: an earlier message of the same key is not settled yet.
            StaleDelivery: the message was taken back from this delivery.
            PartitionLost: the partition belongs to somebody else.
        """
        self._lanes.settle(self)

    def nack(self, delay: float = 0.0) -> None:
        """Give the message back: it is handed out again, and the later ones of its key wait behind it.

        Args:
            delay: seconds before that; what is left of them when its partition moves, its next owner waits.

        Raises:
            StaleDelivery, PartitionLost: as for ``ack``.
        """
        self._lanes.give_back(self, delay)

    def redelivered(self, attempt: int) -> Message:
        """The same message in another delivery; of its lanes."""
        return Message(self._lanes, self.ordinal, self.entry_id, self.raw_key, self.data, self.raw_headers, attempt)

    def reject(self, reason: str = "") -> None:
        """Make a dead letter of the message, at once; its key goes on with the next one.

        Args:
            reason: why, for whoever looks at the dead letters; kept as printable text of at most 500 characters.

        Raises:
            OutOfOrderAck, StaleDelivery, PartitionLost: as for ``ack``.
        """
        self._lanes.bury(self, reason)

    def park(self, reason: str = "") -> None:
        """Set the message aside, and all later ones of its key behind it, until somebody has them redriven.

        Args:
            reason: why, for whoever looks at what is parked; kept as printable text of at most 500 characters.

        Raises:
            OutOfOrderAck, StaleDelivery, PartitionLost: as for ``ack``.
        """
        self._lanes.park(self, reason)

    def forward(
        self, stream: Target[V], key: str | bytes, data: V, headers: Mapping[str, str] | None = None
    ) -> Awaitable[None]:
        """Settle this message by sending another one in its place: both or neither, in one step of the server.

        Await the result; blocking code has waited for it when this returns. If it raises, nothing was sent and this
        message is still in hand.

        Args:
            stream: where it goes, opened from the ``Segmenter`` of this consumer.
            key: its key in that stream.
            data: its payload, or a value of that stream's ``type``.
            headers: small text values that travel with it.

        Raises:
            StreamFull: the other partition is full (where the stream's ``on_full`` is ``"raise"``).
            InvalidArgument: the stream belongs to another ``Segmenter`` or asks for durability, which one step of one
                server cannot give: send, and then acknowledge; a crash between the two sends once more.
            OutOfOrderAck, StaleDelivery, PartitionLost: as for ``ack``; lost after it was asked for, the message was
                either settled and sent, or will be handed out elsewhere.
        """
        if self._lanes.forwarding is None:
            raise InvalidArgument("this message came through no consumer: nothing settles it")
        return self._lanes.forwarding(self, stream.outgoing(key, data, headers))


def started(lanes: KeyLanes, entry: Entry, ordinal: int, batch: int) -> Message:
    """Make a message that is handed out for the first time.

    This runs for nearly every message. ``Message(...)`` would take 170 ns, and this takes 110.
    """
    message = _new(Message)
    message._lanes, message._state = lanes, STARTED
    message._before = message._after = None
    message.entry_id, fields = entry
    message.raw_key, message.data = fields[1], fields[3]  # as parts_of has it, which would take 60 ns
    message.raw_headers = fields[5] if len(fields) > 4 else b""  # noqa: PLR2004 - key, data, then headers
    message.ordinal, message.attempt, message.batch = ordinal, 1, batch
    return message
