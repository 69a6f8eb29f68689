"""``segmenter doctor`` on real servers: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from segmenter.cli.app import run
from segmenter_redis import RedisBackend
from tests.servers import Server, free_port, newest


def examined(capsys: pytest.CaptureFixture[str], url: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["doctor", "--url", url, "-o", "json", *arguments])
    return code, {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}


def test_a_server_as_it_should_be_passes(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with server.client as client:
        client.config_set("appendonly", "yes")
    for protocol in ("2", "3"):
        code, findings = examined(capsys, f"{server.url}?protocol={protocol}")
        assert code == 0
        assert {finding["verdict"] for finding in findings.values()} == {"ok"}
        assert "everysec" in findings["persistence"]["found"]
        assert set(findings["rights"]) == {"check", "verdict", "found", "why", "remedy"}


def test_a_server_that_would_lose_data_fails_with_6(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with server.client as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    code, findings = examined(capsys, server.url)
    assert code == 6
    assert findings["eviction"]["remedy"].startswith("set it to noeviction")
    assert run(["doctor", "--url", server.url]) == 6
    printed = capsys.readouterr().out
    assert "✗ eviction" in printed
    assert "1 failed, 1 to look at" in printed


def test_a_user_without_rights_is_told_which_are_missing(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "~{shop:*", "+@all", "-xadd", "-info")
    code, findings = examined(capsys, f"redis://poor:pw@127.0.0.1:{server.port}", "--namespace", "shop")
    assert code == 6
    assert findings["rights"]["found"] == "not allowed: XADD, INFO"
    code, findings = examined(capsys, f"redis://poor:pw@127.0.0.1:{server.port}", "--namespace", "bank")
    assert "HSET" in findings["rights"]["found"]


def test_nobody_there_is_5_and_shows_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--url", f"redis://me:s3cret@127.0.0.1:{free_port()}"]) == 5
    said = capsys.readouterr()
    assert "check that the server runs" in said.err.replace("\n", " ")
    assert "s3cret" not in said.err + said.out


def test_bad_words_are_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--url", "ftp://host"]) == 2
    assert run(["doctor", "--url", "memory://", "--namespace", "a b"]) == 2
    assert run(["doctor", "--url", "memory://", "-o", "xml"]) == 2
    assert run(["doctor", "--url", "memory://"]) == 0
    assert "all is well" in capsys.readouterr().out


def test_the_same_is_warned_of_at_connecting_once(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(newest())

    async def connect_twice() -> None:
        backend = RedisBackend(server.url)
        for _ in range(2):
            await (await backend.session()).aclose()

    try:
        with caplog.at_level(logging.WARNING, "segmenter.redis"):
            asyncio.run(connect_twice())
    finally:
        server.stop()
    (record,) = caplog.records
    assert "no append-only file" in record.message
    assert "set appendonly yes" in record.message
