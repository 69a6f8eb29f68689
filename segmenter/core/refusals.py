"""The words for settlements that are refused."""

from __future__ import annotations

from segmenter.core.message import Message
from segmenter.errors import About, OutOfOrderAck, PartitionLost, StaleDelivery

__all__ = ["lost", "out_of_order", "stale"]


def out_of_order(message: Message, earlier: Message) -> OutOfOrderAck:
    """An earlier message of its key is not settled."""
    return OutOfOrderAck(
        f"{_name(message)} cannot be acknowledged, rejected or parked before {earlier.id}: "
        "settle the messages of a key in their order",
        **_about(message),
    )


def stale(message: Message) -> StaleDelivery:
    """It is no longer in these hands."""
    return StaleDelivery(
        f"{_name(message)} was taken back from this delivery and will be handed out again", **_about(message)
    )


def lost(message: Message) -> PartitionLost:
    """Its partition is no longer in these hands."""
    return PartitionLost(
        f"{_name(message)}: partition {message.partition} is no longer ours, it goes on elsewhere", **_about(message)
    )


def _name(message: Message) -> str:
    return f"message {message.id} of key {message.key!r}"


def _about(message: Message) -> About:
    partition, epoch = message.fence
    return {"stream": message.stream, "group": message.group, "partition": partition, "epoch": epoch}
