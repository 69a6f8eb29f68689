"""Probes of logs with long entries on a real server: their ends are remembered, and never wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from segmenter.core.command import Gone
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Probe, Probed, Progress
from segmenter_redis.session import RedisSession
from tests.hot.test_wires import commands
from tests.integration.test_wire import SLOT, batch, opened, prepared, run
from tests.servers import Server

LOG = "{shop:orders:0}:log"
LONG = 5_000
PROBE = Probe(SLOT, "a")

pytestmark = pytest.mark.tampers("logs are cut and deleted by hand")


async def at_rest(session: RedisSession) -> int:
    """A partition with two long messages that are settled: the epoch of its owner."""
    epoch = await prepared(session, LONG)
    await settle(session, epoch, 1)
    return epoch


async def settle(session: RedisSession, epoch: int, number: int) -> None:
    probed = await session.execute(PROBE)
    assert isinstance(probed, Probed)
    done = Progress(probed.end, probed.added)
    assert await session.execute(Commit(SLOT, "a", "m", epoch, number, done)) == Committed()


async def nothing(session: RedisSession, client: Any, epoch: int) -> None:
    pass


async def add_one(session: RedisSession, client: Any, epoch: int) -> None:
    await session.execute(batch(3, 1, LONG))


async def add_and_settle(session: RedisSession, client: Any, epoch: int) -> None:
    await session.execute(batch(3, 1, LONG))
    await settle(session, epoch, 2)


async def trim(session: RedisSession, client: Any, epoch: int) -> None:
    client.xtrim(LOG, maxlen=1, approximate=False)


async def trim_all(session: RedisSession, client: Any, epoch: int) -> None:
    client.xtrim(LOG, maxlen=0, approximate=False)


async def add_and_trim(session: RedisSession, client: Any, epoch: int) -> None:
    """So that the length is as before."""
    await session.execute(batch(3, 1, LONG))
    client.xtrim(LOG, maxlen=2, approximate=False)


async def add_and_trim_what_is_not_settled(session: RedisSession, client: Any, epoch: int) -> None:
    """So that the length is as before, and later versions of Redis count a lag that leaves out what is gone."""
    await session.execute(batch(3, 4, LONG))
    client.xtrim(LOG, maxlen=2, approximate=False)


async def cut(session: RedisSession, client: Any, epoch: int) -> None:
    """The last one is gone, as after a restart from an older copy."""
    (first, fields), _ = client.xrange(LOG)
    client.delete(LOG)
    client.xadd(LOG, fields, first)
    client.xgroup_create(LOG, "a", first, entries_read=1)


async def delete_one(session: RedisSession, client: Any, epoch: int) -> None:
    client.xdel(LOG, client.xrange(LOG)[0][0])


async def destroy_the_group(session: RedisSession, client: Any, epoch: int) -> None:
    client.xgroup_destroy(LOG, "a")


async def delete(session: RedisSession, client: Any, epoch: int) -> None:
    client.delete(LOG)


HAPPENS = [
    *(nothing, add_one, add_and_settle, trim, trim_all, add_and_trim, add_and_trim_what_is_not_settled),
    *(cut, delete_one, destroy_the_group, delete),
]


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "unsettled"])
@pytest.mark.parametrize("happens", HAPPENS, ids=lambda it: it.__name__)
def test_who_remembers_the_ends_of_a_log_is_told_the_same_as_who_does_not(
    server: Server, happens: Callable[[RedisSession, Any, int], Awaitable[None]], settled: bool
) -> None:
    async def test() -> None:
        async with opened(server.url) as session, opened(server.url) as other:
            epoch = await (at_rest(session) if settled else prepared(session, LONG))
            for _ in range(3):
                await session.execute(PROBE)
            with server.tampering() as client:
                await happens(session, client, epoch)
            told = await session.execute(PROBE)
            assert told == await other.execute(PROBE)
            assert isinstance(told, Gone) == (happens is delete)

    run(test)


def test_long_entries_of_a_log_that_is_settled_are_fetched_by_the_first_of_many_probes(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            await at_rest(session)
            with server.tampering() as client:
                before = commands(client)
                told = [await session.execute(PROBE) for _ in range(10)]
                after = commands(client)
            assert after["xinfo|stream"] - before["xinfo|stream"] == 1
            assert told == [told[0]] * 10

    run(test)


def test_who_claims_looks_at_the_log_itself(server: Server) -> None:
    """Where it is another log with the same numbers, what is remembered would be told for ever."""

    async def test() -> None:
        async with opened(server.url) as session:
            epoch = await at_rest(session)
            before = await session.execute(PROBE)
            with server.tampering() as client:
                entries = client.xrange(LOG)
                client.delete(LOG)
                for id_, fields in entries:
                    client.xadd(LOG, fields, b"9" + id_)
                last = client.xinfo_stream(LOG)["last-generated-id"]
                client.xgroup_create(LOG, "a", last, entries_read=2)
            assert await session.execute(PROBE) == before
            assert isinstance(await session.execute(Claim(SLOT, "a", "m", 1, epoch, "again")), Claimed)
            after = await session.execute(PROBE)
            assert isinstance(after, Probed)
            assert after.end == last

    run(test)
