"""Pages that are made from the code: the tree of errors, the defaults, the tables of a member."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from segmenter import config, errors
from segmenter.core.retry import Retry
from segmenter.core.transitions import STANDINGS, TABLE
from segmenter.handlers import Handler
from tests.docs.drawing import MEMBER, PARTITION, drawn
from tests.docs.site import ROOT

__all__ = ["GENERATED", "write"]

NOTE = "<!-- Made by `python -m tests.docs --write`. -->\n\n"
HANDLER = ("key_concurrency", "batch", "on_exhausted")


# --- errors ---------------------------------------------------------------------------------------------------------


def _errors() -> str:
    """Every exception, each below its base."""
    intro = (
        "Expected trouble comes as an exception of its own, which names what it is about and the remedy. "
        "`retriable` says\nwhether the same call may succeed later without anything else being changed.\n"
    )
    return (
        f"# Errors\n\n{NOTE}{intro}{''.join(_sections(errors.SegmenterError, 2))}{''.join(_sections(errors.Reject, 2))}"
    )


def _sections(error: type[Exception], level: int) -> Iterator[str]:
    base = error.__mro__[1].__name__
    heading = f"\n{'#' * min(level, 4)} {error.__name__}\n\n"
    below = "" if base == "Exception" else f"{_article(base)} [{base}](#{base.lower()}). "
    yield heading + below + _prose(error) + _retriable(error) + "\n"
    for inner in sorted(error.__subclasses__(), key=lambda each: inspect.getsourcelines(each)[1]):
        if inner.__name__ in errors.__all__:
            yield from _sections(inner, level + 1)


def _article(name: str) -> str:
    return "An" if name[0] in "AEIOU" else "A"


def _prose(thing: object) -> str:
    """A docstring before its first section, as Markdown."""
    return (inspect.getdoc(thing) or "").partition("\nArgs:")[0].replace("``", "`").strip()


def _retriable(error: type[Exception]) -> str:
    return "\n\n*Retriable.*" if getattr(error, "retriable", False) else ""


# --- defaults -------------------------------------------------------------------------------------------------------


def _defaults() -> str:
    tables = [
        ("Streams", "Of `register_stream`; see [Segmenter](api.md).", _options(config.StreamOptions)),
        ("Consumers", "Of `register_consumer`, and of handlers.", _options(config.ConsumerOptions)),
        ("Handlers", "Of `worker.handler`, besides.", _options(Handler, HANDLER)),
        ("Retries", "Of `Retry`.", _options(Retry)),
        ("Limits", "What is beyond is refused by name.", _limits()),
    ]
    sections = [f"## {title}\n\n{words}\n\n| | |\n|---|---|\n{''.join(rows)}" for title, words, rows in tables]
    return f"# Defaults and limits\n\n{NOTE}" + "\n".join(sections)


def _options(of: type[attrs.AttrsInstance], names: tuple[str, ...] = ()) -> list[str]:
    return [
        f"| `{field.name.removesuffix('_s')}` | {_shown(field.default)}{' s' * field.name.endswith('_s')} |\n"
        for field in attrs.fields(of)
        if not names or field.name in names
    ]


def _limits() -> list[str]:
    found = [name for name in config.__all__ if name.startswith(("LIMIT_", "MIN_"))]
    return [f"| `{name}` | {_shown(getattr(config, name))} |\n" for name in found]


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else f"`{value!r}`"


# --- tables of a member ---------------------------------------------------------------------------------------------


def _tables() -> str:
    rows = [
        f"| {state.name} | {symbol.name} | {after.name} | {action.name} |\n"
        for (state, symbol), (after, action) in TABLE.items()
    ]
    turns = [f"| {standing.name} | {turn.name} | {after.name} |\n" for (standing, turn), after in STANDINGS.items()]
    return (
        f"# The tables of a member\n\n{NOTE}"
        "Nothing else decides a transition: `segmenter/core/transitions.py` holds these two tables, and the drawings\n"
        "are made from them. Symbols that may come at any time change nothing where they have no row; any other\n"
        "missing row is an error. Why things move at all: [the protocol](../../specs/protocol.md).\n\n"
        "## A partition, as a member sees it\n\n"
        "[![The states of a partition and what leads from one to the next](partition.svg)](partition.svg)\n\n"
        f"| state | what happened | next state | what is done |\n|---|---|---|---|\n{''.join(rows)}\n"
        "## A member in its group\n\n"
        "[![The standings of a member and what leads from one to the next](member.svg)](member.svg)\n\n"
        f"| standing | what happened | next standing |\n|---|---|---|\n{''.join(turns)}"
    )


def _partition() -> str:
    edges = [(state.name, symbol.name, after.name) for (state, symbol), (after, _) in TABLE.items()]
    return drawn(PARTITION, edges)


def _member() -> str:
    return drawn(MEMBER, [(standing.name, turn.name, after.name) for (standing, turn), after in STANDINGS.items()])


# --- all of them ----------------------------------------------------------------------------------------------------

GENERATED: dict[Path, Callable[[], str]] = {
    ROOT / "docs/reference/errors.md": _errors,
    ROOT / "docs/reference/defaults.md": _defaults,
    ROOT / "docs/explanation/tables.md": _tables,
    ROOT / "docs/explanation/partition.svg": _partition,
    ROOT / "docs/explanation/member.svg": _member,
}


def write() -> None:
    """Write them all."""
    for path, make in GENERATED.items():
        path.write_text(make())
