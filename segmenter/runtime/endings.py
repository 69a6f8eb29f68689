"""Which observations end a consumer, and with what error."""

from __future__ import annotations

from segmenter.config import ConsumerOptions
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.observations import Departed, Gap, Missing, Observation, Truncation
from segmenter.errors import SegmenterError
from segmenter.runtime.failures import (
    group_lost,
    group_removed,
    log_truncated,
    offset_out_of_range,
    seat_taken,
    stream_lost,
)

__all__ = ["ending"]


def ending(observation: Observation, slot: GroupSlot, options: ConsumerOptions) -> SegmenterError | None:
    """Return what a consumer ends with by an observation; ``None`` if it goes on, or ends as it was asked to."""
    match observation:
        case Departed(reason="displaced"):
            return seat_taken(slot, options.instance_id)
        case Departed(reason="removed"):
            return group_removed(slot)
        case Departed(reason="lost"):
            return group_lost(slot)
        case Missing(partition=partition):
            return stream_lost(PartitionSlot(slot.stream, partition))
        case Gap() if options.on_loss == "raise":
            return offset_out_of_range(slot, observation)
        case Truncation() if options.on_loss == "raise":
            return log_truncated(slot, observation)
        case _:
            return None
