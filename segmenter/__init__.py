"""Partitioned streams on plain Redis: in order per key, one consumer per partition, rebalanced automatically."""

from segmenter import errors
from segmenter.config import Durability
from segmenter.consumer import Consumer
from segmenter.core.message import Fence, Message
from segmenter.errors import *  # noqa: F403 - the whole tree of exceptions is public
from segmenter.history import Rebalance
from segmenter.runtime.sent import Sent
from segmenter.segmenter import Segmenter
from segmenter.shelves import SetAside, Shelves
from segmenter.snapshot import GroupSnapshot, LogSnapshot, MemberSnapshot, PartitionSnapshot, StreamSnapshot
from segmenter.stream import Stream
from segmenter.tail import LoggedMessage

__all__ = [
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
    "Segmenter",
    "Sent",
    "SetAside",
    "Shelves",
    "Stream",
    "StreamSnapshot",
]
__all__ += errors.__all__
