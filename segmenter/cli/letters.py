"""What a group has set aside, as commands choose it and show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from segmenter.cli.codes import NotThere
from segmenter.cli.moments import clock
from segmenter.cli.place import Place
from segmenter.cli.printing import Column, Printer, as_fields, counted, headers_as_fields, headers_as_text, visible
from segmenter.errors import InvalidArgument
from segmenter.segmenter import Segmenter
from segmenter.shelves import SetAside, Shelves

__all__ = ["Choice", "Limit", "Partitions", "list_letters", "show_letter", "tell"]

LIMIT_CELL = 60  # characters of a reason in a table
LEAST_CELL = 16  # where the terminal is narrow

Partitions = Annotated[list[int] | None, Parameter(negative="")]
Limit = Annotated[int | None, Parameter(validator=Number(gte=1))]

THINGS = {"parked": "parked message", "dead": "dead letter"}


@frozen
class Choice:
    """Which letters of a group a command is about."""

    stream: str
    group: str
    shelf: Literal["parked", "dead"]
    key: str | None = None
    partitions: Sequence[int] | None = None
    ids: Sequence[str] = ()
    limit: int | None = None

    @property
    def nothing(self) -> str:
        """What to say if there are none."""
        which = "such " if self.key is not None or self.partitions is not None else ""
        return f"no {which}{THINGS[self.shelf]}s of {self.group} on {self.stream}"

    def counted(self, number: int) -> str:
        """So many of them."""
        return f"{counted(number, THINGS[self.shelf])} of {self.group}"

    async def shelves(self, segmenter: Segmenter) -> Shelves:
        """Where they lie."""
        return await segmenter.shelves(self.stream, self.group)

    async def find(self, segmenter: Segmenter) -> list[SetAside]:
        """Return them, each partition's in order.

        Raises:
            NotThere: one that was named is not among them.
            InvalidArgument: one that was named is in several partitions.
        """
        shelves = await self.shelves(segmenter)
        look = shelves.parked if self.shelf == "parked" else shelves.dead
        found = await look(self.key, partitions=self.partitions, limit=None if self.ids else self.limit)
        for each in self.ids:
            self._check_one(each, [letter.partition for letter in found if letter.id == each])
        return [letter for letter in found if not self.ids or letter.id in self.ids][: self.limit]

    def _check_one(self, named: str, partitions: Sequence[int]) -> None:
        if not partitions:
            raise NotThere(f"there is no {THINGS[self.shelf]} {named} of {self.group} on {self.stream}: see ls")
        if len(partitions) > 1:
            raise InvalidArgument(f"{named} is in partitions {', '.join(map(str, partitions))}: use --partition")

    def as_object(self, letter: SetAside) -> dict[str, Any]:
        """Return one of them with stable names."""
        return {
            "stream": self.stream,
            "group": self.group,
            "partition": letter.partition,
            "id": letter.id,
            "timestamp": letter.timestamp.isoformat(timespec="milliseconds"),
            **as_fields("key", letter.letter.key),
            **as_fields("data", letter.data),
            **headers_as_fields(lambda: letter.headers, letter.letter.headers),
            "attempts": letter.attempts,
            "reason": letter.reason,
        }


# --- a list ---------------------------------------------------------------------------------------------------------


def _shortened(text: str) -> str:
    return text if len(text) <= LIMIT_CELL else text[: LIMIT_CELL - 3] + "..."


COLUMNS = [
    Column("PARTITION", lambda letter: str(letter.partition), right=True, rank=2),
    Column("ID", lambda letter: letter.id),
    Column("SENT", lambda letter: clock(letter.timestamp), rank=3),
    Column("KEY", lambda letter: letter.key),
    Column("ATTEMPTS", lambda letter: str(letter.attempts), right=True, rank=1),
    Column("REASON", lambda letter: _shortened(letter.reason), least=LEAST_CELL),
]


def list_letters(place: Place, choice: Choice) -> int:
    """Print what there is, as a table without its data."""
    letters, printer = place.visit(choice.find), place.printer
    if printer.output == "table" and letters:
        printer.table(letters, COLUMNS)
    else:
        printer.rows([choice.as_object(letter) for letter in letters], [], choice.nothing)
    if len(letters) == choice.limit:
        printer.say(f"these are the first {choice.limit:,}: there may be more, see --limit")
    return 0


# --- one of them ----------------------------------------------------------------------------------------------------


def show_letter(place: Place, choice: Choice) -> int:
    """Print one with all there is to it."""
    (letter,) = place.visit(choice.find)
    printer = place.printer
    printer.object(choice.as_object(letter), lambda: _show(printer, letter))
    return 0


def _show(printer: Printer, letter: SetAside) -> None:
    fields = {
        "id": letter.id,
        "partition": str(letter.partition),
        "sent": clock(letter.timestamp),
        "key": letter.key,
        "headers": headers_as_text(lambda: letter.headers) or "-",
        "attempts": str(letter.attempts),
        "reason": letter.reason or "-",
        "data": letter.data.decode("utf-8", "surrogateescape"),
    }
    for name, value in fields.items():
        printer.line((f"{name:<11}", "dim"), visible(value))


# --- what became of some --------------------------------------------------------------------------------------------


def tell(place: Place, choice: Choice, count: int, words: str, **done: bool) -> int:
    """Say how many were concerned, and whether it was done."""
    value = {"stream": choice.stream, "group": choice.group, "messages": count, **done}
    place.printer.object(value, show=lambda: None)
    place.printer.say(words if count else choice.nothing)
    return 0
