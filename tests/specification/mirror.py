"""What the code's state is in the words of the specification."""

from __future__ import annotations

from typing import Any

from segmenter.core.command import Command
from segmenter.core.group import GroupState
from segmenter.core.member import Hold
from segmenter.core.partition import (
    Behind,
    Changed,
    Claim,
    Claimed,
    Commit,
    Fenced,
    Held,
    PartitionState,
    Progress,
    Release,
    Released,
)
from tests.specification.process import Process
from tests.specification.values import Value, frozen_value
from tests.specification.work import GROUP, Work
from tests.specification.world import World

__all__ = ["lane", "mirrored", "reply", "request"]

NONE = {"kind": "None"}
NO_CLAIM = {"member": 0, "number": 0}


def mirrored(world: World) -> dict[str, Value]:
    """The variables of Segmenter.tla."""
    lanes = {number: lane(slot) for number, slot in enumerate(world.slots)}
    past = {number: lane(slot) for number, slot in enumerate(world.past_slots)}
    variables = {
        "group": _document(world.group),
        "lane": lanes,
        "processes": [_process(process) for process in world.processes],
        "late": {frozen_value(request(command)) for command in world.late},
        "settled": dict(enumerate(world.settled)),
        "past": {"group": _document(world.past_group), "lane": past},
        "clock": world.clock,
        "faults": world.faults,
        "leaves": world.leaves,
    }
    return {name: frozen_value(value) for name, value in variables.items()}


def _id(name: str | None) -> int:
    """``b2`` is 22: the second membership of the second process."""
    return 0 if name is None else 10 * (1 + "abc".index(name[0])) + int(name[1:])


def _document(document: GroupState) -> dict[str, Any]:
    return {
        "generation": document.generation,
        "version": int(document.version),
        "members": {_id(name) for name in document.members},
        "leaving": {_id(name) for name, member in document.members.items() if member.leaving},
        "gone": {_id(name) for name in document.gone},
        "assignment": {number: _id(name) for number, name in enumerate(document.assignment)},
    }


# --- lanes ----------------------------------------------------------------------------------------------------------


def _progress(progress: Progress) -> dict[str, Any]:
    ahead = {ordinal for start, end in progress.ranges for ordinal in range(start, end)}
    return {"read": progress.read, "ahead": ahead}


def _token(claim: str) -> dict[str, int]:
    member, _, number = claim.partition(" ")
    return {"member": _id(member), "number": int(number)} if claim else NO_CLAIM


def lane(slot: PartitionState, group: str = GROUP.group) -> dict[str, Any]:
    """A lane."""
    its = slot.lanes[group]
    return {
        "owner": _id(its.owner),
        "epoch": its.epoch,
        "generation": its.generation,
        "claim": _token(its.claim),
        "intact": its.history == slot.history,
        "number": its.number,
        "progress": _progress(its.progress),
    }


def request(command: Command[Any, Any] | None) -> dict[str, Any]:
    """A request to a partition."""
    match command:
        case None:
            return NONE
        case Claim():
            asked = {
                "generation": command.generation,
                "ifEpoch": command.if_epoch,
                "claim": _token(command.claim),
                "evict": _id(command.evict),
                "floor": command.floor,
            }
        case Commit():
            asked = {"epoch": command.epoch, "number": command.number, "progress": _progress(command.progress)}
        case Release():
            asked = {
                "epoch": command.epoch,
                "number": command.number,
                "progress": _progress(command.progress),
                "evict": _id(command.evict),
            }
        case _:
            raise TypeError(f"the specification has no request {command}")
    about = {"kind": type(command).__name__, "partition": command.slot.partition, "member": _id(command.member)}
    return {**about, **asked}


def reply(answer: Any) -> dict[str, Any]:
    """The answer to a request."""
    match answer:
        case None:
            return NONE
        case Claimed(epoch, progress):
            return {"kind": "Claimed", "epoch": epoch, "progress": _progress(progress)}
        case Held(owner, epoch) | Changed(owner, epoch) | Fenced(owner, epoch):
            return {"kind": type(answer).__name__, "owner": _id(owner), "epoch": epoch}
        case Behind(generation):
            return {"kind": "Behind", "generation": generation}
        case Released(epoch):
            return {"kind": "Released", "epoch": epoch}
        case _:
            return {"kind": type(answer).__name__}


# --- processes ------------------------------------------------------------------------------------------------------


def _process(process: Process) -> dict[str, Any]:
    member = process.member
    partitions = range(len(process.works))
    return {
        "me": _id(process.me),
        "status": process.status,
        "awake": process.awake,
        "leased": process.leased,
        "document": NONE if member is None else _document(member.document),
        "loading": member is not None and member.loading,
        "behind": 0 if member is None else member.behind,
        "holds": {number: _hold(process, number) for number in partitions},
    }


def _hold(process: Process, partition: int) -> dict[str, Any]:
    hold = Hold() if process.member is None else process.hold(partition)
    return {
        "state": hold.state.name,
        "epoch": hold.epoch,
        "floor": hold.floor,
        "owner": _id(hold.owner),
        "pending": request(hold.pending),
        "reply": reply(process.replies[partition]),
        "work": _work(process.works[partition], current=process.current[partition]),
    }


def _work(work: Work | None, *, current: bool) -> dict[str, Any]:
    if work is None:
        return {
            "progress": _progress(Progress()),
            "running": set[int](),
            "stored": _progress(Progress()),
            "number": 0,
            "commit": NONE,
            "current": current,
        }
    play = work.play
    return {
        "progress": _progress(play.progress),
        "running": set(play.running),
        "stored": _progress(play.stored),
        "number": play.number,
        "commit": request(play.commit),
        "current": current,
    }
