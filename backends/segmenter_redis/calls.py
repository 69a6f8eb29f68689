"""What one request asks of the server: the execution of a script, or plain queries that are answered together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen
from redis.exceptions import ResponseError

from segmenter_redis.packing import Arguments

__all__ = ["Queries", "ScriptCall"]


@frozen
class ScriptCall:
    """One execution of a script."""

    script: str
    keys: tuple[str, ...]
    args: Arguments
    payload: Sequence[bytes] = ()  # arguments that follow: many, and bytes already


@frozen
class Queries:
    """Commands in a row; their answers are one answer, a list."""

    words: Sequence[Arguments]
    forgiven: Callable[[ResponseError], bool]  # whether an error among the answers is one that was to be expected
