"""The site of the documentation: the repository's pages, staged under the paths they have, and built strictly."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "build", "pages", "stage"]

ROOT = Path(__file__).parents[2]
STAGED = ROOT / "build" / "pages"
FOLDERS = ("docs", "specs", "examples")
ROOTED = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "NOTICE", "LICENSE")
KINDS = {".md", ".py", ".svg"}
BUILD_S = 120


def pages() -> list[Path]:
    """Every page that a reader may come to, on the site or in the repository."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *_files({".md"})]


def _files(kinds: set[str]) -> list[Path]:
    return sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in kinds and "__pycache__" not in path.parts
    )


def stage() -> None:
    """Copy the pages to where the site is built from, so that relative links lead to the same things."""
    shutil.rmtree(STAGED, ignore_errors=True)
    for source in [*_files(KINDS), *(ROOT / name for name in ROOTED)]:
        target = STAGED / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (STAGED / "index.md").write_text(_first_screen((ROOT / "README.md").read_text()))


def _first_screen(readme: str) -> str:
    return readme.partition("\n## Workers\n")[0] + "\n\n[All pages](docs/README.md)\n"


def build() -> subprocess.CompletedProcess[str]:
    """Build the site into ``site/``; whatever would be a warning is a failure."""
    stage()
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S, check=False)
