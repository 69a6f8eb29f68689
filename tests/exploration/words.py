"""Commands and replies in few words, for the labels of a story."""

from __future__ import annotations

from typing import Any

from segmenter.core.command import Command, PartitionSlot
from segmenter.core.group import Announce, LoadGroup, UpdateGroup

__all__ = ["told"]


def told(what: Any) -> str:
    """A command or a reply; names and epochs are those of this moment, the smallest that keep their order."""
    partition = f" {what.slot.partition}" if isinstance(getattr(what, "slot", None), PartitionSlot) else ""
    match what:
        case None:
            return ""
        case UpdateGroup():
            return f"{what.event.cause} in the document"
        case LoadGroup():
            return "loads the document"
        case Announce():
            return f"announces {type(what.event).__name__} {what.event.partition}"
        case Command():
            epoch = getattr(what, "if_epoch", getattr(what, "epoch", None))
            return f"{type(what).__name__}{partition} at epoch {epoch}"
        case _:
            owner = getattr(what, "owner", None)
            return type(what).__name__ + (f" by {owner}" if owner else "")
