"""A process, as a value, and what it does in one turn: the real machine, the real pulse, the real key lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen

from segmenter.core import signals as sig
from segmenter.core.beats import Beat, Beaten, NotMember, Pulse
from segmenter.core.command import Command
from segmenter.core.events import Changed, Wanted
from segmenter.core.group import GroupState, UpdateGroup
from segmenter.core.invariants import Violation
from segmenter.core.machine import advance
from segmenter.core.member import Member
from segmenter.core.observations import Admitted, Departed
from segmenter.core.partition import Commit, Committed, Probed, Release
from segmenter.core.transitions import Standing
from tests.exploration.habits import Habits
from tests.exploration.holds import GROUP, Held

__all__ = ["NOW", "SESSION_S", "Answer", "Process", "SlowBeat", "Turning"]

SESSION_S = 2.0  # two ticks: a member that misses a beat is past its lease at the next but one
NOW = 0.0  # always: times are relative
FRESH = 900  # of a new member, among those of its process; renamed after the step


@frozen
class Answer:
    """A command and what was answered."""

    command: Command[Any, Any]
    reply: Any


@frozen
class SlowBeat:
    """A beat that was answered; the answer may be on its way for longer than others."""

    sent_at: float
    below: int
    reply: Any


@frozen
class Process:
    """All that is in the memory of a process, and what it has under way."""

    letter: str
    seat: str | None = None
    member: Member | None = None  # None: it does not run
    leaving: bool = False
    pulse: Pulse | None = None
    joining: str = ""  # the version that was last asked for in order to join ...
    joining_since: float = NOW  # ... and when
    asleep: bool = False
    inbox: tuple[Any, ...] = ()  # what came while it was asleep
    requests: tuple[Command[Any, Any], ...] = ()  # under way, in their order
    slow: Answer | sig.Unanswered | None = None  # what it will learn of a request later
    beat: SlowBeat | None = None
    holds: tuple[Held, ...] = ()

    @property
    def leased(self) -> bool:
        """Whether it may act as a member."""
        return self.pulse is not None and self.pulse.lease_until > NOW

    def held(self, partition: int) -> Held | None:
        """What it holds of a partition."""
        return next((held for held in self.holds if held.partition == partition), None)

    def next_beat(self) -> Beat | None:
        """The beat to send, if it beats and waits for no answer to one."""
        if self.member is None or self.pulse is None or self.beat is not None:
            return None
        return Beat(GROUP, self.member.me, self.member.document.version, self.pulse.silent_below(NOW))


class Turning:
    """One turn of a process; whatever happens to a process is a method without an underscore."""

    def __init__(self, process: Process, keys: Sequence[str], habits: Habits) -> None:
        self.process = process
        self.given_up: tuple[Command[Any, Any], ...] = ()  # what was under way when it ended
        self._keys = keys
        self._habits = habits

    # --- it begins, sleeps, ends ------------------------------------------------------------------------------------

    def begin(self, document: GroupState) -> None:
        """Start, and want to be a member."""
        self._evolve(member=self._new_member(document))
        self._feed(sig.Join())

    def sleep(self) -> None:
        """Stand still: a pause of the machine, say, heart and all."""
        self._evolve(asleep=True)

    def wake(self) -> None:
        """Go on after a pause: first comes the lease, then what has come in meanwhile."""
        inbox, self.process = self.process.inbox, evolve(self.process, asleep=False, inbox=())
        self.look_at_time()
        for what in inbox:
            self._take_in(what)

    def leave(self) -> None:
        """Wish to be a member no more."""
        self._evolve(leaving=True)
        self._feed(sig.Leave())

    def end(self) -> None:
        """Be gone; what was sent is on its way."""
        self.given_up += self.process.requests
        self.process = Process(self.process.letter, self.process.seat)

    # --- what comes in ----------------------------------------------------------------------------------------------

    def look_at_time(self) -> None:
        """What a process asks whenever it runs: whether its lease is over, and whether something is due."""
        if self._habits.heeds_lease and self.process.pulse is not None and not self.process.leased:
            self._evolve(pulse=None, beat=None)
            self._feed(sig.LeaseOver())
        member = self.process.member
        if member is not None and member.timer is not None and member.timer <= NOW:
            self._feed(sig.Tick())

    def answer(self, answer: Answer) -> None:
        """The oldest request is answered."""
        self._evolve(requests=self.process.requests[1:])
        self.hear(answer)

    def answer_slowly(self, what: Answer | sig.Unanswered) -> None:
        """What becomes of the oldest request, it learns later."""
        self._evolve(requests=self.process.requests[1:], slow=what)

    def slow_answer(self) -> None:
        """It learns of it."""
        what, self.process = self.process.slow, evolve(self.process, slow=None)
        self.hear(what)

    def slow_failure(self) -> None:
        """The answer is lost after all."""
        what, self.process = self.process.slow, evolve(self.process, slow=None)
        assert what is not None
        self.hear(sig.Unanswered(what.command))

    def beat_slowly(self, beaten: SlowBeat) -> None:
        """A beat is answered, and the answer is on its way for a long time."""
        self._evolve(beat=beaten)

    def slow_beat(self) -> None:
        """That answer comes."""
        beaten, self.process = self.process.beat, evolve(self.process, beat=None)
        self.hear(beaten)

    def hear(self, what: Any) -> None:
        """Take something in, now or on waking."""
        if not self.process.asleep:
            self._take_in(what)
        elif self._may_matter(what):
            self._evolve(inbox=(*self.process.inbox, what))

    def _may_matter(self, what: Any) -> bool:
        """What the machine never heeds is not kept, which spares many states."""
        match what:
            case sig.Heard(Changed(concerned=concerned)):
                return self.process.member is not None and self.process.member.me in concerned
            case sig.Heard(Wanted(member=owner)):
                return self.process.member is not None and self.process.member.me == owner
            case _:
                return True

    def probed(self, partition: int, reply: Probed) -> None:
        """A look at a lane was answered."""
        held = self.process.held(partition)
        if held is not None and not (reply.epoch == held.grant.epoch and reply.intact):
            self._feed(sig.Refused(partition))

    def _take_in(self, what: Any) -> None:
        if self.process.member is None:
            return
        match what:
            case Answer(command, reply):
                self._answered(command, reply)
            case SlowBeat():
                self._beaten(what)
            case sig.Unanswered(Commit() as commit):
                self._repeat_commit(commit)
            case _:
                self._feed(what)

    def _beaten(self, beat: SlowBeat) -> None:
        if self.process.pulse is None:
            return
        match beat.reply:
            case Beaten(number, document, silent):
                self._evolve(pulse=self.process.pulse.answered(beat.sent_at, NOW, number))
                if document is not None:
                    self._feed(sig.Learned(document))
                if silent:
                    self._feed(sig.Silent(silent, beat.below))
            case NotMember(document):
                self._feed(sig.Excluded(document))

    def _answered(self, command: Command[Any, Any], reply: Any) -> None:
        if isinstance(command, Commit):
            self._commit_answered(command, reply)
            return
        if isinstance(command, Release):
            held = self.process.held(command.slot.partition)
            if held is not None and held.grant.epoch == command.epoch:
                if held.running:
                    raise Violation(f"INV-7 partition {held.partition} is free, and a handler of it still runs")
                self._drop(command.slot.partition)
        self._feed(sig.Replied(command, reply))

    def _commit_answered(self, commit: Commit, reply: Any) -> None:
        held = self.process.held(commit.slot.partition)
        if held is None or held.grant.epoch != commit.epoch:
            return
        if isinstance(reply, Committed):
            self._hold(held.committed() if held.commit == commit else held)
            self._release_drained()
        else:
            self._feed(sig.Refused(commit.slot.partition))

    def _repeat_commit(self, commit: Commit) -> None:
        held = self.process.held(commit.slot.partition)
        current = held is not None and held.grant.epoch == commit.epoch
        if current and self.process.leased and self._habits.repeats_commits:
            self._request(commit)

    # --- handlers and progress --------------------------------------------------------------------------------------

    def start(self, partition: int) -> int:
        """Start a handler; the ordinal of its message, or -1 if there is none after all."""
        held, ordinal = self._held(partition).start()
        self._hold(held)
        return ordinal

    def finish(self, partition: int, ordinal: int) -> None:
        """A handler ends, and its message is settled."""
        self._hold(self._held(partition).finish(ordinal))
        self._release_drained()

    def send_progress(self, partition: int) -> None:
        """Start a commit."""
        held, commit = self._held(partition).send_progress()
        self._hold(held)
        self._request(commit)

    def _release_drained(self) -> None:
        for held in self.process.holds:
            drained = held.drained if self._habits.awaits_handlers else held.hurried
            if drained is not None and self.process.member is not None:
                self._hold(held.released())
                self._feed(drained)  # which looks for the next one
                return

    # --- the machine ------------------------------------------------------------------------------------------------

    def _feed(self, event: sig.Event) -> None:
        if self.process.member is None:
            return
        member, effects = advance(self.process.member, event, NOW, self._habits.table)
        self._evolve(member=member)
        for effect in effects:
            self._do(effect)
        self._release_drained()

    def _do(self, effect: sig.Effect) -> None:
        match effect:
            case sig.Execute(command):
                self._note_joining(command)
                self._request(command)
            case sig.Fetch(partition, grant):
                assert self.process.member is not None
                self._hold(Held(partition, self.process.member.me, grant, self._keys[partition]))
            case sig.Stop(partition):
                self._hold(self._held(partition).stop())
            case sig.Drop(partition):
                self._drop(partition)
            case sig.Emit(Admitted()):
                self._evolve(pulse=Pulse(SESSION_S, lease_from=self.process.joining_since))
                self._evolve(joining="", joining_since=NOW)
            case sig.Emit(Departed(reason=reason)):
                self._depart(reason)

    def _note_joining(self, command: Command[Any, Any]) -> None:
        member = self.process.member
        joining = member is not None and member.standing is Standing.JOINING
        if joining and isinstance(command, UpdateGroup) and command.document.version != self.process.joining:
            self._evolve(joining=command.document.version, joining_since=NOW)

    def _depart(self, reason: str) -> None:
        self._evolve(pulse=None, beat=None, holds=())
        if reason == "expelled" and not self.process.leaving:
            assert self.process.member is not None
            self._evolve(member=self._new_member(self.process.member.document))
            self._feed(sig.Join())
        else:
            self.end()

    def _new_member(self, document: GroupState) -> Member:
        return Member(f"{self.process.letter}{FRESH}", GROUP, SESSION_S, 0.0, document, self.process.seat)

    # --- small things -----------------------------------------------------------------------------------------------

    def _evolve(self, **changes: Any) -> None:
        self.process = evolve(self.process, **changes)

    def _request(self, command: Command[Any, Any]) -> None:
        if self.process.member is not None:
            self._evolve(requests=(*self.process.requests, command))

    def _held(self, partition: int) -> Held:
        held = self.process.held(partition)
        assert held is not None, f"{self.process.letter} does not hold partition {partition}"
        return held

    def _hold(self, held: Held) -> None:
        others = [other for other in self.process.holds if other.partition != held.partition]
        self._evolve(holds=tuple(sorted([*others, held], key=lambda one: one.partition)))

    def _drop(self, partition: int) -> None:
        self._evolve(holds=tuple(held for held in self.process.holds if held.partition != partition))
