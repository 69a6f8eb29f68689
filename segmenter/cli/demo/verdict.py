"""What came out, computed from the reports of the workers alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from segmenter.cli.demo.flights import Flight
from segmenter.cli.demo.records import Handled, Noted

__all__ = ["Handoff", "Verdict", "handoffs", "judge"]


@frozen
class Handoff:
    """A partition went from one worker to another."""

    partition: int
    seconds: float  # from its release, or from the kill, to the next owner
    killed: bool


@frozen
class Verdict:
    """The outcome of a run."""

    events: int
    aircraft: int
    lost: int  # sent and never handled
    phantom: int  # handled and never sent
    out_of_order: int  # first handled before an earlier flight of the same aircraft was
    again: int  # handled more than once
    handoffs: tuple[Handoff, ...]

    @property
    def holds(self) -> bool:
        """Whether everything was handled, and in order."""
        return self.events > 0 and not (self.lost or self.phantom or self.out_of_order)

    @property
    def as_object(self) -> dict[str, Any]:
        """With stable names."""
        return {
            "holds": self.holds,
            "flights": self.events,
            "aircraft": self.aircraft,
            "lost": self.lost,
            "phantom": self.phantom,
            "out_of_order": self.out_of_order,
            "handled_again": self.again,
            "hand_offs": [
                {"partition": it.partition, "seconds": round(it.seconds, 3), "killed": it.killed}
                for it in self.handoffs
            ],
        }


def judge(sent: Sequence[Flight], records: Iterable[Handled | Noted]) -> Verdict:
    """Compute the verdict from what was sent and what the workers reported."""
    ordered = sorted(records, key=lambda record: record.at)
    handled = [record for record in ordered if isinstance(record, Handled)]
    expected = {(flight.aircraft, flight.number) for flight in sent}
    done = {(record.aircraft, record.number) for record in handled}
    return Verdict(
        events=len(sent),
        aircraft=len({flight.aircraft for flight in sent}),
        lost=len(expected - done),
        phantom=len(done - expected),
        out_of_order=_out_of_order(handled),
        again=len(handled) - len(done),
        handoffs=tuple(handoffs([record for record in ordered if isinstance(record, Noted)])),
    )


def _out_of_order(handled: Sequence[Handled]) -> int:
    """Count the first handlings that were not of the aircraft's next flight."""
    following: dict[str, int] = {}
    first: set[tuple[str, int]] = set()
    wrong = 0
    for record in handled:
        if (record.aircraft, record.number) in first:
            continue
        first.add((record.aircraft, record.number))
        wrong += record.number != following.get(record.aircraft, 0)
        following[record.aircraft] = record.number + 1
    return wrong


def handoffs(notes: Sequence[Noted]) -> Iterable[Handoff]:
    """Pair each end of an ownership with the next beginning of one."""
    owners: dict[int, str] = {}
    ended: dict[int, tuple[float, bool]] = {}
    for note in notes:
        if note.what == "killed":
            for partition, owner in owners.items():
                if owner == note.worker:
                    ended[partition] = (note.at, True)
        elif note.partition is None:
            continue
        elif note.what == "granted":
            at, killed = ended.pop(note.partition, (None, False))
            owners[note.partition] = note.worker
            if at is not None:
                yield Handoff(note.partition, note.at - at, killed)
        else:
            ended[note.partition] = (note.at, False)
