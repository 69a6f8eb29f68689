"""Every option with its default and every limit, in one place.

Public durations are seconds or ``timedelta``; names of our own end in their unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from attrs import field, frozen

from segmenter.errors import (
    EmptyGroupName,
    EmptyStreamName,
    InvalidArgument,
    InvalidBatchSize,
    InvalidName,
    InvalidPartitionCount,
    InvalidPartitionSize,
)

__all__ = [
    "DAY_S",
    "LIMIT_BATCH",
    "LIMIT_BATCH_BYTES",
    "LIMIT_DATA_BYTES",
    "LIMIT_HEADERS",
    "LIMIT_KEY_BYTES",
    "LIMIT_PARTITIONS",
    "MIN_SESSION_S",
    "ConsumerOptions",
    "Durability",
    "Duration",
    "OnExhausted",
    "OnFull",
    "OnLoss",
    "Start",
    "StreamOptions",
    "Takeover",
    "among",
    "between",
    "check_group",
    "check_namespace",
    "check_partitions",
    "check_stream",
    "seconds",
    "start_of",
]

LIMIT_PARTITIONS = 1024
LIMIT_DATA_BYTES = 1 << 20
LIMIT_KEY_BYTES = 1 << 10
LIMIT_HEADERS = 64
LIMIT_BATCH = 500  # records in one append, and entries of one partition in one read
LIMIT_BATCH_BYTES = 256 << 10  # of one append
LIMIT_REPLICAS = 100
MIN_SESSION_S = 0.2
DAY_S = 86_400.0


@frozen
class Durability:
    """What a send must have reached before it counts as sent. The server's memory is always among it.

    ``replicas`` of the server must have it; with ``disk`` they and the server itself must have written it to theirs
    (Redis 7.2 or later, with ``appendonly yes``). This narrows the window in which a failover loses what was
    acknowledged; it does not close it, since the replica that is promoted may be another one.
    """

    replicas: int = 0
    disk: bool = False


Duration = float | timedelta
Start = Literal["earliest", "latest"] | str | datetime
OnFull = Literal["raise", "wait", "drop_oldest"]
OnLoss = Literal["raise", "continue"]
OnExhausted = Literal["park", "dead_letter", "halt"]
Takeover = Literal["silence", "immediate"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ENTRY_ID = re.compile(r"\d{1,20}(-\d{1,20})?")


def seconds(value: Duration) -> float:
    """Return a duration in seconds, given as a number of seconds or as a ``timedelta``.

    Raises:
        InvalidArgument: it is neither.
    """
    try:
        return value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{value!r} is no duration: use a number of seconds, or a timedelta") from error


def check_stream(name: str) -> str:
    """Return the name of a stream if it can be one.

    Raises:
        EmptyStreamName, InvalidName: if it cannot.
    """
    if name == "":
        raise EmptyStreamName("the stream's name is empty: give it one, such as 'orders'")
    return _check_name("stream", name)


def check_group(name: str) -> str:
    """Return the name of a group if it can be one.

    Raises:
        EmptyGroupName, InvalidName: if it cannot.
    """
    if name == "":
        raise EmptyGroupName("the group's name is empty: give it one, such as 'billing'")
    return _check_name("group", name)


def check_namespace(name: str) -> str:
    """Return the name of a namespace if it can be one.

    Raises:
        InvalidName: if it cannot.
    """
    return _check_name("namespace", name)


def check_partitions(stream: str, count: int, partitions: Iterable[int] | None) -> Sequence[int]:
    """Return the numbers of some partitions, or of all, in order, if the stream has so many.

    Raises:
        InvalidArgument: if it does not.
    """
    numbers = range(count) if partitions is None else sorted(set(partitions))
    for number in numbers:
        if not 0 <= number < count:
            raise InvalidArgument(f"partition {number}: {stream!r} has partitions 0 to {count - 1}")
    return numbers


def _check_name(kind: str, name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(f"{kind} {name!r} is not a name: use 1 to 128 letters, digits, dots, dashes and underscores")
    return name


def start_of(value: Start) -> bytes:
    """Return where a group begins, as the core knows it: ``earliest``, ``latest``, or the id that comes before.

    Raises:
        InvalidArgument: if the value is none of them.
    """
    if isinstance(value, datetime):
        return b"%d-0" % max(0, int(value.timestamp() * 1000) - 1) if value.tzinfo else _refuse_naive(value)
    if isinstance(value, str) and (value in ("earliest", "latest") or _ENTRY_ID.fullmatch(value)):
        return value.encode()
    raise InvalidArgument(f"start {value!r}: use 'earliest', 'latest', the id of a message, or an aware datetime")


def _refuse_naive(value: datetime) -> bytes:
    raise InvalidArgument(f"start {value!r} has no time zone: give it one, such as datetime.now(timezone.utc)")


def between(low: float, high: float, error: type[InvalidArgument] = InvalidArgument) -> Callable[[Any, Any, Any], None]:
    """Return a validator of a field that is a number, whole where the field is."""

    def check(_instance: object, attribute: Any, value: object) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = attribute.type not in ("int", int) or isinstance(value, int)
        if not number or not whole or not low <= value <= high:  # type: ignore[operator]
            raise error(f"{attribute.name} is {value!r}: it must be a number from {low:g} to {high:g}")

    return check


def among(*allowed: object) -> Callable[[Any, Any, Any], None]:
    """Return a validator of a field that is one of a few values."""

    def check(_instance: object, attribute: Any, value: object) -> None:
        if value not in allowed:
            raise InvalidArgument(f"{attribute.name} is {value!r}: use one of {', '.join(map(repr, allowed))}")

    return check


def _durability(_instance: object, _attribute: Any, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, Durability):
        raise InvalidArgument(f"durability is {value!r}: use Durability(replicas=1, disk=True), or None")
    if not isinstance(value.replicas, int) or not 0 <= value.replicas <= LIMIT_REPLICAS:
        raise InvalidArgument(
            f"durability asks for {value.replicas!r} replicas: use a number from 0 to {LIMIT_REPLICAS}"
        )


@frozen(kw_only=True)
class StreamOptions:
    """How a stream is registered and sent to."""

    partitions: int = field(default=8, validator=between(1, LIMIT_PARTITIONS, InvalidPartitionCount))
    partition_size: int = field(default=100_000, validator=between(1, 2**40, InvalidPartitionSize))
    on_full: OnFull = field(default="raise", validator=among(*get_args(OnFull)))  # pyright: ignore[reportAssignmentType]
    send_timeout_s: float = field(default=30.0, converter=seconds, validator=between(0.01, DAY_S))
    durability: Durability | None = field(default=None, validator=_durability)


@frozen(kw_only=True)
class ConsumerOptions:
    """How a consumer behaves."""

    batch_size: int = field(default=10, validator=between(1, 100_000, InvalidBatchSize))
    max_processing_time_s: float = field(default=300.0, converter=seconds, validator=between(0.05, DAY_S))
    session_timeout_s: float = field(default=10.0, converter=seconds, validator=between(MIN_SESSION_S, 3600.0))
    commit_interval_s: float = field(default=0.1, converter=seconds, validator=between(0.0, 60.0))
    drain_timeout_s: float = field(default=25.0, converter=seconds, validator=between(0.0, 3600.0))
    rebalance_delay_s: float = field(default=0.1, converter=seconds, validator=between(0.0, 60.0))
    read_ahead: int = field(default=2_000, validator=between(1, 1_000_000))  # messages of a partition
    read_ahead_bytes: int = field(default=8 << 20, validator=between(1, 2**40))  # of a partition
    instance_id: str | None = None
    on_loss: OnLoss = field(default="raise", validator=among(*get_args(OnLoss)))  # pyright: ignore[reportAssignmentType]
    takeover: Takeover = field(default="silence", validator=among(*get_args(Takeover)))  # pyright: ignore[reportAssignmentType]
