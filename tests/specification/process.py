"""A process as the specification sees it, with the real machine and the real key lanes inside.

The specification has no time but the lease. So before the machine is told anything, its moments are set to what the
step is about: whoever cannot live any more was met long ago, an owner that is met was met before, nothing is due.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from attrs import evolve, frozen

from segmenter.core import signals as sig
from segmenter.core.command import Command
from segmenter.core.events import Wanted
from segmenter.core.group import Announce, GroupState, UpdateGroup
from segmenter.core.log import Log
from segmenter.core.machine import advance
from segmenter.core.member import Hold, Member
from segmenter.core.observations import Departed
from segmenter.core.partition import Changed, Claim, Fenced, Held, Release
from segmenter.core.transitions import Standing, State
from tests.specification.work import GROUP, Work

__all__ = ["Process", "Turning", "founder", "outside", "prepared"]

NOW, LONG_AGO = 0.0, -1e9
MET_BEFORE = 2  # claims that have met an owner, before this one

Status = Literal["outside", "member", "leaving", "ended"]


@frozen
class Process:
    """What is in its memory."""

    letter: str
    life: int  # of its membership, counted from 1
    log: Log  # of every partition
    status: Status = "outside"
    awake: bool = True
    leased: bool = False
    member: Member | None = None
    works: tuple[Work | None, ...] = ()
    replies: tuple[Any, ...] = ()  # of each partition, what came while it stood still
    current: tuple[bool, ...] = ()  # of each, whether the log still is the one that was read

    @property
    def me(self) -> str:
        """The id of its membership, or of the next one."""
        return f"{self.letter}{self.life}"

    @property
    def present(self) -> bool:
        """Whether it is a member, as far as it knows."""
        return self.member is not None

    @property
    def active(self) -> bool:
        """Whether it does anything."""
        return self.present and self.awake

    @property
    def requests(self) -> frozenset[Command[Any, Any]]:
        """What it has under way."""
        if self.member is None:
            return frozenset()
        pairs = zip(self.member.holds, self.replies, strict=True)
        asked = {hold.pending for hold, reply in pairs if hold.pending is not None and reply is None}
        commits = {work.play.commit for work in self.works if work is not None and work.play.commit is not None}
        return frozenset(asked | commits)

    def hold(self, partition: int) -> Hold:
        """What its machine knows of a partition."""
        assert self.member is not None
        return self.member.holds[partition]

    def holds(self, partition: int) -> bool:
        """Whether it has a partition in hand."""
        return self.member is not None and self.hold(partition).state in (State.OWNED, State.DRAINING)

    def put(self, field: str, partition: int, value: Any) -> Process:
        """The process with one item of a field that has one for each partition replaced."""
        items: list[Any] = list(getattr(self, field))
        items[partition] = value
        changed: dict[str, Any] = {field: tuple(items)}
        return evolve(self, **changed)

    def out(self) -> Process:
        """No member any more: it comes again as another, unless it was about to leave."""
        return outside(self.letter, self.life + 1, self.log, len(self.works), ended=self.status == "leaving")


def outside(letter: str, life: int, log: Log, partitions: int, *, ended: bool = False) -> Process:
    """A process that is no member."""
    nothing = (None,) * partitions
    status: Status = "ended" if ended else "outside"
    return Process(letter, life, log, status, works=nothing, replies=nothing, current=(True,) * partitions)


def founder(process: Process, document: GroupState) -> Process:
    """A member from the beginning."""
    member = Member(process.me, GROUP, 1.0, 1.0, document, standing=Standing.JOINING)
    turning = Turning(evolve(process, status="member", leased=True, member=member), frozenset())
    turning.feed(sig.Learned(document))
    return turning.process


class Turning:
    """One turn of a process; ``alive`` are the members that may still act."""

    def __init__(self, process: Process, alive: Collection[str]) -> None:
        self.process = process
        self.wanted: list[Wanted] = []
        self._alive = alive

    def feed(self, event: sig.Event, **set_before: Any) -> None:
        """Tell the machine, and do what it asks for."""
        member = self.process.member
        assert member is not None
        member, effects = advance(prepared(member, self._alive, **set_before), event, NOW)
        self.process = evolve(self.process, member=member)
        for effect in effects:
            self._do(effect, event)
        self._tidy()

    def begin(self, document: GroupState) -> None:
        """Wish to be a member."""
        member = Member(self.process.me, GROUP, 1.0, 1.0, document)
        self.process = evolve(self.process, status="member", leased=True, member=member)
        self.feed(sig.Join())

    def written(self, command: UpdateGroup, reply: Any) -> None:
        """A change of the document went through."""
        self.feed(sig.Replied(command, reply), changing=command)

    def answered(self, partition: int, reply: Any) -> None:
        """A claim or a release was answered."""
        hold = self.process.hold(partition)
        command = hold.pending
        assert command is not None
        self.process = self.process.put("replies", partition, None)
        if isinstance(reply, Held | Changed | Fenced):
            self._met(partition, owner=reply.owner, epoch=reply.epoch)
        self.feed(sig.Replied(command, reply))

    def poke(self, partition: int) -> None:
        """Time to look whether a partition is free."""
        self._met(partition, poke_at=LONG_AGO)
        self.feed(sig.Tick())

    def know(self, **facts: Any) -> None:
        """Have the machine know something."""
        assert self.process.member is not None
        self.process = evolve(self.process, member=evolve(self.process.member, **facts))

    def _met(self, partition: int, **facts: Any) -> None:
        assert self.process.member is not None
        holds = list(self.process.member.holds)
        holds[partition] = evolve(holds[partition], **facts)
        self.know(holds=tuple(holds))

    def _do(self, effect: sig.Effect, event: sig.Event) -> None:
        match effect:
            case sig.Fetch(partition, grant):
                self._work(partition, Work(partition, self.process.me, grant, self.process.log))
            case sig.Stop(partition):
                work = self.process.works[partition]
                assert work is not None
                self._work(partition, work.after("stop"))
            case sig.Drop(partition):
                self._end(partition)
            case sig.Execute(Release() as release, again=False) if not isinstance(event, sig.Unanswered):
                self._end(release.slot.partition)
            case sig.Execute(Announce(event=Wanted() as wanted)):
                self.wanted.append(wanted)
            case sig.Emit(Departed()):
                self.process = self.process.out()
            case _:
                pass

    def _work(self, partition: int, work: Work) -> None:
        self.process = self.process.put("works", partition, work)

    def _end(self, partition: int) -> None:
        self.process = self.process.put("works", partition, None).put("current", partition, True)

    def _tidy(self) -> None:
        """Name claims for what they are for, and forget moments: two members that differ only in these are one."""
        member = self.process.member
        if member is None:
            return
        holds = tuple(evolve(hold, since=NOW, poke_at=None, pending=_named(hold.pending)) for hold in member.holds)
        self.process = evolve(self.process, member=evolve(member, holds=holds, tokens=0))


def _named(pending: Command[Any, Any] | None) -> Command[Any, Any] | None:
    if isinstance(pending, Claim):
        return evolve(pending, claim=f"{pending.member} {pending.if_epoch}")
    return pending


def prepared(member: Member, alive: Collection[str], **set_before: Any) -> Member:
    """A member at a moment when nothing is due, and nothing is under way with the document."""
    holds = tuple(
        evolve(
            hold,
            since=NOW if hold.owner in alive else LONG_AGO,
            met=MET_BEFORE,
            poke_at=NOW + 1 if hold.poke_at is None else hold.poke_at,
        )
        for hold in member.holds
    )
    calm: dict[str, Any] = {"changing": None, "learned_at": NOW, "retry_at": None, "silent": sig.Silent((), 0)}
    return evolve(member, holds=holds, **{**calm, **set_before})
