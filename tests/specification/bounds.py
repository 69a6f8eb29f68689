"""What is explored: the tables of specs/model/bounds.toml and mutants.toml, as configurations of TLC."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from tests.specification.tlc import MODEL

__all__ = ["BeatBounds", "Bounds", "Mutant", "all_bounds", "all_mutants"]

INVARIANTS = ("INV_4", "INV_5", "INV_6", "INV_7", "INV_8", "KnownOwner", "GoodEnd")
PROPERTIES = ("INV_1", "INV_1_tenures", "INV_2", "INV_3", "INV_11", "INV_12", "NoCircles")
OF_BEATS = ("NobodyIsExpiredEarly",)


@frozen
class Bounds:
    """A corner of all that may happen."""

    name: str
    processes: int
    partitions: int = 1
    messages: int = 1
    keys: int = 1
    in_flight: int = 1
    founders: int = 0  # 0: all of them
    kinds: tuple[str, ...] = ()
    faults: int = 0
    leaves: int = 0
    compared: bool = False  # with what the code does
    soak: bool = False  # too large for every change
    fair: bool = False  # liveness as it is defined, too, which is slow

    module = "Segmenter"

    @property
    def checks(self) -> tuple[str, ...]:
        """What must hold."""
        return (*INVARIANTS, *PROPERTIES, *(("DueIsDuty", "Liveness") if self.fair else ()))

    def config(self, checks: Sequence[str], weaknesses: Sequence[str] = ()) -> str:
        """The .cfg file for TLC."""
        constants = {
            "Weaknesses": _texts(weaknesses),
            "Processes": _set(range(1, self.processes + 1)),
            "Founders": _set(range(1, (self.founders or self.processes) + 1)),
            "Partitions": _set(range(self.partitions)),
            "Messages": self.messages,
            "Keys": self.keys,
            "InFlight": self.in_flight,
            "Kinds": _texts(self.kinds),
            "Faults": self.faults,
            "Leaves": self.leaves,
        }
        return _config(constants, checks, "FairSpec" if self.fair else "Spec")


@frozen
class BeatBounds:
    """How far time goes, in moments."""

    name: str
    session: int
    lease: int
    until: int
    soak: bool = False

    module = "Beats"
    compared = False
    checks = OF_BEATS

    def config(self, checks: Sequence[str], weaknesses: Sequence[str] = ()) -> str:
        """The .cfg file for TLC."""
        constants = {
            "Weaknesses": _texts(weaknesses),
            "Session": self.session,
            "Lease": self.lease,
            "Until": self.until,
        }
        return _config(constants, checks, "Spec")


def _config(constants: Mapping[str, object], checks: Sequence[str], specification: str) -> str:
    lines = [f"CONSTANT {name} = {value}" for name, value in constants.items()]
    temporal = (*PROPERTIES, "Liveness")
    lines += [f"{'PROPERTY' if name in temporal else 'INVARIANT'} {name}" for name in checks]
    return "\n".join([f"SPECIFICATION {specification}", *lines])


def _texts(texts: Sequence[str]) -> str:
    return _set(f'"{text}"' for text in texts)


def _set(items: Any) -> str:
    return "{" + ", ".join(map(str, items)) + "}"


@frozen
class Mutant:
    """A weakening of the protocol, and what must break by it."""

    name: str
    breaks: str
    within: Bounds | BeatBounds

    def config(self) -> str:
        """What TLC is to check: only what must break, so that nothing else is found before."""
        return self.within.config([self.breaks], [self.name])


def _tables(file: str) -> dict[str, dict[str, Any]]:
    return tomllib.loads((MODEL / file).read_text())


def _bounds(name: str, table: Mapping[str, Any]) -> Bounds | BeatBounds:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return BeatBounds(name, **fields) if "session" in fields else Bounds(name, **fields)


def all_bounds() -> Iterator[Bounds | BeatBounds]:
    """The bounds of every run."""
    return (_bounds(name, table) for name, table in _tables("bounds.toml").items())


def all_mutants() -> Iterator[Mutant]:
    """Every weakening."""
    for name, table in _tables("mutants.toml").items():
        yield Mutant(name, table["breaks"], _bounds(name, table["within"]))
