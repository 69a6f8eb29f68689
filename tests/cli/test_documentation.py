"""``docs/cli.md`` says what is so: every command, and the names in its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from segmenter.cli.app import app
from segmenter.cli.codes import Exit
from tests.cli.golden import play, ran
from tests.servers import Server

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
EXAMPLES = {
    words: json.loads(text) for words, text in re.findall(r"^`segmenter ([\w ]+)`.*\n\n```json\n(.*)$", PAGE, re.M)
}

# What brings each example about; the last command's output is compared with the page.
BEFORE = """\
$ segmenter streams create orders --partitions 1

$ segmenter send orders --jsonl
< {"key": "k", "data": "x", "headers": {"kind": "number"}}

% a consumes orders as billing

"""
SET_ASIDE = """\
$ segmenter send orders --jsonl
< {"key": "p", "data": "bad", "headers": {"kind": "number"}}
< {"key": "d", "data": "hopeless", "headers": {"kind": "number"}}

% a handles 3 messages of orders as billing

"""
COMMANDS = {
    "send": 'send orders --jsonl -o jsonl\n< {"key": "k", "data": "x"}',
    "tail": "tail orders --from earliest -n 1 -o jsonl",
    "streams ls": "streams ls -o jsonl",
    "streams describe": "streams describe orders -o jsonl",
    "groups ls": "groups ls -o jsonl",
    "groups describe": "groups describe orders billing -o jsonl",
    "groups reset": "groups reset orders billing --to latest -o jsonl",
    "parked ls": "parked ls orders billing -o jsonl",
    "parked redrive": "parked redrive orders billing -o jsonl",
    "parked purge": "parked purge orders billing -o jsonl",
    "dead ls": "dead ls orders billing -o jsonl",
    "dead replay": "dead replay orders billing -o jsonl",
    "dead purge": "dead purge orders billing -o jsonl",
    "rebalances": "rebalances orders billing -o jsonl",
    "demo": "demo --rate 1500 --work-ms 0 --session 0.3 -o jsonl",
    "doctor": "doctor -o jsonl",
    "bench": "bench --messages 10 --rounds 1 -o jsonl",
    "verify": "verify --stories 1 -o jsonl",
}


NOT_ALWAYS = {"away"}  # lists that are empty in this story, and in the example are not


def names(value: Any) -> Any:
    """The names of an object, and of those in it."""
    if isinstance(value, dict):
        return {name: None if name in NOT_ALWAYS else names(inner) for name, inner in value.items()}
    return [names(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else None


def test_there_is_an_example_for_every_form() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS)
def test_an_example_has_the_names_that_are_printed(words: str, newest_server: Server, namespace: str) -> None:
    """Programs are written from this page."""
    before = BEFORE + (SET_ASIDE if words.startswith(("parked", "dead")) else "")
    told = play(f"{before}$ segmenter {COMMANDS[words]}\n", newest_server.url, namespace)
    line = max((line for line in told.splitlines() if line.startswith("{")), key=len)  # whose lists are not empty
    printed = json.loads(re.sub(r"\b(T|n{16})(?=[,}])", "0", line))
    assert names(printed) == names(EXAMPLES[words])


def test_every_command_is_on_the_page() -> None:
    table = PAGE.partition("## Options")[0]
    assert [name for name in app if not name.startswith("-") and f"| `{name}" not in table] == []


def test_every_exit_code_is_on_the_page() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.M)] == [int(code) for code in Exit]


def test_what_tail_prints_can_be_sent_again(newest_server: Server, namespace: str) -> None:
    place = ["--url", newest_server.url, "--namespace"]
    for name in (namespace, f"{namespace}.copy"):
        ran([*place, name, "streams", "create", "orders", "--partitions", "3"])
    lines = (
        b'{"key": "k", "data": "x\\t\\u001b", "headers": {"h": "v"}}\n{"key_base64": "/w==", "data_base64": "AP8="}\n'
    )
    assert ran([*place, namespace, "send", "orders", "--jsonl"], lines)[0] == 0
    code, printed, _ = ran([*place, namespace, "tail", "orders", "--no-follow", "-o", "jsonl"])
    assert code == 0
    assert ran([*place, f"{namespace}.copy", "send", "orders", "--jsonl"], printed.encode())[0] == 0
    _, again, _ = ran([*place, f"{namespace}.copy", "tail", "orders", "--no-follow", "-o", "jsonl"])

    def content(text: str) -> list[Any]:
        rows = [json.loads(line) for line in text.splitlines()]
        return sorted((row | {"id": "", "timestamp": ""} for row in rows), key=str)

    assert content(again) == content(printed)
    assert len(content(again)) == 2


def test_dead_letters_that_were_listed_can_be_sent_again(newest_server: Server, namespace: str) -> None:
    told = play(f"{BEFORE}{SET_ASIDE}$ segmenter dead ls orders billing -o jsonl\n", newest_server.url, namespace)
    (letter,) = [line for line in told.splitlines() if line.startswith("{")]
    place = ["--url", newest_server.url, "--namespace", namespace]
    code, _, said = ran([*place, "send", "orders", "--jsonl"], letter.encode())
    assert (code, said) == (0, "1 sent to orders\n")
