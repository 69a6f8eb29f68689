"""The suite and the machines that come with segmenter, on a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from segmenter.errors import InvalidArgument
from segmenter.port import Backend
from segmenter.testing import BackendMachine, BackendSuite
from segmenter_sqlite import SqliteBackend


class TestSqlite(BackendSuite, BackendMachine):
    """What every backend promises, and stories that nobody has thought of."""

    stories = 15  # each command is a transaction that waits for the disk

    @pytest.fixture
    def backend(self, tmp_path: Path) -> SqliteBackend:
        return SqliteBackend(f"sqlite://{tmp_path}/streams.db")

    def reopened(self, backend: Backend) -> SqliteBackend:
        assert isinstance(backend, SqliteBackend)
        return SqliteBackend(f"sqlite://{backend.path}")


def test_a_url_without_a_file_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidArgument, match="three slashes"):
        SqliteBackend("sqlite://")
