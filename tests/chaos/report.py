"""The report: a table on the terminal, the same as a picture, and the figures as data."""

from __future__ import annotations

import io
import json
from pathlib import Path

from attrs import asdict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.chaos.figures import Figures, Spread

__all__ = ["WIDTH", "show", "write"]

WIDTH = 110


def show(console: Console, title: str, it: Figures) -> None:
    """Print what came out."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("messages", f"{it.messages:,}")
    table.add_row("faults", f"{it.faults.total():,}")
    for kind, count in sorted(it.faults.items()):
        table.add_row(Text(f"  {kind}", style="dim"), Text(f"{count:,}", style="dim"))
    table.add_section()
    zeros = {
        "lost": it.lost,
        "reordered": it.reordered,
        "sent twice": it.doubled,
        "stale commits accepted": it.stale_accepted,
    }
    for name, count in zeros.items():
        table.add_row(name, Text(f"{count:,}", style="bold red" if count else "bold green"))
    table.add_section()
    table.add_row("stale commits refused", f"{it.stale_refused:,}")
    table.add_row("commits refused after a restart", f"{it.rolled_back:,}")
    table.add_row("repeated appends recognised", f"{it.repeated_appends:,}")
    table.add_row("handed out again", f"{it.redelivered:,}, {it.redelivered_share:.2%}")
    table.add_row("acknowledged too late, and told so", f"{it.acknowledged_late:,}")
    table.add_row("hand-off, release to claim: p50 / p90 / p99 / longest", _words(Spread.of(it.handoffs_ms)))
    table.add_row("recovery, kill to claim: p50 / p90 / p99 / longest", _words(Spread.of(it.recoveries_ms)))
    console.print(table)
    for what in it.broken:
        console.print(Text(what, style="bold red"))


def _words(spread: Spread | None) -> str:
    if spread is None:
        return "none"
    percentiles = f"{spread.median:g} / {spread.p90:g} / {spread.p99:g} / {spread.longest:g} ms"
    return f"{spread.count:,} of them, {percentiles}"


def write(folder: Path, title: str, it: Figures) -> None:
    """Leave the picture and the figures in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    show(console, title, it)
    console.save_svg(str(folder / "chaos.svg"), title="make chaos")
    spreads = {
        name: Spread.of(values) for name, values in (("handoff", it.handoffs_ms), ("recovery", it.recoveries_ms))
    }
    data = asdict(it, filter=lambda attribute, _: not attribute.name.endswith("_ms"))
    data |= {f"{name}_ms": asdict(spread) if spread else None for name, spread in spreads.items()}
    (folder / "chaos.json").write_text(json.dumps({"title": title, **data}, indent=2) + "\n", encoding="utf-8")
