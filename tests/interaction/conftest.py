"""The option that makes what happens the expectation."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="rewrite the traces of tests/interaction")


@pytest.fixture
def rewriting(request: pytest.FixtureRequest) -> bool:
    """Whether traces are to be rewritten. The option is known only if this folder is named in the command line."""
    return bool(request.config.getoption("--rewrite", default=False)) or os.environ.get("REWRITE") == "1"
