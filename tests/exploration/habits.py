"""How the server and the processes behave. Whoever changes a habit seeds a fault, which the explorer has to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from segmenter.core.command import Command
from segmenter.core.lanes import KeyLanes
from segmenter.core.transitions import TABLE, Table

__all__ = ["SOUND", "Habits"]

Law = Callable[[Any, Any, int], tuple[Any, Any]]  # as ``Command.apply``, with the command first


@frozen
class Habits:
    """What is not said here is as it really is."""

    laws: Mapping[type[Command[Any, Any]], Law] = field(factory=dict[type[Command[Any, Any]], Law])  # for their own
    table: Table = TABLE
    lanes: type[KeyLanes] = KeyLanes
    heeds_lease: bool = True
    awaits_handlers: bool = True  # before it releases
    repeats_commits: bool = True  # that got no answer

    def apply(self, command: Command[Any, Any], state: Any, now_us: int) -> tuple[Any, Any]:
        """What the server makes of a command."""
        law = self.laws.get(type(command))
        return law(command, state, now_us) if law is not None else command.apply(state, now_us)


SOUND = Habits()
