"""Partitioned streams on plain Redis: in order per key, one consumer per partition, rebalanced automatically."""

from importlib import import_module
from typing import TYPE_CHECKING

from segmenter import errors
from segmenter.errors import *  # noqa: F403 - the whole tree of exceptions is public

if TYPE_CHECKING:
    from segmenter.config import Durability
    from segmenter.consumer import Consumer
    from segmenter.core.message import Fence, Message
    from segmenter.runtime.sender import Sent
    from segmenter.segmenter import Segmenter
    from segmenter.snapshot import GroupSnapshot, MemberSnapshot, PartitionSnapshot
    from segmenter.stream import Stream

__all__ = [
    "Consumer",
    "Durability",
    "Fence",
    "GroupSnapshot",
    "MemberSnapshot",
    "Message",
    "PartitionSnapshot",
    "Segmenter",
    "Sent",
    "Stream",
]
__all__ += errors.__all__

# Where the names above are; each module is imported with the first use of one, so that importing the package is cheap.
_HOMES = {
    "Consumer": "segmenter.consumer",
    "Durability": "segmenter.config",
    "Fence": "segmenter.core.message",
    "GroupSnapshot": "segmenter.snapshot",
    "MemberSnapshot": "segmenter.snapshot",
    "Message": "segmenter.core.message",
    "PartitionSnapshot": "segmenter.snapshot",
    "Segmenter": "segmenter.segmenter",
    "Sent": "segmenter.runtime.sender",
    "Stream": "segmenter.stream",
}


if not TYPE_CHECKING:  # which would take any name for one of these

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
