"""``segmenter bench``: its figures are never the same, its form is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from segmenter.cli.codes import Exit
from tests.cli.golden import ran
from tests.servers import Server, free_port, newest

SEGMENTER = Path(sys.executable).with_name("segmenter")
SHORT = ("bench", "--messages", "300", "--rounds", "1")


def left_behind(server: Server) -> list[bytes]:
    with server.client as client:
        return [key for key in client.scan_iter("{bench-*", count=1_000) if isinstance(key, bytes)]


def test_it_measures_beside_plain_redis_and_leaves_nothing_behind(newest_server: Server) -> None:
    code, out, err = ran(["--url", newest_server.url, *SHORT, "-o", "json"])
    assert (code, err) == (Exit.OK, "")
    rows = json.loads(out)
    assert [row["measure"] for row in rows] == [
        "send in batches",
        "consume and settle",
        "sent to handed out, median",
        "sent to handed out, 99 of 100",
    ]
    for row in rows:
        assert row["segmenter"] > 0
        assert row["ratio"] == round(row["segmenter"] / row["redis_py"], 3) or row["unit"] == "ms"
    assert left_behind(newest_server) == []


def test_both_versions_of_the_protocol_are_understood(oldest_server: Server) -> None:
    for version in ("2", "3"):
        code, out, _ = ran(["--url", f"{oldest_server.url}?protocol={version}", *SHORT])
        assert code == Exit.OK
        assert out.splitlines()[0].split() == ["MEASURE", "SEGMENTER", "REDIS-PY", "UNIT", "RATIO"]
    assert left_behind(oldest_server) == []


def test_without_redis_there_is_no_ratio() -> None:
    code, out, _ = ran(["--url", "memory://", *SHORT, "-o", "jsonl"])
    assert code == Exit.OK
    assert {json.loads(line)["ratio"] for line in out.splitlines()} == {None}


def test_nobody_there_is_5() -> None:
    assert ran(["--url", f"redis://127.0.0.1:{free_port()}", *SHORT])[0] == Exit.UNREACHABLE


def test_interrupted_it_leaves_nothing_behind() -> None:
    server = Server(newest())
    try:
        words = [str(SEGMENTER), "--url", server.url, "bench", "--rounds", "50"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while not left_behind(server):
                pass
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (Exit.INTERRUPTED, b"")
        assert left_behind(server) == []
    finally:
        server.stop()
