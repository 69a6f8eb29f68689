"""A group at one moment: what ``describe`` returns and every view shows."""

from __future__ import annotations

from attrs import frozen

__all__ = ["GroupSnapshot", "MemberSnapshot", "PartitionSnapshot"]


@frozen
class MemberSnapshot:
    """A member of a group."""

    id: str
    instance_id: str | None
    leaving: bool
    partitions: tuple[int, ...]  # meant for it; it may still be waiting for some


@frozen
class PartitionSnapshot:
    """A partition, as a group sees it."""

    partition: int
    owner: str | None
    epoch: int
    committed: str  # id of the last message before which all is settled
    end: str  # id of the last message
    lag: int  # messages that are not settled
    assigned: str | None  # whom the group's document means it for
    parked: int = 0  # messages that were set aside, with those behind them under their keys
    dead: int = 0  # dead letters


@frozen
class GroupSnapshot:
    """A group."""

    stream: str
    group: str
    state: str
    generation: int
    session_timeout: float  # seconds
    members: tuple[MemberSnapshot, ...]
    partitions: tuple[PartitionSnapshot, ...]

    @property
    def lag(self) -> int:
        """Messages that are not settled, in all partitions."""
        return sum(partition.lag for partition in self.partitions)
