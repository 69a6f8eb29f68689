"""Which names are in a value, and the value under others, remembered for whatever is inside it as well.

Most of a process is the same object before and after a step, so objects are known by their identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.exploration.names import NORMAL, Name, is_plain, new_names, with_names

__all__ = ["Catalogue", "Renaming"]


class _Entry(NamedTuple):
    kept: Any  # the value, made so that it can be kept
    names: tuple[Name, ...]  # each once, in the order of their appearance
    thing: Any  # held, so that its identity remains its own


class Renaming:
    """New names for old ones."""

    def __init__(self, names: tuple[Name, ...], beats: int) -> None:
        self.names: Mapping[Name, Any] = new_names(names, beats)
        self.known: dict[int, int] = {}  # numbers on a shelf, before and after

    def chosen(self, found: tuple[Name, ...]) -> tuple[Any, ...]:
        """The new names of some. Former members that nothing else speaks of are forgotten."""
        names = self.names
        return tuple([names.get(("member", -1, name[2])) if name[0] == "gone" else names[name] for name in found])


class Catalogue:
    """Values and the names in them."""

    def __init__(self) -> None:
        self._entries: dict[tuple[int, int], _Entry] = {}
        self._renamed: dict[tuple[int, int, tuple[Any, ...]], Any] = {}

    def entry(self, thing: Any, where: int) -> _Entry:
        """A value as it is kept, with the names in it."""
        key = (id(thing), where)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = self._new_entry(thing, where)
            self._entries.setdefault((id(entry.kept), where), entry._replace(thing=entry.kept))
        return entry

    def _new_entry(self, thing: Any, where: int) -> _Entry:
        found: dict[Name, None] = {}

        def note(kind: str, place: int, value: Any) -> Any:
            if kind not in NORMAL:
                found[kind, place, value] = None
            return value

        def walk(inside: Any, where: int) -> Any:
            if is_plain(type(inside)):
                return inside
            entry = self.entry(inside, where)
            found.update(dict.fromkeys(entry.names))
            return entry.kept

        return _Entry(with_names(thing, where, note, walk), tuple(found), thing)

    def renamed(self, thing: Any, where: int, renaming: Renaming) -> Any:
        """A value under new names, with nothing left in it that does not count."""
        entry = self.entry(thing, where)
        key = (id(entry.kept), where, renaming.chosen(entry.names))
        if key not in self._renamed:
            self._renamed[key] = self._new_name(entry.kept, where, renaming)
        return self._renamed[key]

    def _new_name(self, thing: Any, where: int, renaming: Renaming) -> Any:
        def name(kind: str, place: int, value: Any) -> Any:
            if kind == "gone":
                return renaming.names.get(("member", -1, value))
            new = renaming.names.get((kind, place, value))
            return NORMAL[kind](value) if new is None else new

        def walk(inside: Any, where: int) -> Any:
            return inside if is_plain(type(inside)) else self.renamed(inside, where, renaming)

        return with_names(thing, where, name, walk)
