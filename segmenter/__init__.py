"""Partitioned streams on plain Redis: in order per key, one consumer per partition, rebalanced automatically."""

from typing import TYPE_CHECKING

from segmenter import errors
from segmenter.errors import *  # noqa: F403 - the whole tree of exceptions is public
from segmenter.homes import at_home

if TYPE_CHECKING:
    from segmenter.codecs import Codec
    from segmenter.config import Durability
    from segmenter.consumer import Consumer
    from segmenter.core.message import Fence, Message
    from segmenter.core.retry import Retry
    from segmenter.history import Move, Rebalance
    from segmenter.runtime.sent import Sent
    from segmenter.segmenter import Segmenter
    from segmenter.shelves import SetAside, Shelves
    from segmenter.snapshot import (
        AwaySnapshot,
        GroupSnapshot,
        LogSnapshot,
        MemberSnapshot,
        PartitionSnapshot,
        StreamSnapshot,
    )
    from segmenter.stream import Stream
    from segmenter.tail import LoggedMessage
    from segmenter.worker import Worker

__all__ = [
    "AwaySnapshot",
    "Codec",
    "Consumer",
    "Durability",
    "Fence",
    "GroupSnapshot",
    "LogSnapshot",
    "LoggedMessage",
    "MemberSnapshot",
    "Message",
    "Move",
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

# Where the names above are; each module is imported with the first use of one, so that importing the package is cheap.
_HOMES = {
    "AwaySnapshot": "segmenter.snapshot",
    "Codec": "segmenter.codecs",
    "Consumer": "segmenter.consumer",
    "Durability": "segmenter.config",
    "Fence": "segmenter.core.message",
    "GroupSnapshot": "segmenter.snapshot",
    "LogSnapshot": "segmenter.snapshot",
    "LoggedMessage": "segmenter.tail",
    "MemberSnapshot": "segmenter.snapshot",
    "Message": "segmenter.core.message",
    "Move": "segmenter.history",
    "PartitionSnapshot": "segmenter.snapshot",
    "Rebalance": "segmenter.history",
    "Retry": "segmenter.core.retry",
    "Segmenter": "segmenter.segmenter",
    "Sent": "segmenter.runtime.sent",
    "SetAside": "segmenter.shelves",
    "Shelves": "segmenter.shelves",
    "Stream": "segmenter.stream",
    "StreamSnapshot": "segmenter.snapshot",
    "Worker": "segmenter.worker",
}


if not TYPE_CHECKING:  # which would take any name for one of these
    __getattr__, __dir__ = at_home(globals(), _HOMES)
