"""The language of the scripts: a command is found by its words, and each is a function that registers itself here."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from tests.interaction.stage import Stage

__all__ = ["GROUP", "STREAM", "UnknownCommand", "perform", "says"]

STREAM, GROUP = "orders", "g"  # what a command speaks of unless it names another group

Handler = Callable[..., Awaitable[None]]
_handlers: list[tuple[re.Pattern[str], Handler]] = []


class UnknownCommand(Exception):
    """No command has these words."""


def says(pattern: str) -> Callable[[Handler], Handler]:
    """Give a command its words, as a pattern whose groups are its arguments."""

    def register(handler: Handler) -> Handler:
        _handlers.append((re.compile(pattern), handler))
        return handler

    return register


async def perform(stage: Stage, words: str) -> None:
    """Carry a command out.

    Raises:
        UnknownCommand: there is none of these words.
    """
    for pattern, handler in _handlers:
        match = pattern.fullmatch(words)
        if match is not None:
            await handler(stage, *match.groups())
            return
    raise UnknownCommand(words)
