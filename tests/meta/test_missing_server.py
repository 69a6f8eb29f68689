"""Without the system's server some tests are left out, and say so; in CI that fails, and programs say what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import servers
from tests.chaos.__main__ import main as chaos
from tests.conftest import where_it_is_installed
from tests.servers import ServerMissing, oldest


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system has none."""
    monkeypatch.setattr(servers, "OLDEST", str(tmp_path / "redis-server"))


@pytest.mark.usefixtures("missing")
def test_in_ci_it_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(ServerMissing, match="install the system's redis-server"), where_it_is_installed():
        oldest()


@pytest.mark.usefixtures("missing")
def test_elsewhere_the_test_is_left_out_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="is not installed"), where_it_is_installed():
        oldest()


@pytest.mark.usefixtures("missing")
def test_a_soak_on_both_servers_says_so_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["chaos", "--soak", "--server", "both"])
    assert chaos() == 2
    assert "is not installed" in capsys.readouterr().out
