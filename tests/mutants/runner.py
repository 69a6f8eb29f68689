"""Runs mutants: a copy of the project with one change, and the check that must fail there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.mutants.mutant import ROOT, Mutant

__all__ = ["Run", "Verdict", "pristine_copy", "run_checks", "run_unchanged", "try_mutant"]

WORKERS = (os.cpu_count() or 1) + 1  # since many a check waits for a while
LIMIT_S = 60  # of a check in a copy with a mutant, which may hang; one that is cut off there has noticed
LIMIT_UNCHANGED_S = 600  # of all checks without a mutant, on a machine that is busy
START_S = 60  # at most, from starting pytest to the first check
FAILED = re.compile(r"^FAILED tests/(\S+?)\.py::(\S+)", re.MULTILINE)
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".hypothesis", ".*_cache", ".coverage*", "dist", "build")
PYTEST = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
SETTINGS = {"HYPOTHESIS_PROFILE": "pr", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # half of the time goes into plugins


@frozen
class Run:
    """What pytest said of some checks."""

    status: int  # 0: all passed, 1: one failed; any other is no finding
    said: str
    seconds: float

    @property
    def failed(self) -> str:
        """The test that failed, if one did."""
        found = FAILED.search(self.said) if self.status == 1 else None
        return f"{found[1]}::{found[2]}" if found else ""

    @property
    def green(self) -> bool:
        """Whether every check was run, and passed."""
        return self.status == 0 and " skipped" not in self.said


@frozen
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    run: Run

    @property
    def caught_by(self) -> str:
        """The test that noticed, or nothing."""
        return self.run.failed


@contextmanager
def pristine_copy() -> Iterator[Path]:
    """A copy of the project as it is; those with a mutant are links to its files, but for one."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "pristine"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        yield copy


def run_unchanged(pristine: Path, checks: Iterable[str]) -> list[Run]:
    """Run the checks without any mutant, shared between the processors: what fails there as well catches nothing."""
    chosen = sorted(set(checks))
    shares = [share for share in (chosen[worker::WORKERS] for worker in range(WORKERS)) if share]
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda share: run_checks(pristine, share, LIMIT_UNCHANGED_S), shares))


def try_mutant(pristine: Path, mutant: Mutant) -> Verdict:
    """Run the check that must notice a mutant."""
    with tempfile.TemporaryDirectory(prefix="mutant-", dir=pristine.parent) as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(pristine, copy, copy_function=os.link)
        _change(copy / mutant.file, mutant)
        return Verdict(mutant, run_checks(copy, [mutant.check]))


def _change(path: Path, mutant: Mutant) -> None:
    changed = mutant.of(path.read_text())
    path.unlink()  # the link only
    path.write_text(changed)
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        compiled.unlink()  # which might pass for that of the changed file, by its time and size


def run_checks(copy: Path, checks: Iterable[str], limit_s: float = LIMIT_S) -> Run:
    """Run checks in a copy; one that takes longer than the limit has failed."""
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'backends'}"}
    command = [*PYTEST, f"--timeout={limit_s}", *checks]
    began = time.monotonic()
    try:
        run = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=limit_s + START_S
        )
    except subprocess.TimeoutExpired:
        return Run(-1, f"no end after {limit_s + START_S:g} s", limit_s + START_S)
    return Run(run.returncode, run.stdout + run.stderr, time.monotonic() - began)
