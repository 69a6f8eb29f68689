"""What Redis keeps of letters, key by key: nothing is left behind, and what an older version wrote is read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from segmenter import Segmenter
from segmenter.core.aside import Moves, Summary
from segmenter.core.creation import DropLane, DropPartition
from segmenter.core.letters import Letters, ListLetters, Purge, Purged, Redrive, Replay, Requested
from segmenter.core.partition import NOT_TRYING, Claim, Claimed, Commit, Committed, Progress, Release, Released
from segmenter.errors import ServerFull
from segmenter.port import Backend
from segmenter.testing.suite.place import ORDERS, Place, play
from segmenter.testing.suite.shelves import REDRIVE, letter, move, own, page
from segmenter_redis import RedisBackend
from segmenter_redis.keys import Keys
from tests.servers import Server


@pytest.fixture(params=["fakeredis", "redis-7.0", "redis-8.2"])
def looked_at(request: pytest.FixtureRequest, namespace: str) -> Iterator[tuple[Backend, Any, Keys]]:
    """A backend, a plain client of its server, and its keys."""
    fixtures = {"fakeredis": "fake_url", "redis-7.0": "oldest_server", "redis-8.2": "newest_server"}
    served: Server | str = request.getfixturevalue(fixtures[request.param])
    url = served.url if isinstance(served, Server) else served
    with redis.Redis.from_url(url) as client:
        yield RedisBackend(url, namespace), client, Keys(namespace)
        for key in names(client, Keys(namespace)):
            client.delete(key)


def names(client: Any, keys: Keys) -> set[str]:
    return {key.decode() for key in client.scan_iter(f"{{{keys.namespace}:*", count=1_000)}


async def fill(place: Place, *groups: str) -> None:
    """Put something on every shelf of each group."""
    await place.create(*groups)
    await place.append(3)
    for group in groups:
        epoch = await place.claim(f"of-{group}", group=group)
        moves = Moves(park=(letter(0),), bury=(letter(1),))
        await place.ask(Commit(ORDERS, group, f"of-{group}", epoch, 1, Progress(), moves))
        await place.ask(Redrive(ORDERS, group, REDRIVE))


def test_a_lane_that_is_dropped_leaves_nothing_and_the_others_everything(
    looked_at: tuple[Backend, Any, Keys],
) -> None:
    backend, client, keys = looked_at

    async def run(place: Place) -> None:
        await fill(place, "a", "a.b")
        before = names(client, keys)
        theirs = {key(ORDERS, "a") for key in (keys.parked, keys.dead, keys.requests)}
        assert theirs < before
        await place.ask(DropLane(ORDERS, "a"))
        assert names(client, keys) == before - theirs
        assert len(client.hkeys(keys.lanes(ORDERS))) == 13
        assert isinstance(await place.ask(ListLetters(ORDERS, "a.b", "parked", 1)), Letters)

    asyncio.run(play(backend, run))


def test_a_partition_that_is_dropped_leaves_nothing(looked_at: tuple[Backend, Any, Keys]) -> None:
    backend, client, keys = looked_at

    async def run(place: Place) -> None:
        await fill(place, "a", "a.b", "b")
        await place.ask(DropPartition(ORDERS))

    asyncio.run(play(backend, run))
    assert names(client, keys) == set()


def test_a_removed_group_and_a_removed_stream_leave_no_letters(looked_at: tuple[Backend, Any, Keys]) -> None:
    backend, client, keys = looked_at

    async def run() -> None:
        async with Segmenter(backend=backend) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            await orders.send_many([("k", b"0"), ("x", b"1")])
            for group in ("a", "b"):
                async with segmenter.register_consumer("orders", group=group, session_timeout=1.0) as consumer:
                    first, second = await consumer.read(timeout=10)
                    first.park("bad")
                    second.reject("bad")
                    await consumer.commit()
            before = names(client, keys)
            await segmenter.remove_group("orders", "a")
            assert before - names(client, keys) >= {keys.parked(ORDERS, "a"), keys.dead(ORDERS, "a")}
            await segmenter.remove_stream("orders")
        assert not [key for key in names(client, keys) if key.startswith(f"{{{keys.namespace}:orders:0}}")]

    asyncio.run(run())


def test_a_lane_that_was_written_before_there_were_letters_is_read_as_one_that_has_none(
    looked_at: tuple[Backend, Any, Keys],
) -> None:
    backend, client, keys = looked_at

    async def run(place: Place) -> None:
        epoch = await own(place)
        client.hdel(keys.lanes(ORDERS), *(f"a:{name}" for name in ("trying", "unclean", "horizon")))
        probed = await place.probe()
        assert (probed.progress.trying, probed.parked, probed.dead, probed.requests) == (NOT_TRYING, 0, 0, ())
        assert await place.ask(Commit(ORDERS, "a", "m1", epoch, 1, Progress())) == Committed()
        client.hdel(keys.lanes(ORDERS), *(f"a:{name}" for name in ("trying", "unclean", "horizon")))
        taken = await place.ask(Claim(ORDERS, "a", "m2", 1, epoch, "c2", evict="m1", window=2))
        assert isinstance(taken, Claimed)
        assert (taken.unclean, taken.horizon, taken.aside) == (1, 2, Summary())

    asyncio.run(play(backend, run))


# --- full -----------------------------------------------------------------------------------------------------------


def test_setting_aside_goes_on_while_the_memory_is_full_and_replaying_waits(server: Server, namespace: str) -> None:
    """Otherwise one bad message would stop its partition just when it must not stop."""

    async def run(place: Place) -> None:
        epoch = await own(place)
        with server.client as client:
            client.config_set("maxmemory", "1mb")
            assert await move(place, epoch, 1, park=(letter(0),), bury=(letter(1),)) == Committed()
            assert await place.ask(Redrive(ORDERS, "a", REDRIVE)) == Requested(1)
            with pytest.raises(ServerFull):
                await place.ask(Replay(ORDERS, "a", (letter(1),)))
            assert await page(place, "dead") == (letter(1),), "what was refused was not taken away"
            release = Release(ORDERS, "a", "m1", epoch, 2, Progress(), moves=Moves(unpark=(letter(0).place,)))
            assert isinstance(await place.ask(release), Released)
            assert await place.ask(Purge(ORDERS, "a")) == Purged(1)
            client.config_set("maxmemory", "0")

    asyncio.run(play(RedisBackend(server.url, namespace), run))
