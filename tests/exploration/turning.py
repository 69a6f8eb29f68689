"""What a process does in one turn: the real machine, the real pulse, the real key lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from segmenter.core import signals as sig
from segmenter.core.aside import Letter
from segmenter.core.beats import Beaten, NotMember, Pulse
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.events import Changed, Wanted
from segmenter.core.group import GroupState, UpdateGroup
from segmenter.core.invariants import Violation
from segmenter.core.machine import advance
from segmenter.core.member import Member
from segmenter.core.observations import Admitted, Departed
from segmenter.core.partition import Claimed, Commit, Committed, Probed, Release
from segmenter.core.retry import Exhausted
from segmenter.core.transitions import Standing
from tests.exploration.bounds import Bounds
from tests.exploration.habits import Habits
from tests.exploration.holds import GROUP, Held
from tests.exploration.process import NOW, SESSION_S, Answer, FetchLetters, Process, SlowBeat

__all__ = ["Turning"]

FRESH = 900  # of a new member, among those of its process; renamed after the step


class Turning:
    """One turn of a process; whatever happens to a process is a method without an underscore."""

    def __init__(self, process: Process, bounds: Bounds, habits: Habits) -> None:
        self.process = process
        self.given_up: tuple[Command[Any, Any], ...] = ()  # what was under way when it ended
        self.discarded: tuple[tuple[int, int], ...] = ()  # partitions and ordinals that nobody will handle
        self._bounds = bounds
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
            case sig.Unanswered(FetchLetters() as page) if self._fetches(page):
                self._did(page.slot.partition, "unfetched")
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
        if isinstance(command, FetchLetters):
            self._page_comes(command, reply.letters)
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
            self._hold(held.after("committed") if held.commit == commit else held)
            self._release_drained()
        else:
            self._feed(sig.Refused(commit.slot.partition))

    def _repeat_commit(self, commit: Commit) -> None:
        held = self.process.held(commit.slot.partition)
        current = held is not None and held.grant.epoch == commit.epoch
        if current and self.process.leased and self._habits.repeats_commits:
            self._request(commit)

    # --- handlers ---------------------------------------------------------------------------------------------------

    def start(self, partition: int) -> tuple[str, int] | None:
        """Have a handler started: tell what came of it for which message, or nothing if there is none after all."""
        before = self._held(partition)
        held = self._did(partition, "start")
        started = [ordinal for ordinal in held.running if ordinal not in before.running]
        if not started and held.progress.trying != before.progress.trying:
            return "marks", held.progress.trying
        if not started:
            return next((("delays", ordinal) for ordinal in held.delayed if ordinal not in before.delayed), None)
        if self._bounds.retry.allows(held.attempt(started[0])):
            return "starts", started[0]
        self._did(partition, "park", started[0])
        return "parks", started[0]

    def finish(self, partition: int, ordinal: int) -> None:
        """A handler ends, and its message is settled."""
        self._end(partition, "finish", ordinal)

    def fail(self, partition: int, ordinal: int) -> None:
        """A handler fails: its message is tried once more, or parked."""
        again = self._bounds.retry.after(self._held(partition).attempt(ordinal), 0.0)
        self._end(partition, "park" if isinstance(again, Exhausted) else "retry", ordinal)

    def reject(self, partition: int, ordinal: int) -> None:
        """A handler makes a dead letter of its message."""
        self._end(partition, "reject", ordinal)

    def kill(self, partition: int, ordinal: int) -> None:
        """A handler ends its process."""
        self.end()

    def cancel(self, partition: int) -> None:
        """The drain time-out is over: handlers are cancelled, and end."""
        self._end(partition, "leave")

    def _end(self, partition: int, *deed: Any) -> None:
        self._did(partition, *deed)
        self._release_drained()

    def wait(self, partition: int) -> None:
        """What failed may start again."""
        self._did(partition, "wait")

    def read(self, partition: int) -> None:
        """One more message is read."""
        self._did(partition, "read")

    # --- what others ask for ----------------------------------------------------------------------------------------

    def told(self, partition: int, reply: Probed) -> None:
        """A look at a lane shows what is asked."""
        self._did(partition, "told", reply.dead, reply.requests)

    def seek(self, partition: int) -> None:
        """Go on with what is asked, one page of letters after the other."""
        held = self._did(partition, "seek")
        if held.page is not None:
            slot, count = PartitionSlot(GROUP.stream, partition), self._bounds.page
            key, epoch = held.page[0], held.grant.epoch
            self._request(FetchLetters(slot, GROUP.group, "parked", count, key=key, epoch=epoch))

    def _fetches(self, page: FetchLetters) -> bool:
        held = self.process.held(page.slot.partition)
        return held is not None and held.grant.epoch == page.epoch

    def _page_comes(self, page: FetchLetters, letters: Sequence[Letter]) -> None:
        partition = page.slot.partition
        held = self.process.held(partition)
        if held is not None and self._fetches(page):
            taken_back = self._did(partition, "fetched", tuple(letters)).moves[-1].unpark
            discarded = [letter for letter in letters if letter.place in taken_back]
            self.discarded += tuple((partition, letter.ordinal) for letter in discarded)

    # --- progress ---------------------------------------------------------------------------------------------------

    def send_progress(self, partition: int) -> None:
        """Start a commit."""
        commit = self._did(partition, "send_progress").commit
        assert commit is not None
        self._request(commit)

    def _release_drained(self) -> None:
        for held in self.process.holds:
            drained = held.drained if self._habits.awaits_handlers else held.hurried
            if drained is not None and self.process.member is not None:
                self._did(held.partition, "release")
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
                self._fetch(partition, grant)
            case sig.Stop(partition):
                self._did(partition, "stop")
            case sig.Drop(partition):
                self._drop(partition)
            case sig.Emit(Admitted()):
                self._evolve(pulse=Pulse(SESSION_S, lease_from=self.process.joining_since))
                self._evolve(joining="", joining_since=NOW)
            case sig.Emit(Departed(reason=reason)):
                self._depart(reason)

    def _fetch(self, partition: int, grant: Claimed) -> None:
        assert self.process.member is not None
        self._note_tenure(partition, grant.epoch)
        keys, at_once = self._bounds.logs[partition], self._bounds.at_once
        self._hold(Held(partition, self.process.member.me, grant, keys, at_once, self._habits.lanes))

    def _note_tenure(self, partition: int, epoch: int) -> None:
        """INV-1: what is late of an earlier tenure must not be taken for the present one's."""
        if not self._bounds.rolls_back:
            return
        tenures = list(self.process.tenures or (0,) * len(self._bounds.logs))
        if epoch <= tenures[partition]:
            raise Violation(f"INV-1 no two tenures share an owner and an epoch: {self.process.letter} in {partition}")
        tenures[partition] = epoch
        self._evolve(tenures=tuple(tenures))

    def _note_joining(self, command: Command[Any, Any]) -> None:
        member = self.process.member
        joining = member is not None and member.standing is Standing.JOINING
        if joining and isinstance(command, UpdateGroup) and command.document.version != self.process.joining:
            self._evolve(joining=command.document.version, joining_since=NOW)

    def _depart(self, reason: str) -> None:
        self._evolve(pulse=None, beat=None, holds=())
        if reason == "expelled" and not self.process.leaving:
            assert self.process.member is not None
            self._evolve(tenures=())
            self._evolve(member=self._new_member(self.process.member.document))
            self._feed(sig.Join())
        else:
            self.end()

    def _new_member(self, document: GroupState) -> Member:
        me, seat, window = f"{self.process.letter}{FRESH}", self.process.seat, self._bounds.window
        return Member(me, GROUP, SESSION_S, 0.0, document, seat, window=window)

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

    def _did(self, partition: int, *deed: Any) -> Held:
        held = self._held(partition).after(*deed)
        self._hold(held)
        return held

    def _hold(self, held: Held) -> None:
        others = [other for other in self.process.holds if other.partition != held.partition]
        self._evolve(holds=tuple(sorted([*others, held], key=lambda one: one.partition)))

    def _drop(self, partition: int) -> None:
        self._evolve(holds=tuple(held for held in self.process.holds if held.partition != partition))
