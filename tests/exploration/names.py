"""Names in a state, and how to rename them: two states that differ only in what things are called are one.

A lane's epochs, the group's generations and beats only count by their order, tokens and histories only by being the
same or not, and times only by how long ago they were. So each step ends by giving everything the smallest names that
keep the order, which makes the number of states finite. What happens to each field stands in ``FIELDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import attrs

from segmenter.core import group as doc
from segmenter.core import partition as lane
from segmenter.core import signals as sig
from segmenter.core.beats import Beaten, NotMember, Pulse
from segmenter.core.command import Command, PartitionSlot
from segmenter.core.events import Changed, Freed, Wanted
from segmenter.core.member import Hold, Member
from tests.exploration.holds import Held
from tests.exploration.process import Process, SlowBeat

__all__ = ["FIELDS", "Dict", "Name", "aged", "catalogued", "chosen", "new_names", "renamed"]

Name = tuple[str, int, Any]  # kind; the partition, for epochs; what it is called
Naming = Callable[[str, int, Any], Any]

LONG_AGO = -2.0  # a session: nothing asks whether it is longer
FAR_AHEAD = 6  # by how much a beat may be above the group's count, after that has gone back

OF_OWNER = {"owner": "member", "epoch": "epoch"}
OF_REQUEST = {"member": "member", "epoch": "epoch", "evict": "member", "progress": "constant"}
FIELDS: dict[type, dict[str, str]] = {
    # the group
    doc.GroupData: {"scores": "scores", "beats": "beat", "events": "constant"},
    doc.GroupState: {
        "version": "token",
        "generation": "generation",
        "members": "by member",
        "gone": "gone",
        "assignment": "members",
    },
    doc.UpdateGroup: {"expect": "token", "silent": "members", "silent_below": "beat"},
    doc.GroupLoaded: {"end": "constant"},
    doc.GroupUpdated: {"generation": "generation"},
    doc.StillAlive: {"member": "member"},
    Changed: {"version": "token", "member": "untold", "concerned": "members", "generation": "generation"},
    Freed: {"epoch": "epoch", "member": "member"},
    Wanted: {"epoch": "epoch", "member": "member"},
    # the lanes
    lane.PartitionState: {"history": "history", "log": "constant"},
    lane.Lane: {**OF_OWNER, "progress": "constant", "generation": "generation", "claim": "token", "history": "history"},
    lane.Claim: {**OF_REQUEST, "generation": "generation", "if_epoch": "epoch", "claim": "token"},
    lane.Release: OF_REQUEST,
    lane.Commit: OF_REQUEST,
    lane.Claimed: {"epoch": "epoch", "progress": "constant"},
    lane.Held: OF_OWNER,
    lane.Changed: OF_OWNER,
    lane.Fenced: OF_OWNER,
    lane.Behind: {"generation": "generation"},
    lane.Released: {"epoch": "epoch"},
    # the members
    Member: {
        "me": "member",
        "holds": "by partition",
        "learned_at": "lately",
        "retry_at": "due",
        "behind": "generation",
        "tokens": "tokens",
    },
    Hold: {"epoch": "epoch", "owner": "member", "since": "time", "met": "once or again", "poke_at": "due"},
    sig.Silent: {"members": "members", "below": "beat"},
    Pulse: {"chain": "chain", "lease_from": "time"},
    Held: {"member": "member", "keys": "constant", "done": "constant"},
    Process: {"letter": "constant", "seat": "constant", "joining_since": "time"},
    SlowBeat: {"sent_at": "time", "below": "beat"},
    Beaten: {"number": "beat", "silent": "members"},
    NotMember: {},
}


class Dict(dict[Any, Any]):
    """A mapping that nobody changes any more."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


# --- walking through a value ----------------------------------------------------------------------------------------


def _walk(thing: Any, naming: Naming, where: int = -1) -> Any:
    """Make a value anew with each of its names replaced by what ``naming`` returns for it."""
    kinds = _kinds(type(thing))
    if kinds is None:
        return thing
    if not kinds:
        return tuple([_walk(item, naming, where) for item in thing])
    if kinds is _OF_A_MAPPING:
        return Dict((key, _walk(value, naming, where)) for key, value in sorted(thing.items()))
    where = _place(thing, where)
    return type(thing)(*[_field(kind, getattr(thing, name), naming, where) for name, kind in kinds])


_OF_A_MAPPING = [("", "")]


@cache
def _kinds(of: type) -> list[tuple[str, str]] | None:
    """The fields of a class in their order, and what each of them names; none of a tuple; ``None`` for what is plain."""
    if issubclass(of, tuple):
        return []
    if issubclass(of, Mapping):
        return _OF_A_MAPPING
    if not attrs.has(of):
        return None
    known = {"slot": "constant", **FIELDS.get(of, {})}
    return [(field.name, known.get(field.name, "value")) for field in attrs.fields(of)] or None


def _place(thing: Any, where: int) -> int:
    """The partition whose epochs a value speaks of."""
    about = getattr(thing, "command", thing)
    if isinstance(about, Command):
        return about.slot.partition if isinstance(about.slot, PartitionSlot) else where
    partition = getattr(thing, "partition", None)
    return where if partition is None else int(partition)


def _field(kind: str, value: Any, naming: Naming, where: int) -> Any:
    if kind == "constant":
        return value
    if kind == "value":
        return _walk(value, naming, where)
    inside = _INSIDE.get(kind)
    if inside is not None:
        return inside(value, naming)
    return value if value is None or value == "" else naming(kind, where if kind == "epoch" else -1, value)


def _by_partition(value: tuple[Any, ...], naming: Naming) -> Any:
    return tuple([_walk(item, naming, number) for number, item in enumerate(value)])


def _in_members(value: tuple[str | None, ...], naming: Naming) -> Any:
    return tuple([naming("member", -1, member) if member else member for member in value])


def _by_member(value: Mapping[str, Any], naming: Naming) -> Any:
    return Dict((naming("member", -1, key), _walk(of, naming)) for key, of in sorted(value.items()))


def _in_scores(value: Mapping[str, int], naming: Naming) -> Any:
    return Dict((naming("member", -1, key), naming("beat", -1, of)) for key, of in sorted(value.items()))


def _in_gone(value: Mapping[str, str], naming: Naming) -> Any:
    kept = ((naming("gone", -1, key), how) for key, how in sorted(value.items()))
    return Dict((key, how) for key, how in kept if key is not None)


def _in_chain(value: tuple[tuple[float, int], ...], naming: Naming) -> Any:
    return tuple([(naming("time", -1, at), naming("beat", -1, number)) for at, number in value])


_INSIDE: dict[str, Callable[[Any, Naming], Any]] = {
    "untold": lambda value, naming: "",
    "by partition": _by_partition,
    "members": _in_members,
    "by member": _by_member,
    "scores": _in_scores,
    "gone": _in_gone,
    "chain": _in_chain,
}


# --- what is done with names ----------------------------------------------------------------------------------------


def catalogued(thing: Any, where: int) -> tuple[Any, tuple[Name, ...]]:
    """A value made so that it can be kept, and the names in it, each once, in the order of their appearance."""
    found: dict[Name, None] = {}

    def note(kind: str, place: int, value: Any) -> Any:
        if kind in _NEW or kind == "gone":
            found[kind, place, value] = None
        return value

    return _walk(thing, note, where), tuple(found)


def chosen(found: Iterable[Name], names: Mapping[Name, Any]) -> tuple[Any, ...]:
    """The new names of those that are in a value, in the order of their appearance."""
    return tuple([names.get(("member", -1, name[2])) if name[0] == "gone" else names[name] for name in found])


def renamed(thing: Any, names: Mapping[Name, Any], where: int) -> Any:
    """A value under other names. Former members that nothing else speaks of are forgotten."""

    def name(kind: str, place: int, value: Any) -> Any:
        match kind:
            case "gone":
                return names.get(("member", -1, value))
            case "once or again":
                return min(value, 2)
            case "due":
                return 0.5 if value > 0 else 0.0
            case "tokens":
                return 0
            case "time":
                return value
            case "lately":
                return max(value, -1.0)
            case _:
                return names[kind, place, value]

    return _walk(thing, name, where)


def aged(thing: Any, by: float) -> Any:
    """A value when time has passed: everything is longer ago."""

    def age(kind: str, _place: int, value: Any) -> Any:
        return max(value - by, LONG_AGO) if kind in ("time", "lately", "due") else value

    return _walk(thing, age)


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
    "history": _by_appearance,
}
