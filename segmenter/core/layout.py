"""The configuration of a stream: how many partitions, how keys are hashed to them, how much each keeps.

Only ``partition_size`` may change afterwards. A stream is created in steps, since its partitions live in slots of
their own: the configuration is written as ``creating``, the partitions are made, then it becomes ``ready``. Whoever
meets it half done goes on from there, and removal runs the same way back.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from segmenter.core.command import Command, StreamSlot
from segmenter.core.hashing import DEFAULT_HASH

__all__ = ["FORMAT", "LoadStream", "Loaded", "StreamConfig", "StreamConflict", "StreamUpdated", "UpdateStream"]

FORMAT = 2  # of everything that is stored; a newer one is refused, the one before is read


@frozen
class StreamConfig:
    """What every producer and consumer of a stream must agree on."""

    version: str  # a fresh token at each write
    partitions: int
    partition_size: int
    incarnation: str  # a token of this creation, given to every partition
    state: Literal["creating", "ready", "removing"] = "creating"
    hash_name: str = DEFAULT_HASH
    layout: int = 0
    format: int = FORMAT


@frozen
class Loaded:
    """The configuration as it stands; ``None`` if there is no such stream."""

    config: StreamConfig | None


@frozen
class LoadStream(Command[StreamConfig, Loaded]):
    """Look at a stream's configuration."""

    slot: StreamSlot

    def apply(self, state: StreamConfig | None, now_us: int) -> tuple[StreamConfig | None, Loaded]:
        return state, Loaded(state)


@frozen
class StreamUpdated:
    """Written."""


@frozen
class StreamConflict:
    """Somebody else has written meanwhile; this is what stands there."""

    config: StreamConfig | None


@frozen
class UpdateStream(Command[StreamConfig, StreamUpdated | StreamConflict]):
    """Replace a stream's configuration if it is still the one that was read (compare and set on its version)."""

    slot: StreamSlot
    expect: str | None  # version read before; None: there was none
    config: StreamConfig | None  # None removes it

    def apply(
        self, state: StreamConfig | None, now_us: int
    ) -> tuple[StreamConfig | None, StreamUpdated | StreamConflict]:
        stored = state.version if state else None
        wanted = self.config.version if self.config else None
        if stored == wanted:  # repeated: it went through the first time
            return state, StreamUpdated()
        if stored != self.expect:
            return state, StreamConflict(state)
        return self.config, StreamUpdated()
