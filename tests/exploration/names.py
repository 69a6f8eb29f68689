"""What in a state is a name: two states that differ only in what things are called are one.

A lane's epochs, the group's generations and beats only count by their order, tokens and histories only by being the
same or not, and times only by how long ago they were. So each step ends by giving everything the smallest names that
keep the order, which makes the number of states finite. What happens to each field stands in ``FIELDS``.

Processes keep their letters: ties between members go by name (``assign``), so to swap two changes what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from segmenter.core import group as doc
from segmenter.core import partition as lane
from segmenter.core import signals as sig
from segmenter.core.beats import Beaten, NotMember, Pulse
from segmenter.core.caution import LIMIT_UNCLEAN
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.events import Changed, Freed, Wanted
from segmenter.core.letters import Letters, Redrive
from segmenter.core.member import Hold, Member, Vacancy
from tests.exploration.holds import Held
from tests.exploration.process import FetchLetters, Process, SlowBeat

__all__ = ["FIELDS", "NORMAL", "Dict", "Name", "Naming", "aged", "is_plain", "new_names", "place_of", "with_names"]

Name = tuple[str, int, Any]  # kind; the partition, for epochs; what it is called
Naming = Callable[[str, int, Any], Any]

LONG_AGO = -2.0  # a session: nothing asks whether it is longer
FAR_AHEAD = 6  # by how much a beat may be above the group's count, after that has gone back

OF_OWNER = {"owner": "member", "epoch": "epoch"}
OF_REQUEST = {"member": "member", "epoch": "epoch", "evict": "member", "progress": "constant", "moves": "constant"}
ASIDE = {"aside": "constant", "unclean": "suspicion"}
FIELDS: dict[type, dict[str, str]] = {
    # the group
    doc.GroupData: {"scores": "scores", "beats": "beat", "events": "constant"},
    doc.GroupState: {
        "version": "token",
        "generation": "generation",
        "members": "by member",
        "gone": "gone",
        "assignment": "members",
        "displaced": "forgotten",
    },
    doc.Away: {"member": "member", "since": "untold epoch"},
    doc.UpdateGroup: {"expect": "token", "silent": "members", "silent_below": "beat"},
    doc.GroupLoaded: {"end": "constant", "now_us": "constant"},
    doc.GroupUpdated: {"generation": "generation"},
    doc.StillAlive: {"member": "member"},
    Changed: {"version": "token", "member": "untold", "concerned": "members", "generation": "generation"},
    Freed: {"epoch": "epoch", "member": "member", "since": "untold epoch"},
    Wanted: {"epoch": "epoch", "member": "member"},
    # the lanes
    lane.PartitionState: {"history": "history", "log": "constant"},
    lane.Lane: {
        **OF_OWNER,
        **ASIDE,
        "progress": "constant",
        "generation": "generation",
        "claim": "claim",
        "history": "history",
        "delayed_at_us": "constant",  # LATER_US, wherever something waits
    },
    lane.Claim: {
        **OF_REQUEST,
        "generation": "generation",
        "if_epoch": "epoch",
        "floor": "epoch",
        "claim": "claim",
    },
    lane.Release: OF_REQUEST,
    lane.Commit: OF_REQUEST,
    lane.Claimed: {**ASIDE, "epoch": "epoch", "progress": "constant"},
    lane.Held: OF_OWNER,
    lane.Changed: OF_OWNER,
    lane.Fenced: OF_OWNER,
    lane.Behind: {"generation": "generation"},
    lane.Released: {"epoch": "epoch"},
    Redrive: {"request": "constant"},
    FetchLetters: {"epoch": "epoch"},
    Letters: {"letters": "constant"},
    # the members
    Member: {
        "me": "member",
        "holds": "by partition",
        "learned_at": "lately",
        "retry_at": "due",
        "behind": "generation",
        "tokens": "tokens",
    },
    Hold: {
        "epoch": "epoch",
        "floor": "epoch",
        "owner": "member",
        "since": "time",
        "met": "once or again",
        "poke_at": "due",
    },
    Vacancy: {"member": "member", "since": "time"},
    sig.Silent: {"members": "members", "below": "beat"},
    Pulse: {"chain": "chain", "lease_from": "time"},
    Held: {"member": "member", "keys": "constant", "lanes": "constant", "done": "constant"},
    Process: {
        "letter": "constant",
        "seat": "constant",
        "joining": "token",
        "joining_since": "time",
        "tenures": "epochs",
    },
    SlowBeat: {"sent_at": "time", "below": "beat"},
    Beaten: {"number": "beat", "silent": "members"},
    NotMember: {},
}


class Dict(dict[Any, Any]):
    """A mapping that nobody changes any more."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


# --- the names in a value -------------------------------------------------------------------------------------------

Walk = Callable[[Any, int], Any]  # what becomes of a value inside another; the number is the partition it is about
OF_A_PARTITION = ("epoch", "claim")


def _kinds(of: type[Any]) -> list[tuple[str, str]] | None:
    """The fields of a class in their order, and what each of them names; ``None`` for what is plain."""
    if not attrs.has(of):
        return None
    known = {"slot": "constant", **FIELDS.get(of, {})}
    return [(field.name, known.get(field.name, "value")) for field in attrs.fields(of)]


class _Classes(dict[type[Any], list[tuple[str, str]] | None]):
    """What ``_kinds`` says, asked once for each class."""

    def __missing__(self, of: type[Any]) -> list[tuple[str, str]] | None:
        self[of] = kinds = [] if issubclass(of, tuple | Mapping) else _kinds(of)
        return kinds


_CLASSES = _Classes()


def is_plain(of: type[Any]) -> bool:
    """Whether values of a class have no names in them."""
    return _CLASSES[of] is None


def place_of(thing: Any, where: int) -> int:
    """The partition whose epochs a value speaks of."""
    about = getattr(thing, "command", thing)
    if isinstance(about, Command):
        return about.slot.partition if isinstance(about.slot, PartitionSlot) else where
    partition = getattr(thing, "partition", None)
    return where if partition is None else int(partition)


def with_names(thing: Any, where: int, naming: Naming, walk: Walk) -> Any:
    """A value with each of its own names replaced by what ``naming`` returns, and what is inside by ``walk``."""
    if isinstance(thing, tuple):
        new: Any = tuple([walk(item, where) for item in thing])
        return thing if new == thing else new
    if isinstance(thing, Mapping):
        return Dict((key, walk(value, where)) for key, value in sorted(thing.items()))
    where = place_of(thing, where)
    old = [(kind, getattr(thing, name)) for name, kind in _CLASSES[type(thing)] or ()]
    new = [
        value if kind == "constant" or value is None else _field(kind, value, where, naming, walk)
        for kind, value in old
    ]
    return thing if all(map(_same, new, old)) else type(thing)(*new)


def _same(new: Any, old: tuple[str, Any]) -> bool:
    return new is old[1] or (type(new) is type(old[1]) and bool(new == old[1]))


def _field(kind: str, value: Any, where: int, naming: Naming, walk: Walk) -> Any:
    if kind == "value":
        return value if is_plain(type(value)) else walk(value, where)
    inside = _INSIDE.get(kind)
    if inside is not None:
        return inside(value, naming, walk)
    return value if value == "" else naming(kind, where if kind in OF_A_PARTITION else -1, value)


def _by_partition(value: tuple[Any, ...], _naming: Naming, walk: Walk) -> Any:
    return tuple([walk(item, number) for number, item in enumerate(value)])


def _in_members(value: tuple[str | None, ...], naming: Naming, _walk: Walk) -> Any:
    return tuple([naming("member", -1, member) if member else member for member in value])


def _in_epochs(value: tuple[int, ...], naming: Naming, _walk: Walk) -> Any:
    return tuple([naming("epoch", number, epoch) for number, epoch in enumerate(value)])


def _by_member(value: Mapping[str, Any], naming: Naming, walk: Walk) -> Any:
    return Dict((naming("member", -1, key), walk(of, -1)) for key, of in sorted(value.items()))


def _in_scores(value: Mapping[str, int], naming: Naming, _walk: Walk) -> Any:
    return Dict((naming("member", -1, key), naming("beat", -1, of)) for key, of in sorted(value.items()))


def _in_gone(value: Mapping[str, str], naming: Naming, _walk: Walk) -> Any:
    kept = ((naming("gone", -1, key), how) for key, how in sorted(value.items()))
    return Dict((key, how) for key, how in kept if key is not None)


def _in_chain(value: tuple[tuple[float, int], ...], naming: Naming, _walk: Walk) -> Any:
    return tuple([(naming("time", -1, at), naming("beat", -1, number)) for at, number in value])


_INSIDE: dict[str, Callable[[Any, Naming, Walk], Any]] = {
    "untold": lambda value, naming, walk: "",
    "untold epoch": lambda value, naming, walk: 0,
    "forgotten": lambda value, naming, walk: Dict(),
    "by partition": _by_partition,
    "members": _in_members,
    "epochs": _in_epochs,
    "by member": _by_member,
    "scores": _in_scores,
    "gone": _in_gone,
    "chain": _in_chain,
}

# --- what is no name, and does not count for all it says ------------------------------------------------------------

# As much of a value as counts in the next step.
NORMAL: dict[str, Callable[[Any], Any]] = {
    "once or again": lambda times: min(times, 2),
    "due": lambda at: 0.5 if at > 0 else 0.0,
    "tokens": lambda count: 0,
    "suspicion": lambda unclean: min(unclean, LIMIT_UNCLEAN),
    "time": lambda at: at,
    "lately": lambda at: max(at, -1.0),
}


def aged(thing: Any, by: float) -> Any:
    """A value when time has passed: everything is longer ago."""

    def age(kind: str, _place: int, value: Any) -> Any:
        return max(value - by, LONG_AGO) if kind in ("time", "lately", "due") else value

    def walk(inside: Any, where: int) -> Any:
        return inside if is_plain(type(inside)) else with_names(inside, where, age, walk)

    return walk(thing, -1)


# --- new names ------------------------------------------------------------------------------------------------------


def new_names(found: Iterable[Name], beats: int) -> dict[Name, Any]:
    """The smallest names that mean the same. ``beats`` is the group's own count."""
    by_place: dict[tuple[str, int], list[Any]] = {}
    for kind, place, value in found:
        if kind == "gone":
            continue  # whom nothing else speaks of needs no name
        by_place.setdefault((kind, place), []).append(value)
    names: dict[Name, Any] = {}
    for (kind, place), values in by_place.items():
        for value, new in _NEW[kind](list(dict.fromkeys(values)), beats).items():
            names[kind, place, value] = new
    return names


def _by_rank(values: list[Any], _beats: int) -> dict[Any, Any]:
    return {value: rank for rank, value in enumerate(sorted({0, *values}))}


def _by_appearance(values: list[Any], _beats: int) -> dict[Any, Any]:
    return {value: f"t{number}" for number, value in enumerate(values)}


def _members(values: list[Any], _beats: int) -> dict[Any, Any]:
    """The first letter is the process, and what follows counts its memberships."""
    ids = sorted(values, key=lambda member: (member[0], int(member[1:])))
    before = [[other for other in ids[:place] if other[0] == member[0]] for place, member in enumerate(ids)]
    return {member: f"{member[0]}{len(earlier)}" for member, earlier in zip(ids, before, strict=True)}


def _beats(values: list[Any], beats: int) -> dict[Any, Any]:
    ranks = _by_rank([value for value in values if value <= beats], beats)
    top = max(ranks.values())
    return ranks | {value: top + min(value - beats, FAR_AHEAD) for value in values if value > beats}


_NEW: dict[str, Callable[[list[Any], int], dict[Any, Any]]] = {
    "member": _members,
    "epoch": _by_rank,
    "generation": _by_rank,
    "beat": _beats,
    "token": _by_appearance,
    "claim": _by_appearance,
    "history": _by_appearance,
}
