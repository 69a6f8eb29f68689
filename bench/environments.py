"""Where peers are installed: environments of their own, made on first use, since their pins may conflict with ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from bench.measure import Unmeasured

__all__ = ["adapter_command"]

ADAPTERS = Path(__file__).parent / "peers"
HOME = Path(__file__).parents[1] / ".bench"
INSTALL_S = 300.0


def adapter_command(program: str) -> list[str]:
    """Return how an adapter is run.

    Raises:
        Unmeasured: what it needs cannot be installed here.
    """
    if program.startswith("ours"):
        return [sys.executable, str(ADAPTERS / program)]
    if program.endswith(".mjs"):
        return ["node", str(_node() / program)]
    return [str(_python()), str(ADAPTERS / program)]


@cache
def _python() -> Path:
    python = HOME / "venv" / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(HOME / "venv")])
    requirements = str(ADAPTERS / "requirements.txt")
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements])
    return python


@cache
def _node() -> Path:
    """The folder with the adapters in Node, beside what they need."""
    if shutil.which("npm") is None:
        raise Unmeasured("npm is not installed")
    folder = HOME / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*ADAPTERS.glob("*.mjs"), ADAPTERS / "package.json"):
        shutil.copy(file, folder)
    if not (folder / "node_modules").exists():
        _run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
    return folder


def _run(command: list[str], folder: Path | None = None) -> None:
    """Install something, or say why it is not there."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.CalledProcessError as error:
        raise Unmeasured(f"{command[0]} failed: {error.stderr.strip().splitlines()[-1:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unmeasured(str(error)) from error
