"""``segmenter demo`` as a user runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from segmenter.cli.codes import Exit
from tests.servers import Server, free_port

SEGMENTER = Path(sys.executable).with_name("segmenter")
FAST = ("--rate", "0", "--work-ms", "0", "--session", "0.5")

BRISK = ("--rate", "1500", "--work-ms", "0", "--session", "0.3")  # with time for a kill


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SEGMENTER, *arguments], capture_output=True, text=True, timeout=120, check=False)


def _number(output: str, label: str) -> str:
    found = re.search(rf"{label} +│ +([\d,]+) │", output)
    assert found, output
    return found[1]


@pytest.mark.parametrize("where", ["memory", "redis-8.2", "redis-7.0"])
def test_the_demo_holds(where: str, request: pytest.FixtureRequest) -> None:
    url = "memory://"
    if where != "memory":
        server: Server = request.getfixturevalue("newest_server" if where == "redis-8.2" else "oldest_server")
        url = server.url
    done = _run("demo", "--url", url, *FAST)
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert _number(done.stdout, "flights sent") == "2,552"
    assert (_number(done.stdout, "lost"), _number(done.stdout, "out of order")) == ("0", "0")
    assert "was killed" in done.stdout
    assert "It holds" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_programs_read_the_verdict_as_json(output: str) -> None:
    done = _run("demo", "-o", output, *BRISK)
    assert done.returncode == Exit.OK, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["holds"], verdict["flights"], verdict["lost"], verdict["out_of_order"]) == (True, 2552, 0, 0)
    assert any(hand_off["killed"] for hand_off in verdict["hand_offs"])
    assert "was killed" in done.stderr


def test_a_demo_that_is_cut_short_does_not_hold() -> None:
    done = _run("demo", "--limit", "1")
    assert done.returncode == Exit.CHECK_FAILED
    assert "It does NOT hold" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("demo", "--url", f"redis://:secret@127.0.0.1:{free_port()}"), Exit.UNREACHABLE, "check that the server runs"),
        (("demo", "--url", "amqp://x"), Exit.USAGE, "no backend for the scheme 'amqp'"),
        (("demo", "--data", "nowhere.csv"), Exit.USAGE, "there is no file 'nowhere.csv'"),
        (("demo", "--workers", "0"), Exit.USAGE, "Must be >= 1"),
        (("demo", "--partitions", "0"), Exit.USAGE, "partitions is 0"),
        (("bogus",), Exit.USAGE, "Unknown command"),
    ],
)
def test_bad_input_is_told_with_its_remedy(arguments: tuple[str, ...], code: Exit, words: str) -> None:
    done = _run(*arguments)
    assert done.returncode == code
    told = " ".join((done.stdout + done.stderr).split())
    assert words in told
    assert "secret" not in told
    assert "Traceback" not in told
