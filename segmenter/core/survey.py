"""What tools look at: all that a slot says about groups and their progress, read in one step and changed in none.

Consumers and producers never ask for it, so nothing here is on their way.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from segmenter.core.command import Command, Gone, GroupSlot, PartitionSlot
from segmenter.core.group import GroupData, GroupState
from segmenter.core.log import Log, format_position
from segmenter.core.partition import Lane, PartitionState, Progress

__all__ = ["GroupSurveyed", "LaneView", "PartitionSurveyed", "SurveyGroup", "SurveyPartition"]


@frozen
class LaneView:
    """A lane, and the oldest message that its group has yet to settle."""

    group: str
    owner: str | None
    epoch: int
    progress: Progress
    oldest: bytes  # its id; empty if there is none
    parked: int  # letters
    dead: int


@frozen
class PartitionSurveyed:
    """Both ends of a partition's log, and the lane of every group, in the order of their names."""

    end: bytes  # id of the log's last entry
    first: int  # ordinal of the oldest entry that is left
    added: int  # entries ever added
    now_us: int  # the server's clock: for telling how old something is, never for a decision
    lanes: tuple[LaneView, ...]


@frozen
class SurveyPartition(Command[PartitionState, PartitionSurveyed | Gone]):
    """Look at a partition and at all its lanes."""

    slot: PartitionSlot

    def apply(
        self, state: PartitionState | None, now_us: int
    ) -> tuple[PartitionState | None, PartitionSurveyed | Gone]:
        if state is None:
            return None, Gone()
        log = state.log
        lanes = tuple(_view(log, group, lane) for group, lane in sorted(state.lanes.items()))
        return state, PartitionSurveyed(format_position(log.last), log.first_ordinal, log.added, now_us, lanes)


def _view(log: Log, group: str, lane: Lane) -> LaneView:
    following = log.after(lane.progress.offset, 1)
    oldest = following[0][0] if following else b""
    counts = (len(lane.aside.parked), len(lane.aside.dead))
    return LaneView(group, lane.owner, lane.epoch, lane.progress, oldest, *counts)


@frozen
class GroupSurveyed:
    """The document of a group, and how its members beat: who has not beaten for long has a low number."""

    document: GroupState
    beats: int  # the group's count
    scores: Mapping[str, int]  # member -> number of its last beat


@frozen
class SurveyGroup(Command[GroupData, GroupSurveyed | Gone]):
    """Look at a group and at the beats of its members."""

    slot: GroupSlot

    def apply(self, state: GroupData | None, now_us: int) -> tuple[GroupData | None, GroupSurveyed | Gone]:
        if state is None or state.document is None:
            return state, Gone()
        return state, GroupSurveyed(state.document, state.beats, dict(state.scores))
