"""Tries every mutant, or those whose names hold all the words given; a survivor is a failure."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, Misfit, Mutant
from tests.mutants.runner import WORKERS, Verdict, pristine_copy, run_unchanged, try_mutant
from tests.mutants.table import write_table

SHOWN = 3_000  # characters of what pytest said


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every mutant was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a mutant's name")
    parser.add_argument("--write", action="store_true", help="write the table of docs/mutants.md")
    asked = parser.parse_args(arguments)
    if asked.write and asked.words:
        parser.error("the table is written of all mutants: leave the words out")
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in asked.words)]
    began = time.monotonic()
    status = try_all(chosen, write=asked.write)
    print(f"{(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return status


def try_all(chosen: Sequence[Mutant], *, write: bool = False) -> int:
    """Return 0 if each was caught, 1 if one was not, 2 if the question makes no sense."""
    misfits = list(filter(None, map(_misfit, chosen)))
    if misfits or not chosen:
        print("\n".join(misfits) or "no mutant has such a name")
        return 2
    with pristine_copy() as pristine:
        if not _unchanged_is_green(pristine, chosen):
            return 2
        verdicts = _verdicts(pristine, chosen)
    survivors = [verdict.mutant.name for verdict in verdicts if not verdict.caught_by]
    print(f"{len(verdicts)} mutants, {len(survivors)} not caught", *survivors, sep="\n  ")
    if write and not survivors:
        write_table(verdicts)
    return int(bool(survivors))


def _misfit(mutant: Mutant) -> str:
    try:
        mutant.of((ROOT / mutant.file).read_text())
    except Misfit as misfit:
        return str(misfit)
    return ""


def _unchanged_is_green(pristine: Path, chosen: Sequence[Mutant]) -> bool:
    runs = run_unchanged(pristine, (mutant.check for mutant in chosen))
    for run in runs:
        if not run.green:
            print(f"without any mutant, not every check is run and passes:\n{run.said[-SHOWN:]}")
    print(f"without any mutant: {max(run.seconds for run in runs):.1f} s", flush=True)
    return all(run.green for run in runs)


def _verdicts(pristine: Path, chosen: Sequence[Mutant]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for verdict in pool.map(lambda mutant: try_mutant(pristine, mutant), chosen):
            verdicts.append(verdict)
            _show(verdict, f"{len(verdicts):3}/{len(chosen)}")
    return verdicts


def _show(verdict: Verdict, progress: str) -> None:
    mutant, run = verdict.mutant, verdict.run
    fate = f"caught by {verdict.caught_by}" if verdict.caught_by else f"NOT CAUGHT by {mutant.check}"
    print(f"{progress} {run.seconds:4.1f} s  {mutant.name}: {fate}", flush=True)
    if not verdict.caught_by:
        print(f"pytest ended with {run.status}:\n{run.said[-SHOWN:]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
