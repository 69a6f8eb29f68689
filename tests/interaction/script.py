"""Scripts: comments, commands, and below each command the trace that it produced.

A line that begins with ``> `` is a command, one that begins with ``#`` a comment; comments and empty lines end a trace.
``> quietly ...`` shows nothing of what follows from a command, ``> tally ...`` how often each thing happened, and
``> new stage`` clears everything away: what follows is a story of its own.
"""

from __future__ import annotations

import difflib
from functools import partial
from pathlib import Path

from tests.interaction import commands, misfortunes
from tests.interaction.language import perform
from tests.interaction.stage import Stage, on_stage

__all__ = ["difference", "play", "rewrite"]

VOCABULARY = (commands, misfortunes)  # importing them makes their commands known
NEW_STAGE = "> new stage"


def play(text: str) -> str:
    """Return a script with the trace that its commands produce, whatever trace it had."""
    lines: list[str] = []
    for scene in _scenes(_without_traces(text)):
        lines += on_stage(partial(_played, scene))
    return "\n".join(lines) + "\n"


async def _played(scene: list[str], stage: Stage) -> list[str]:
    lines: list[str] = []
    for line in scene:
        lines.append(line)
        if line.startswith("> ") and line != NEW_STAGE:
            lines += await _traced(stage, line.removeprefix("> "))
    return lines


def _scenes(lines: list[str]) -> list[list[str]]:
    """The parts of a script that play on stages of their own."""
    scenes: list[list[str]] = [[]]
    for line in lines:
        if line == NEW_STAGE:
            scenes.append([])
        scenes[-1].append(line)
    return scenes


async def _traced(stage: Stage, command: str) -> list[str]:
    manner, _, rest = command.partition(" ")
    if manner not in ("quietly", "tally"):
        return await stage.trace_of(perform(stage, command))
    await stage.trace_of(perform(stage, rest))
    return stage.tally() if manner == "tally" else []


def _without_traces(text: str) -> list[str]:
    kept: list[str] = []
    in_trace = False
    for line in text.splitlines():
        if line.startswith("> "):
            in_trace = True
        elif not line or line.startswith("#"):
            in_trace = False
        elif in_trace:
            continue
        kept.append(line)
    return kept


def difference(path: Path) -> str:
    """Play a script; return a unified diff from what it expects to what happened, empty if they are the same."""
    expected = path.read_text()
    lines = difflib.unified_diff(
        expected.splitlines(), play(expected).splitlines(), f"{path.name}, as expected", "as it happened", lineterm=""
    )
    return "\n".join(lines)


def rewrite(path: Path) -> None:
    """Make what happens the expectation."""
    path.write_text(play(path.read_text()))
