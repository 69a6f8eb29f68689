"""What a script is given is made the command again that it was made of: else something else would be replayed."""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeVar

import pytest
from attrs import evolve
from hypothesis import settings

from segmenter import Durability
from segmenter.core.aside import Letter
from segmenter.core.command import Command, GroupSlot, PartitionSlot, Slot
from segmenter.core.creation import CreateLane
from segmenter.core.events import Asked
from segmenter.core.group import Announce
from segmenter.core.letters import Purge, Replay
from segmenter.core.log import Record, format_position, parse_position
from segmenter.core.partition import PartitionState, Probe, Release
from segmenter.core.retention import Append
from segmenter.testing.agreement import Law
from segmenter.testing.stateful import play
from segmenter_redis.codec import encode
from segmenter_redis.keys import Keys
from segmenter_redis.packing import pack
from segmenter_redis.scripts import SCRIPTS
from tests.audit.commands import command_of, namespace_of

R = TypeVar("R")
KEYS = Keys("shop")


def there_and_back(command: Command[Any, Any]) -> tuple[str, Command[Any, Any]]:
    """Through the bytes that a script is given; they must be the same for what comes back."""
    call = encode(command, KEYS)
    keys, args = (pack(words, more)[2::3] for words, more in ((call.keys, ()), (call.args, call.payload)))
    assert {namespace_of(key) for key in keys} == {"shop"}
    back = command_of(call.script, keys, args)
    again = encode(back, KEYS)
    assert (again.script, again.keys) == (call.script, call.keys)
    assert pack(again.args, again.payload) == pack(call.args, call.payload)
    return call.script, back


def as_sent(command: Command[Any, Any]) -> Command[Any, Any]:
    """The command without what is not sent, and with ids in full."""
    match command:
        case Replay(slot, group, letters):
            return Replay(slot, group, tuple([evolve(it, attempts=0, reason="") for it in letters]))
        case Purge(slot, group, letters) if letters is not None:
            return Purge(slot, group, tuple([Letter(it.ordinal, it.entry_id, it.key, b"") for it in letters]))
        case CreateLane() | Release() if command.start[:1].isdigit():
            return evolve(command, start=format_position(parse_position(command.start)))
        case Append() if command.durability is not None:
            return evolve(command, durability=Durability())
        case _:
            return command


class Coded:
    """A world in which every command goes through the codec before the law sees it."""

    def __init__(self) -> None:
        self.history = ""
        self.scripts: set[str] = set()
        self._law = Law()

    def execute(self, command: Command[Any, R]) -> R:
        reply: R = self._law.execute(command if type(command) is Probe else self._back(command))  # which is no script
        return reply

    def _back(self, command: Command[Any, Any]) -> Command[Any, Any]:
        script, back = there_and_back(command)
        assert back == as_sent(command)
        self.scripts.add(script)
        return back

    def seen(self, slot: Slot, law: Law) -> tuple[Any, Any]:
        return self._law.state(slot), law.state(slot)

    def lose_history(self) -> None:
        self.history = self._law.history = f"{self.history}+"

    def seal(self, slot: PartitionSlot) -> bool:
        state: PartitionState = self._law.slots[slot]
        self._law.slots[slot] = evolve(state, sealed=1)
        return True

    def close(self) -> None:
        """There is nothing to let go of."""


def test_every_command_comes_back_from_its_arguments_as_it_was() -> None:
    """Out of season, too: with stale epochs, all bytes in keys and data, and headers here and there."""
    world = Coded()
    profile = settings.get_profile(settings.get_current_profile_name())
    play(world, Counter(), settings(profile, max_examples=profile.max_examples // 4, stateful_step_count=40))
    assert world.scripts == set(SCRIPTS)


@pytest.mark.parametrize(
    "command",
    [
        Announce(GroupSlot("orders", "g"), Asked(3)),
        Append(PartitionSlot("orders", 0), "p", 1, 1, [Record(b"k", b"x")], 9, durability=Durability(replicas=2)),
    ],
)
def test_so_does_what_no_story_asks(command: Command[Any, Any]) -> None:
    assert there_and_back(command)[1] == as_sent(command)
