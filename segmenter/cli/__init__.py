"""The command line. Data go to standard output, talk goes to standard error; exit codes are in ``codes``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the ``segmenter`` script."""
    try:
        from segmenter.cli.app import run
    except ModuleNotFoundError as missing:
        if missing.name not in ("cyclopts", "rich"):
            raise
        sys.exit(f"segmenter: the command line needs {missing.name}: pip install 'segmenter-streams[cli]'")
    sys.exit(run())
