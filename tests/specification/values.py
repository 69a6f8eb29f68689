"""Values of TLA+ in Python: read from what TLC prints, and made so that they can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Value", "frozen_value", "states_in"]

Value = Any  # a number, a string, a boolean, a frozenset; tuples; a record or function as sorted pairs

TOKEN = re.compile(r'"[^"]*"|-?\d+|\w+|\|->|:>|@@|<<|>>|[\[\](){},]')


def frozen_value(value: Any) -> Value:
    """A value made of mappings, sequences and sets, so that it can be hashed."""
    if isinstance(value, Mapping):
        return tuple(sorted((key, frozen_value(item)) for key, item in value.items()))
    if isinstance(value, tuple | list):
        return tuple(frozen_value(item) for item in value)
    if isinstance(value, set | frozenset):
        return frozenset(frozen_value(item) for item in value)
    return value


def states_in(dump: Path) -> Iterator[dict[str, Value]]:
    """The states that TLC has dumped, each as its variables."""
    for block in re.split(r"^State \d+:\n", dump.read_text(), flags=re.MULTILINE)[1:]:
        variables = re.split(r"^/\\ (\w+) = ", block, flags=re.MULTILINE)[1:]
        yield {name: _Parser(text).value() for name, text in zip(variables[::2], variables[1::2], strict=True)}


class _Parser:
    """Reads one value, by descent."""

    def __init__(self, text: str) -> None:
        self._tokens = TOKEN.findall(text)
        self._at = 0

    def _next(self) -> str:
        self._at += 1
        token: str = self._tokens[self._at - 1]
        return token

    def value(self) -> Value:
        """The value that begins here."""
        token = self._next()
        match token:
            case "<<":
                return tuple(self._items(">>"))
            case "{":
                return frozenset(self._items("}"))
            case "[":
                return tuple(sorted(self._pairs("]")))
            case "(":
                return tuple(sorted(self._pairs(")")))
            case "TRUE" | "FALSE":
                return token == "TRUE"
            case _:
                return token.strip('"') if token[0] == '"' else int(token) if token.lstrip("-").isdigit() else token

    def _items(self, end: str) -> Iterator[Value]:
        while self._tokens[self._at] != end:
            yield self.value()
            if self._tokens[self._at] == ",":
                self._at += 1
        self._at += 1

    def _pairs(self, end: str) -> Iterator[tuple[Any, Value]]:
        """``a |-> 1, b |-> 2`` or ``0 :> x @@ 1 :> y``."""
        while self._tokens[self._at] != end:
            key = self.value()
            assert self._next() in ("|->", ":>")
            yield key, self.value()
            if self._tokens[self._at] in (",", "@@"):
                self._at += 1
        self._at += 1
