"""What the plugin gives to tests of users: it is tried as they try it, in runs of pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs.site import ROOT
from tests.docs.test_code import BLOCK

TESTS = """
import asyncio
import time

import pytest
from segmenter import StreamFull, Worker
from segmenter.testing import check_ordering


async def test_a_full_stream_pushes_back(segmenter):
    orders = await segmenter.register_stream("orders", partitions=1, partition_size=2)
    await orders.send_many([("k", b"1"), ("k", b"2")])
    with pytest.raises(StreamFull):
        await orders.send("k", b"3")


async def test_an_hour_passes_in_a_moment(segmenter, virtual):
    began = time.monotonic()
    orders = await segmenter.register_stream("orders")
    async with segmenter.register_consumer("orders", group="billing") as consumer:
        await asyncio.sleep(3600)
        await orders.send("k", b"created")
        (await anext(consumer)).ack()
    assert virtual.now >= 3600
    assert time.monotonic() - began < 60


def test_a_plain_test_runs_what_it_likes(segmenter, virtual):
    stream = virtual.run(segmenter.register_stream("orders"))
    sent = virtual.run(stream.send("k", b"1"))
    assert sent.partition == stream.partition_of("k")


def test_handlers_keep_order(segmenter_seeds):
    worker = Worker(group="billing")

    @worker.handler("orders")
    async def bill(order):
        await asyncio.sleep(0.01)

    print("seeds", *segmenter_seeds)
    check_ordering(worker, seeds=segmenter_seeds)


class TestNothing:
    async def test_of_a_class(self, segmenter):
        assert await segmenter.streams() == []
"""


def ran(folder: Path, *arguments: str, tests: str = TESTS) -> str:
    (folder / "test_mine.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-W", "error", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tests_take_the_fixtures_without_any_other_plugin(tmp_path: Path) -> None:
    said = ran(tmp_path, "-p", "no:anyio", "-p", "no:randomly")
    assert "5 passed" in said
    assert f"seeds {' '.join(map(str, range(20)))}" in said


def test_a_seed_is_played_again(tmp_path: Path) -> None:
    assert "seeds 7\n" in ran(tmp_path, "--segmenter-seed=7")


def test_the_tests_on_the_page_pass(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "testing.md").read_text()
    blocks = BLOCK.findall(page[page.index("## Order") :])
    assert "4 passed" in ran(tmp_path, tests="\n".join(blocks))
