"""The command line. Data go to standard output, talk goes to standard error; exit codes are in ``codes``."""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRAS = {"cyclopts": "cli", "rich": "cli", "textual": "cli", "hypothesis": "testing"}


def main() -> None:
    """Run the command line; the entry point of the ``segmenter`` script."""
    try:
        from segmenter.cli.app import run

        code = run()
    except ModuleNotFoundError as missing:
        extra = _EXTRAS.get(missing.name or "")
        if extra is None:
            raise
        sys.exit(f"segmenter: this needs {missing.name}: pip install 'segmenter-streams[{extra}]'")
    sys.exit(code)
