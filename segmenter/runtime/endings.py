"""Which observations end a consumer, and with what error."""

from __future__ import annotations

from segmenter.config import ConsumerOptions
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.group import GroupState
from segmenter.core.observations import Departed, Gap, Missing, Observation, Truncation
from segmenter.errors import SegmenterError
from segmenter.runtime.failures import (
    group_lost,
    group_removed,
    log_truncated,
    offset_out_of_range,
    stream_lost,
)
from segmenter.runtime.membership_errors import seat_taken, session_mismatch

__all__ = ["ending"]


def ending(
    observation: Observation, slot: GroupSlot, options: ConsumerOptions, document: GroupState
) -> SegmenterError | None:
    """Return what a consumer ends with by an observation; ``None`` if it goes on, or ends as it was asked to.

    ``document`` is the group's, as the consumer knows it.
    """
    match observation:
        case Departed(member, "displaced"):
            return seat_taken(slot, options.instance_id, document.displacer_of(member, options.instance_id))
        case Departed(reason="session"):
            return session_mismatch(slot, document, round(options.session_timeout_s * 1000))
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
