"""The code of the README runs, as it stands there, on a real server."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from segmenter import Retry, Segmenter, Worker
from segmenter.handlers import Handler
from tests.servers import Server

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

CREATED, PAID = "customer-42 b'created'\n", "customer-42 b'paid'\n"
SAID = (CREATED + PAID, "", CREATED, "", "")


def test_there_is_code_to_run() -> None:
    assert len(BLOCKS) == len(SAID)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_code_runs(number: int, newest_server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = BLOCKS[number].replace("redis://localhost:6379", newest_server.url).replace('"shop"', f'"{namespace}"')
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
