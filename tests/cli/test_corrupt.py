"""The command line with entries and headers that another program has written."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from segmenter import Segmenter
from segmenter.cli.codes import Exit
from tests.cli.golden import ran
from tests.servers import Server

HEADERS = b"\xff\x1b{"


@pytest.fixture
def place(newest_server: Server, namespace: str) -> list[str]:
    """The options that lead to a stream with messages, and with what is none."""
    given = ["--url", newest_server.url, "--namespace", namespace]
    assert ran([*given, "streams", "create", "orders", "--partitions", "1"])[0] == Exit.OK
    assert ran([*given, "send", "orders", "--key", "k"], b"one")[0] == Exit.OK
    with newest_server.client as client:
        for fields in (("foo\x1b", "secret"), ("d", "two", "k", "k", "h", HEADERS)):
            client.execute_command("XADD", f"{{{namespace}:orders:0}}:log", "*", *fields)
    return given


@pytest.mark.parametrize("output", ["table", "jsonl"])
def test_tail_names_what_is_no_message_beside_the_data(place: list[str], output: str) -> None:
    """What is on standard output can be sent again, and holds messages only."""
    code, out, err = ran([*place, "tail", "orders", "--no-follow", "-o", output])
    assert code == Exit.OK
    assert len(out.splitlines()) == 2
    assert "entry skipped stream=orders partition=0 id=1" in err
    assert "secret" not in out + err
    assert "\x1b" not in out + err
    assert "Traceback" not in err


def test_headers_that_are_none_are_shown_as_they_are(place: list[str]) -> None:
    _, out, _ = ran([*place, "tail", "orders", "--no-follow", "-o", "jsonl"])
    first, second = map(json.loads, out.splitlines())
    assert (first["headers"], second["data"], second["headers_base64"]) == ({}, "two", "/xt7")
    assert "headers" not in second
    _, out, _ = ran([*place, "tail", "orders", "--no-follow"])
    assert out.splitlines()[1].endswith("two  (corrupt headers: its field 'h' is no JSON object of texts)")
    code, _, err = ran([*place, "send", "orders", "--jsonl"], json.dumps(second).encode())
    assert (code, "there is no field 'headers_base64'" in err) == (1, True)


def test_dead_letters_with_such_headers_are_listed_and_shown(place: list[str]) -> None:
    async def reject_all() -> None:
        async with (
            Segmenter(place[1], namespace=place[3]) as segmenter,
            segmenter.register_consumer("orders", group="g", on_loss="continue") as consumer,
        ):
            for _ in range(2):
                (await anext(consumer)).reject("bad")
            await consumer.commit()

    asyncio.run(reject_all())
    code, out, _ = ran([*place, "dead", "ls", "orders", "g", "-o", "jsonl"])
    found: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert (code, found[1]["headers_base64"]) == (Exit.OK, "/xt7")
    code, out, _ = ran([*place, "dead", "show", "orders", "g", found[1]["id"]])
    assert code == Exit.OK
    assert "(corrupt headers: its field 'h' is no JSON object of texts)" in out
    assert ran([*place, "dead", "replay", "orders", "g", "--yes"])[0] == Exit.OK


def test_rebalances_pass_over_events_that_are_none(place: list[str], newest_server: Server) -> None:
    async def join() -> None:
        async with (
            Segmenter(place[1], namespace=place[3]) as segmenter,
            segmenter.register_consumer("orders", group="g"),
        ):
            pass

    asyncio.run(join())
    with newest_server.client as client:
        key = f"{{{place[3]}:orders}}:group:g:events"
        for fields in (("foo", "bar"), ("e", "freed", "p", "0", "x", "9" * 30), (b"e", b"\xff"), ("e", "changed")):
            client.execute_command("XADD", key, "*", *fields)
        client.execute_command("XADD", key, f"{2**64 - 2}-0", "e", "freed", "p", "0", "x", "9" * 16, "m", "a")
    code, out, err = ran([*place, "rebalances", "orders", "g"])
    assert (code, err) == (Exit.OK, "")
    assert "joined" in out
