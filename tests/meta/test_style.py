"""Sizes, leftovers and names: what a reviewer should not have to look for."""

from __future__ import annotations

import ast
import inspect
import re
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

import segmenter

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("segmenter/**/*.py"), *ROOT.glob("backends/**/*.py")])
TESTS = sorted(ROOT.glob("tests/**/*.py"))
FOLDERS = (".ci", "backends", "bench", "changelog.d", "docs", "examples", "segmenter", "specs", "tests")
KINDS = {".cfg", ".ini", ".json", ".jsonl", ".lua", ".md", ".py", ".svg", ".tla", ".toml", ".txt", ".yaml", ".yml", ""}
TEXTS = sorted(
    path
    for path in (*ROOT.glob("*"), *(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*")))
    if path.is_file()
    and path.suffix in KINDS
    and path != Path(__file__)
    and not path.name.startswith((".coverage", ".git"))
)
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b|\btime\.sleep\b|unittest\.mock|import mock")
MACHINE_PATHS = re.compile(r"/(work|farm|root|home)/")
SKIPS = re.compile(r"pytest\.(skip\(|importorskip|mark\.skip|mark\.xfail|xfail)")
# Virtual time passes in no time; where time is real, giving way to the loop is all that is allowed.
REAL_TIME = ("blocking", "cli", "conformance", "core", "integration", "stateful")
REAL_SLEEPS = re.compile(r"asyncio\.sleep\((?!0\))")

LIMIT_FILE = 400
LIMIT_FUNCTION = 60
LIMIT_FUNCTION_P90 = 25


def _function_lengths() -> Iterator[tuple[int, str]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node) is not None
                first = node.body[1] if docstring and len(node.body) > 1 else node.body[0]
                yield (node.end_lineno or 0) - first.lineno + 1, f"{path.name}:{node.name}"


def _found(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    return [f"{path.relative_to(ROOT)}: {match[0]}" for path in paths for match in pattern.finditer(path.read_text())]


def test_files_are_short_enough_to_be_read() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in long.items() if lines > LIMIT_FILE} == {}


def test_functions_are_short() -> None:
    lengths = sorted(_function_lengths())
    assert lengths[-1][0] <= LIMIT_FUNCTION, lengths[-3:]
    assert statistics.quantiles([length for length, _ in lengths], n=10)[-1] <= LIMIT_FUNCTION_P90


def test_nothing_is_left_over() -> None:
    assert _found(LEFTOVERS, TEXTS) == []


def test_no_path_of_a_machine_is_written_down() -> None:
    assert _found(MACHINE_PATHS, TEXTS) == []


def test_no_test_is_skipped_but_for_a_missing_server() -> None:
    assert _found(SKIPS, [path for path in TESTS if path != Path(__file__)]) == ["tests/conftest.py: pytest.skip("]


def test_no_test_sleeps_where_time_is_real() -> None:
    """A sleep is either too short, and the test fails now and then, or too long, and everybody waits."""
    assert _found(REAL_SLEEPS, [path for path in TESTS if path.relative_to(ROOT).parts[1] in REAL_TIME]) == []


def test_every_public_name_says_what_it_is() -> None:
    assert len(segmenter.__all__) == len(set(segmenter.__all__))
    silent = []
    for name in segmenter.__all__:
        thing = getattr(segmenter, name)
        silent += [name] if not inspect.getdoc(thing) else []
        for member, value in vars(thing).items():
            function = value.fget if isinstance(value, property) else value
            if not member.startswith("_") and inspect.isfunction(function) and not function.__doc__:
                silent.append(f"{name}.{member}")
    assert silent == []


def test_every_public_function_is_annotated_throughout() -> None:
    bare = []
    for name in segmenter.__all__:
        for member, value in vars(getattr(segmenter, name)).items():
            if inspect.isfunction(value) and not member.startswith("_"):
                signature = inspect.signature(value)
                parameters = [each for each in signature.parameters.values() if each.name != "self"]
                annotations = [signature.return_annotation, *(each.annotation for each in parameters)]
                bare += [f"{name}.{member}"] * (inspect.Signature.empty in annotations)
    assert bare == []
