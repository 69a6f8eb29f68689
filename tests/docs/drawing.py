"""Drawings of transition tables, as SVG: where the states stand is chosen here, what joins them is in the tables."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from attrs import frozen

__all__ = ["MEMBER", "PARTITION", "Layout", "drawn"]

Edge = tuple[str, str, str]  # from, by, to

HALF_WIDTH = 62
HALF_HEIGHT = 19
LINE = 14  # height of a label's line
STYLE = (
    "text{font:600 13px system-ui,sans-serif;text-anchor:middle;fill:#1f2933}"
    "text.by{font:12px system-ui,sans-serif;fill:#374151}text.halo{stroke:#fff;stroke-width:4px}"
    "rect{fill:#e8f0fe;stroke:#3b5bdb;stroke-width:1.5}"
    "path.way{fill:none;stroke:#6b7280;stroke-width:1.2;marker-end:url(#tip)}"
)
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#6b7280"/></marker></defs>'
)


@frozen
class Layout:
    """Where states stand, how far ways bend to their left (30 unless told), and where on them words stand."""

    size: tuple[int, int]
    places: Mapping[str, tuple[int, int]]
    bends: Mapping[tuple[str, str], int]
    words: Mapping[tuple[str, str], float]  # 0.5 unless told, which is half the way


PARTITION = Layout(
    (900, 660),
    {
        "FREE": (110, 330),
        "WAITING": (450, 60),
        "CLAIMING": (450, 210),
        "OWNED": (780, 210),
        "ABANDONING": (450, 415),
        "DRAINING": (780, 610),
        "RELEASING": (450, 610),
    },
    {
        ("FREE", "CLAIMING"): -20,
        ("CLAIMING", "FREE"): -20,
        ("WAITING", "FREE"): -50,
        ("CLAIMING", "ABANDONING"): 45,
        ("ABANDONING", "CLAIMING"): 45,
        ("OWNED", "FREE"): 66,
        ("DRAINING", "FREE"): 12,
        ("ABANDONING", "FREE"): 0,
        ("OWNED", "DRAINING"): 0,
        ("DRAINING", "RELEASING"): 0,
        ("CLAIMING", "OWNED"): 0,
        ("ABANDONING", "RELEASING"): 0,
    },
    {
        ("OWNED", "FREE"): 0.22,
        ("DRAINING", "FREE"): 0.36,
        ("ABANDONING", "RELEASING"): 0.6,
        ("CLAIMING", "ABANDONING"): 0.4,
        ("ABANDONING", "CLAIMING"): 0.6,
        ("ABANDONING", "FREE"): 0.35,
        ("RELEASING", "FREE"): 0.6,
        ("FREE", "RELEASING"): 0.7,
    },
)
MEMBER = Layout(
    (900, 430),
    {
        "OUTSIDE": (110, 215),
        "JOINING": (450, 60),
        "LEAVING": (450, 215),
        "STABLE": (780, 215),
        "DISPLACED": (450, 370),
    },
    {("JOINING", "DISPLACED"): 103, ("LEAVING", "DISPLACED"): 0, ("STABLE", "OUTSIDE"): 108, ("STABLE", "LEAVING"): 0},
    {
        ("JOINING", "DISPLACED"): 0.3,
        ("STABLE", "LEAVING"): 0.3,
        ("STABLE", "OUTSIDE"): 0.6,
        ("LEAVING", "DISPLACED"): 0.4,
        ("DISPLACED", "OUTSIDE"): 0.4,
    },
)


def drawn(layout: Layout, edges: Iterable[Edge]) -> str:
    """Return the drawing; several ways from one state to another share a line."""
    ways: dict[tuple[str, str], list[str]] = defaultdict(list)
    for origin, by, target in edges:
        ways[origin, target].append(by)
    width, height = layout.size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<style>{STYLE}</style>{TIP}",
        f'<path d="M0 0H{width}V{height}H0z" fill="#fff"/>',
        *(_way(layout, *way) for way in ways),
        *(_label(layout, *way, words) for way, words in ways.items()),
        *(_state(name, *place) for name, place in layout.places.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _state(name: str, x: int, y: int) -> str:
    corner = f'x="{x - HALF_WIDTH}" y="{y - HALF_HEIGHT}"'
    box = f'<rect {corner} width="{2 * HALF_WIDTH}" height="{2 * HALF_HEIGHT}" rx="9"/>'
    return f'{box}<text x="{x}" y="{y + 4}">{name}</text>'


def _way(layout: Layout, origin: str, target: str) -> str:
    x, y = layout.places[origin]
    if origin == target:
        right = x + HALF_WIDTH
        loop = f"M{right - 30} {y - HALF_HEIGHT}C{right - 10} {y - 62} {right + 50} {y - 40} {right} {y - 8}"
        return f'<path class="way" d="{loop}"/>'
    bend_x, bend_y = _bend(layout, origin, target)
    (from_x, from_y), (to_x, to_y) = _rim((x, y), (bend_x, bend_y)), _rim(layout.places[target], (bend_x, bend_y))
    return f'<path class="way" d="M{from_x:.0f} {from_y:.0f}Q{bend_x:.0f} {bend_y:.0f} {to_x:.0f} {to_y:.0f}"/>'


def _bend(layout: Layout, origin: str, target: str) -> tuple[float, float]:
    """The control point of a way: aside of the middle, to the left of whoever goes."""
    (x, y), (to_x, to_y) = layout.places[origin], layout.places[target]
    along_x, along_y = to_x - x, to_y - y
    length, aside = math.hypot(along_x, along_y), 2 * layout.bends.get((origin, target), 30)
    return (x + to_x) / 2 + aside * along_y / length, (y + to_y) / 2 - aside * along_x / length


def _rim(centre: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Where the line from a state's centre leaves its box."""
    along_x, along_y = towards[0] - centre[0], towards[1] - centre[1]
    share = min(HALF_WIDTH / abs(along_x or 1e-9), HALF_HEIGHT / abs(along_y or 1e-9))
    return centre[0] + along_x * share, centre[1] + along_y * share


def _label(layout: Layout, origin: str, target: str, words: list[str]) -> str:
    """What leads along a way."""
    x, y = _words_at(layout, origin, target)
    first = y + 4 - LINE * (len(words) - 1) / 2
    lines = [(f'x="{x:.0f}" y="{first + LINE * number:.0f}"', word) for number, word in enumerate(words)]
    return "".join(f'<text class="by {kind}" {at}>{word}</text>' for kind in ("halo", "word") for at, word in lines)


def _words_at(layout: Layout, origin: str, target: str) -> tuple[float, float]:
    (x, y), (to_x, to_y) = layout.places[origin], layout.places[target]
    if origin == target:
        return x + HALF_WIDTH + 50, y - 46
    bend_x, bend_y = _bend(layout, origin, target)
    gone = layout.words.get((origin, target), 0.5)
    left = 1 - gone
    here, between, there = left * left, 2 * left * gone, gone * gone
    return here * x + between * bend_x + there * to_x, here * y + between * bend_y + there * to_y
