"""Waiting that a cancellation does not cut short: what must be wound up is wound up first.

A task is cancelled by a time limit, by a task group, by the end of its event loop, once or again in every turn of the
loop (the cancel scopes of anyio do the latter). Whoever holds partitions or connections has to give them back all the
same, and that takes a few turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = ["all_ended", "outlast"]

T = TypeVar("T")


async def all_ended(futures: Iterable[asyncio.Future[Any]], on_cancel: Callable[[], object] | None = None) -> None:
    """Wait until all have ended, however they end. They are not cancelled when the waiting task is.

    Args:
        futures: what is waited for.
        on_cancel: called when the waiting task is cancelled, so that they end soon.

    Raises:
        CancelledError: the waiting task was cancelled meanwhile; all have ended all the same.
    """
    cancelled: asyncio.CancelledError | None = None
    pending: set[asyncio.Future[Any]] = {future for future in futures if not future.done()}
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
            if on_cancel is not None:
                on_cancel()
            pending = {future for future in pending if not future.done()}
    if cancelled is not None:
        raise cancelled


async def outlast(future: asyncio.Future[T]) -> T:
    """Wait for the result of a future that is not cancelled when the waiting task is.

    Raises:
        CancelledError: the waiting task was cancelled meanwhile; the future has ended all the same.
        BaseException: what the future ended with.
    """
    await all_ended([future])
    return future.result()
