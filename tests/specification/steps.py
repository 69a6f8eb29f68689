"""Every step of the specification, taken by the code: the laws of the core, its machine and its key lanes.

The names of the steps are those of the actions in Segmenter.tla, and so are the places where anything may happen in
between. Read the two side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import evolve

from segmenter.core import signals as sig
from segmenter.core.beats import Beat, Beaten, NotMember
from segmenter.core.command import PartitionSlot
from segmenter.core.events import Wanted
from segmenter.core.group import GroupData, LoadGroup
from segmenter.core.partition import Behind, Claim, Commit, Committed, Held, Probe, Probed, Progress
from segmenter.core.transitions import State
from tests.specification.process import LONG_AGO, Process, Turning, outside
from tests.specification.work import GROUP, Work
from tests.specification.world import World, founding, replaced

__all__ = ["Step", "steps"]

Step = tuple[str, World]


def steps(world: World) -> Iterator[Step]:
    """Every step that is possible."""
    for number, process in enumerate(world.processes):
        for partition in range(world.bounds.partitions) if process.present else ():
            for kind in _OF_A_HOLD:
                yield from kind(world, number, partition)
        for of_a_process in _OF_A_PROCESS:
            yield from of_a_process(world, number)
    yield from _arrive(world)
    yield from _roll_back_the_group(world)
    for partition in range(world.bounds.partitions):
        yield from _roll_back_a_lane(world, partition)


# --- claims and releases --------------------------------------------------------------------------------------------


def _asks(process: Process, partition: int) -> bool:
    return process.hold(partition).pending is not None and process.replies[partition] is None


def _exchange(world: World, number: int, partition: int) -> Iterator[Step]:
    process = world.processes[number]
    if not _asks(process, partition):
        return
    request = process.hold(partition).pending
    assert request is not None
    after, reply = world.executes(request)
    process = process.put("current", partition, True)
    if process.awake:
        yield type(request).__name__, _told(after, number, process, partition, reply, request)
    else:
        yield type(request).__name__, after.becomes(number, process.put("replies", partition, reply), request)


def _told(world: World, number: int, process: Process, partition: int, reply: Any, executed: Any = None) -> World:
    """A process takes an answer in; an owner that is wanted hears of it."""
    turning = Turning(process, world.alive)
    turning.answered(partition, reply)
    after = world.becomes(number, turning.process, executed)
    for wanted in turning.wanted:
        after = _heard(after, wanted, world.alive)
    return after


def _heard(world: World, wanted: Wanted, alive: frozenset[str]) -> World:
    processes = list(world.processes)
    for number, process in enumerate(processes):
        if process.active:
            turning = Turning(process, alive)
            turning.feed(sig.Heard(wanted))
            processes[number] = turning.process
    return evolve(world, processes=tuple(processes))


def _answer(world: World, number: int, partition: int) -> Iterator[Step]:
    process = world.processes[number]
    reply = process.replies[partition]
    if process.active and reply is not None:
        yield "Answer", _told(world, number, process, partition, reply)


def _poke(world: World, number: int, partition: int) -> Iterator[Step]:
    process = world.processes[number]
    if process.active and process.hold(partition).state is State.WAITING:
        turning = world.turned(number)
        turning.poke(partition)
        if not _asks_in_vain(world, process, turning.process, partition):
            yield "Poke", world.becomes(number, turning.process)


def _asks_in_vain(world: World, process: Process, asking: Process, partition: int) -> bool:
    """Whether a claim would be answered as before, and change nothing."""
    claim, hold = asking.hold(partition).pending, process.hold(partition)
    assert isinstance(claim, Claim)
    assert process.member is not None
    _, reply = world.executes(claim)
    match reply:
        case Held(owner, epoch):
            wanted = Wanted(partition, epoch, owner)
            listed = owner in process.member.document.members
            unheard = listed and any(_wakes_up(one, wanted) for one in world.processes)
            return (owner, epoch) == (hold.owner, hold.epoch) and not unheard
        case Behind(generation):
            return generation <= process.member.behind
        case _:
            return False


def _wakes_up(process: Process, wanted: Wanted) -> bool:
    return process.active and process.me == wanted.member and process.hold(wanted.partition).state is State.FREE


def _unanswered(world: World, number: int, partition: int) -> Iterator[Step]:
    """The reply is lost, or the request is late."""
    process = world.processes[number]
    if not (process.active and _asks(process, partition)):
        return
    request = process.hold(partition).pending
    assert request is not None
    turning = world.turned(number)
    turning.feed(sig.Unanswered(request))
    if world.may("lose the reply"):
        after = world.executes(request)[0]
        yield "LoseTheReply", after.becomes(number, turning.process, request).after_a_fault()
    if world.may("delay"):
        after = world.becomes(number, turning.process, request)
        yield "Delay", evolve(after, late=world.late | {request}).after_a_fault()


def _arrive(world: World) -> Iterator[Step]:
    for request in world.late:
        after = world.executes(request)[0]
        yield "Arrive", evolve(after, late=world.late - {request})


# --- handlers and progress ------------------------------------------------------------------------------------------


def _with_work(process: Process, partition: int, work: Work | None) -> Process:
    return process.put("works", partition, work)


def _begin(world: World, number: int, partition: int) -> Iterator[Step]:
    process = world.processes[number]
    work = process.works[partition]
    if not process.active or work is None or len(work.play.running) >= world.bounds.in_flight:
        return
    after = work.after("begin")
    if after.play.running.keys() != work.play.running.keys():
        yield "Begin", world.becomes(number, _with_work(process, partition, after))


def _finish(world: World, number: int, partition: int) -> Iterator[Step]:
    process = world.processes[number]
    work = process.works[partition]
    for ordinal in work.play.running if process.active and work is not None else ():
        assert work is not None
        after = world.becomes(number, _with_work(process, partition, work.after(f"finish {ordinal}")))
        if process.current[partition]:
            settled = world.settled[partition] | {ordinal}
            after = evolve(after, settled=replaced(world.settled, partition, settled))
        yield "Finish", after


def _commit(world: World, number: int, partition: int) -> Iterator[Step]:
    process = world.processes[number]
    work = process.works[partition]
    if not process.active or work is None or not (work.play.commit or work.play.holding.dirty):
        return
    sent = work if work.play.commit else work.after("commit")
    commit = sent.play.commit
    assert commit is not None
    in_flight = _with_work(process, partition, sent)
    after, reply = world.executes(commit)
    yield "Commit", after.becomes(number, _committed(world, in_flight, commit, reply), commit)
    if world.may("lose the reply"):
        yield "LoseTheReplyToCommit", after.becomes(number, in_flight).after_a_fault()
    for kind in ("delay", "delay a commit"):
        if world.may(kind):
            late = evolve(world.becomes(number, in_flight), late=world.late | {commit})
            yield "DelayCommit", late.after_a_fault()


def _committed(world: World, process: Process, commit: Commit, reply: Any) -> Process:
    partition = commit.slot.partition
    work = process.works[partition]
    assert work is not None
    if isinstance(reply, Committed):
        return _with_work(process, partition, work.after("stored"))
    return _refused(world, process, partition)


def _refused(world: World, process: Process, partition: int) -> Process:
    turning = Turning(process, world.alive)
    turning.feed(sig.Refused(partition))
    return turning.process


def _drain(world: World, number: int, partition: int) -> Iterator[Step]:
    process = world.processes[number]
    work = process.works[partition]
    drained = work.play.drained if process.active and work is not None else None
    if drained is not None:
        turning = world.turned(number)
        turning.feed(drained)
        yield "Drain", world.becomes(number, turning.process)


def _probe(world: World, number: int, partition: int) -> Iterator[Step]:
    process = world.processes[number]
    if not process.active or process.hold(partition).state is not State.OWNED:
        return
    _, reply = world.executes(Probe(PartitionSlot(GROUP.stream, partition), GROUP.group))
    assert isinstance(reply, Probed)
    if (reply.owner, reply.epoch, reply.intact) != (process.me, process.hold(partition).epoch, True):
        yield "Probe", world.becomes(number, _refused(world, process, partition))


# --- membership -----------------------------------------------------------------------------------------------------


def _beat(world: World, number: int) -> Iterator[Step]:
    process = world.processes[number]
    member = process.member
    if member is None or not process.awake or member.document == world.group:
        return
    data = GroupData(world.group, dict.fromkeys(world.group.members, 1), 1)
    _, reply = Beat(GROUP, process.me, member.document.version, 0).apply(data, 0)
    turning = world.turned(number)
    match reply:
        case Beaten(document=document) if document is not None:
            if document.generation < member.document.generation and member.loading:
                return  # it is asked for already
            turning.feed(sig.Learned(document))
        case NotMember(document):
            turning.feed(sig.Excluded(document))
        case _:
            raise AssertionError(reply)
    yield "Beat", world.becomes(number, turning.process)


def _load_group(world: World, number: int) -> Iterator[Step]:
    process = world.processes[number]
    if process.member is not None and process.awake and process.member.loading and not _writes_first(world, process):
        command = LoadGroup(GROUP)
        _, reply = command.apply(GroupData(world.group), 0)
        turning = world.turned(number)
        turning.feed(sig.Replied(command, reply))
        yield "LoadGroup", world.becomes(number, turning.process)


def _writes_first(world: World, process: Process) -> bool:
    """Whether it knows the document, and is about to change it."""
    if process.member is None or process.member.document != world.group:
        return False
    if process.status == "leaving":
        return not world.group.members[process.me].leaving
    return process.member.behind > world.group.generation


def _join(world: World, number: int) -> Iterator[Step]:
    if world.processes[number].status == "outside":
        turning = world.turned(number)
        turning.begin(world.group)
        yield "Joined", world.writes(number, turning)


_WRITES = {"leaving": "Leaving", "left": "Left", "caughtup": "CaughtUp", "balanced": "Balanced", "expired": "Expired"}


def _update_group(world: World, number: int) -> Iterator[Step]:
    """What the machine wishes of the document: at once, when membership has been quiet, when somebody is silent."""
    process = world.processes[number]
    if process.member is None or not process.awake or process.member.document != world.group:
        return
    # The wish for a later generation is older than the question for the document that may be under way by now.
    yield from _wished(world, number, sig.Tick(), learned_at=LONG_AGO, loading=False)
    silent = tuple(sorted(set(world.group.members) - world.alive))
    if silent and process.status == "member":
        yield from _wished(world, number, sig.Silent(silent, 1))


def _wished(world: World, number: int, event: sig.Event, **set_before: Any) -> Iterator[Step]:
    before = world.processes[number].member
    assert before is not None
    turning = world.turned(number)
    turning.feed(event, **set_before)
    turning.know(loading=before.loading)
    member = turning.process.member
    if member is not None and member.changing is not None:
        yield _WRITES[member.changing.event.cause], world.writes(number, turning)


# --- processes ------------------------------------------------------------------------------------------------------


def _comings_and_goings(world: World, number: int) -> Iterator[Step]:
    process = world.processes[number]
    if not process.active:
        return
    if process.status == "member" and world.leaves:
        turning = world.turned(number)
        turning.feed(sig.Leave())
        after = world.becomes(number, evolve(turning.process, status="leaving"))
        yield "Leave", evolve(after, leaves=world.leaves - 1)
    if world.may("pause"):
        yield "Pause", world.becomes(number, evolve(process, awake=False)).after_a_fault()
    if world.may("crash"):
        dead = outside(process.letter, process.life + 1, process.log, world.bounds.partitions, ended=True)
        yield "Crash", world.becomes(number, dead).after_a_fault()


def _sleep(world: World, number: int) -> Iterator[Step]:
    process = world.processes[number]
    if process.awake:
        return
    if process.leased:
        yield "LeaseOver", world.becomes(number, evolve(process, leased=False))
        yield "Wake", world.becomes(number, evolve(process, awake=True))
    else:
        turning = world.turned(number)
        turning.feed(sig.LeaseOver())
        yield "Wake", world.becomes(number, turning.process)


# --- the server loses what it had -----------------------------------------------------------------------------------


def _roll_back_the_group(world: World) -> Iterator[Step]:
    earlier = {
        "roll back the group": world.past_group,
        "roll back the group to its beginning": founding(world.bounds),
    }
    for kind, document in earlier.items():
        if world.may(kind) and document != world.group:
            yield "RollBackTheGroup", evolve(world, group=document).after_a_fault()


def _roll_back_a_lane(world: World, partition: int) -> Iterator[Step]:
    past = world.past_slots[partition]
    if past.lanes == world.slots[partition].lanes:
        return
    epochs = [slot.lanes[GROUP.group].epoch for slot in (*world.slots, *world.past_slots)]
    clocks = {"roll back a lane": 1 + max(world.clock, *epochs), "roll back a lane and the clock": world.clock}
    slot = evolve(past, history=f"{world.slots[partition].history}'")
    kept = _counted(past.lanes[GROUP.group].progress) & world.settled[partition]
    after = evolve(
        world,
        slots=replaced(world.slots, partition, slot),
        settled=replaced(world.settled, partition, kept),
        processes=tuple(_outdated(process, partition) for process in world.processes),
    )
    for kind, clock in clocks.items():
        if world.may(kind):
            yield "RollBackALane", evolve(after, clock=clock).after_a_fault()


def _counted(progress: Progress) -> frozenset[int]:
    return frozenset(range(progress.read)).union(*(range(start, end) for start, end in progress.ranges))


def _outdated(process: Process, partition: int) -> Process:
    stale = process.holds(partition) or process.replies[partition] is not None
    return process.put("current", partition, False) if stale else process


_OF_A_HOLD: list[Callable[[World, int, int], Iterator[Step]]] = [
    _exchange,
    _answer,
    _poke,
    _unanswered,
    _begin,
    _finish,
    _commit,
    _drain,
    _probe,
]
_OF_A_PROCESS: list[Callable[[World, int], Iterator[Step]]] = [
    _beat,
    _load_group,
    _join,
    _update_group,
    _comings_and_goings,
    _sleep,
]
