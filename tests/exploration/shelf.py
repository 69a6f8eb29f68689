"""Parts of states, each kept once and known by its number: most steps change one part of a state and no other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from tests.exploration.catalogue import Catalogue, Renaming
from tests.exploration.names import Name

__all__ = ["Shelf"]


class Shelf:
    """Numbered values with the names in them; ``where`` is the partition that a value is about, or -1."""

    def __init__(self) -> None:
        self._catalogue = Catalogue()
        self._things: list[Any] = []
        self._where: list[int] = []
        self._names: list[tuple[int, ...]] = []  # in each thing, as numbers
        self._numbers: dict[tuple[int, Any], int] = {}
        self._name_numbers: dict[Name, int] = {}
        self._all_names: list[Name] = []
        self._renamings: dict[tuple[int, tuple[int, ...]], Renaming] = {}

    def __getitem__(self, number: int) -> Any:
        return self._things[number]

    def put(self, thing: Any, where: int = -1) -> int:
        """Return the number of a value; the same for an equal one."""
        entry = self._catalogue.entry(thing, where)
        number = self._numbers.setdefault((where, entry.kept), len(self._things))
        if number == len(self._things):
            self._things.append(entry.kept)
            self._where.append(where)
            self._names.append(tuple([self._name_number(name) for name in entry.names]))
        return number

    def _name_number(self, name: Name) -> int:
        number = self._name_numbers.setdefault(name, len(self._all_names))
        if number == len(self._all_names):
            self._all_names.append(name)
        return number

    def canonical(self, numbers: Sequence[int], beats: int) -> list[int]:
        """The numbers of these values under the smallest names that mean the same in all of them."""
        names = self._names
        used = tuple(dict.fromkeys(chain.from_iterable([names[number] for number in numbers])))
        renaming = self._renamings.get((beats, used))
        if renaming is None:
            renaming = Renaming(tuple([self._all_names[name] for name in used]), beats)
            self._renamings[beats, used] = renaming
        known = renaming.known
        return [known[number] if number in known else self._rename(number, renaming) for number in numbers]

    def _rename(self, number: int, renaming: Renaming) -> int:
        where = self._where[number]
        renamed = self._catalogue.renamed(self._things[number], where, renaming)
        renaming.known[number] = result = self.put(renamed, where)
        return result
