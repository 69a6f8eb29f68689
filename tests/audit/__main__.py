"""``python -m tests.audit MODULE ARGUMENTS``: a program of Python, with an audit of what it asks of a server."""

from __future__ import annotations

import runpy
import sys

from tests.audit.scripts import keep

if __name__ == "__main__":
    keep()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
