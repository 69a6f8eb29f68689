"""Every link of every page leads somewhere, in the repository; the site's build looks after its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.site import ROOT, pages

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ELSEWHERE = ("http://", "https://", "mailto:")


def links(page: Path) -> Iterator[str]:
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        if not link.startswith(ELSEWHERE):
            yield link


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges and the site make them of plain words."""
    headings = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_of_the_documentation_is_in_the_list_of_pages() -> None:
    """A page that nothing leads to is not read."""
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in links(index)}
    assert {page for page in (ROOT / "docs").rglob("*.md") if page != index} - listed == set()


def test_every_page_of_the_list_has_its_place_on_the_site() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve().relative_to(ROOT) for link in links(index)}
    placed = {Path(path) for path in re.findall(r'"([\w/.-]+\.md)"', (ROOT / "zensical.toml").read_text())}
    assert listed == placed - {Path("index.md")}
