"""Streams and groups at one moment: the one read model that ``describe`` returns and every view shows."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Literal

from attrs import frozen

from segmenter.core.command import Gone, GroupSlot, PartitionSlot
from segmenter.core.group import GroupState
from segmenter.core.layout import StreamConfig
from segmenter.core.log import parse_position
from segmenter.core.partition import Progress
from segmenter.core.survey import GroupSurveyed, LaneView, PartitionSurveyed, SurveyPartition
from segmenter.port import Session
from segmenter.runtime.failures import stream_lost

__all__ = [
    "AwaySnapshot",
    "GroupSnapshot",
    "LogSnapshot",
    "MemberSnapshot",
    "PartitionSnapshot",
    "StreamSnapshot",
    "group_snapshot",
    "stream_snapshot",
    "survey_partitions",
]

# Where a partition stands in a group: held by whom it is meant for; held by another, who is to hand it over; held by
# nobody, and meant for somebody; held by nobody, and meant for an instance_id that has left and may come back; held by
# nobody since the group is paused; or since it has no members.
PartitionState = Literal["owned", "moving", "waiting", "away", "paused", "idle"]


@frozen
class MemberSnapshot:
    """A member of a group."""

    id: str
    instance_id: str | None
    leaving: bool
    partitions: tuple[int, ...]  # meant for it; it may still be waiting for some
    beat: int = 0  # number of its last beat, from the group's own count: it rises while the member is alive
    beating: bool | None = None  # whether it was heard; None: nobody listened
    host: str = ""  # as its process says, like what follows
    pid: int = 0
    version: str = ""  # of the library


@frozen
class AwaySnapshot:
    """An ``instance_id`` whose consumer has left in order: its partitions wait for it until a session has passed."""

    instance_id: str
    partitions: tuple[int, ...]
    member: str  # the former one


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
    lag_seconds: float = 0.0  # age of the oldest message that is not settled, by the server's clock
    settled: int = 0  # messages settled since the stream began
    state: PartitionState = "idle"


@frozen
class GroupSnapshot:
    """A group."""

    stream: str
    group: str
    state: str  # creating, ready, paused or removing
    generation: int
    session_timeout: float  # seconds
    members: tuple[MemberSnapshot, ...]
    partitions: tuple[PartitionSnapshot, ...]
    away: tuple[AwaySnapshot, ...] = ()

    @property
    def lag(self) -> int:
        """Messages that are not settled, in all partitions."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest message that is not settled; 0 if there is none."""
        return max((partition.lag_seconds for partition in self.partitions), default=0.0)

    @property
    def parked(self) -> int:
        """Messages that are parked, in all partitions."""
        return sum(partition.parked for partition in self.partitions)

    @property
    def dead(self) -> int:
        """Dead letters, in all partitions."""
        return sum(partition.dead for partition in self.partitions)


@frozen
class LogSnapshot:
    """A partition, as it is stored."""

    partition: int
    messages: int  # that it keeps
    added: int  # messages ever sent to it
    end: str  # id of the last one
    slowest: str | None  # the group that has settled least of it


@frozen
class StreamSnapshot:
    """A stream."""

    name: str
    state: str  # creating, ready or removing
    partition_size: int
    hash_name: str  # of keys to partitions
    groups: tuple[str, ...]
    partitions: tuple[LogSnapshot, ...]

    @property
    def messages(self) -> int:
        """Messages that it keeps, in all partitions."""
        return sum(partition.messages for partition in self.partitions)


# --- from what was surveyed -----------------------------------------------------------------------------------------


async def survey_partitions(session: Session, stream: str, partitions: int) -> Sequence[PartitionSurveyed]:
    """Look at every partition of a stream.

    Raises:
        StreamLost: one of them is gone.
    """
    slots = [PartitionSlot(stream, number) for number in range(partitions)]
    replies = await asyncio.gather(*(session.execute(SurveyPartition(slot)) for slot in slots))
    return [_there(slot, reply) for slot, reply in zip(slots, replies, strict=True)]


def _there(slot: PartitionSlot, reply: PartitionSurveyed | Gone) -> PartitionSurveyed:
    if isinstance(reply, Gone):
        raise stream_lost(slot)
    return reply


def stream_snapshot(
    name: str, config: StreamConfig, groups: Sequence[str], surveyed: Sequence[PartitionSurveyed]
) -> StreamSnapshot:
    """Return a stream as its configuration and its partitions show it."""
    logs = tuple(_log(number, partition) for number, partition in enumerate(surveyed))
    return StreamSnapshot(name, config.state, config.partition_size, config.hash_name, tuple(groups), logs)


def _log(number: int, surveyed: PartitionSurveyed) -> LogSnapshot:
    slowest = min(((lane.progress.read, lane.group) for lane in surveyed.lanes), default=None)
    return LogSnapshot(
        partition=number,
        messages=surveyed.added - surveyed.first,
        added=surveyed.added,
        end=surveyed.end.decode(),
        slowest=slowest[1] if slowest else None,
    )


def group_snapshot(
    slot: GroupSlot,
    group: GroupSurveyed,
    surveyed: Sequence[PartitionSurveyed],
    beating: Collection[str] | None = None,
) -> GroupSnapshot:
    """Return a group as its document and its lanes show it, and the members that were heard if somebody listened.

    Raises:
        StreamLost: it has no lane in a partition, and is neither half made nor half removed.
    """
    document = group.document
    members = tuple(
        MemberSnapshot(
            id=name,
            instance_id=it.seat,
            leaving=it.leaving,
            partitions=tuple(sorted(document.assigned_to(name))),
            beat=group.scores.get(name, 0),
            beating=None if beating is None else name in beating,
            host=it.process.host,
            pid=it.process.pid,
            version=it.process.version,
        )
        for name, it in sorted(document.members.items())
    )
    partitions = tuple(_partition(slot, document, number, partition) for number, partition in enumerate(surveyed))
    away = tuple(
        AwaySnapshot(seat, tuple(sorted(document.assigned_to(it.member))), it.member)
        for seat, it in sorted(document.away.items())
    )
    facts = (slot.stream, slot.group, document.state, document.generation, document.session_ms / 1000)
    return GroupSnapshot(*facts, members, partitions, away)


def _partition(slot: GroupSlot, document: GroupState, number: int, surveyed: PartitionSurveyed) -> PartitionSnapshot:
    lane = next((lane for lane in surveyed.lanes if lane.group == slot.group), None)
    if lane is None and document.state in ("ready", "paused"):
        raise stream_lost(PartitionSlot(slot.stream, number))
    lane = lane or LaneView(slot.group, None, 0, Progress(read=surveyed.first), b"", 0, 0)
    assigned = document.assignment[number]
    settled = lane.progress.read + sum(end - start for start, end in lane.progress.ranges)
    return PartitionSnapshot(
        partition=number,
        owner=lane.owner,
        epoch=lane.epoch,
        committed=lane.progress.offset.decode(),
        end=surveyed.end.decode(),
        lag=surveyed.added - settled,
        assigned=assigned,
        parked=lane.parked,
        dead=lane.dead,
        lag_seconds=_age_s(lane, surveyed.now_us),
        settled=settled,
        state=_state(document, lane.owner, assigned),
    )


def _age_s(lane: LaneView, now_us: int) -> float:
    return max(0.0, now_us / 1e6 - parse_position(lane.oldest)[0] / 1000) if lane.oldest else 0.0


def _state(document: GroupState, owner: str | None, assigned: str | None) -> PartitionState:
    if owner is not None:
        return "owned" if owner == assigned else "moving"
    if assigned is not None:
        return "waiting" if assigned in document.members else "away"
    return "paused" if document.state == "paused" else "idle"
