"""What a script has processes do: make streams, send, consume, leave; and what it has shown."""

from __future__ import annotations

import asyncio
from typing import Any

from segmenter.config import Durability
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.partition import PartitionState
from segmenter.errors import SegmenterError
from tests.interaction.language import GROUP, STREAM, says
from tests.interaction.stage import MOMENT_S, Process, Stage

PRODUCER = "p"  # who sends, where nobody is named


def _options(text: str | None) -> dict[str, Any]:
    pairs = (word.split("=") for word in (text or "").split())
    return {name: _value(value) for name, value in pairs}


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# --- streams and sending --------------------------------------------------------------------------------------------


@says(rf"(?:(\w+) registers )?stream {STREAM}( .*)?")
async def register_stream(stage: Stage, name: str | None, options: str | None) -> None:
    process, given = stage.process(name or PRODUCER), _options(options)
    if "replicas" in given:
        given["durability"] = Durability(replicas=given.pop("replicas"))

    async def register() -> None:
        process.stream = await process.segmenter.register_stream(STREAM, **given)

    await stage.do(process, register)


@says(rf"(\w+) removes stream {STREAM}")
async def remove_stream(stage: Stage, name: str) -> None:
    process = stage.process(name)
    await stage.do(process, lambda: process.segmenter.remove_stream(STREAM))


@says(r"(\w+) removes group (\w+)")
async def remove_group(stage: Stage, name: str, group: str) -> None:
    process = stage.process(name)
    await stage.do(process, lambda: process.segmenter.remove_group(STREAM, group))


@says(r"(\w+) (pauses|resumes) group (\w+)")
async def pause_or_resume_group(stage: Stage, name: str, verb: str, group: str) -> None:
    process = stage.process(name)
    switch = process.segmenter.pause_group if verb == "pauses" else process.segmenter.resume_group
    await stage.do(process, lambda: switch(STREAM, group))


@says(r"(\w+) resets group (\w+) to (\w+)")
async def reset_group(stage: Stage, name: str, group: str, place: str) -> None:
    process = stage.process(name)
    await stage.do(process, lambda: process.segmenter.reset_group(STREAM, group, place))


@says(r"(?:(\w+) )?sends? (\w+) (\w+(?: \w+)*)")
async def send(stage: Stage, name: str | None, key: str, datas: str) -> None:
    process = stage.process(name or PRODUCER)
    stream = process.stream
    assert stream is not None, "it has registered no stream"

    async def sending() -> None:
        try:
            await stream.send_many([(key, data.encode()) for data in datas.split()])
        except SegmenterError as error:
            stage.tell(f"  {process.name} gets {type(error).__name__}{_exactly(error)} for {datas}")
        else:
            stage.tell(f"  {process.name} has sent {datas}")

    await stage.do(process, sending)


def _exactly(error: SegmenterError) -> str:
    count = getattr(error, "count", None)
    return "" if count is None else f" of {count}"


# --- consumers ------------------------------------------------------------------------------------------------------


@says(r"consumer (\w+)( .*)?")
async def consumer(stage: Stage, name: str, options: str | None) -> None:
    await _register(stage, name, _options(options))


@says(r"consumers (\w+(?: \w+)*)")
async def consumers(stage: Stage, names: str) -> None:
    await asyncio.gather(*(_register(stage, name, {}) for name in names.split()))


async def _register(stage: Stage, name: str, options: dict[str, Any]) -> None:
    process = stage.process(name)
    given = {"group": GROUP, "session_timeout": 1.0, "max_processing_time": 60.0, **options}
    if "seat" in given:
        given["instance_id"] = given.pop("seat")
    observer = stage.observer(GroupSlot(STREAM, given["group"]))

    async def register() -> None:
        process.consumer = await process.segmenter.register_consumer(STREAM, observer=observer, **given)

    await stage.do(process, register)


@says(r"(\w+) takes(?: (\d+))?")
async def takes(stage: Stage, name: str, count: str | None) -> None:
    process = stage.process(name)

    async def taking() -> None:
        taken = 0
        while (count is None or taken < int(count)) and await _take_one(stage, process):
            taken += 1
        if not taken:
            stage.tell(f"{name} gets nothing")

    await stage.do(process, taking)


async def _take_one(stage: Stage, process: Process) -> bool:
    assert process.consumer is not None, "it is no consumer"
    try:
        async with asyncio.timeout(MOMENT_S / 4):
            message = await anext(process.consumer)
    except TimeoutError:
        return False
    process.in_hand.append(message)
    again = f", attempt {message.attempt}" if message.attempt > 1 else ""
    where = stage.words.epoch(PartitionSlot(STREAM, message.partition), message.group, message.fence.epoch)
    stage.tell(f"  {process.name} takes {message.data.decode()} of partition {message.partition}, {where}{again}")
    return True


ENDS = {"acks": "ack", "nacks": "nack", "parks": "park", "rejects": "reject"}


@says(r"(\w+) nacks (\w+) for ([\d.]+)")
async def gives_back(stage: Stage, name: str, data: str, delay: str) -> None:
    process = stage.process(name)
    (message,) = [each for each in process.in_hand if each.data.decode() == data]
    process.in_hand.remove(message)
    process.thread.context.run(message.nack, float(delay))
    await asyncio.sleep(MOMENT_S)


@says(rf"(\w+) ({'|'.join(ENDS)})(?: (\w+(?: \w+)*))?")
async def settles(stage: Stage, name: str, verb: str, datas: str | None) -> None:
    process = stage.process(name)
    for message in tuple(process.in_hand):
        data = message.data.decode()
        if datas is not None and data not in datas.split():
            continue
        process.in_hand.remove(message)
        try:
            process.thread.context.run(getattr(message, ENDS[verb]))
        except SegmenterError as error:
            stage.tell(f"  {name} gets {type(error).__name__} for {data}")
    await asyncio.sleep(MOMENT_S)


@says(r"(\w+) forwards (\w+) as (\w+) (\w+)")
async def forwards(stage: Stage, name: str, data: str, key: str, new: str) -> None:
    process = stage.process(name)
    (message,) = [each for each in process.in_hand if each.data == data.encode()]

    async def forwarding() -> None:
        stream = process.stream or await process.segmenter.get_stream(STREAM)
        process.stream = stream
        try:
            await message.forward(stream, key, new.encode())
        except SegmenterError as error:
            stage.tell(f"  {name} gets {type(error).__name__} for {data}")
        else:
            process.in_hand.remove(message)
            stage.tell(f"  {name} has forwarded {data}")

    await stage.do(process, forwarding)


@says(r"(\w+) works")
async def works(stage: Stage, name: str) -> None:
    process = stage.process(name)
    assert process.consumer is not None, "it is no consumer"
    source = process.consumer

    async def working() -> None:
        async for message in source:
            stage.tell(f"  {name} handles {message.data.decode()}")
            message.ack()

    await stage.do(process, working)


@says(r"(\w+) leaves( for ever)?")
async def leaves(stage: Stage, name: str, forever: str | None) -> None:
    process = stage.process(name)
    assert process.consumer is not None, "it is no consumer"
    source = process.consumer
    await stage.do(process, lambda: source.shutdown(forever=forever is not None))


@says(r"(\w+) alters group (\w+) session_timeout=([\d.]+)")
async def alters(stage: Stage, name: str, group: str, seconds: str) -> None:
    process = stage.process(name)
    await stage.do(process, lambda: process.segmenter.alter_group(STREAM, group, session_timeout=float(seconds)))


@says(r"(\w+) seeks (\w+) in partition (\d+)")
async def seeks(stage: Stage, name: str, place: str, partition: str) -> None:
    process = stage.process(name)
    assert process.consumer is not None, "it is no consumer"
    source = process.consumer
    await stage.do(process, lambda: source.seek(int(partition), place))


# --- what is set aside ----------------------------------------------------------------------------------------------


@says(r"(\w+) (redrives|discards) (?:key (\w+)|everything)")
async def asks(stage: Stage, name: str, verb: str, key: str | None) -> None:
    process = stage.process(name)

    async def asking() -> None:
        shelves = await process.segmenter.shelves(STREAM, GROUP)
        count = await (shelves.redrive if verb == "redrives" else shelves.discard)(key)
        stage.tell(f"  {name} is told of {count}")

    await stage.do(process, asking)


@says(r"(\w+) (replays|purges) the dead letters")
async def looks_after_the_dead(stage: Stage, name: str, verb: str) -> None:
    process = stage.process(name)

    async def doing() -> None:
        shelves = await process.segmenter.shelves(STREAM, GROUP)
        letters = await shelves.dead()
        count = await (shelves.replay if verb == "replays" else shelves.purge)(letters)
        stage.tell(f"  {name} is told of {count}")

    await stage.do(process, doing)


# --- what is shown --------------------------------------------------------------------------------------------------


@says(r"show group")
async def show_group(stage: Stage) -> None:
    slot = GroupSlot(STREAM, GROUP)
    state = stage.server.store.slots.get(slot)
    if state is None or state.document is None:
        stage.tell("there is no document")
        return
    stage.tell(stage.words.document(slot, state.document))
    if state.document.gone:
        stage.tell(f"gone: {stage.words.gone(state.document.gone)}")


@says(r"show lanes")
async def show_lanes(stage: Stage) -> None:
    for slot, state in _partitions(stage):
        for group, held in state.lanes.items():
            epoch = stage.words.epoch(slot, group, held.epoch)
            owner = stage.words.member(held.owner)
            done = stage.words.progress(held.progress)
            stage.tell(f"partition {slot.partition}, {group}: {epoch} of {owner}, {done} of {state.log.added}")


@says(r"show aside")
async def show_aside(stage: Stage) -> None:
    for slot, state in _partitions(stage):
        for group, held in state.lanes.items():
            stage.tell(f"partition {slot.partition}, {group}: {stage.words.aside(held)}")


@says(r"show logs")
async def show_logs(stage: Stage) -> None:
    for slot, state in _partitions(stage):
        kept = " ".join(entry[1][3].decode() for entry in state.log.entries) or "nothing"
        trimmed = f", {state.log.first_ordinal} trimmed" if state.log.first_ordinal else ""
        stage.tell(f"partition {slot.partition}: {kept}{trimmed}")


def _partitions(stage: Stage) -> list[tuple[PartitionSlot, PartitionState]]:
    slots = stage.server.store.slots.items()
    found = [(slot, state) for slot, state in slots if isinstance(slot, PartitionSlot)]
    return sorted(found, key=lambda pair: pair[0])
