"""What CI runs, part by part, with the minutes that each took; it stops at the first part that fails."""

from __future__ import annotations

import subprocess
import sys
import time
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
PARTS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types (mypy)": ["mypy"],
    "types (pyright)": ["pyright", "--pythonpath", sys.executable],
    "types of the tests (pyright)": ["pyright", "--project", "tests", "--pythonpath", sys.executable],
    "types of what users write (ty)": ["ty", "check", "--python", sys.prefix, "tests/typing"],
    "layers": ["lint-imports", "--no-cache"],
    "mutants": ["python", "-m", "tests.mutants"],
    "chaos": ["python", "-m", "tests.chaos"],
    # Coverage is of what decides and of the adapters; the rest runs without tracing, which slows down what is timed.
    "laws, with coverage": ["pytest", "--quiet", *LAWS, "--cov", "--cov-report=term:skip-covered"],
    "specification": ["python", "-m", "tests.specification"],  # with both cores to itself
    "tests": ["pytest", *(f"--ignore={path}" for path in LAWS)],  # last, so that its closing line is the last
}


def main() -> int:
    minutes: dict[str, float] = {}
    for name, command in PARTS.items():
        if name == "tests":
            print("minutes:", ", ".join(f"{part} {spent:.1f}" for part, spent in minutes.items()), flush=True)
        print(f"--- {name}", flush=True)
        began = time.monotonic()
        status = subprocess.run([str(BIN / command[0]), *command[1:]], check=False).returncode
        minutes[name] = (time.monotonic() - began) / 60
        if status:
            print(f"{name} failed", flush=True)
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
