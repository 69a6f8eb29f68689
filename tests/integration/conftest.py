"""Whatever a test of this folder asks of a real server, in this process and in others, is replayed through the laws."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.audit.scripts import kept
from tests.audit.watch import watching

ROOT = Path(__file__).parents[2]
PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[PASSED] = call.when == "call" and report.passed
    return report


@pytest.fixture(autouse=True)
def audit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An answer that the laws do not give fails the test that it was given to."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # processes find tests.audit wherever they run
    with kept(), watching() as watch:
        yield
    complaint = watch.complaint(
        passed=request.node.stash[PASSED],
        tampers=request.node.get_closest_marker("tampers") is not None,
        unheard=request.node.get_closest_marker("unheard") is not None,
    )
    if complaint:
        pytest.fail(complaint, pytrace=False)
