"""What every command prints, on a real server, line by line.

After a change that is meant, ``pytest tests/cli --rewrite`` writes it anew: read the diff.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segmenter.cli.app import app
from tests.cli.golden import WIDTH, difference, masked, play, ran
from tests.servers import Server

HERE = Path(__file__).parent / "golden"
SCRIPTS = sorted(path for path in HERE.glob("*.txt") if path.stem != "help")
HELP = HERE / "help.txt"


@pytest.fixture(autouse=True)
def a_plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither colours nor a width of whoever runs the tests."""
    for name in ("FORCE_COLOR", "SEGMENTER_URL", "SEGMENTER_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", WIDTH)
    monkeypatch.setenv("TZ", "UTC")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_commands_print_what_is_written(path: Path, newest_server: Server, namespace: str, rewriting: bool) -> None:
    """Scripts of users depend on it, and so do their eyes."""
    found = play(path.read_text(), newest_server.url, namespace)
    if rewriting:
        path.write_text(found)
    told = difference(path, found)
    if told:
        pytest.fail(f"{told}\n\nif that is meant: pytest tests/cli --rewrite", pytrace=False)


def test_an_older_server_makes_no_difference(oldest_server: Server, namespace: str) -> None:
    path = HERE / "groups.txt"
    assert difference(path, play(path.read_text(), oldest_server.url, namespace)) == ""


def commands() -> Iterator[list[str]]:
    """Every command there is, and the program itself."""
    yield []
    for name in sorted(app):
        if name.startswith("-"):
            continue
        yield [name]
        yield from ([name, inner] for inner in sorted(app[name]) if not inner.startswith("-"))


def test_every_command_says_how_it_is_used(rewriting: bool) -> None:
    """Help is read by everybody once, so it is read here before."""
    found = ""
    for words in commands():
        code, out, err = ran([*words, "--help"])
        assert (code, err) == (0, "")
        found += "\n".join([" ".join(["$ segmenter", *words, "--help"]), masked(out).strip(), "", ""])
    found = found.rstrip() + "\n"
    if rewriting:
        HELP.write_text(found)
    assert difference(HELP, found) == ""


def test_every_command_has_a_golden_output() -> None:
    """One that has none could change without anybody noticing."""
    told = "\n".join(path.read_text() for path in SCRIPTS)
    apart = {"demo", "doctor", "top", "bench", "verify", "completion"}  # with tests of their own
    leaves = [words for words in commands() if words and (len(words) == 2 or not list_of_commands(words[0]))]
    missing = [words for words in leaves if words[0] not in apart and f"$ segmenter {' '.join(words)}" not in told]
    assert missing == []


def list_of_commands(name: str) -> list[str]:
    return [inner for inner in app[name] if not inner.startswith("-")]


def test_a_changed_line_fails(newest_server: Server, namespace: str, tmp_path: Path) -> None:
    """A comparison that cannot fail shows nothing."""
    script = "$ segmenter streams create orders --partitions 2 -o json\n"
    told = play(script, newest_server.url, namespace)
    path = tmp_path / "changed.txt"
    path.write_text(told.replace('"partition_count": 2', '"partition_count": 3'))
    assert path.read_text() != told
    assert '+  "partition_count": 2,' in difference(path, told)
