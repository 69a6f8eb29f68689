"""Sending from views: one Segmenter for the process, shared by its threads."""

from __future__ import annotations

from functools import cache

from segmenter import sync

__all__ = ["send"]


@cache
def orders() -> sync.Stream[str]:
    """The stream, opened by the first send, so after a server of applications has forked; closed when it exits."""
    return sync.Segmenter(namespace="shop").register_stream("orders", partitions=4, type=str)


def send(customer: str, number: str) -> None:
    """Send an order to whoever bills it, and return when the server has it."""
    orders().send(customer, number)
