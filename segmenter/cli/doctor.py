"""``segmenter doctor``: what is wrong with a server, why it matters, what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from attrs import asdict
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from segmenter.checkup import Finding
from segmenter.cli.codes import Exit
from segmenter.cli.place import Here
from segmenter.config import check_namespace
from segmenter.connect import backend_for

__all__ = ["doctor"]

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failure": ("✗", "red")}


@runtime_checkable
class Examinable(Protocol):
    """A backend that can tell what is well with it."""

    async def examine(self) -> Sequence[Finding]:
        """Look at everything that can be looked at."""
        ...


def doctor(*, place: Here) -> int:
    """Examine a server: what is wrong, why it matters, what to do.

    Nothing is changed at the server. The exit code is 6 if a check fails, 5 if nobody answers.
    """
    findings = asyncio.run(_examine(place.url, place.namespace))
    if place.output == "table":
        _show(findings, place.printer.out)
    else:
        place.printer.rows(_as_objects(findings), (), "")
    return Exit.CHECK_FAILED if any(finding.verdict == "failure" for finding in findings) else Exit.OK


async def _examine(url: str | None, namespace: str) -> Sequence[Finding]:
    """Return what is found at a URL.

    Raises:
        InvalidArgument: there is no such URL or namespace.
        BackendError: nobody answers there, or user and password are wrong.
    """
    backend = backend_for(url, check_namespace(namespace))
    if isinstance(backend, Examinable):
        return await backend.examine()
    return [Finding("backend", "ok", f"{type(backend).__name__}: nothing to examine")]


def _as_objects(findings: Sequence[Finding]) -> list[dict[str, str]]:
    fields = ("check", "verdict", "found", "why", "remedy")
    return [{name: value for name, value in asdict(finding).items() if name in fields} for finding in findings]


def _show(findings: Sequence[Finding], console: Console) -> None:
    """Print one line for each finding, and for those that are not well why and what to do."""
    for finding in findings:
        console.print(_line(finding))
    console.print(_summary(findings))


def _line(finding: Finding) -> Group:
    mark, colour = MARKS[finding.verdict]
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=12)
    table.add_column(overflow="fold")
    table.add_row(Text(mark, style=colour), Text(finding.check, style="bold"), Text(finding.found))
    if finding.verdict == "ok":
        return Group(table)
    advice = Text.assemble((finding.verdict, colour), f": {finding.why}", "\n", ("do: ", "bold"), finding.remedy)
    return Group(table, Padding(advice, (0, 0, 0, 15)))


def _summary(findings: Sequence[Finding]) -> Text:
    counts = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in MARKS}
    if counts["failure"]:
        return Text(f"{counts['failure']} failed, {counts['warning']} to look at", style="bold red")
    if counts["warning"]:
        return Text(f"nothing failed, {counts['warning']} to look at", style="bold yellow")
    return Text("all is well", style="bold green")
