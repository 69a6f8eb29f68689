"""What befell the lanes of a run: replayed through the laws of the core, and put to TLC as a behaviour.

``python -m tests.specification.traces SEED PARTITION`` writes a trace of a simulation to specs/traces, a JSON object
for each event, in the words of the specification.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from segmenter.core.partition import Claim, Commit, PartitionState, Release
from segmenter.testing.simulation import History, plan_of, simulate
from segmenter.testing.simulation.history import Executed
from tests.specification.mirror import NONE, lane, reply, request
from tests.specification.tlc import MODEL, run

__all__ = ["Trace", "accepted_events", "check_replay", "lane_events", "raised", "recorded", "stored"]

TRACES = MODEL.parent / "traces"

Event = dict[str, Any]  # request, lane, reply and clock, as mappings, lists and numbers

REQUESTS = (Claim, Commit, Release)


@frozen
class Trace:
    """What befell a lane: as it was, and each event with what it became."""

    beginning: dict[str, Any]
    events: list[Event]


# --- through the laws of the core -----------------------------------------------------------------------------------


def lane_events(history: History, partition: int) -> list[Executed]:
    """The requests to a partition's lane, in the order in which they were executed."""
    return [
        event
        for event in history.of(Executed)
        if isinstance(event.command, REQUESTS) and event.command.slot.partition == partition
    ]


def check_replay(history: History) -> int:
    """Execute every request to a lane once more, on the state it met; tell how many there were.

    Raises:
        AssertionError: if the state or the reply is another one.
    """
    events = [event for partition in range(history.plan.partitions) for event in lane_events(history, partition)]
    for event in events:
        after, answer = event.command.apply(_met(event), event.clock_us)
        assert (after, answer) == (event.after, event.reply), event
    return len(events)


def _met(event: Executed) -> PartitionState | None:
    """The state that the command met: the server puts its history into it."""
    before: PartitionState | None = event.before
    return evolve(before, history=event.after.history) if before is not None and event.after is not None else before


def _clock_us(event: Executed) -> int:
    """What the server's clock said, as far as it shows: an epoch that is given is the clock's, or the next one."""
    command = event.command
    if not isinstance(command, Claim | Release) or event.after == _met(event):
        return 0
    return int(event.after.lanes[command.group].epoch)


# --- in the words of the specification ------------------------------------------------------------------------------


def recorded(history: History, partition: int) -> Trace:
    """What befell a partition's lane.

    Raises:
        ValueError: if something befell it that the specification does not speak of.
    """
    events = _events(history, partition)
    if not events:
        raise ValueError(f"partition {partition} of seed {history.plan.seed} has no requests to its lane")
    name = _Names()
    beginning, trace = name.slot(_met(events[0])), list[Event]()
    known = beginning
    for event in events:
        met = name.slot(_met(event))
        if met != known:
            trace.append({"request": NONE, "lane": met, "reply": NONE, "clock": 0})
        known = name.slot(event.after)
        asked, answered = request(name.command(event.command)), reply(name.reply(event.reply))
        trace.append({"request": asked, "lane": known, "reply": answered, "clock": _clock_us(event)})
    return _ranked(beginning, trace)


def _events(history: History, partition: int) -> list[Executed]:
    events = lane_events(history, partition)
    for event in events:
        if event.after is None or type(event.reply).__name__ in ("Gone", "Truncated"):
            raise ValueError(f"the specification has no {type(event.reply).__name__}")
        if isinstance(event.command, Release) and event.command.start:
            raise ValueError("the specification has no seeking")
    return events


class _Names:
    """Gives members and claims the names that the specification has for them, in the order of their appearance."""

    def __init__(self) -> None:
        self._members: dict[str, str] = {}
        self._claims: dict[str, str] = {}

    def member(self, name: str | None) -> str | None:
        """``a1``, ``a2`` ..."""
        return None if name is None else self._members.setdefault(name, f"a{len(self._members) + 1}")

    def claim(self, token: str) -> str:
        """A number, under a member's name, since that is how the specification writes tokens."""
        return token and self._claims.setdefault(token, f"a1 {len(self._claims) + 1}")

    def command(self, command: Any) -> Any:
        """A request under these names."""
        named = evolve(command, member=self.member(command.member))
        if isinstance(named, Claim):
            named = evolve(named, claim=self.claim(named.claim))
        return named if isinstance(named, Commit) else evolve(named, evict=self.member(named.evict))

    def reply(self, answer: Any) -> Any:
        """A reply under these names."""
        return evolve(answer, owner=self.member(answer.owner)) if hasattr(answer, "owner") else answer

    def slot(self, slot: PartitionState | None) -> dict[str, Any]:
        """The lane of the only group."""
        assert slot is not None
        group, its = next(iter(slot.lanes.items()))
        named = evolve(its, owner=self.member(its.owner), claim=self.claim(its.claim))
        return lane(evolve(slot, lanes={group: named}), group)


RANKED = {"epoch": "epoch", "ifEpoch": "epoch", "floor": "epoch", "clock": "epoch", "generation": "generation"}


def _ranked(beginning: dict[str, Any], trace: list[Event]) -> Trace:
    """Epochs and generations by their order: TLC counts to two billions, and microseconds are more."""
    numbers: dict[str, set[int]] = {"epoch": {0}, "generation": {0}}

    def note(kind: str, number: int) -> int:
        numbers[kind].add(number)
        return number

    _walk([beginning, *trace], note)
    ranks = {kind: {number: rank for rank, number in enumerate(sorted(of))} for kind, of in numbers.items()}
    ranked = _walk([beginning, *trace], lambda kind, number: ranks[kind][number])
    return Trace(ranked[0], ranked[1:])


def _walk(value: Any, naming: Callable[[str, int], int]) -> Any:
    match value:
        case Mapping():
            return {
                key: naming(RANKED[key], item) if key in RANKED else _walk(item, naming) for key, item in value.items()
            }
        case list() | set() | frozenset():
            return [_walk(item, naming) for item in value]
        case _:
            return value


# --- put to TLC -----------------------------------------------------------------------------------------------------


def accepted_events(trace: Trace) -> int:
    """How many of the events TLC accepts, one after the other."""
    text = "\n".join(
        [
            "---- MODULE Recorded ----",
            "CONSTANT Weaknesses",
            "VARIABLES lane, been, at",
            f"Beginning == {_tla(trace.beginning)}",
            f"Events == <<{', '.join(_tla(event) for event in trace.events)}>>",
            "INSTANCE Trace",
            "====",
        ]
    )
    return run("Recorded", text, "CONSTANT Weaknesses = {}\nSPECIFICATION Spec").distinct - 1


def _tla(value: Any) -> str:
    match value:
        case Mapping():
            return "[" + ", ".join(f"{key} |-> {_tla(item)}" for key, item in value.items()) + "]"
        case list():
            return "{" + ", ".join(map(_tla, value)) + "}"  # the only collections are sets of ordinals
        case bool():
            return str(value).upper()
        case str():
            return f'"{value}"'
        case _:
            return str(value)


def raised(trace: Trace) -> Trace:
    """The same trace, but that what its last commit stored is one message more than was asked for.

    Raises:
        ValueError: it has no commit, so nothing can be told from it.
    """
    events: list[Event] = json.loads(json.dumps(trace.events))
    commits = [event for event in events if event["request"]["kind"] == "Commit"]
    if not commits:
        raise ValueError(f"a trace of {len(events)} events has no commit: keep the one of another seed")
    commits[-1]["lane"]["progress"]["read"] += 1
    return Trace(trace.beginning, events)


# --- kept in files --------------------------------------------------------------------------------------------------


def stored() -> Iterable[tuple[str, Trace]]:
    """The traces in specs/traces, by name."""
    for path in sorted(TRACES.glob("*.jsonl")):
        beginning, *events = map(json.loads, path.read_text().splitlines())
        yield path.stem, Trace(beginning, events)


def main(arguments: list[str]) -> int:
    """Write the trace of one partition in the simulation of a seed."""
    seed, partition = map(int, arguments)
    trace = recorded(simulate(plan_of(seed)), partition)
    raised(trace)  # which says whether it is of any use
    path = Path(TRACES, f"seed-{seed}-partition-{partition}.jsonl")
    path.write_text("".join(json.dumps(line) + "\n" for line in [trace.beginning, *trace.events]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
