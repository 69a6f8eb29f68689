"""What processes ask of the server and are answered, in the words of the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from segmenter.core import creation, layout
from segmenter.core import group as doc
from segmenter.core import letters as aside
from segmenter.core import observations as obs
from segmenter.core import partition as lane
from segmenter.core import retention as keep
from segmenter.core.aside import Letter
from segmenter.core.beats import Beat, Beaten, NotMember
from segmenter.core.command import Command, GroupSlot, PartitionSlot
from segmenter.core.events import Announcement, Asked, Wanted
from segmenter.core.forward import Forward, Forwarded
from segmenter.core.log import START, Record

__all__ = ["Words", "label", "routine"]


@define
class Words:
    """Small names that stay the same from run to run, and sentences made of them."""

    _epochs: dict[tuple[object, str], dict[int, int]] = field(factory=dict)
    _generations: dict[object, dict[int, int]] = field(factory=dict)
    _members: dict[str, dict[str, int]] = field(factory=dict)
    _messages: dict[tuple[int, bytes], str] = field(factory=dict)

    # --- names ------------------------------------------------------------------------------------------------------

    def epoch(self, slot: object, group: str, epoch: int) -> str:
        """The rank of an epoch among those of its lane."""
        return f"epoch {_rank(self._epochs.setdefault((slot, group), {0: 0}), epoch)}"

    def generation(self, slot: object, generation: int) -> str:
        """The rank of a generation among those of its group."""
        return f"generation {_rank(self._generations.setdefault(slot, {0: 0}), generation)}"

    def member(self, member: str | None) -> str:
        """The process of a member; ``a/2`` is the second membership of process ``a``."""
        if not member:
            return "nobody"
        process = member.rsplit("-", 1)[1].partition(".")[0]
        rank = _rank(self._members.setdefault(process, {"": 0}), member)
        return process if rank == 1 else f"{process}/{rank}"

    def named(self, members: Iterable[str]) -> str:
        """Several members."""
        return ", ".join(sorted(self.member(member) for member in members)) or "nobody"

    def message(self, partition: int, entry_id: bytes) -> str:
        """A message by its data."""
        return "the start" if entry_id == START else self._messages.get((partition, entry_id), entry_id.decode())

    def _note(self, slot: PartitionSlot, first: bytes, records: Iterable[Record]) -> None:
        ms, seq = map(int, first.split(b"-"))
        for number, record in enumerate(records):
            self._messages[slot.partition, b"%d-%d" % (ms, seq + number)] = record.data.decode()

    # --- what is asked ----------------------------------------------------------------------------------------------

    def asked(self, command: Command[Any, Any]) -> str:  # noqa: C901, PLR0912 - one case for each command
        """A request as a sentence without its subject."""
        match command:
            case Beat():
                return "beats"
            case doc.LoadGroup():
                return "loads the document"
            case doc.UpdateGroup():
                return self._writes(command)
            case doc.DropGroup():
                return "drops the document"
            case doc.Announce(event=event):
                return self._announces(command.slot, event)
            case lane.Claim():
                evicts = command.evict is not None and command.evict != command.member
                evicting = f", evicting {self.member(command.evict)}" if evicts else ""
                return f"claims {self._lane(command, command.if_epoch)}{evicting}"
            case lane.Release():
                carried = f" with {self.progress(command.progress)}" if command.number else ""
                moved = f", to go on from {command.start.decode()}" if command.start else ""
                stuck = ", with something stuck" if command.window else ""
                return f"releases {self._lane(command, command.epoch)}{carried}{moved}{_moves(command)}{stuck}"
            case lane.Commit():
                where = self._lane(command, command.epoch)
                return f"commits {where}, number {command.number}, {self.progress(command.progress)}{_moves(command)}"
            case Forward(commit=commit, records=records):
                where, sent = self._lane(commit, commit.epoch), " ".join(record.data.decode() for record in records)
                stored = f"commits {where}, number {commit.number}, {self.progress(commit.progress)}"
                return f"{stored}, and sends {sent} to partition {command.slot.there.partition}"
            case lane.Probe():
                return f"probes partition {command.slot.partition}"
            case creation.CreateLane() | creation.DropLane():
                verb = "creates" if isinstance(command, creation.CreateLane) else "drops"
                return f"{verb} the lane of {command.group} in partition {command.slot.partition}"
            case creation.CreatePartition() | creation.DropPartition():
                verb = "creates" if isinstance(command, creation.CreatePartition) else "drops"
                return f"{verb} partition {command.slot.partition}"
            case layout.LoadStream():
                return "loads the configuration"
            case layout.UpdateStream(config=config):
                return f"writes the configuration, {config.state}" if config else "removes the configuration"
            case keep.Append():
                epoch = f" under its epoch {command.epoch}" if command.epoch > 1 else ""
                return f"appends {_data(command)} to partition {command.slot.partition}{epoch}"
            case keep.Trim():
                return f"trims partition {command.slot.partition}"
            case aside.ListLetters():
                return f"looks at what is {command.shelf} in partition {command.slot.partition}"
            case aside.Redrive(request=request):
                return f"asks to {request.what} {_under(request.key)} in partition {command.slot.partition}"
            case aside.Replay():
                return f"replays {_names(command.letters)} of partition {command.slot.partition}"
            case aside.Purge():
                return f"purges the dead letters of partition {command.slot.partition}"
            case _:
                return type(command).__name__

    def _lane(self, command: lane.Claim | lane.Release | lane.Commit, epoch: int) -> str:
        return f"partition {command.slot.partition} at {self.epoch(command.slot, command.group, epoch)}"

    def _announces(self, slot: Any, event: Announcement) -> str:
        if isinstance(event, Asked):
            return f"announces Asked: partition {event.partition}"
        lane_of = PartitionSlot(slot.stream, event.partition)
        at = f"partition {event.partition} at {self.epoch(lane_of, slot.group, event.epoch)}"
        return f"announces {type(event).__name__}: {at}" + (
            f", owned by {self.member(event.member)}" if isinstance(event, Wanted) else ""
        )

    def _writes(self, command: doc.UpdateGroup) -> str:
        cause = _CAUSES[command.event.cause]
        about = f" of {', '.join(map(self.member, command.silent))}" if command.silent else ""
        return f"writes {cause}{about}"

    # --- what is answered -------------------------------------------------------------------------------------------

    def answered(self, command: Any, reply: Any, *, changed: bool) -> str:  # noqa: C901, PLR0912 - one case for each
        """The answer to a request."""
        name = type(reply).__name__
        match reply:
            case lane.Claimed():
                return f"granted, {self.epoch(command.slot, command.group, reply.epoch)}{_inherited(reply)}"
            case lane.Held() | lane.Changed() | lane.Fenced():
                return f"{name}, {self.epoch(command.slot, command.group, reply.epoch)} of {self.member(reply.owner)}"
            case lane.Behind(generation):
                return f"Behind, the lane has seen {self._seen(command, generation)}"
            case lane.Released(epoch):
                return f"released, {self.epoch(command.slot, command.group, epoch)}"
            case lane.Committed():
                return "stored" if changed else "stored already, nothing changes"
            case lane.Truncated():
                return f"Truncated, the log ends with {self.message(command.slot.partition, reply.end)}"
            case lane.Probed():
                intact = "" if reply.intact else ", the history is another"
                return f"{self.epoch(command.slot, command.group, reply.epoch)} of {self.member(reply.owner)}{intact}"
            case Beaten():
                return self._beaten(command, reply)
            case NotMember():
                return "NotMember"
            case doc.GroupLoaded(document) | doc.GroupConflict(document):
                seen = self.document(command.slot, document) if document else "there is none"
                return f"GroupConflict, {seen}" if name == "GroupConflict" else seen
            case doc.GroupUpdated(generation):
                if not changed:
                    return f"written already, {self.generation(command.slot, generation)}"
                return f"{self.generation(command.slot, generation)}, {self._content(command.document)}"
            case doc.StillAlive(member):
                return f"StillAlive, {self.member(member)} has beaten"
            case doc.Announced() | creation.Created() | creation.Dropped() | layout.StreamUpdated():
                return "done"
            case layout.Loaded(config) | layout.StreamConflict(config):
                state = config.state if config else "there is none"
                return f"StreamConflict, {state}" if name == "StreamConflict" else state
            case keep.Appended() | keep.Duplicate():
                self._note(command.slot, reply.first, command.records)
                return name
            case keep.Superseded():
                return f"Superseded by epoch {reply.epoch}"
            case keep.OutOfSequence():
                return f"OutOfSequence, the last number known is {reply.last}"
            case keep.Full(group, lag):
                return f"Full, {group} has {lag} to settle" if group else "Full, there is no group yet"
            case Forwarded():
                return "stored and sent" if changed else "stored and sent already, nothing changes"
            case keep.Trimmed(count):
                return f"{count} dropped"
            case aside.Letters(letters):
                return _names(letters) or "nothing"
            case aside.Requested(count):
                return f"noted, {count} letters"
            case aside.Replayed(count) | aside.Purged(count):
                return str(count)
            case _:
                return name

    def _seen(self, command: lane.Claim, generation: int) -> str:
        return self.generation(GroupSlot(command.slot.stream, command.group), generation)

    def _beaten(self, command: Beat, reply: Beaten) -> str:
        told = [self.document(command.slot, reply.document)] if reply.document else []
        told += [f"{self.named(reply.silent)} silent"] if reply.silent else []
        return "; ".join(told) or "known"

    def document(self, slot: object, document: doc.GroupState) -> str:
        """A document in a few words."""
        return f"{self.generation(slot, document.generation)}, {self._content(document)}"

    def _content(self, document: doc.GroupState) -> str:
        if document.state not in ("ready", "paused"):
            return document.state
        if document.state == "paused":
            return f"paused, with {self.named(document.members)}"
        members = sorted((self._member(name, document), name) for name in document.members)
        told = [f"{_numbers(document.assigned_to(name))} for {it}" for it, name in members] or ["no members"]
        away = sorted((seat, document.assigned_to(it.member)) for seat, it in document.away.items())
        return ", ".join([*told, *(f"{_numbers(kept)} kept for seat {seat}" for seat, kept in away)])

    def _member(self, name: str, document: doc.GroupState) -> str:
        return self.member(name) + (" (leaving)" if document.members[name].leaving else "")

    @staticmethod
    def progress(progress: lane.Progress) -> str:
        """How many messages are settled, and which ordinals ahead of those."""
        ahead = "".join(f" and {start}" + (f"-{end - 1}" if end > start + 1 else "") for start, end in progress.ranges)
        trying = f", trying ordinal {progress.trying}" if progress.trying != lane.NOT_TRYING else ""
        return f"{progress.read} settled{ahead}{trying}{_waits(progress)}"

    @staticmethod
    def aside(held: lane.Lane) -> str:
        """What is set aside in a lane, what is asked of it, and what is suspected."""
        told = [f"parked {_names(held.aside.parked)}"] if held.aside.parked else []
        told += [f"dead {_names(held.aside.dead)}"] if held.aside.dead else []
        told += [f"asked to {request.what} {_under(request.key)}" for request in held.aside.requests]
        told += [f"{_ends(held.unclean)} below ordinal {held.horizon}"] if held.unclean else []
        return ", ".join(told) or "nothing is set aside"

    def gone(self, gone: Mapping[str, str]) -> str:
        """Who was a member, and how that ended."""
        return ", ".join(f"{self.member(name)} {how}" for name, how in gone.items()) or "nobody"

    # --- what is observed -------------------------------------------------------------------------------------------

    def observed(self, slot: Any, seen: obs.Observation) -> str:
        """An observation as a sentence."""
        me = self.member(seen.member)
        match seen:
            case obs.Admitted():
                return f"{me} is Admitted"
            case obs.Departed():
                return f"{me} is Departed: {seen.reason}"
            case obs.Reassigned():
                return f"{me} is Reassigned by {self.generation(slot, seen.generation)}: {_numbers(seen.mine)}"
            case obs.Granted() | obs.HandedBack() | obs.Lost():
                return f"{me} {_VERBS[type(seen)]} {self._held(slot, seen)}"
            case obs.Missing() | obs.Gap() | obs.Corrupt() | obs.Truncation():
                return f"{me} finds {self._loss(seen)}"
            case obs.Congested():
                return f"{me} is Congested in partition {seen.partition}: {seen.parked} parked, {seen.dead} dead"
            case obs.Stalled():
                return f"{me} is Stalled by {', '.join(seen.keys)}"
            case obs.HookFailed():
                return f"{me} has a hook that failed in partition {seen.partition}: {seen.hook}, {seen.reason}"
            case obs.ReadOverdue():
                return f"{me} is ReadOverdue"
            case _:
                return f"{me} has {type(seen).__name__} {seen.key}, attempt {seen.attempt}"

    def _loss(self, seen: obs.Loss) -> str:
        match seen:
            case obs.Missing():
                return f"partition {seen.partition} Missing"
            case obs.Gap():
                return f"a Gap in partition {seen.partition}: {seen.count} messages"
            case obs.Corrupt():
                return f"a Corrupt entry in partition {seen.partition}: {seen.reason}"
            case obs.Truncation():
                after, until = (self.message(seen.partition, place.encode()) for place in (seen.after, seen.until))
                return f"a Truncation of partition {seen.partition}: {seen.count} after {after}, to {until}"

    def _held(self, slot: Any, seen: obs.Granted | obs.HandedBack | obs.Lost) -> str:
        epoch = self.epoch(PartitionSlot(slot.stream, seen.partition), slot.group, seen.epoch)
        return f"partition {seen.partition} of {epoch}"


_VERBS = {obs.Granted: "is Granted", obs.HandedBack: "has HandedBack", obs.Lost: "has Lost"}
_CAUSES = {
    **{name: name.capitalize() for name in ("created", "readied", "joined", "leaving", "left", "expired", "balanced")},
    **{name: name.capitalize() for name in ("paused", "resumed", "altered", "vacated")},
    "caughtup": "CaughtUp",
    "removing": "Removing",
    "removed": "Removed",
}


def _rank(ranks: dict[Any, int], value: Any) -> int:
    return ranks.setdefault(value, len(ranks))


def _numbers(numbers: Iterable[int]) -> str:
    return " ".join(map(str, sorted(numbers))) or "none"


def _data(append: keep.Append) -> str:
    return " ".join(record.data.decode() for record in append.records)


def _moves(command: lane.Commit | lane.Release) -> str:
    """What a commit sets aside and takes back."""
    moves = command.moves
    told = [
        f", parks {_names(moves.park)}" if moves.park else "",
        f", buries {_names(moves.bury)}" if moves.bury else "",
    ]
    told += [f", takes back {len(moves.unpark)}"] * bool(moves.unpark)
    return "".join(told + [f", has heeded a {request.what}" for request in moves.heeded])


def _ends(unclean: int) -> str:
    return f"{unclean} unclean end" + "s" * (unclean > 1)


def _inherited(granted: lane.Claimed) -> str:
    """What a claim tells beside the progress."""
    told = f", {_ends(granted.unclean)}" if granted.unclean else ""
    keys = " ".join(key.decode() for key, _ in granted.aside.keys)
    return told + (f", parked keys {keys}" if keys else "") + _waits(granted.progress)


def _waits(progress: lane.Progress) -> str:
    """Which ordinals wait for their next attempt, and for how long."""
    told = [f"{ordinal} for {delay_ms / 1000:.1f} s" for ordinal, delay_ms in progress.delays]
    return f", waiting {' and '.join(told)}" if told else ""


def _names(letters: Iterable[Letter]) -> str:
    return " ".join(letter.data.decode() for letter in letters)


def _under(key: bytes | None) -> str:
    return "all that is parked" if key is None else f"what is parked under {key.decode()}"


def label(command: Command[Any, Any], reply: Any) -> str:
    """What a tally counts requests by."""
    asked = _CAUSES[command.event.cause] if isinstance(command, doc.UpdateGroup) else type(command).__name__
    return f"{asked}: {type(reply).__name__}"


def routine(command: Command[Any, Any], reply: Any) -> bool:
    """Whether nothing is to be told: a beat that brings nothing, a probe that finds all as it was."""
    match reply:
        case Beaten(document=None, silent=()):
            return True
        case lane.Probed():
            return reply.intact
        case _:
            return isinstance(command, Beat) and isinstance(reply, BaseException)
