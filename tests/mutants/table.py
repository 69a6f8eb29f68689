"""The table of mutants in docs/mutants.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.mutants.mutant import ROOT
from tests.mutants.runner import Verdict

__all__ = ["listed", "write_table"]

PAGE = ROOT / "docs" / "mutants.md"
HEAD = """# Mutants

What would notice if a safeguard were taken out: each row is a change that was made to a copy of the code, and the test
that failed there. The first column says what the safeguard is for: a promise, an invariant or a rule of
[the protocol](../specs/protocol.md). Without any change all of these tests pass. CI tries every mutant, and fails if
one of them is not noticed. `.venv/bin/python -m tests.mutants --write` writes this table.

| for | the code with the safeguard taken out | in | caught by | seconds |
|---|---|---|---|---|
"""
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|", re.MULTILINE)


def write_table(verdicts: Sequence[Verdict]) -> None:
    """Write a row for each verdict."""
    PAGE.write_text(HEAD + "".join(map(_row, verdicts)))


def _row(verdict: Verdict) -> str:
    mutant = verdict.mutant
    return f"| {mutant.keeps} | {mutant.name} | `{mutant.file}` | `{verdict.caught_by}` | {verdict.run.seconds:.1f} |\n"


def listed() -> list[tuple[str, str, str]]:
    """What each mutant of the table keeps, its name, and its file."""
    return ROW.findall(PAGE.read_text())
