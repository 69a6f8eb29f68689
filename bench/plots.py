"""Figures as pictures: ``python -m bench.plots FIGURES.json FOLDER`` draws what ``--json`` has written.

Bars written out as SVG, so that a picture is text that can be compared, and nothing has to be installed for it.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from attrs import Factory, frozen

__all__ = ["Bar", "bars"]

WIDTH, LABEL, BAR, GAP, FIGURE = 910, 380, 18, 9, 120
INK, PALE, COLOURS = "#24292f", "#8c959f", ("#1f6feb", "#bc4c00")
RATED = ("produce in batches", "send, each awaited", "consume and settle")
SPENT = RATED


@frozen
class Bar:
    """A row: its parts stand one after the other."""

    label: str
    parts: Sequence[float]
    figure: str
    mark: float | None = None  # what was asked for


@frozen
class Picture:
    """A chart."""

    title: str
    rows: Sequence[Bar]
    legend: Sequence[str] = Factory(tuple)


def bars(picture: Picture) -> str:
    """Draw horizontal bars."""
    top = 58 if picture.legend else 40
    height = top + len(picture.rows) * (BAR + GAP) + 12
    longest = max([sum(row.parts) for row in picture.rows] + [row.mark or 0 for row in picture.rows]) or 1
    scale = (WIDTH - LABEL - FIGURE) / longest
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(16, 26, picture.title, size=15, weight="bold"),
        *_legend(picture.legend),
    ]
    for number, row in enumerate(picture.rows):
        lines += _row(row, top + number * (BAR + GAP), scale)
    return "\n".join([*lines, "</svg>", ""])


def _legend(names: Sequence[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        x = LABEL + number * 160
        yield f'<rect x="{x}" y="37" width="11" height="11" fill="{COLOURS[number]}"/>'
        yield _text(x + 16, 47, name, size=12)


def _row(row: Bar, y: float, scale: float) -> Iterator[str]:
    yield _text(LABEL - 10, y + 14, row.label, size=13, anchor="end")
    x = float(LABEL)
    for part, colour in zip(row.parts, COLOURS, strict=False):
        yield f'<rect x="{x:.1f}" y="{y}" width="{part * scale:.1f}" height="{BAR}" fill="{colour}"/>'
        x += part * scale
    if row.mark is not None:
        at = LABEL + row.mark * scale
        yield f'<line x1="{at:.1f}" y1="{y - 3}" x2="{at:.1f}" y2="{y + BAR + 3}" stroke="{INK}" stroke-width="2"/>'
        x = max(x, at)
    yield _text(x + 8, y + 14, row.figure, size=13)


def _text(x: float, y: float, words: str, *, size: int, anchor: str = "start", weight: str = "normal") -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{INK}"'
    return f'<text x="{x:.1f}" y="{y}" {style}>{escape(words)}</text>'


# --- what is drawn --------------------------------------------------------------------------------------------------


def ratios(results: Iterable[dict[str, Any]]) -> Picture:
    """How often as fast as plain redis-py, with what was asked for."""
    rows = [
        Bar(f"{row['way']}", [row["ratio"]], f"{row['ratio']:.2f}x", row["floor"])
        for row in results
        if row["question"] in RATED and row["ratio"] is not None
    ]
    return Picture("messages a second, against plain redis-py in the same run; the mark is what was asked for", rows)


def costs(results: Iterable[dict[str, Any]]) -> Picture:
    """Where the processor's time goes."""
    rows = [
        Bar(row["way"], [row["client_us"], row["server_us"]], f"{row['client_us']:.2f} + {row['server_us']:.2f}")
        for row in results
        if row["question"] in SPENT and row["client_us"] is not None
    ]
    return Picture("microseconds of processor time for a message", rows, ("client", "server"))


def growth(results: Iterable[dict[str, Any]]) -> Picture:
    """What more partitions do to the cost of a message."""
    rows = [
        Bar(f"{row['question'].split()[3]}, {row['way']}", [row["client_us"], row["server_us"]], f"{row['value']:.2f}")
        for row in results
        if row["question"].startswith("processor time to") and row["client_us"] is not None
    ]
    return Picture("microseconds for a message, by the number of partitions", rows, ("client", "server"))


def steps(results: Iterable[dict[str, Any]]) -> Picture:
    """The client's steps."""
    rows = [
        Bar(row["way"], [row["value"]], f"{row['value']:.0f} ns")
        for row in results
        if row["question"].startswith("steps")
    ]
    return Picture("steps of the client, for each message of a batch of 500", rows)


def peers(compared: Iterable[dict[str, Any]]) -> Picture:
    """Messages that two libraries, or more, handle and settle with one consumer."""
    rows = [
        Bar(f"{found['name']}: {what}", [rate / 1000], f"{rate / 1000:,.1f} k/s")
        for found in compared
        if found["not_measured"] is None
        for what, rates in (("send", found["send"]), ("handle", found["handle"]["1"]))
        for rate in [statistics.median(rates)]
    ]
    return Picture("thousand messages a second, the same job with one consumer", rows)


def main() -> None:
    figures, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {name: draw(figures["results"]) for name, draw in DRAWN.items()}
    if figures.get("peers"):
        drawn["peers"] = peers(figures["peers"])
    for name, picture in drawn.items():
        if picture.rows:
            (folder / f"{name}.svg").write_text(bars(picture))


DRAWN = {"ratios": ratios, "costs": costs, "growth": growth, "steps": steps}

if __name__ == "__main__":
    main()
