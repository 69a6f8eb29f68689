"""The Python of every page runs, as it stands there; what is quoted from an example stands in that example."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cyclopts import MissingArgumentError

from segmenter.cli.app import app
from tests.docs.site import ROOT, pages
from tests.servers import Server

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
QUOTED = re.compile(r"\]\(([\w/.-]+\.py)\):?\n\n```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:`|^\$ |^)segmenter ([^`|<>)\n]+)", re.MULTILINE)
EVERYWHERE = re.compile(r"(--url|--namespace|-o) \S+")  # options of every command
README = ROOT / "README.md"  # has a test of its own, which looks at what is printed
WITH_CODE = [page for page in pages() if page != README and BLOCK.search(page.read_text())]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_there_is_code_to_run() -> None:
    assert {"docs/tutorial.md", "docs/howto/handlers.md", "docs/howto/fencing.md"} <= {
        named(page) for page in WITH_CODE
    }


@pytest.mark.parametrize("page", WITH_CODE, ids=named)
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page: Path, newest_server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # where classes look for the names in their annotations
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGMENTER_URL", newest_server.url)
    for block in BLOCK.findall(QUOTED.sub("", page.read_text())):
        code = block.replace("redis://localhost:6379", newest_server.url).replace('"shop"', f'"{namespace}"')
        exec(compile(code, named(page), "exec"), vars(module))


@pytest.mark.parametrize("page", [page for page in WITH_CODE if QUOTED.search(page.read_text())], ids=named)
def test_what_is_quoted_stands_in_the_example(page: Path) -> None:
    for path, code in QUOTED.findall(page.read_text()):
        assert code.strip() in (page.parent / path).read_text(), path


@pytest.mark.parametrize("page", [page for page in pages() if COMMAND.search(page.read_text())], ids=named)
def test_the_command_lines_of_a_page_can_be_typed(page: Path) -> None:
    """Commands may be named without what they are about; options that are not there are a fault."""
    for words in COMMAND.findall(page.read_text()):
        with contextlib.suppress(MissingArgumentError):
            given = shlex.split(EVERYWHERE.sub("", words), comments=True)
            app.parse_args(given, exit_on_error=False, print_error=False)
