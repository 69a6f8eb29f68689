"""Real events: flights of January 2013, in the order of their scheduled departure, keyed by aircraft."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from segmenter.errors import InvalidArgument

__all__ = ["Flight", "load", "sample"]

PACKAGED = Path(__file__).with_name("flights.csv.gz")  # in an installed wheel
CHECKOUT = Path(__file__).parents[3] / "examples" / "flights" / "flights.csv.gz"


@frozen
class Flight:
    """A flight of an aircraft, the ``number``-th of that aircraft in the data."""

    aircraft: str
    number: int
    route: str
    scheduled: str

    def encoded(self) -> bytes:
        """The flight as a payload."""
        return json.dumps({"number": self.number, "route": self.route, "scheduled": self.scheduled}).encode()


def sample() -> Path:
    """Where the sample is that ships with the program."""
    return PACKAGED if PACKAGED.exists() else CHECKOUT


def load(path: Path) -> list[Flight]:
    """Read flights from a CSV file.

    Raises:
        InvalidArgument: there is no such file, or it has no flights.
    """
    if not path.is_file():
        raise InvalidArgument(f"there is no file {str(path)!r}: name a CSV file of flights")
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="", encoding="utf-8") as lines:
        flights = list(_numbered(csv.DictReader(lines)))
    if not flights:
        raise InvalidArgument(f"{str(path)!r} holds no flights: it needs the columns tailnum, origin, dest, time_hour")
    return flights


def _numbered(rows: Iterable[dict[str, str]]) -> Iterator[Flight]:
    seen: Counter[str] = Counter()
    for row in rows:
        aircraft = row.get("tailnum")
        if aircraft:
            yield Flight(aircraft, seen[aircraft], f"{row['origin']}-{row['dest']}", row["time_hour"])
            seen[aircraft] += 1
