"""``segmenter verify``: it holds where it should, and finds where it does not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from typing import Any, TypeVar, cast

from attrs import evolve

from segmenter.cli.codes import Exit
from segmenter.cli.verify import play_stories
from segmenter.core.command import Command
from segmenter.core.partition import Claimed
from segmenter.testing.agreement import OverPort
from segmenter_memory import MemoryBackend
from tests.cli.golden import ran
from tests.servers import Server, free_port

R = TypeVar("R")


def test_a_server_that_obeys_holds_and_keeps_nothing(newest_server: Server) -> None:
    code, out, err = ran(["--url", newest_server.url, "verify", "--stories", "9", "--seed", "1", "-o", "json"])
    assert (code, err) == (Exit.OK, "seed 1\n")
    found = json.loads(out)
    assert found["holds"]
    assert found["disagreement"] is None
    assert found["stories"] >= 9
    assert found["commands"] > 100
    with newest_server.client as client:
        assert list(client.scan_iter("{verify-*", count=1_000)) == []


def test_an_older_server_and_an_imitation_hold_too(oldest_server: Server, fake_url: str) -> None:
    for url in (oldest_server.url, fake_url):
        code, out, _ = ran(["--url", url, "verify", "--stories", "9"])
        assert (code, out.startswith("It holds: ")) == (Exit.OK, True)


class Generous(OverPort):
    """A backend that grants every claim under the same epoch."""

    def execute(self, command: Command[Any, R]) -> R:
        reply: Any = super().execute(command)
        return cast("R", evolve(reply, epoch=7) if isinstance(reply, Claimed) else reply)


def test_what_disagrees_is_told_by_the_shortest_story_that_shows_it() -> None:
    """A check that cannot fail shows nothing."""
    with asyncio.Runner() as runner:
        world = Generous(MemoryBackend(), runner)
        told = play_stories(world, Counter(), 30, seed=1, step=lambda: None)
        world.close()
    assert told is not None
    assert "answers Claimed(epoch=7" in told
    assert "by the law Claimed(epoch=('stamp'" in told
    assert told.count("state.") < 8
    assert "state = LanesAgree()" in told


def test_a_server_that_goes_away_is_5_and_no_disagreement() -> None:
    code, out, err = ran(["--url", f"redis://127.0.0.1:{free_port()}", "verify"])
    assert (code, out) == (Exit.UNREACHABLE, "")
    assert "check that the server runs" in err


def test_without_hypothesis_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['hypothesis'] = None; sys.argv[1:] = ['--url', 'memory://', 'verify']"
    program += "; from segmenter.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == Exit.ERROR
    assert done.stderr.splitlines()[-1] == (
        "segmenter: this needs hypothesis: pip install 'segmenter-streams[testing]'"
    )
