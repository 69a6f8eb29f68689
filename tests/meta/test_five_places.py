"""One command, one name, in five places: class with its law, Lua or queries, action, row of specs/README.md, test."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import segmenter.core
from segmenter.core.command import Command
from segmenter.core.transitions import IGNORED, TABLE

ROOT = Path(__file__).parents[2]
REDIS = ROOT / "backends" / "segmenter_redis"
SCRIPTS = REDIS / "scripts"
PLAIN = {"Probe": "probe_queries.py"}  # what is asked by plain queries
ROW = re.compile(r"^\| `(\w+)` \| core/(\w+) \| (\w+\.(?:lua|py)) \| (`\w+`|-) \|[^|]*\| ([\w, ]+) \|$", re.MULTILINE)


def _commands() -> Iterator[type[Command[Any, Any]]]:
    for module in pkgutil.iter_modules(segmenter.core.__path__):
        for value in vars(importlib.import_module(f"segmenter.core.{module.name}")).values():
            if inspect.isclass(value) and issubclass(value, Command) and value is not Command:
                yield value


COMMANDS = {command.__name__: command for command in _commands()}
ROWS = {row[0]: row[1:] for row in ROW.findall((ROOT / "specs" / "README.md").read_text())}
MODEL = ROOT / "specs" / "model"
ACTIONS = set(re.findall(r"^(\w+)(?:\(.*\))? ==", (MODEL / "Segmenter.tla").read_text(), re.MULTILINE))
SHIPPED = ROOT.glob("segmenter/testing/**/*.py")  # tests of every backend come with the library
TESTS = "\n".join(path.read_text() for path in [*SHIPPED, *ROOT.glob("tests/**/*.py")] if "meta" not in path.parts)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_the_table_lists_every_command_and_nothing_else() -> None:
    assert set(ROWS) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_stands_in_all_its_places(name: str) -> None:
    command, (module, lua, action, replies) = COMMANDS[name], ROWS[name]
    assert "apply" in vars(command)
    assert command.__module__ == f"segmenter.core.{module}"
    assert lua == PLAIN.get(name, f"{_snake(name)}.lua")
    assert (SCRIPTS / lua).is_file() or f": {name}\n" in (REDIS / lua).read_text()
    assert action == (f"`{name}`" if name in ACTIONS else "-")
    assert re.search(rf"\b{name}\(", TESTS), "no test uses it"
    returned = str(inspect.signature(command.apply).return_annotation)
    for reply in replies.split(", "):
        assert reply in returned or "Reply" in returned, f"{reply} is not what apply returns"


def test_no_script_is_without_a_command() -> None:
    assert {path.name for path in SCRIPTS.glob("*.lua")} == {
        f"{_snake(name)}.lua" for name in COMMANDS.keys() - PLAIN.keys()
    }


def _rows_of_the_specification() -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    text = (MODEL / "Table.tla").read_text()
    for state, rows in re.findall(r"^  (\w+) \|->((?:\n    .*)+)", text, re.MULTILINE):
        for symbol, following, action in re.findall(r'"(\w+)" +:> <<"(\w+)", "(\w+)">>', rows):
            yield (state, symbol), (following, action)


def test_the_specification_has_the_table_of_transitions_row_by_row() -> None:
    ours = {(state.name, symbol.name): (to.name, action.name) for (state, symbol), (to, action) in TABLE.items()}
    assert dict(_rows_of_the_specification()) == ours


def test_the_specification_ignores_what_the_machine_ignores() -> None:
    ignored = re.search(r"^Ignored == {(.*)}", (MODEL / "Table.tla").read_text(), re.MULTILINE)
    assert ignored is not None
    assert set(re.findall(r"\w+", ignored[1])) == {symbol.name for symbol in IGNORED}


def test_every_rule_that_can_be_left_out_is_a_mutant() -> None:
    weak = {rule for path in MODEL.glob("*.tla") for rule in re.findall(r'Weak\("([^"]+)"\)', path.read_text())}
    assert weak == set(tomllib.loads((MODEL / "mutants.toml").read_text()))
