"""What Redis keeps of delays: beside what other tests say, what a server's clock does to them when it is set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segmenter.core.command import PartitionSlot
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Progress
from segmenter.testing.suite.delays import DELAYS, HOUR_MS, claimed, delayed
from segmenter.testing.suite.place import ORDERS, Place, play
from segmenter_memory import MemoryBackend, Store
from segmenter_redis.keys import Keys
from tests.conformance.test_letters_in_redis import looked_at

__all__ = ["looked_at"]  # a fixture

Stored = tuple[Any, Any, Keys]


def field(client: Any, keys: Keys) -> bytes | None:
    value: bytes | None = client.hget(keys.lanes(ORDERS), "a:delays")
    return value


def set_back(client: Any, keys: Keys, hours: int) -> None:
    """Have the server's clock look as if it was set back since the delays were stored; forward if it is negative."""
    stored = field(client, keys)
    assert stored is not None
    at_us, _, delays = stored.partition(b" ")
    client.hset(keys.lanes(ORDERS), "a:delays", b"%d %s" % (int(at_us) + hours * HOUR_MS * 1_000, delays))


def about(left: tuple[tuple[int, int], ...]) -> list[tuple[int, float]]:
    """Delays in hours: no test takes as long as a hundredth of one."""
    return [(ordinal, round(delay_ms / HOUR_MS, 1)) for ordinal, delay_ms in left]


def test_a_field_is_written_only_where_something_waits_or_waited(looked_at: Stored) -> None:
    backend, client, keys = looked_at

    async def run(place: Place) -> None:
        epoch = await delayed(place, ())
        assert field(client, keys) is None
        for number, delays in ((2, DELAYS), (3, ()), (4, ())):
            await place.ask(Commit(ORDERS, "a", "m1", epoch, number, Progress(delays=delays)))
            _, _, stored = (field(client, keys) or b"").rpartition(b" ")
            assert stored == (b"0-3600000,2-7200000" if delays else b"")

    asyncio.run(play(backend, run))


def test_a_lane_that_was_written_before_there_were_delays_is_read_as_one_that_has_none(looked_at: Stored) -> None:
    backend, client, keys = looked_at

    async def run(place: Place) -> None:
        epoch = await delayed(place)
        client.hdel(keys.lanes(ORDERS), "a:delays")
        assert (await place.probe()).progress.delays == ()
        granted = await claimed(place, "m2", epoch, evict="m1")
        assert granted.progress.delays == ()
        assert await place.ask(Commit(ORDERS, "a", "m2", granted.epoch, 1, Progress(delays=DELAYS))) == Committed()
        assert (await place.probe()).progress.delays == DELAYS

    asyncio.run(play(backend, run))


def test_after_a_failover_to_a_clock_that_is_behind_no_delay_is_longer_than_it_was(looked_at: Stored) -> None:
    """And it goes on from there, whoever claims the partition next."""
    backend, client, keys = looked_at

    async def run(place: Place) -> None:
        epoch = await delayed(place)
        set_back(client, keys, 5)
        first = await claimed(place, "m2", epoch, evict="m1")
        assert first.progress.delays == DELAYS
        set_back(client, keys, -1)  # an hour passes
        second = await claimed(place, "m3", first.epoch, evict="m2")
        assert about(second.progress.delays) == [(2, 1.0)]

    asyncio.run(play(backend, run))


def test_after_a_failover_to_a_clock_that_is_ahead_a_delay_ends_early(looked_at: Stored) -> None:
    backend, client, keys = looked_at

    async def run(place: Place) -> None:
        epoch = await delayed(place)
        set_back(client, keys, -1)
        assert about((await claimed(place, "m2", epoch, evict="m1")).progress.delays) == [(2, 1.0)]

    asyncio.run(play(backend, run))


@pytest.mark.parametrize("hours", [-7, -1, 0, 1, 2])
def test_redis_and_the_law_say_the_same_whatever_the_clock_did(looked_at: Stored, hours: int) -> None:
    backend, client, keys = looked_at
    at_us = [1_700_000_000_000_000]
    memory = MemoryBackend(store=Store(lambda: at_us[0]))
    answers: list[list[Any]] = []

    async def run(place: Place) -> None:
        epoch = await delayed(place)
        if place.backend is memory:
            at_us[0] += hours * HOUR_MS * 1_000
        else:
            set_back(client, keys, -hours)
        first = await claimed(place, "m2", epoch, evict="m1")
        again = await place.ask(Claim(PartitionSlot("orders", 0), "a", "m2", 1, epoch, "claim-m2", "m1"))
        assert isinstance(again, Claimed)
        stored = (await place.probe()).progress.delays
        answers.append([about(first.progress.delays), about(again.progress.delays), stored])

    for each in (backend, memory):
        asyncio.run(play(each, run))
    assert answers[0] == answers[1]
