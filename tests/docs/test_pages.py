"""Pages that are made from the code are those that the code makes; the site builds without a warning."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import segmenter
from segmenter import errors
from segmenter.core.transitions import STANDINGS, TABLE
from tests.docs.generated import GENERATED
from tests.docs.site import ROOT, build, pages
from tests.meta.test_two_apis import INTERNAL, METHODS

REMOTE = re.compile(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*"')


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    assert path.read_text() == GENERATED[path](), "run: python -m tests.docs --write"


@pytest.mark.parametrize(("name", "table"), [("partition", TABLE), ("member", STANDINGS)])
def test_a_drawing_shows_every_state_and_every_row(name: str, table: dict[tuple[object, object], object]) -> None:
    drawing = ET.parse(ROOT / "docs" / "explanation" / f"{name}.svg")
    words = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text") if text.get("class") == "by word"]
    states = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text") if text.get("class") is None]
    assert sorted(map(str, words)) == sorted(symbol.name for _, symbol in table)  # type: ignore[attr-defined]
    assert set(states) == {state.name for state, _ in table}  # type: ignore[attr-defined]


def test_every_public_name_is_on_a_page_of_the_reference() -> None:
    api = (ROOT / "docs" / "reference" / "api.md").read_text()
    tree = (ROOT / "docs" / "reference" / "errors.md").read_text()
    names = set(segmenter.__all__) - set(errors.__all__)
    assert {name for name in names if f"::: segmenter.{name}\n" not in api} == set()
    assert {name for name in errors.__all__ if f"# {name}\n" not in tree} == set()


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere() -> None:
    """A broken link of a page is a warning; so is a name of the API that is not there."""
    built = build()
    assert built.returncode == 0, built.stdout + built.stderr
    made = list((ROOT / "site").rglob("*.html"))
    assert len(made) >= len(pages()) - 4
    assert {match for page in made for match in REMOTE.findall(page.read_text())} == set()
    reference = (ROOT / "site" / "docs" / "reference" / "api.html").read_text()
    assert "Append a message, and return when the server has it." in reference, "docstrings are on the page"
    shown = set(re.findall(r'id="segmenter\.(\w+\.\w+)"', reference))
    called = {name for name, *_ in METHODS if "._" not in name} - {"Stream.outgoing"}  # which forward() calls
    assert called <= shown, "all that users call"
    assert shown & INTERNAL == set(), "what objects offer to each other is nobody else's matter"
