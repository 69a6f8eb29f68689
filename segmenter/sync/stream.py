"""A stream, as blocking code holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic

from segmenter.codecs import T
from segmenter.core.forward import Outgoing
from segmenter.runtime.intake import Key
from segmenter.runtime.sent import Sent
from segmenter.stream import Stream as AsyncStream
from segmenter.sync.facade import Facade, blocking

__all__ = ["Stream"]


class Stream(Facade[AsyncStream[T]], Generic[T]):
    """A registered stream. Get one from ``Segmenter.register_stream`` or ``Segmenter.get_stream``.

    Every object is a producer of its own: messages that it sends one after the other to one key are appended in that
    order, each once, however often the connection breaks. Several threads may share it.
    """

    @property
    def name(self) -> str:
        """Its name."""
        return self._inner.name

    @property
    def partitions(self) -> int:
        """How many partitions it has."""
        return self._inner.partitions

    @property
    def partition_size(self) -> int:
        """How many messages each partition keeps."""
        return self._inner.partition_size

    def partition_of(self, key: Key) -> int:
        """The partition that a key belongs to, from 0."""
        return self._inner.partition_of(key)

    send = blocking(AsyncStream[T].send)
    alter = blocking(AsyncStream[T].alter)

    def send_many(self, messages: Iterable[tuple[Key, T] | tuple[Key, T, Mapping[str, str]]]) -> Sequence[Sent]:
        """Append many messages, in the order given for each key, and return when the server has them all.

        Args:
            messages: tuples of key, data and, if there are any, headers.

        Returns:
            Where each message stands, in the order given.

        Raises:
            SegmenterError: as for ``send``, when the rest has come to its end; the exception's ``sent`` lists where
                each message stands, with ``None`` for those that failed.
        """
        here = list(messages)  # an iterable of the user's runs in the user's thread
        return self._call(lambda: self._inner.send_many(here))

    def outgoing(self, key: Key, data: T, headers: Mapping[str, str] | None = None) -> Outgoing:
        """Return a message on its way to this stream, for ``Message.forward``; nothing is sent yet.

        Raises:
            MessageTooLarge, InvalidArgument: the message cannot be, or the stream was opened with ``durability``.
        """

        async def going_out() -> Outgoing:
            return self._inner.outgoing(key, data, headers)

        return self._call(going_out)
