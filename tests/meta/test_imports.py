"""Importing the library is cheap, and brings nothing that is not used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import segmenter

ALL_EXTRAS = {"cyclopts", "fakeredis", "hiredis", "hypothesis", "pytest", "rich", "uvloop"}
BACKENDS = {"redis", "segmenter_memory", "segmenter_redis"}
HEAVY = {"asyncio", "attr", "email", "importlib.metadata", "json", "logging", "socket", "ssl", "threading"}
UNUSED = {"segmenter.cli", "segmenter.testing", "multiprocessing", "unittest"}
IMPORTS = {
    "import segmenter": ALL_EXTRAS | BACKENDS | UNUSED | HEAVY | {"segmenter.segmenter", "segmenter.core"},
    "from segmenter import Segmenter": ALL_EXTRAS | BACKENDS | UNUSED | {"segmenter.sync"},
    "from segmenter import sync": ALL_EXTRAS | BACKENDS | UNUSED,
    "import segmenter; segmenter.Segmenter('memory://')": ALL_EXTRAS | {"redis", "segmenter_redis"} | UNUSED,
    "import segmenter.testing": ALL_EXTRAS | BACKENDS | HEAVY | {"segmenter.core", "segmenter.testing.virtual"},
}


@pytest.mark.parametrize(("statement", "unwanted"), IMPORTS.items(), ids=IMPORTS)
def test_an_import_brings_only_what_it_uses(statement: str, unwanted: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert unwanted & set(loaded.stdout.split()) == set()


def test_the_plugin_of_pytest_brings_nothing_that_pytest_has_not_brought() -> None:
    """Whoever installs the library gets it in every run of pytest, of whatever project."""
    code = (
        "import pytest, sys; before = {*sys.modules}; import segmenter.testing.plugin; print(*{*sys.modules} - before)"
    )
    loaded = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) == {
        "segmenter",
        "segmenter.errors",
        "segmenter.homes",
        "segmenter.testing",
        "segmenter.testing.plugin",
    }


def test_every_public_name_is_found_where_it_is_said_to_be() -> None:
    assert [name for name in segmenter.__all__ if getattr(segmenter, name).__name__ != name] == []
    assert set(segmenter.__all__) <= set(dir(segmenter))


def test_a_name_that_is_not_there_is_refused_as_usual() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        segmenter.Segmentor  # type: ignore[attr-defined]  # noqa: B018
