"""Commands and replies in few words, for the labels of a story."""

from __future__ import annotations

from typing import Any

from segmenter.core.aside import NO_MOVES
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.group import Announce, LoadGroup, UpdateGroup
from segmenter.core.letters import Redrive

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
        case Redrive():
            return f"{what.request.what} {_of(what.request.key)} in{partition}"
        case Announce():
            return f"announces {type(what.event).__name__} {what.event.partition}"
        case Command():
            epoch = getattr(what, "if_epoch", getattr(what, "epoch", None))
            return f"{type(what).__name__}{partition} at epoch {epoch}{_moved(what)}"
        case _:
            owner = getattr(what, "owner", None)
            return type(what).__name__ + (f" by {owner}" if owner else "")


def _of(key: bytes | None) -> str:
    return key.decode() if key is not None else "everything"


def _moved(what: Any) -> str:
    """What a commit or a release sets aside and takes back, by ordinals."""
    moves = getattr(what, "moves", NO_MOVES)
    told = {
        "parks": [str(letter.ordinal) for letter in moves.park],
        "buries": [str(letter.ordinal) for letter in moves.bury],
        "takes back": [str(ordinal) for ordinal, _ in moves.unpark],
        "heeds": [f"{request.what} {_of(request.key)}" for request in moves.heeded],
    }
    return "".join(f", {verb} {', '.join(about)}" for verb, about in told.items() if about)
