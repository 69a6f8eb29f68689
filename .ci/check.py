"""What CI runs, stage by stage: all of it even if something fails, and the minutes that each part took."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BIN = Path(sys.executable).parent
LAWS = [
    "tests/core",
    "tests/stateful",
    "tests/conformance",
    "tests/integration/test_probes.py",
    "tests/integration/test_wire.py",
    "tests/integration/test_durability.py",
    "tests/cli/test_doctor.py",
]
STATIC = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types (mypy)": ["mypy"],
    "types (pyright)": ["pyright", "--pythonpath", sys.executable],
    "types of the tests (pyright)": ["pyright", "--project", "tests", "--pythonpath", sys.executable],
    "types of what users write (ty)": ["ty", "check", "--python", sys.prefix, "tests/typing"],
    "layers": ["lint-imports", "--no-cache"],
}
TESTS = {
    # Coverage is of what decides and of the adapters; the rest runs without tracing, which slows down what is timed.
    "laws, with coverage": ["pytest", "--quiet", *LAWS, "--cov", "--cov-report=term:skip-covered"],
    "tests": ["pytest", *(f"--ignore={path}" for path in LAWS)],
}
# The parts of one stage run at the same time, as far as there are processors; what keeps several busy is alone.
STAGES: Sequence[Mapping[str, Sequence[str]]] = (
    STATIC,
    {"mutants": ["python", "-m", "tests.mutants"]},
    {"chaos": ["python", "-m", "tests.chaos"]},
    {"specification": ["python", "-m", "tests.specification"]},
    TESTS,
)
AT_ONCE = 2


def main() -> int:
    """Return 1 if any part failed."""
    minutes: dict[str, float] = {}
    failed: list[str] = []
    for stage in STAGES:
        run = _alone if len(stage) == 1 else _beside
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name, (status, spent) in zip(stage, pool.map(run, stage, stage.values()), strict=True):
                minutes[name] = spent
                if status:
                    failed.append(name)
    print("minutes:", ", ".join(f"{part} {spent:.1f}" for part, spent in minutes.items()), flush=True)
    print("failed: " + ", ".join(failed) if failed else "all parts passed", flush=True)
    return int(bool(failed))


def _alone(name: str, command: Sequence[str]) -> tuple[int, float]:
    """Run a part that speaks as it goes on; return its exit code and its minutes."""
    began = time.monotonic()
    print(f"--- {name}", flush=True)
    status = subprocess.run(_called(command), check=False).returncode
    return status, (time.monotonic() - began) / 60


def _beside(name: str, command: Sequence[str]) -> tuple[int, float]:
    """Run a part beside another: what it says is shown in one piece when it has ended."""
    began = time.monotonic()
    print(f"--- {name} begins", flush=True)
    run = subprocess.run(
        _called(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    print(f"--- {name}\n{run.stdout}", end="", flush=True)
    return run.returncode, (time.monotonic() - began) / 60


def _called(command: Sequence[str]) -> list[str]:
    return [str(BIN / command[0]), *command[1:]]


if __name__ == "__main__":
    sys.exit(main())
