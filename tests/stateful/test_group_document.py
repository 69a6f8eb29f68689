"""A group's document through joins, leaves, seats that are away, deaths, new session time-outs and lost races."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from segmenter.core.beats import Beat, Beaten, NotMember
from segmenter.core.command import Command, GroupSlot
from segmenter.core.events import LIMIT_EVENTS, Changed
from segmenter.core.group import (
    LIMIT_GONE,
    Balanced,
    CaughtUp,
    Expired,
    GroupConflict,
    GroupData,
    GroupEvent,
    GroupState,
    GroupUpdated,
    Joined,
    Leaving,
    Left,
    LoadGroup,
    Paused,
    Readied,
    Resumed,
    SessionChanged,
    StillAlive,
    UpdateGroup,
    Vacated,
)
from segmenter.core.invariants import check_group

SLOT = GroupSlot("s", "g")
PARTITIONS = 5
SEATS = (None, None, "x", "y")


class DocumentMachine(RuleBasedStateMachine):
    """Members write from documents that may be old; the compare-and-set decides."""

    def __init__(self) -> None:
        super().__init__()
        self.data: GroupData | None = None
        self.now_us = 1_000_000
        self.names = 0
        self.tokens = 0
        self.ever_out: set[str] = set()
        self.seen: list[GroupState] = []  # documents that somebody may still hold

    def _do(self, command: Command[GroupData, Any]) -> Any:
        before = self.data.document if self.data else None
        self.now_us += 3
        self.data, reply = command.apply(self.data, self.now_us)
        after = self.data.document if self.data else None
        check_group(before, after)
        if before is not None and after is not None:
            self.ever_out |= set(before.members) - set(after.members)
            assert not self.ever_out & set(after.members), "a member that was out came back under its old id"
        return reply

    @property
    def document(self) -> GroupState:
        assert self.data is not None
        assert self.data.document is not None
        return self.data.document

    def _write(self, document: GroupState, event: GroupEvent, silent: tuple[str, ...] = (), below: int = 0) -> Any:
        self.tokens += 1
        after = evolve(document.on(event), version=f"v{self.tokens}")
        command = UpdateGroup(SLOT, document.version, after, Changed(after.version, "c", "m"), silent, below)
        current = self.document
        reply = self._do(command)
        if isinstance(reply, GroupUpdated):
            assert current.version == document.version, "an old document overwrote a newer one"
            assert self._do(command) == reply, "the repeated write got another answer"
        elif isinstance(reply, GroupConflict):
            assert reply.document == self.document
        self.seen = [*self.seen[-3:], self.document]
        return reply

    @initialize()
    def create(self) -> None:
        document = GroupState(PARTITIONS, 1000, "v0")
        assert isinstance(self._do(UpdateGroup(SLOT, None, document, Changed("v0", "created", ""))), GroupUpdated)
        self._write(self.document, Readied())

    @rule(seat=st.sampled_from(SEATS), immediate=st.booleans())
    def join(self, seat: str | None, immediate: bool) -> None:
        self.names += 1
        name = f"m{self.names}"
        before = self.document
        self._write(before, Joined(name, seat, immediate))
        assert name in self.document.members
        former = [who for who, member in before.members.items() if seat is not None and member.seat == seat]
        former += [away.member for whose, away in before.away.items() if whose == seat]
        for who in former:
            assert self.document.assigned_to(name) >= before.assigned_to(who), "a seat lost partitions by a restart"
            if before.eligible:
                assert self._elsewhere(name) == self._elsewhere(who, before), "a restart moved what others have"
        assert seat not in self.document.away

    def _elsewhere(self, name: str, document: GroupState | None = None) -> list[str | None]:
        document = document or self.document
        return [None if owner == name else owner for owner in document.assignment]

    @precondition(lambda self: self.document.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.document.members)))
        before, forever = self.document, data.draw(st.booleans())
        self._write(before, Leaving(name, forever))
        seat = before.members[name].seat
        if before.members[name].leaving:
            assert self.document.assignment == before.assignment
        elif seat is None or forever:
            assert self.document.assigned_to(name) == frozenset()
        else:
            assert self.document.assignment == before.assignment, "an orderly leave moved what was meant for its seat"
        if data.draw(st.booleans()):
            kept = self.document.assigned_to(name)
            self._write(self.document, Left(name))
            assert self.document.may_be_evicted(name)
            assert self.document.assigned_to(name) == kept
            assert (seat in self.document.away) == bool(kept)

    @precondition(lambda self: self.document.away)
    @rule(data=st.data())
    def vacate(self, data: st.DataObject) -> None:
        names = sorted(away.member for away in self.document.away.values())
        some = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        self._write(self.document, Vacated((*some, "nobody")))
        assert not set(some) & {*self.document.assignment, *(away.member for away in self.document.away.values())}

    @rule(session_ms=st.sampled_from([1000, 2000]))
    def change_the_session(self, session_ms: int) -> None:
        before = self.document
        self._write(before, SessionChanged(session_ms))
        assert self.document.session_ms == (before.session_ms if before.members else session_ms)
        assert (self.document.members, self.document.away) == (before.members, self.document.away)

    @precondition(lambda self: self.document.members)
    @rule(data=st.data())
    def beat_and_expire(self, data: st.DataObject) -> None:
        """Those who beat after the evidence was taken are not expired; those who did not are, and stay out."""
        names = sorted(self.document.members)
        witness, suspect = (data.draw(st.sampled_from(names)) for _ in range(2))
        reply = self._do(Beat(SLOT, witness, self.document.version, 0))
        assert isinstance(reply, Beaten)
        recovered = data.draw(st.booleans())
        if recovered:
            self._do(Beat(SLOT, suspect, self.document.version, 0))
        outcome = self._write(self.document, Expired((suspect,)), (suspect,), reply.number)
        if recovered or suspect == witness:
            assert isinstance(outcome, StillAlive)
        else:
            assert suspect not in self.document.members
            assert isinstance(self._do(Beat(SLOT, suspect, "", 0)), NotMember)

    @rule(event=st.sampled_from([Paused(), Resumed(), Resumed()]))
    def pause_or_resume(self, event: Paused | Resumed) -> None:
        members = self.document.members
        self._write(self.document, event)
        assert self.document.members == members, "a pause cost somebody its membership"
        assert (self.document.state == "paused") == isinstance(event, Paused)

    @invariant()
    def nobody_is_meant_to_work_in_a_paused_group(self) -> None:
        if self.data is not None and self.document.state == "paused":
            assert set(self.document.assignment) == {None}

    @rule()
    def balance(self) -> None:
        self._write(self.document, Balanced())
        assert self.document.balanced

    @rule(data=st.data())
    def write_from_an_old_document(self, data: st.DataObject) -> None:
        if self.seen:
            self._write(data.draw(st.sampled_from(self.seen)), Balanced())

    @rule()
    def catch_up(self) -> None:
        generation = self.document.generation + 10**9
        self._write(self.document, CaughtUp(generation))
        assert self.document.generation > generation

    @invariant()
    def everything_is_meant_for_somebody(self) -> None:
        """A seat that is away is never a member, holds something, and is dated once something else was written."""
        if self.data is None or self.document.state != "ready":
            return
        document = self.document
        assert not document.eligible or None not in document.assignment
        for away in document.away.values():
            assert away.member not in document.members
            assert away.member in document.gone or len(document.gone) == LIMIT_GONE
            assert 0 <= document.away_for_us(away) <= document.generation

    @invariant()
    def members_and_beats_agree(self) -> None:
        if self.data is not None and self.data.document is not None:
            assert set(self.data.scores) == set(self.document.members)
            assert len(self.document.gone) <= LIMIT_GONE
            assert len(self.data.events.entries) <= LIMIT_EVENTS
            assert self._do(LoadGroup(SLOT)).document == self.document


DocumentMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestDocument = DocumentMachine.TestCase
