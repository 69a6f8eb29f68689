"""Partitioned streams on plain Redis: in order per key, one consumer per partition, rebalanced automatically."""

from segmenter import errors
from segmenter.codecs import Codec
from segmenter.config import Durability
from segmenter.consumer import Consumer
from segmenter.core.message import Fence, Message
from segmenter.core.retry import Retry
from segmenter.errors import *  # noqa: F403 - the whole tree of exceptions is public
from segmenter.history import Rebalance
from segmenter.runtime.sent import Sent
from segmenter.segmenter import Segmenter
from segmenter.shelves import SetAside, Shelves
from segmenter.snapshot import GroupSnapshot, LogSnapshot, MemberSnapshot, PartitionSnapshot, StreamSnapshot
from segmenter.stream import Stream
from segmenter.tail import LoggedMessage
from segmenter.worker import Worker

__all__ = [
    "Codec",
    "Consumer",
    "Durability",
    "Fence",
    "GroupSnapshot",
    "LogSnapshot",
    "LoggedMessage",
    "MemberSnapshot",
    "Message",
    "PartitionSnapshot",
    "Rebalance",
    "Retry",
    "Segmenter",
    "Sent",
    "SetAside",
    "Shelves",
    "Stream",
    "StreamSnapshot",
    "Worker",
]
__all__ += errors.__all__
