"""What a script has befall processes, requests and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from attrs import evolve

from segmenter.core import creation
from segmenter.core import group as doc
from segmenter.core import letters as aside
from segmenter.core import partition as lane
from segmenter.core.beats import Beat
from segmenter.core.command import GroupSlot, PartitionSlot, Read, StreamSlot
from segmenter.core.forward import Forward
from segmenter.core.layout import UpdateStream
from segmenter.core.log import parse_position
from segmenter.core.retention import Append, Trim
from tests.interaction.language import GROUP, STREAM, says
from tests.interaction.network import Fault
from tests.interaction.stage import MOMENT_S, Stage

# What requests are called.
KINDS: dict[str, type[object]] = {
    "announcement": doc.Announce,
    "beat": Beat,
    "change": doc.UpdateGroup,
    "claim": lane.Claim,
    "commit": lane.Commit,
    "configuration": UpdateStream,
    "creation": creation.CreatePartition,
    "forward": Forward,
    "lane": creation.CreateLane,
    "letters": aside.ListLetters,
    "read": Read,
    "redrive": aside.Redrive,
    "release": lane.Release,
    "removal": creation.DropPartition,
    "send": Append,
    "trim": Trim,
}

# --- what befalls processes -----------------------------------------------------------------------------------------


@says(r"(\w+) (?:pauses|crashes)")
async def pauses(stage: Stage, name: str) -> None:
    stage.pause(name)
    await asyncio.sleep(MOMENT_S)


@says(r"(\w+) wakes")
async def wakes(stage: Stage, name: str) -> None:
    stage.resume(name)
    await asyncio.sleep(MOMENT_S)


@says(r"(\w+)'s event loop (stands still|turns again)")
async def stands_still(stage: Stage, name: str, how: str) -> None:
    thread = stage.process(name).thread
    thread.stop() if how == "stands still" else thread.go_on(stage.loop)
    await asyncio.sleep(MOMENT_S)


@says(r"(\w+) is (cut off|connected again)")
async def cut_off(stage: Stage, name: str, how: str) -> None:
    (stage.network.cut_off.add if how == "cut off" else stage.network.cut_off.discard)(name)
    await asyncio.sleep(MOMENT_S)


@says(r"time (\d+(?:\.\d+)?)")
async def time(_stage: Stage, seconds: str) -> None:
    await asyncio.sleep(float(seconds))


def _kinds(kind: str) -> tuple[type[object], ...]:
    return (KINDS[kind],)


# --- what befalls requests ------------------------------------------------------------------------------------------


@says(r"(lose|delay|hold|refuse) (?:(the reply) of )?(\w+)'s next (\w+)(?: of partition (\d+))?")
async def fault(stage: Stage, how: str, reply: str | None, name: str, kind: str, partition: str | None) -> None:
    way: Any = f"{how} the reply" if reply else how
    stage.network.faults.append(Fault(name, _kinds(kind), way, None if partition is None else int(partition)))


@says(r"lose (\w+)'s every (\w+)")
async def lose_every(stage: Stage, name: str, kind: str) -> None:
    stage.network.blocked.append(Fault(name, _kinds(kind), "lose"))


@says(r"(\w+)'s (\w+)s get through")
async def get_through(stage: Stage, name: str, kind: str) -> None:
    stage.network.blocked.remove(Fault(name, _kinds(kind), "lose"))


@says(r"the (?:delayed|held)(?: (\w+))? (arrives|is lost)")
async def arrives(stage: Stage, kind: str | None, how: str) -> None:
    stage.network.release(KINDS[kind] if kind else object, arrives=how == "arrives")
    await asyncio.sleep(MOMENT_S)


@says(r"show (no )?(reads|beats)")
async def show_routine(stage: Stage, no: str | None, what: str) -> None:
    (stage.network.shows.discard if no else stage.network.shows.add)(what)


# --- what befalls the server ----------------------------------------------------------------------------------------


@says(r"the server (refuses|serves again)")
async def refuses(stage: Stage, how: str) -> None:
    stage.network.refusing = how == "refuses"
    await asyncio.sleep(MOMENT_S)


@says(r"the server's memory (?:is full at (\d+) messages|has room)")
async def memory(stage: Stage, room: str | None) -> None:
    stage.server.room = None if room is None else int(room)


@says(r"the server (?:has|gets) (\d+) replicas?")
async def replicas(stage: Stage, count: str) -> None:
    stage.server.replicas = int(count)


@says(r"the server makes a copy")
async def copy(stage: Stage) -> None:
    stage.remembered = dict(stage.server.store.slots)


@says(r"the server goes back to its copy")
async def back(stage: Stage) -> None:
    stage.server.store.slots = dict(stage.remembered)
    stage.server.store.history += "'"
    await asyncio.sleep(MOMENT_S)


@says(r"the server starts again with all that it had")
async def restart(stage: Stage) -> None:
    stage.server.store.history += "'"
    await asyncio.sleep(MOMENT_S)


@says(r"(?:(the group)|partition (\d+)) goes back to its copy")
async def slot_back(stage: Stage, group: str | None, partition: str | None) -> None:
    slot = GroupSlot(STREAM, GROUP) if group else PartitionSlot(STREAM, int(partition or 0))
    stage.server.store.slots[slot] = stage.remembered[slot]
    await asyncio.sleep(MOMENT_S)


@says(r"the server loses (?:(the document)|(the configuration)|partition (\d+))")
async def loses(stage: Stage, document: str | None, configuration: str | None, partition: str | None) -> None:
    slot = PartitionSlot(STREAM, int(partition)) if partition else StreamSlot(STREAM)
    del stage.server.store.slots[GroupSlot(STREAM, GROUP) if document else slot]
    assert document or configuration or partition
    await asyncio.sleep(MOMENT_S)


def _change(stage: Stage, partition: str, change: Callable[[lane.PartitionState], lane.PartitionState]) -> None:
    slot = PartitionSlot(STREAM, int(partition))
    stage.server.store.slots[slot] = change(stage.server.store.slots[slot])


@says(r"somebody deletes the last (\d+) of partition (\d+)")
async def deletes(stage: Stage, count: str, partition: str) -> None:
    def shorten(state: lane.PartitionState) -> lane.PartitionState:
        left = state.log.entries[: -int(count)]
        last = parse_position(left[-1][0]) if left else (0, 0)
        return evolve(state, log=evolve(state.log, entries=left, added=state.log.added - int(count), last=last))

    _change(stage, partition, shorten)
    await asyncio.sleep(MOMENT_S)


@says(r"partition (\d+) (forgets its producers|is sealed|is laid out anew|has no lane)")
async def altered(stage: Stage, partition: str, how: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "forgets its producers": {"producers": {}},
        "is sealed": {"sealed": 1},
        "is laid out anew": {"layout": 1, "sealed": None},
        "has no lane": {"lanes": {}},
    }
    _change(stage, partition, lambda state: evolve(state, **changes[how]))
