"""From what a user passes to records, sorted by partition: all that is done for each message before it is sent.

It runs once a message, so it is laid out for what costs here. Of CPython 3.11, in nanoseconds a message: a call 50,
CRC-32 of a short key 60, a place in a list 25, an object of attrs 90 (frozen 180), and as much again for the garbage
collector, which looks at objects and not at bytes. So messages go into columns, without an object for each; and the
plain case, bytes within the limits and no headers, is told by one condition: only what fails it is looked at closely.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from attrs import frozen

from segmenter.config import (
    LIMIT_BATCH,
    LIMIT_BATCH_BYTES,
    LIMIT_DATA_BYTES,
    LIMIT_HEADERS,
    LIMIT_KEY_BYTES,
)
from segmenter.core.hashing import hash_named
from segmenter.core.log import Records
from segmenter.core.message import encode_headers
from segmenter.errors import InvalidArgument, MessageTooLarge
from segmenter.runtime.parcels import Parts

__all__ = ["Key", "Router", "Share", "checked", "encoded"]

Key = str | bytes


def encoded(key: Key) -> bytes:
    """Return a key as it is stored."""
    return key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")


# --- one message ----------------------------------------------------------------------------------------------------


def checked(key: Key, data: bytes, headers: Mapping[str, str] | None = None) -> Parts:
    """Return the parts of a message as they are stored.

    Raises:
        InvalidArgument, MessageTooLarge: it cannot be sent.
    """
    if isinstance(key, str):
        key = key.encode("utf-8", "surrogateescape")
    plain = data.__class__ is bytes and key.__class__ is bytes and not headers
    if plain and 0 < len(key) <= LIMIT_KEY_BYTES and len(data) <= LIMIT_DATA_BYTES:
        return key, data, b""
    return _looked_at(key, data, headers)


def _looked_at(key: object, data: bytes, headers: Mapping[str, str] | None) -> Parts:
    if not isinstance(key, bytes):
        raise InvalidArgument(f"key {key!r} is of type {type(key).__name__}: use str or bytes")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidArgument(
            f"data is of type {type(data).__name__}: encode it to bytes first, or give the stream a type="
        )
    written = _encoded_headers(headers) if headers else b""
    if not key:
        raise InvalidArgument("the key is empty: messages are ordered by it, so each needs one")
    _check_size("key", len(key), LIMIT_KEY_BYTES)
    data = bytes(data)
    _check_size("payload", len(data), LIMIT_DATA_BYTES)
    return bytes(key), data, written


def _encoded_headers(headers: Mapping[str, str]) -> bytes:
    if not isinstance(headers, Mapping):
        raise InvalidArgument(f"headers are {headers!r}: use a mapping of names to values, both text")
    if len(headers) > LIMIT_HEADERS:
        raise MessageTooLarge(f"{len(headers)} headers: the limit is {LIMIT_HEADERS}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgument(f"header {name!r}: {value!r} is not text: use str for both")
    written = encode_headers(headers)
    _check_size("headers", len(written), LIMIT_DATA_BYTES)
    return written


def _check_size(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise MessageTooLarge(
            f"the {what} has {size:,} bytes: the limit is {limit:,}; store it elsewhere and send a reference"
        )


# --- many messages --------------------------------------------------------------------------------------------------


@frozen
class Share:
    """Of the messages of one call, some that go to one partition and fit into one batch."""

    partition: int
    indexes: Sequence[int]  # where they stood in the call
    records: Records


class Router:
    """Knows the partition of each key."""

    def __init__(self, partitions: int, hash_name: str) -> None:
        """Take the layout of a stream.

        Raises:
            ValueError: if there is no hash of that name in this version.
        """
        self._partitions = partitions
        self._hash = hash_named(hash_name)

    def partition_of(self, key: bytes) -> int:
        """Return the partition of a key, as it is stored."""
        return self._hash(key) % self._partitions

    def shares(self, messages: Iterable[tuple[Any, ...]], partition_size: int) -> list[Share]:
        """Sort messages, tuples of key, data and perhaps headers, by partition, and cut what goes to one into batches.

        Raises:
            InvalidArgument, MessageTooLarge: one of them cannot be sent.
        """
        routes: dict[int, Route] = {}
        hashed, partitions = self._hash, self._partitions
        for index, message in enumerate(messages):
            if not isinstance(message, tuple) or not 1 < len(message) < 4:  # noqa: PLR2004
                raise InvalidArgument(f"message {message!r}: use a tuple of key and data, or of key, data and headers")
            key, data, headers = checked(*message)
            partition = hashed(key) % partitions
            route = routes.get(partition)
            if route is None:
                route = routes[partition] = ([], [], [], [])
            route[0].append(index)
            route[1].append(key)
            route[2].append(data)
            route[3].append(headers)
        limit = min(LIMIT_BATCH, partition_size)
        return [share for partition, route in routes.items() for share in _cut(partition, route, limit)]


Route = tuple[list[int], list[bytes], list[bytes], list[bytes]]  # indexes, keys, data, headers


def _cut(partition: int, route: Route, limit: int) -> Iterator[Share]:
    """Cut a route into shares of at most ``limit`` records that are no larger than a batch may be."""
    indexes, keys, data, headers = route
    records = Records(tuple(keys), tuple(data), tuple(headers) if any(headers) else ())
    for start in range(0, len(records), limit):
        first, end = start, min(start + limit, len(records))
        while first < end:
            last = first + _fitting(records.between(first, end))
            yield Share(partition, indexes[first:last], records.between(first, last))
            first = last


def _fitting(records: Records) -> int:
    """How many of the first records fit into a batch; at least one."""
    if records.size <= LIMIT_BATCH_BYTES:
        return len(records)
    sizes = [records.between(index, index + 1).size for index in range(len(records))]
    return max(1, bisect_right(list(accumulate(sizes)), LIMIT_BATCH_BYTES))
