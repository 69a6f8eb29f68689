"""Histories of a hold that are taken for one: whatever is done next, they come to the same."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from attrs import evolve, frozen

from segmenter.core.aside import Aside, Request
from segmenter.core.caution import LIMIT_UNCLEAN
from segmenter.core.log import Log
from segmenter.core.partition import Claimed, Progress
from tests.exploration.holds import Held
from tests.exploration.plays import Deed, log_of

LIMIT_STATES = 2_000
HISTORIES = 3  # of each meaning that are compared
REDRIVE, DISCARD = Request("redrive", None, "r1"), Request("discard", b"a", "r2")


@frozen
class Kept:
    """A hold, and what is stored of what it sets aside."""

    held: Held
    aside: Aside
    to_ask: tuple[Request, ...]

    @property
    def meaning(self) -> tuple[Any, ...]:
        return self.held.meaning, self.aside, self.to_ask

    def ways(self) -> Iterator[tuple[Deed, Kept]]:
        """Whatever may be done next, and what it comes to, its history and all."""
        held = self.held
        for deed in _deeds(held):
            yield deed, self._after(*deed)
        if held.commit is not None:
            yield ("committed",), evolve(self._after("committed"), aside=self.aside.moved(held.commit.moves))
        if held.page is not None:
            letters = tuple(letter for letter in self.aside.parked if letter.key == held.page[0])
            yield ("fetched",), self._after("fetched", letters[:1])
        if self.to_ask and self.aside.parked:
            asked = evolve(self, aside=self.aside.asked(self.to_ask[0]), to_ask=self.to_ask[1:])
            yield ("ask",), asked
        if not held.draining:
            yield ("told",), self._after("told", len(self.aside.dead), self.aside.requests)

    def _after(self, *deed: Any) -> Kept:
        return evolve(self, held=evolve(self.held, done=(*self.held.done, deed)))


def _deeds(held: Held) -> Iterator[Deed]:
    for may, verb in (
        (held.startable and len(held.running) < 2, "start"),
        (held.may_commit, "send_progress"),
        (held.may_read, "read"),
        (held.waits, "wait"),
        (held.may_seek, "seek"),
        (held.page is not None, "unfetched"),
        (("stop",) not in held.done, "stop"),
        (held.draining and held.running, "leave"),
    ):
        if may:
            yield (verb,)
    for ordinal in held.running:
        for verb in ("finish", "retry", "park", "reject"):
            yield verb, ordinal


def _granted(log: Log, unclean: int) -> Claimed:
    return Claimed(1, Progress(), log.entries[-1][0], 0, log.added, "born", unclean, horizon=log.added * (unclean > 0))


@pytest.mark.parametrize("unclean", [0, LIMIT_UNCLEAN], ids=["as usual", "carefully"])
@pytest.mark.parametrize("keys", ["aa", "aab"])
def test_histories_that_mean_the_same_go_on_alike(keys: str, unclean: int) -> None:
    """Otherwise the explorer would pass over states, and what is wrong in them."""
    first = Kept(Held(0, "a0", _granted(log_of(keys), unclean), keys, at_once=2), Aside(), (REDRIVE, DISCARD))
    leads: dict[Any, dict[Deed, Any]] = {}
    met: dict[Any, set[Kept]] = {first.meaning: {first}}
    waiting, chance = [first], Random(7)
    for _ in range(LIMIT_STATES):
        state = waiting.pop(chance.randrange(len(waiting)))  # long histories soon: they have more to say
        ways = dict(state.ways())
        to = {deed: after.meaning for deed, after in ways.items() if after.meaning != state.meaning}
        assert leads.setdefault(state.meaning, to) == to, state.held.done
        for after in ways.values():
            others = met.setdefault(after.meaning, set())
            if len(others) < HISTORIES and after not in others:
                others.add(after)
                waiting.append(after)
    assert sum(len(histories) > 1 for histories in met.values()) > LIMIT_STATES / 10
