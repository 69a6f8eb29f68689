"""Whatever the servers of a test were asked is judged, however they end; and no test gets by without it in silence."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from segmenter.core.command import PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.partition import Claim, Claimed, Commit, Progress, Released
from segmenter.core.retention import Trim
from segmenter_redis import RedisBackend
from tests.audit.replay import Asked
from tests.audit.scripts import UNFENCED, kept
from tests.audit.watch import Watch, watching
from tests.servers import Server, newest

ROOT = Path(__file__).parents[2]
SLOT = PartitionSlot("orders", 0)


def ask(server: Server, member: str = "m") -> None:
    """Four commands; the last is a commit of this member's, while m is the owner."""

    async def story() -> None:
        session = await RedisBackend(server.url, "shop").session()
        await session.execute(CreatePartition(SLOT, "born"))
        await session.execute(CreateLane(SLOT, "g", b"earliest"))
        claimed = await session.execute(Claim(SLOT, "g", "m", 1, 0, "c"))
        assert isinstance(claimed, Claimed)
        await session.execute(Commit(SLOT, "g", member, claimed.epoch, 1, Progress()))
        await session.aclose()

    asyncio.run(story())


def test_a_server_is_heard_before_it_is_stopped_or_killed(server: Server) -> None:
    with kept(), watching() as watch:
        ask(server)
        server.restart()  # without a file: what it had written down is gone with the data
        ask(server)
        assert watch.commands == 4
    assert (watch.commands, watch.wrong()) == (8, [])


def test_what_a_server_has_on_its_disk_is_heard_with_what_comes_after() -> None:
    server = Server(newest(), "--appendonly", "yes", "--appendfsync", "always")
    with kept(), watching() as watch:
        ask(server)
        server.restart()
        ask(server)
        server.stop()
    assert (watch.commands, watch.wrong()) == (4 + 8, [])


def test_what_was_asked_before_the_test_is_not_its_matter(server: Server) -> None:
    with kept():
        ask(server)
        with watching() as watch:
            pass
    assert watch.commands == 0


def test_what_comes_after_somebody_has_tampered_is_not_judged_and_what_came_before_is(server: Server) -> None:
    with kept(UNFENCED), watching() as watch:
        ask(server, "another")
        with server.tampering() as client:
            client.delete("{shop:orders:0}:lanes")
        ask(server)
    assert (watch.commands, watch.tampered, len(watch.wrong())) == (4, True, 1)


def test_what_is_done_past_the_audit_is_noticed(server: Server) -> None:
    """Such as by a process that keeps none, or by a test that does not say that it tampers."""
    with watching() as watch:
        with kept():
            ask(server)
        with server.client as client:
            client.hset("{shop:orders:0}:lanes", "g:read", 3)
    (wrong,) = watch.wrong()
    assert "SurveyPartition(" in wrong
    assert "read=3" in wrong


WRONG = Watch(1, False, [("a server", [Asked(Trim(SLOT), Released(7), 7)])])
ASKED = Watch(commands=3)
SILENT = Watch()
TAMPERED = Watch(tampered=True)


@pytest.mark.parametrize(
    ("watch", "passed", "tampers", "unheard", "words"),
    [
        (ASKED, True, False, False, None),
        (ASKED, True, False, True, "3 commands were"),
        (ASKED, True, True, False, "it says that it tampers"),
        (SILENT, True, False, False, "nothing was replayed"),
        (SILENT, True, False, True, None),
        (SILENT, False, False, False, None),  # it was skipped, or has failed for another reason
        (TAMPERED, True, True, False, None),
        (TAMPERED, True, False, False, "it does not say that it tampers"),
        (WRONG, True, False, False, "answers that are not by the law: 1"),
        (WRONG, False, True, True, "by the law Gone()"),
    ],
)
def test_a_test_is_told_what_is_wrong_with_it(
    watch: Watch, passed: bool, tampers: bool, unheard: bool, words: str | None
) -> None:
    complaint = watch.complaint(passed=passed, tampers=tampers, unheard=unheard)
    assert complaint is None if words is None else words in str(complaint)


TEST = """
import pytest

from tests.audit.scripts import UNFENCED, keep
from tests.audit.test_watch import ask
from tests.servers import Server, newest


@pytest.fixture
def server():
    server = Server(newest())
    yield server
    server.stop()


def test_that_passes(server):
    ask(server)


def test_that_does_not_look(server):
    keep(UNFENCED)
    ask(server, "another")
"""


def test_an_unlawful_answer_fails_the_test_that_it_was_given_to(tmp_path: Path) -> None:
    """With the very conftest of the integration tests, on a server that lacks the fence of commits."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests/integration/conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(TEST)
    options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "ERROR at teardown of test_that_does_not_look" in done.stdout
    assert "Commit(slot=PartitionSlot(stream='orders', partition=0), group='g', member='another'" in done.stdout
    assert "answers Committed()\nby the law Fenced(owner='m'" in done.stdout
