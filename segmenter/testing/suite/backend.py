"""All parts of the suite in one class."""

from __future__ import annotations

import pytest

from segmenter.port import Backend
from segmenter.testing.suite.crossing import Crossings
from segmenter.testing.suite.delays import Delays
from segmenter.testing.suite.groups import Groups
from segmenter.testing.suite.lanes import Lanes
from segmenter.testing.suite.logs import Logs
from segmenter.testing.suite.sessions import Sessions
from segmenter.testing.suite.several import Several
from segmenter.testing.suite.shelves import Shelves

__all__ = ["BackendSuite"]


class BackendSuite(Sessions, Several, Logs, Lanes, Crossings, Delays, Groups, Shelves):
    """What a backend promises, as tests: inherit from it, and define the fixture ``backend``.

    Each test gets the backend empty, and runs in an event loop of its own; no plugin for asynchronous tests is needed.
    Whoever keeps things beyond the process overrides ``reopened`` too, and is held to that.

        class TestMine(BackendSuite):
            @pytest.fixture
            def backend(self, tmp_path):
                return MyBackend(f"mine://{tmp_path}/streams")

            def reopened(self, backend):
                return MyBackend(backend.url)
    """

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend that is tested, with nothing in it."""
        raise pytest.UsageError(
            f"{type(self).__name__} does not say which backend it tests: define a fixture named backend in it"
        )
