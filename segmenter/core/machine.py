"""The consumer's machine: from documents and replies to claims and releases.

It is told of a handful of events in a rebalance, and of none per message or batch. It knows no time but the ``now``
it is given, in local seconds, and makes its tokens from its own unique id and a counter. Whatever concerns a
partition becomes a symbol and goes through ``TABLE`` (``transitions.py``).

What it wants of the group's document follows from its state alone (``wishes.py``): a lost race needs no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from attrs import evolve

from segmenter.core import group as doc
from segmenter.core import signals as sig
from segmenter.core.beats import BEATS_PER_SESSION
from segmenter.core.command import Command, Gone, PartitionSlot
from segmenter.core.events import Announcement, Changed, Freed, Wanted
from segmenter.core.member import Hold, Member, Reason, Vacancy
from segmenter.core.observations import Admitted, Departed, Granted, HandedBack, Lost, Missing, Observation, Reassigned
from segmenter.core.partition import Behind, Claim, Claimed, Fenced, Held, Release, Released
from segmenter.core.partition import Changed as EpochChanged
from segmenter.core.transitions import IGNORED, STANDINGS, TABLE, Standing, State, Symbol, Table, Turn
from segmenter.core.wishes import wish_of

__all__ = ["IllegalTransition", "advance"]


class IllegalTransition(Exception):
    """The runtime told the machine something that cannot have happened in its state; nothing was changed."""


def advance(
    member: Member, event: sig.Event, now: float, table: Table = TABLE
) -> tuple[Member, tuple[sig.Effect, ...]]:
    """Return the next state of a member, and what is to be done, in this order; another table is for trying out.

    Raises:
        IllegalTransition: if the event cannot happen in this state.
    """
    step = _Step(member, now, table)
    step.handle(event)
    step.pursue()
    return step.member, tuple(step.effects)


class _Step:
    """One turn of the machine: the member as it becomes, and the effects as they add up."""

    def __init__(self, member: Member, now: float, table: Table = TABLE) -> None:
        self.member = member
        self.now = now
        self.table = table
        self.effects: list[sig.Effect] = []
        self.grant: Claimed | None = None
        self.drained: sig.Drained | None = None
        self.held_since = 0  # the epoch of what was just released, if it was mine

    # --- events -----------------------------------------------------------------------------------------------------

    def handle(self, event: sig.Event) -> None:  # noqa: C901, PLR0912 - one case for each event
        match event:
            case sig.Join():
                self._turn(Turn.JOIN)
            case sig.Leave(forever):
                self._evolve(forever=forever if self.member.standing is not Standing.LEAVING else self.member.forever)
                self._turn(Turn.LEAVE)
            case sig.Learned(document):
                # Beats come over another connection, so an older document may arrive late: ask rather than believe.
                older = document.generation < self.member.document.generation
                self._refresh() if older else self._observe(document)
            case sig.Excluded(document):
                self._observe(document)
            case sig.Vanished():
                self._turn(Turn.EXPELLED, "lost")
            case sig.LeaseOver():
                self._turn(Turn.EXPELLED, "expelled")
            case sig.Replied(command, reply):
                self._replied(command, reply)
            case sig.Unanswered(command):
                self._unanswered(command)
            case sig.Drained(partition):
                self.drained = event
                self._symbol(partition, Symbol.DRAINED)
            case sig.Refused(partition):
                self._symbol(partition, Symbol.REFUSED)
            case sig.Sought(partition):
                self._symbol(partition, Symbol.REVOKED)
            case sig.Heard(heard):
                self._heard(heard)
            case sig.Silent():
                self._evolve(silent=event)
            case sig.Tick():
                self._poke(lambda hold: hold.poke_at is not None and hold.poke_at <= self.now)
            case _:
                assert_never(event)

    def _replied(self, command: Command[Any, Any], reply: Any) -> None:
        match command:
            case doc.LoadGroup():
                self._evolve(loading=False)
                self._loaded(reply)
            case doc.UpdateGroup() if command == self.member.changing:
                self._evolve(changing=None, silent=sig.Silent((), 0))
                self._updated(command, reply)
            case Claim() if command == self._hold(command.slot.partition).pending:
                self._put(command.slot.partition, pending=None, poke_at=None)
                self._claimed(command.slot.partition, reply)
            case Release() if command == self._hold(command.slot.partition).pending:
                self._put(command.slot.partition, pending=None)
                self._released(command.slot.partition, reply)
            case _:
                pass  # an answer that nobody waits for any more, or an announcement made

    def _loaded(self, reply: doc.GroupLoaded) -> None:
        if reply.document is None:
            self._turn(Turn.EXPELLED, "lost")
        else:
            self._observe(reply.document)

    def _updated(self, command: doc.UpdateGroup, reply: doc.GroupUpdated | doc.GroupConflict | doc.StillAlive) -> None:
        match reply:
            case doc.GroupUpdated(generation):
                self._observe(evolve(command.document, generation=generation))
            case doc.GroupConflict(document):
                self._evolve(retry_at=self.now + self.member.jitter_s)
                self._loaded(doc.GroupLoaded(document))
            case doc.StillAlive():
                pass

    def _claimed(self, partition: int, reply: Claimed | Held | EpochChanged | Behind | Gone) -> None:
        match reply:
            case Claimed(epoch):
                self.grant = reply
                self._put(partition, epoch=epoch)
                self._symbol(partition, Symbol.GRANTED)
            case Held(owner, epoch) | EpochChanged(owner, epoch):
                self._meet(partition, owner, epoch)
                free = isinstance(reply, EpochChanged) and self._claimable(self._hold(partition))
                self._symbol(partition, Symbol.CHANGED if free else Symbol.HELD)
            case Behind(generation):
                self._evolve(behind=max(self.member.behind, generation))
                self._symbol(partition, Symbol.BEHIND)
            case Gone():
                self._emit(Missing(self.member.me, partition))
                self._symbol(partition, Symbol.BEHIND)

    def _released(self, partition: int, reply: Released | Fenced | Gone) -> None:
        match reply:
            case Released(epoch):
                hold = self._hold(partition)
                self.held_since = hold.epoch if hold.owner == self.member.me else 0
                self._emit(HandedBack(self.member.me, partition, hold.epoch))
                self._put(partition, epoch=epoch, owner=None)
                self._symbol(partition, Symbol.RELEASED)
            case Fenced(owner, epoch):
                self._meet(partition, owner, epoch)
                self._symbol(partition, Symbol.ORPHANED if owner == self.member.me else Symbol.FENCED)
            case Gone():
                self._symbol(partition, Symbol.FENCED)

    def _unanswered(self, command: Command[Any, Any]) -> None:
        match command:
            case doc.UpdateGroup() if command != self.member.changing:
                pass  # of an earlier membership: whoever sends it again would count its lease from then
            case doc.LoadGroup() | doc.UpdateGroup() if self.member.standing is not Standing.OUTSIDE:
                self.effects.append(sig.Execute(command, again=True))
            case Claim() | Release() if command == self._hold(command.slot.partition).pending:
                self._symbol(command.slot.partition, Symbol.UNANSWERED)
            case _:
                pass  # an announcement: whoever needs it looks again by itself

    def _heard(self, event: Changed | Announcement) -> None:
        match event:
            case Changed(version, concerned=who) if version != self.member.document.version and self.member.me in who:
                self._refresh()
            case Freed(partition, epoch) if partition < len(self.member.holds):
                hold = self._hold(partition)
                if epoch > hold.epoch and self.member.me not in (hold.owner, event.member):
                    self._meet(partition, None, epoch)
                    self._symbol(partition, Symbol.POKED)
            case Wanted(n, epoch, self.member.me) if n < len(self.member.holds) and self._hold(n).state is State.FREE:
                self._put(n, epoch=epoch)
                self._symbol(n, Symbol.WANTED)
            case _:
                pass  # it concerns others, or is no matter of membership, or another program has written it

    # --- membership -------------------------------------------------------------------------------------------------

    def _turn(self, turn: Turn, reason: Reason = "") -> None:
        standing = STANDINGS.get((self.member.standing, turn))
        if standing is None:
            return
        reason = self.member.reason or reason  # displaced remains displaced, even if the lease runs out meanwhile
        self._evolve(standing=standing, reason=reason)
        if standing is Standing.STABLE:
            self._emit(Admitted(self.member.me))
        elif standing is Standing.OUTSIDE:
            self._all(Symbol.DROPPED)
            self._evolve(holds=tuple(evolve(hold, pending=None) for hold in self.member.holds))
            self._emit(Departed(self.member.me, reason))
        elif standing is Standing.DISPLACED:
            self._all(Symbol.REVOKED)

    def _observe(self, document: doc.GroupState) -> None:
        if document.version != self.member.document.version or document.generation != self.member.document.generation:
            self._evolve(document=document, learned_at=self.now, vacancies=self._vacancies(document))
            self._emit(Reassigned(self.member.me, document.generation, document.assigned_to(self.member.me)))
        self._stand(document)
        if self.member.standing in (Standing.STABLE, Standing.LEAVING):
            its = document.members.get(self.member.me)  # who leaves keeps nothing, whatever is meant for its seat
            mine = frozenset[int]() if its is not None and its.leaving else document.assigned_to(self.member.me)
            for partition in range(document.partitions):
                self._symbol(partition, Symbol.ASSIGNED if partition in mine else Symbol.REVOKED)
            self._poke(lambda hold: hold.owner is not None and document.may_be_evicted(hold.owner))

    def _vacancies(self, document: doc.GroupState) -> tuple[Vacancy, ...]:
        known = {vacancy.member: vacancy.since for vacancy in self.member.vacancies}
        away = sorted(it.member for it in document.away.values())
        return tuple(Vacancy(name, known.get(name, self.now)) for name in away)

    def _stand(self, document: doc.GroupState) -> None:
        """What the document says of my own membership."""
        me, standing = self.member.me, self.member.standing
        how = document.gone.get(me)
        if document.state in ("removing", "removed"):
            self._turn(Turn.EXPELLED, "removed")
        elif me in document.members:
            self._turn(Turn.ADMITTED)
        elif how == "displaced":
            self._turn(Turn.DISPLACED, "left" if standing is Standing.LEAVING else "displaced")
        elif how in ("left", None) and standing is Standing.LEAVING:
            self._turn(Turn.DEPARTED, "left")
        elif how is not None or standing is not Standing.JOINING:  # once gone, an id is never a member's again
            self._turn(Turn.EXPELLED, "displaced" if how == "left" else "expelled")

    def pursue(self) -> None:
        """Ask for whatever the document still lacks."""
        member = self.member
        if member.standing is Standing.DISPLACED and member.idle:
            self._turn(Turn.DEPARTED, "displaced")
        if member.changing is not None or (member.retry_at is not None and self.now < member.retry_at):
            return
        self._evolve(retry_at=None)
        if member.standing is Standing.JOINING and member.session_ms != member.document.session_ms:
            self._turn(Turn.EXPELLED, "session")  # with this document there is no joining, whatever it was before
        if member.standing is Standing.LEAVING and member.me not in member.document.members:
            self._turn(Turn.DEPARTED, "left")
        wish = wish_of(self.member, self.now)
        if wish is not None:
            self._change(wish)

    def _change(self, wish: doc.GroupEvent) -> None:
        before = self.member.document
        after = evolve(before.on(wish), version=self._token())
        about = " ".join(wish.members) if isinstance(wish, doc.Expired | doc.Vacated) else self.member.me
        event = Changed(after.version, type(wish).__name__.lower(), about, before.concerned(after))
        silent = self.member.silent if isinstance(wish, doc.Expired) else sig.Silent((), 0)
        command = doc.UpdateGroup(self.member.slot, before.version, after, event, silent.members, silent.below)
        self._evolve(changing=command)
        self.effects.append(sig.Execute(command))

    # --- partitions -------------------------------------------------------------------------------------------------

    def _symbol(self, partition: int, symbol: Symbol) -> None:
        """The engine: one row of the table."""
        hold = self._hold(partition)
        row = self.table.get((hold.state, symbol))
        if row is not None:
            self._put(partition, state=row[0])
            getattr(self, f"_do_{row[1].name.lower()}")(partition)
        elif symbol not in IGNORED:
            raise IllegalTransition(f"{symbol.name} in {hold.state.name} (partition {partition})")

    def _do_none(self, partition: int) -> None:
        self._put(partition, poke_at=None)

    def _do_claim(self, partition: int) -> None:
        hold, member = self._hold(partition), self.member
        evict = hold.owner if self._claimable(hold) else None
        terms = (member.document.generation, hold.epoch, self._token(), evict, hold.floor, member.window)
        self._ask(partition, Claim(PartitionSlot(member.slot.stream, partition), member.slot.group, member.me, *terms))

    def _do_repeat(self, partition: int) -> None:
        pending = self._hold(partition).pending
        assert pending is not None  # noqa: S101 - CLAIMING and RELEASING have one
        self.effects.append(sig.Execute(pending, again=True))

    def _do_abandon(self, partition: int) -> None:
        claim = self._hold(partition).pending
        assert isinstance(claim, Claim)  # noqa: S101 - ABANDONING has one
        self._ask(partition, Release(claim.slot, claim.group, claim.member, claim.if_epoch, evict=claim.evict))

    def _do_fetch(self, partition: int) -> None:
        assert self.grant is not None  # noqa: S101 - GRANTED brings it
        former = self._hold(partition).owner
        self._put(partition, owner=self.member.me)
        self.effects.append(sig.Fetch(partition, self.grant))
        self._emit(Granted(self.member.me, partition, self.grant.epoch, former))

    def _do_stop(self, partition: int) -> None:
        self.effects.append(sig.Stop(partition))

    def _do_release(self, partition: int) -> None:
        slot, group = PartitionSlot(self.member.slot.stream, partition), self.member.slot.group
        last = self.drained or sig.Drained(partition)
        what = (self._hold(partition).epoch, last.number, last.progress, None, last.start, last.moves, last.window)
        self._ask(partition, Release(slot, group, self.member.me, *what))

    def _do_wait(self, partition: int) -> None:
        hold = self._hold(partition)
        self._put(partition, poke_at=self._soon)
        # Met again, so it is no ordinary hand-off: the owner may not know that it owns (its claim's reply was lost).
        if hold.met > 1 and hold.owner in self.member.document.members:
            self._announce(Wanted(partition, hold.epoch, hold.owner or ""))

    def _do_refresh(self, partition: int) -> None:
        waits = self._hold(partition).state is State.WAITING
        self._put(partition, poke_at=self._soon if waits else None)
        self._refresh()

    def _do_freed(self, partition: int) -> None:
        self._announce(Freed(partition, self._hold(partition).epoch, self.member.me, self.held_since))
        meant = self.member.document.assignment[partition] == self.member.me
        if meant and self.member.standing is Standing.STABLE:
            self._symbol(partition, Symbol.ASSIGNED)

    def _do_lose(self, partition: int) -> None:
        self.effects.append(sig.Drop(partition))
        self._emit(Lost(self.member.me, partition, self._hold(partition).epoch))
        if self.member.standing is not Standing.OUTSIDE:
            self._refresh()

    # --- small things -----------------------------------------------------------------------------------------------

    def _claimable(self, hold: Hold) -> bool:
        """Whether the owner, if there is one, is me, is vouched to be gone, or has been a stranger for a session."""
        if hold.owner is None or hold.owner == self.member.me:
            return True
        document = self.member.document
        stranger = hold.owner not in document.members and self.now - hold.since >= self.member.session_s
        return document.may_be_evicted(hold.owner) or stranger

    def _meet(self, partition: int, owner: str | None, epoch: int) -> None:
        hold = self._hold(partition)
        again = (owner, epoch) == (hold.owner, hold.epoch)
        since, met = (hold.since, hold.met + 1) if again else (self.now, 1)
        self._put(partition, owner=owner, epoch=epoch, since=since, met=met)

    def _poke(self, due: Callable[[Hold], bool]) -> None:
        for partition, hold in enumerate(self.member.holds):
            if due(hold):
                self._symbol(partition, Symbol.POKED)

    def _all(self, symbol: Symbol) -> None:
        for partition in range(len(self.member.holds)):
            self._symbol(partition, symbol)

    def _refresh(self) -> None:
        if not self.member.loading:
            self._evolve(loading=True)
            self.effects.append(sig.Execute(doc.LoadGroup(self.member.slot)))

    def _ask(self, partition: int, command: Command[Any, Any]) -> None:
        self._put(partition, pending=command, poke_at=None)
        self.effects.append(sig.Execute(command))

    def _announce(self, event: Announcement) -> None:
        self.effects.append(sig.Execute(doc.Announce(self.member.slot, event)))

    def _emit(self, observation: Observation) -> None:
        self.effects.append(sig.Emit(observation))

    def _token(self) -> str:
        self._evolve(tokens=self.member.tokens + 1)
        return f"{self.member.me}.{self.member.tokens}"

    @property
    def _soon(self) -> float:
        return self.now + self.member.session_s / BEATS_PER_SESSION

    def _hold(self, partition: int) -> Hold:
        return self.member.holds[partition]

    def _put(self, partition: int, **changes: Any) -> None:
        holds = list(self.member.holds)
        hold = evolve(holds[partition], **changes)
        holds[partition] = hold if hold.epoch <= hold.floor else evolve(hold, floor=hold.epoch)
        self._evolve(holds=tuple(holds))

    def _evolve(self, **changes: Any) -> None:
        self.member = evolve(self.member, **changes)
