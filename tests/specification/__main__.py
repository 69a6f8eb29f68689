"""``make spec``: every bound, every mutant, every trace; what was found, and the seconds it took."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from attrs import field, frozen

from tests.specification.bounds import BeatBounds, Bounds, Mutant, all_bounds, all_mutants
from tests.specification.explorer import explore, in_dump
from tests.specification.tlc import COUNTING, Outcome, TlcFailed, failed_because, run, story
from tests.specification.traces import Trace, accepted_events, raised, stored


@frozen
class Report:
    """What one run is to be told about."""

    good: bool
    text: str
    occurred: Counter[str] = field(factory=Counter[str])  # steps of each action, where specification and code agree


def _run(bounds: Bounds | BeatBounds, config: str, *options: str, dump: Path | None = None) -> Outcome:
    text = f"---- MODULE Run ----\nEXTENDS {bounds.module}\n===="
    return run("Run", text, config, *options, dump=dump)


# --- bounds ---------------------------------------------------------------------------------------------------------


def _figures(bounds: Bounds | BeatBounds, outcome: Outcome) -> str:
    figures = f"{outcome.distinct:9,} states {outcome.generated:9,} steps {outcome.seconds:6.1f} s"
    broken = f"\n  {outcome.violated} is violated by: {', '.join(story(outcome))}\n{outcome.output}"
    return f"{bounds.name:36}{figures}{broken if outcome.violated else ''}"


def _holds(bounds: Bounds | BeatBounds) -> Report:
    outcome = _run(bounds, bounds.config(bounds.checks))
    return Report(outcome.violated is None, _figures(bounds, outcome))


def _is_the_code(bounds: Bounds) -> Report:
    """Whether specification and code reach the same states, by as many steps of each action."""
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder, "states.dump")
        outcome = _run(bounds, bounds.config(bounds.checks), *COUNTING, dump=dump)
        specified = in_dump(dump)
    code = explore(bounds)
    steps = Counter({action: count for action, count in outcome.actions.items() if action != "Init"})
    same = specified == code.states and +steps == code.actions
    lines = [f"{_figures(bounds, outcome)}, {'the same' if same else 'OTHERS'} by the code", f"  {_told(+steps)}"]
    if not same:
        lines += [
            f"  by the code: {_told(code.actions)}",
            f"  states of the code alone: {len(code.states - specified)}",
        ]
        lines += [f"  of TLC alone: {len(specified - code.states)}, one is {next(iter(code.states ^ specified), None)}"]
    return Report(same and outcome.violated is None, "\n".join(lines), steps)


def _told(steps: Counter[str]) -> str:
    return ", ".join(f"{action} {count}" for action, count in sorted(steps.items()))


# --- mutants and traces ---------------------------------------------------------------------------------------------


def _is_noticed(mutant: Mutant) -> Report:
    outcome = _run(mutant.within, mutant.config())
    found = f"{outcome.violated} after {len(story(outcome)) - 1} steps" if outcome.violated else "SURVIVES"
    return Report(outcome.violated == mutant.breaks, f"without '{mutant.name}':".ljust(56) + found)


def _is_judged(name: str, trace: Trace) -> Report:
    """A trace must be accepted, and the same with an offset raised by one must not."""
    events = len(trace.events)
    accepted, of_the_raised = accepted_events(trace), accepted_events(raised(trace))
    text = f"{name:36}{accepted} of {events} events accepted; with an offset raised by one, {of_the_raised}"
    return Report(of_the_raised < accepted == events, text)


# --- all of it ------------------------------------------------------------------------------------------------------


def _jobs(chosen: set[str], *, soak: bool) -> Iterator[Callable[[], Report]]:
    for bounds in all_bounds():
        if bounds.name in chosen if chosen else bounds.soak == soak:
            if isinstance(bounds, Bounds) and bounds.compared:
                yield partial(_is_the_code, bounds)
            else:
                yield partial(_holds, bounds)
    for mutant in all_mutants():
        if mutant.name in chosen if chosen else not soak:
            yield partial(_is_noticed, mutant)
    for name, trace in stored():
        if name in chosen if chosen else not soak:
            yield partial(_is_judged, name, trace)


def _every_action(reports: Iterable[Report]) -> Report:
    """Within the bounds that are compared, every action has to occur."""
    occurred = Counter[str]()
    for report in reports:
        occurred.update(report.occurred)
    missing = sorted(action for action, count in occurred.items() if not count)
    return Report(not missing, f"{len(occurred)} actions compared; never occurred: {', '.join(missing) or 'none'}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run all of it, or with ``soak`` the large bounds; names choose among bounds, mutants and traces."""
    chosen, soak = set(arguments) - {"soak"}, "soak" in arguments
    began = time.monotonic()
    reports: list[Report] = []
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for report in pool.map(lambda job: job(), _jobs(chosen, soak=soak)):
                reports.append(report)
                _say(report.text)
    except TlcFailed as error:
        _say(failed_because(error))
        return 1
    if not (chosen or soak):
        reports.append(_every_action(reports))
        _say(reports[-1].text)
    if not reports:
        _say(f"nothing has the name {' or '.join(sorted(chosen))}: the names are those that 'make spec' prints")
        return 2
    good = sum(report.good for report in reports)
    _say(f"specification: {good} of {len(reports)} as they must be, in {time.monotonic() - began:.0f} s")
    return 0 if good == len(reports) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
