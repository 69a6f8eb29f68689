"""The code of the README runs, as it stands there, on a real server."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from segmenter import Retry, Segmenter, Worker, sync
from segmenter.handlers import Handler
from tests.servers import Server

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

CREATED, PAID = "customer-42 b'created'\n", "customer-42 b'paid'\n"
SAID = ("", CREATED, "", "")  # by the blocks after the first, which goes on until Ctrl-C
LIMIT_S = 30


def test_there_is_code_to_run() -> None:
    assert len(BLOCKS) == 1 + len(SAID)


def _placed(code: str, server: Server, namespace: str) -> str:
    return code.replace("redis://localhost:6379", server.url).replace('"shop"', f'"{namespace}"')


def test_the_first_program_is_twelve_lines_and_goes_on_until_ctrl_c(newest_server: Server, namespace: str) -> None:
    """Who starts it ten times sees partitions move, which needs programs that do not end."""
    assert len([line for line in BLOCKS[0].splitlines() if line]) == 12
    command = [sys.executable, "-u", "-c", _placed(BLOCKS[0], newest_server, namespace)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() + process.stdout.readline() == CREATED + PAID
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_S)
    finally:
        process.kill()
        process.communicate()
    with sync.Segmenter(newest_server.url, namespace=namespace) as seg:
        assert seg.describe("orders", "billing").lag == 0, "what was acknowledged is stored"
        assert seg.describe("orders", "billing").members == (), "and it has left its group"


@pytest.mark.parametrize("number", range(len(SAID)))
def test_the_code_runs(number: int, newest_server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = _placed(BLOCKS[1 + number], newest_server, namespace)
    said, module = io.StringIO(), ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)  # where classes look for the names in their annotations
    with contextlib.redirect_stdout(said):
        exec(compile(code, "README.md", "exec"), vars(module))
    assert said.getvalue() == SAID[number]


def test_the_table_of_defaults_is_right() -> None:
    """A default that changes without its row would be a promise broken silently."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", README, re.MULTILINE))
    known: dict[str, Any] = {
        **{field.name: field for field in (*attrs.fields(Handler), *attrs.fields(Retry))},
        **inspect.signature(Segmenter.register_stream).parameters,
        **inspect.signature(Segmenter.register_consumer).parameters,
        **inspect.signature(Worker.__init__).parameters,
    }
    for name, shown in rows.items():
        default = known[name].default
        plain = shown.replace(",", "").removesuffix(" s").strip('`"')
        assert str(default) == plain or float(plain) == default, name
