"""What every backend promises about its sessions: order, waiting, cancelling and closing."""

from __future__ import annotations

import asyncio

import pytest

from segmenter.core.command import Cursor, Read
from segmenter.core.events import Freed
from segmenter.core.group import Announce
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Probe, Probed, Progress, Release, Released
from segmenter.core.retention import Appended
from segmenter.errors import BackendError
from segmenter.testing.suite.place import GROUP, LONG_S, ORDERS, OTHERS, SOON_S, START, Place, Suite, conforms, ids


class Sessions(Suite):
    """What every backend promises about its sessions: order, waiting, cancelling and closing."""

    @conforms
    async def test_what_starts_in_one_turn_is_executed_in_order(self, place: Place) -> None:
        await place.create("a")
        replies = await asyncio.gather(*(place.session.execute(place.batch(1)) for _ in range(20)))
        assert all(isinstance(reply, Appended) for reply in replies)
        assert await place.data() == [b"%d" % n for n in range(20)]

    @conforms
    async def test_a_commit_and_what_follows_it_in_one_turn_are_executed_in_order(self, place: Place) -> None:
        await place.create("a")
        _, last = ids(await place.append(2))
        epoch = await place.claim("m1")
        commit = place.session.execute(Commit(ORDERS, "a", "m1", epoch, 1, Progress(last, 2)))
        probe = place.session.execute(Probe(ORDERS, "a"))
        release = place.session.execute(Release(ORDERS, "a", "m1", epoch))
        assert await commit == Committed()
        probed = await probe
        assert isinstance(probed, Probed)
        assert (probed.owner, probed.progress.read) == ("m1", 2)
        assert isinstance(await release, Released)

    @conforms
    async def test_a_commit_before_a_waiting_read_is_answered_at_once(self, place: Place) -> None:
        """It shares the packet with the read, not its wait."""
        await place.create("a")
        _, last = ids(await place.append(2))
        epoch = await place.claim("m1")
        commit = place.session.execute(Commit(ORDERS, "a", "m1", epoch, 1, Progress(last, 2)))
        read = place.session.read(Read((Cursor(ORDERS, last),), 10, LONG_S))
        async with asyncio.timeout(SOON_S):
            assert await commit == Committed()
        assert not read.done()
        read.cancel()

    @conforms
    async def test_a_commit_while_a_read_waits_is_answered_at_once(self, place: Place) -> None:
        await place.create("a")
        _, last = ids(await place.append(2))
        epoch = await place.claim("m1")
        read = await place.waiting_read(Cursor(ORDERS, last))
        async with asyncio.timeout(SOON_S):
            assert await place.commit("m1", epoch, 1, last, 2) == Committed()
        assert not read.done()
        read.cancel()

    @conforms
    async def test_commits_of_many_groups_in_one_turn_are_all_stored(self, place: Place) -> None:
        await place.create("a", "b")
        _, last = ids(await place.append(2))
        epochs = {group: await place.claim("m1", group=group) for group in ("a", "b")}
        commits = [Commit(ORDERS, group, "m1", epoch, 1, Progress(last, 2)) for group, epoch in epochs.items()]
        asked = [place.session.execute(commit) for commit in commits]
        assert await asyncio.gather(*asked) == [Committed(), Committed()]

    # --- reads ---

    @conforms
    async def test_a_read_goes_on_after_its_place(self, place: Place) -> None:
        await place.create()
        await place.append(5)
        at = (await place.entries())[2][0]
        reply = await place.read(Cursor(ORDERS, at), count=1)
        assert [entry[1][3] for entry in reply[ORDERS]] == [b"3"]

    @conforms
    async def test_a_read_with_nothing_to_find_ends_after_its_wait(self, place: Place) -> None:
        await place.create()
        assert await place.read(wait_s=0.05) == {}

    @conforms
    async def test_a_read_of_what_is_not_there_finds_nothing(self, place: Place) -> None:
        assert await place.read(Cursor(ORDERS, b"0-0"), Cursor(GROUP, b"0-0")) == {}

    @conforms
    async def test_a_read_over_many_logs_finds_those_that_have_something(self, place: Place) -> None:
        await place.create()
        await place.create(slot=OTHERS)
        await place.append(3)
        await place.ask(Announce(GROUP, Freed(0, 1, "m")))
        cursors = (START, Cursor(OTHERS, b"0-0"), Cursor(GROUP, b"0-0"))
        reply = await place.read(*cursors, count=2, wait_s=LONG_S)
        assert {log: len(entries) for log, entries in reply.items()} == {ORDERS: 2, GROUP: 1}

    @conforms
    async def test_an_announcement_wakes_a_read(self, place: Place) -> None:
        await place.create()
        read = await place.waiting_read(START, Cursor(GROUP, b"0-0"))
        await place.ask(Announce(GROUP, Freed(0, 1, "m")))
        async with asyncio.timeout(SOON_S):
            assert list(await read) == [GROUP]

    @conforms
    async def test_a_cancelled_read_leaves_the_session_usable(self, place: Place) -> None:
        await place.create("a")
        for _ in range(5):
            read = await place.waiting_read()
            read.cancel()
        async with asyncio.timeout(SOON_S):
            await place.append(1)
            assert len(await place.entries()) == 1

    @conforms
    async def test_a_read_that_is_cancelled_before_it_began_leaves_the_session_usable(self, place: Place) -> None:
        await place.create("a")
        await place.append(1)
        for turns in range(4):
            read = place.session.read(Read((Cursor(ORDERS, b"99999999999999-0"),), 10, LONG_S))
            for _ in range(turns):
                await asyncio.sleep(0)
            read.cancel()
            async with asyncio.timeout(SOON_S):
                assert len(await place.entries()) == 1

    # --- sessions ---

    @conforms
    async def test_sessions_see_the_same(self, place: Place) -> None:
        await place.create("a")
        other = await place.backend.session()
        reply = await other.execute(Claim(ORDERS, "a", "m1", 1, 0, "c"))
        assert isinstance(reply, Claimed)
        assert (await place.probe()).epoch == reply.epoch
        await other.aclose()

    @conforms
    async def test_a_closed_session_fails_what_is_under_way_and_what_comes(self, place: Place) -> None:
        session = await place.backend.session()
        read = session.read(Read((START,), 10, LONG_S))
        await asyncio.sleep(0)
        await session.aclose()
        await session.aclose()
        with pytest.raises(BackendError):
            await read
        with pytest.raises(BackendError):
            await session.execute(Probe(ORDERS, "a"))
