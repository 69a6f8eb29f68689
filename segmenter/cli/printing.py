"""What reaches standard output and standard error: tables that fit, JSON that is stable, and no control characters.

Data go to standard output, all else to standard error. A table is for people: it is coloured on a terminal only, and
leaves columns out where the terminal is narrow, never where it is piped.
"""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import define, frozen
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from segmenter.errors import Corrupt

__all__ = [
    "Column",
    "Items",
    "Printer",
    "as_fields",
    "counted",
    "headers_as_fields",
    "headers_as_text",
    "laid_out",
    "talk",
    "visible",
]

GAP = 2  # between columns
# Control characters of both sets, and those that turn the direction of text around.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
BYTES = range(0xDC80, 0xDD00)  # stand for bytes that are no UTF-8
NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}

Row = Mapping[str, Any]


def visible(text: str) -> str:
    """Return a text in which nothing can move the cursor, ring a bell or turn letters around."""
    return UNSEEN.sub(lambda found: NAMED.get(found[0]) or _escaped(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    code &= 0xFF if code in BYTES else 0xFFFF
    return f"\\x{code:02x}" if code in range(0x100) else f"\\u{code:04x}"


def counted(number: int, thing: str) -> str:
    """Return a number of things: one of them, or more."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def as_fields(name: str, data: bytes) -> dict[str, str]:
    """Return bytes as a field of JSON: as text, or under another name in base64 where they are none."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(data).decode()}


def headers_as_fields(read: Callable[[], Mapping[str, str]], raw: bytes) -> Row:
    """Return headers as a field of JSON, or in base64 under another name where another program has written others."""
    try:
        return {"headers": read()}
    except Corrupt:
        return {"headers_base64": b64encode(raw).decode()}


def headers_as_text(read: Callable[[], Mapping[str, str]]) -> str:
    """Return headers as one line of text, or a word in their place where another program has written others."""
    try:
        return "  ".join(f"{name}={value}" for name, value in read().items())
    except Corrupt as error:
        return f"(corrupt headers: {error.reason})"


def as_json(value: Any, indent: int | None = None) -> str:
    """Return JSON that holds no control characters either: inside of its strings they are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return UNSEEN.sub(lambda found: "\n" if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


class Voice(Console):
    """A console that says so when nobody listens any more."""

    def on_broken_pipe(self) -> None:
        """Leave it to whoever runs the command."""
        raise BrokenPipeError


def talk() -> Console:
    """Where everything goes that is not data."""
    return Voice(stderr=True, highlight=False, soft_wrap=True)


@frozen
class Column:
    """A column of a table."""

    title: str
    cell: Callable[[Any], str | Text]  # from a row
    right: bool = False
    rank: int = 0  # where there is no room, the highest are left out first; 0 stays
    least: int = 0  # what it may be cut to before others are left out; 0: it is shown whole


@define
class Items:
    """A list that is printed as it comes, for it may have no end."""

    printer: Printer
    count: int = 0

    def add(self, row: Row, line: Callable[[], Text]) -> None:
        """Print one more; ``line`` is how people read it."""
        out = self.printer.out
        if self.printer.output == "table":
            out.print(line(), soft_wrap=True)
        else:
            head = "" if self.printer.output == "jsonl" else ("[\n  " if self.count == 0 else ",\n  ")
            out.file.write(head + as_json(row) + ("\n" if self.printer.output == "jsonl" else ""))
            out.file.flush()
        self.count += 1

    def end(self) -> None:
        """Close the list."""
        if self.printer.output == "json":
            self.printer.out.file.write("\n]\n" if self.count else "[]\n")


class Printer:
    """Prints what a command found, in the form that was asked for."""

    def __init__(self, output: str = "table", out: Console | None = None, err: Console | None = None) -> None:
        self.output = output
        self.out = out or Voice(file=sys.stdout, highlight=False)
        self.err = err or talk()

    def say(self, words: str, style: str = "") -> None:
        """Tell people something; programs do not read it."""
        self.err.print(Text(visible(words), style))

    def rows(self, rows: Sequence[Row], columns: Sequence[Column], nothing: str) -> None:
        """Print a list: a table, or objects with stable names."""
        if self.output == "jsonl":
            for row in rows:
                self._write(as_json(row))
        elif self.output == "json":
            self._write(as_json(list(rows), indent=2))
        elif rows:
            self.table(rows, columns)
        else:
            self.say(nothing)

    def object(self, value: Row, show: Callable[[], None]) -> None:
        """Print one thing: as people read it, or as an object."""
        if self.output == "table":
            show()
        else:
            self._write(as_json(value, indent=2 if self.output == "json" else None))

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Print a line for people, of texts and of texts with a style."""
        self.out.print(Text.assemble(*parts), soft_wrap=True)

    def table(self, rows: Sequence[Any], columns: Sequence[Column]) -> None:
        """Print a table, with as many columns as there is room for."""
        lines, hidden = laid_out(rows, columns, self.out.width if self.out.is_terminal else None)
        for line in lines:
            self.out.print(line, soft_wrap=True)
        if hidden:
            self.say(f"no room for {', '.join(hidden)}: widen the terminal, or use -o json", "dim")

    @contextmanager
    def items(self) -> Generator[Items, None, None]:
        """Print a list as it comes; it is closed however it ends."""
        items = Items(self)
        try:
            yield items
        finally:
            items.end()

    def _write(self, text: str) -> None:
        self.out.file.write(text + "\n")


# --- tables ---------------------------------------------------------------------------------------------------------


def laid_out(rows: Sequence[Any], columns: Sequence[Column], width: int | None) -> tuple[list[Text], list[str]]:
    """Return the lines of a table, its head first, and the titles of the columns that a width has no room for."""
    cells = {column.title: [_cell(column, row) for row in rows] for column in columns}
    widths = {title: max([cell_len(title), *(cell.cell_len for cell in found)]) for title, found in cells.items()}
    shown = _fitting(columns, widths, width)
    if width is not None:
        widths |= _cut(shown, widths, width)

    def line(cells_of: Callable[[Column], Text]) -> Text:
        parts = (_justified(cells_of(column), widths[column.title], right=column.right) for column in shown)
        joined = Text(" " * GAP).join(parts)
        joined.rstrip()
        return joined

    def cell_at(index: int) -> Callable[[Column], Text]:
        return lambda column: cells[column.title][index]

    lines = [line(lambda column: Text(column.title, "bold")), *(line(cell_at(index)) for index in range(len(rows)))]
    return lines, [column.title for column in columns if column not in shown]


def _fitting(columns: Sequence[Column], widths: Mapping[str, int], width: int | None) -> list[Column]:
    shown = list(columns)
    least = {column.title: min(widths[column.title], column.least or widths[column.title]) for column in columns}
    while width is not None and _taken(shown, least) > width:
        last = max(shown, key=lambda column: column.rank)
        if last.rank == 0:
            break
        shown.remove(last)
    return shown


def _cut(shown: Sequence[Column], widths: Mapping[str, int], width: int) -> dict[str, int]:
    """The widths of columns that may be cut, so that all of them fit if they can."""
    too_wide = max(0, _taken(shown, widths) - width)
    return {it.title: max(min(it.least, widths[it.title]), widths[it.title] - too_wide) for it in shown if it.least}


def _taken(shown: Sequence[Column], widths: Mapping[str, int]) -> int:
    return sum(widths[column.title] + GAP for column in shown) - GAP


def _justified(cell: Text, width: int, *, right: bool) -> Text:
    cell.truncate(width, overflow="ellipsis")
    space = " " * (width - cell.cell_len)
    return Text.assemble(space, cell) if right else Text.assemble(cell, space)


def _cell(column: Column, row: Any) -> Text:
    cell = column.cell(row)
    return cell if isinstance(cell, Text) else Text(visible(cell))
