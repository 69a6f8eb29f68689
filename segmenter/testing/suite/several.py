"""What every backend promises to several at once: nobody misses what another did, in this process or in the next."""

from __future__ import annotations

import asyncio
from collections import Counter

from attrs import evolve

from segmenter.core.aside import Letter, Moves
from segmenter.core.command import Cursor, Read, StreamSlot
from segmenter.core.events import Changed, Freed
from segmenter.core.group import Announce, GroupLoaded, GroupState, Joined, LoadGroup, UpdateGroup
from segmenter.core.layout import Loaded, LoadStream, StreamConfig, UpdateStream
from segmenter.core.log import Record, parse_position
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Held, Probe, Probed, Progress
from segmenter.core.retention import Append, Appended, Duplicate
from segmenter.core.survey import PartitionSurveyed, SurveyPartition
from segmenter.port import Session
from segmenter.testing.suite.place import BEGIN_S, GROUP, LONG_S, ORDERS, SOON_S, START, Place, Suite, conforms, ids

EACH = 25
STREAM = StreamSlot("orders")


def numbered(producer: str, number: int) -> Append:
    return Append(ORDERS, producer, 1, number, [Record(b"k", b"%s %d" % (producer.encode(), number))], 1_000)


async def append_alone(session: Session, producer: str) -> None:
    """As a process does: one number after the other is answered."""
    for number in range(1, EACH + 1):
        assert isinstance(await session.execute(numbered(producer, number)), Appended)


class Several(Suite):
    """What every backend promises to several at once: nobody misses what another did."""

    # --- waking -----------------------------------------------------------------------------------------------------

    @conforms
    async def test_an_append_of_another_session_wakes_a_read(self, place: Place) -> None:
        await place.create()
        read = await place.waiting_read()
        async with place.another_session() as other:
            await other.execute(place.batch(1))
            async with asyncio.timeout(SOON_S):
                assert list(await read) == [ORDERS]

    @conforms
    async def test_an_append_of_another_process_wakes_a_read(self, place: Place) -> None:
        await place.create()
        read = await place.waiting_read()
        async with place.another_session(place.reopened()) as other:
            await other.execute(place.batch(1))
            async with asyncio.timeout(SOON_S):
                assert list(await read) == [ORDERS]

    @conforms
    async def test_an_announcement_of_another_process_wakes_a_read(self, place: Place) -> None:
        """A partition that is handed over is taken up within milliseconds for that reason alone."""
        await place.create()
        read = await place.waiting_read(START, Cursor(GROUP, b"0-0"))
        async with place.another_session(place.reopened()) as other:
            await other.execute(Announce(GROUP, Freed(0, 1, "m")))
            async with asyncio.timeout(SOON_S):
                assert list(await read) == [GROUP]

    @conforms
    async def test_one_append_wakes_everybody_who_waits_for_it(self, place: Place) -> None:
        await place.create()
        async with place.another_session() as second, place.another_session(place.reopened()) as third:
            reads = [session.read(Read((START,), 10, LONG_S)) for session in (place.session, second, third)]
            await asyncio.wait(reads, timeout=BEGIN_S)
            await place.append(1)
            async with asyncio.timeout(SOON_S):
                assert [list(reply) for reply in await asyncio.gather(*reads)] == [[ORDERS]] * 3

    @conforms
    async def test_what_comes_between_two_reads_is_found_by_the_second(self, place: Place) -> None:
        await place.create()
        async with place.another_session() as other:
            for count in range(1, 6):
                await other.execute(place.batch(1))
                async with asyncio.timeout(SOON_S):
                    assert len((await place.read(wait_s=LONG_S))[ORDERS]) == count

    @conforms
    async def test_what_comes_elsewhere_does_not_end_a_wait(self, place: Place) -> None:
        """Else every consumer would be busy with the messages of all others."""
        await place.create()
        read = await place.waiting_read()
        async with place.another_session() as other:
            await other.execute(Announce(GROUP, Freed(0, 1, "m")))
            await asyncio.wait([read], timeout=0.05)
            assert not read.done()
        read.cancel()

    # --- at once ----------------------------------------------------------------------------------------------------

    @conforms
    async def test_what_several_append_at_once_stands_there_once_and_in_the_order_of_each(self, place: Place) -> None:
        await place.create()
        async with place.another_session() as second, place.another_session(place.reopened()) as third:
            sessions = [place.session, second, third]
            await asyncio.gather(*(append_alone(session, f"p{n}") for n, session in enumerate(sessions)))
        entries = (await place.read(count=1_000))[ORDERS]
        said = [entry[1][3] for entry in entries]
        for n in range(len(sessions)):
            mine = [each for each in said if each.startswith(b"p%d " % n)]
            assert mine == [b"p%d %d" % (n, number) for number in range(1, EACH + 1)]
        positions = [parse_position(entry[0]) for entry in entries]
        assert positions == sorted(set(positions))

    @conforms
    async def test_of_several_who_claim_at_once_one_is_granted(self, place: Place) -> None:
        await place.create("a")
        async with place.another_session() as second, place.another_session(place.reopened()) as third:
            claims = [
                session.execute(Claim(ORDERS, "a", f"m{n}", 1, 0, f"c{n}"))
                for n, session in enumerate((place.session, second, third))
            ]
            replies = await asyncio.gather(*claims)
        assert Counter(type(reply).__name__ for reply in replies)["Claimed"] == 1, replies

    @conforms
    async def test_a_session_of_another_event_loop_is_one_like_any_other(self, place: Place) -> None:
        """Heart and consumers live in different threads."""
        await place.create("a")
        backend = place.backend

        async def elsewhere() -> int:
            session = await backend.session()
            reply = await session.execute(Claim(ORDERS, "a", "m1", 1, 0, "c"))
            await session.execute(numbered("p", 1))
            await session.aclose()
            assert isinstance(reply, Claimed)
            return reply.epoch

        read = await place.waiting_read()
        epoch = await asyncio.to_thread(asyncio.run, elsewhere())
        async with asyncio.timeout(SOON_S):
            assert list(await read) == [ORDERS]
        assert (await place.probe()).epoch == epoch

    @conforms
    async def test_a_session_that_is_closed_leaves_the_others_as_they_were(self, place: Place) -> None:
        await place.create("a")
        read = await place.waiting_read()
        async with place.another_session() as other:
            await other.execute(Probe(ORDERS, "a"))
        assert not read.done()
        await place.append(1)
        async with asyncio.timeout(SOON_S):
            assert list(await read) == [ORDERS]

    # --- fresh ------------------------------------------------------------------------------------------------------

    @conforms
    async def test_a_survey_shows_what_another_process_has_just_stored(self, place: Place) -> None:
        """Operators decide by the lag: one that is a moment old shows a group that is done as one that is behind."""
        await place.create("a")
        epoch = await place.claim("m1")
        async with place.another_session(place.reopened()) as other:
            for count in range(1, 4):
                _, last = ids(await place.append(1))
                assert await lag(other) == 1
                assert await place.commit("m1", epoch, count, last, count) == Committed()
                assert await lag(other) == 0

    # --- kept -------------------------------------------------------------------------------------------------------

    @conforms
    async def test_what_was_stored_is_there_for_who_opens_the_place_anew(self, place: Place) -> None:
        await place.create("a")
        batch = place.batch(3)
        first, last = ids(await place.ask(batch))
        epoch = await place.claim("m1")
        letter = Letter(1, first, b"k", bytes(range(256)), reason="\u20ac")
        progress = Progress(first, 1, ((2, 3),), ((2, 4),))
        await place.ask(Commit(ORDERS, "a", "m1", epoch, 1, progress, Moves(park=(letter,))))
        await place.session.aclose()
        async with place.another_session(place.reopened()) as session:
            probed = await session.execute(Probe(ORDERS, "a"))
            assert isinstance(probed, Probed)
            assert (probed.owner, probed.epoch, probed.progress, probed.parked) == ("m1", epoch, progress, 1)
            assert await session.execute(batch) == Duplicate(first, last)
            assert await session.execute(Claim(ORDERS, "a", "m2", 1, epoch, "c2")) == Held("m1", epoch)
            assert len((await session.read(Read((START,), 10, 0.0)))[ORDERS]) == 3

    @conforms
    async def test_streams_and_groups_are_there_for_who_opens_the_place_anew(self, place: Place) -> None:
        config = StreamConfig("v1", 4, 100, "born")
        await place.ask(UpdateStream(STREAM, None, config))
        document = evolve(GroupState(4, 1_000).on(Joined("m1", seat="s")), version="v1")
        await place.ask(UpdateGroup(GROUP, None, document, Changed("v1", "joined", "m1", ("m1",)), ()))
        await place.session.aclose()
        reopened = place.reopened()
        async with place.another_session(reopened) as session:
            assert await session.execute(LoadStream(STREAM)) == Loaded(config)
            loaded = await session.execute(LoadGroup(GROUP))
            assert isinstance(loaded, GroupLoaded)
            assert loaded.document is not None
            assert evolve(loaded.document, generation=document.generation) == document
        assert await reopened.catalogue() == [STREAM, GROUP]


async def lag(session: Session) -> int:
    """How many messages the group has yet to settle."""
    surveyed = await session.execute(SurveyPartition(ORDERS))
    assert isinstance(surveyed, PartitionSurveyed)
    return surveyed.added - surveyed.lanes[0].progress.read
