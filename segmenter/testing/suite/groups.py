"""What every backend promises about streams and groups: compare and set, beats, and an event log that is capped."""

from __future__ import annotations

import asyncio

from attrs import evolve

from segmenter.core.beats import Beat, Beaten, NotMember
from segmenter.core.command import Cursor, Gone, GroupSlot, StreamSlot
from segmenter.core.events import LIMIT_EVENTS, Changed, Freed, announcement_of
from segmenter.core.group import (
    Announce,
    Announced,
    DropGroup,
    Expired,
    GroupConflict,
    GroupEvent,
    GroupLoaded,
    GroupState,
    GroupUpdated,
    Joined,
    LoadGroup,
    StillAlive,
    UpdateGroup,
)
from segmenter.core.layout import Loaded, LoadStream, StreamConfig, StreamConflict, StreamUpdated, UpdateStream
from segmenter.core.log import parse_position
from segmenter.core.survey import GroupSurveyed, SurveyGroup
from segmenter.testing.suite.place import Place, Suite, conforms

STREAM = StreamSlot("orders")
GROUP = GroupSlot("orders", "a")
CONFIG = StreamConfig("v1", 4, 100, "born")


# --- groups ---


def update(before: GroupState | None, version: str, event: GroupEvent, **options: int) -> UpdateGroup:
    document = evolve((before or GroupState(4, 1_000)).on(event), version=version)
    changed = Changed(version, "joined", "m1", ("m1",))
    silent = event.members if isinstance(event, Expired) else ()
    return UpdateGroup(GROUP, before.version if before else None, document, changed, silent, **options)


async def loaded(place: Place) -> GroupState:
    reply = await place.ask(LoadGroup(GROUP))
    assert isinstance(reply, GroupLoaded)
    assert reply.document is not None
    return reply.document


async def with_members(place: Place, *members: str) -> GroupState:
    document: GroupState | None = None
    for number, member in enumerate(members):
        await place.ask(update(document, f"v{number}", Joined(member)))
        document = await loaded(place)
    assert document is not None
    return document


async def with_members_after(place: Place, before: GroupState) -> GroupState:
    await place.ask(update(before, "later", Joined("m9")))
    return await loaded(place)


class Groups(Suite):
    """What every backend promises about streams and groups: compare and set, beats, and an event log that is capped."""

    @conforms
    async def test_a_stream_is_written_once_by_whoever_comes_first(self, place: Place) -> None:
        assert await place.ask(LoadStream(STREAM)) == Loaded(None)
        assert await place.ask(UpdateStream(STREAM, None, CONFIG)) == StreamUpdated()
        assert await place.ask(UpdateStream(STREAM, None, evolve(CONFIG, version="v2"))) == StreamConflict(CONFIG)
        assert await place.ask(LoadStream(STREAM)) == Loaded(CONFIG)

    @conforms
    async def test_a_repeated_write_of_a_stream_succeeds_once(self, place: Place) -> None:
        """The first answer may have been lost."""
        update = UpdateStream(STREAM, None, CONFIG)
        assert [await place.ask(update), await place.ask(update)] == [StreamUpdated(), StreamUpdated()]

    @conforms
    async def test_a_stream_can_be_removed(self, place: Place) -> None:
        await place.ask(UpdateStream(STREAM, None, CONFIG))
        for other in ("v0", "v2"):
            assert await place.ask(UpdateStream(STREAM, other, None)) == StreamConflict(CONFIG)
        assert await place.ask(UpdateStream(STREAM, "v1", None)) == StreamUpdated()
        assert await place.ask(LoadStream(STREAM)) == Loaded(None)

    @conforms
    async def test_a_document_comes_back_as_it_was_written(self, place: Place) -> None:
        wanted = update(None, "v1", Joined("m1", seat="s"))
        reply = await place.ask(wanted)
        assert isinstance(reply, GroupUpdated)
        assert await loaded(place) == evolve(wanted.document, generation=reply.generation)

    @conforms
    async def test_of_two_writers_one_reads_again(self, place: Place) -> None:
        before = await with_members(place, "m1")
        assert isinstance(await place.ask(update(before, "x", Joined("m2"))), GroupUpdated)
        for read in ("a version", "v0", "yet another"):  # versions have no order: only the very same one is the same
            reply = await place.ask(update(evolve(before, version=read), "y", Joined("m3")))
            assert reply == GroupConflict(await loaded(place))

    @conforms
    async def test_a_repeated_write_of_a_group_succeeds_once(self, place: Place) -> None:
        write = update(None, "v1", Joined("m1"))
        assert await place.ask(write) == await place.ask(write)

    @conforms
    async def test_generations_rise(self, place: Place) -> None:
        before = await with_members(place, "m1")
        after = await with_members_after(place, before)
        assert after.generation > before.generation

    @conforms
    async def test_a_change_is_announced_with_its_generation(self, place: Place) -> None:
        document = await with_members(place, "m1")
        reply = await place.read(Cursor(GROUP, b"0-0"))
        event = announcement_of(reply[GROUP][0])
        assert event == Changed("v0", "joined", "m1", ("m1",), document.generation)
        end = await place.ask(LoadGroup(GROUP))
        assert isinstance(end, GroupLoaded)
        assert end.end == parse_position(reply[GROUP][0][0])

    @conforms
    async def test_a_beat_brings_the_document_only_to_those_who_do_not_know_it(self, place: Place) -> None:
        document = await with_members(place, "m1")
        assert await place.ask(Beat(GROUP, "m1", "v0", 0)) == Beaten(2, None, ())
        assert await place.ask(Beat(GROUP, "m1", "old", 0)) == Beaten(3, document, ())

    @conforms
    async def test_a_beat_shows_who_is_silent(self, place: Place) -> None:
        document = await with_members(place, "m1", "m2", "m3")
        await place.ask(Beat(GROUP, "m2", document.version, 0))
        assert await place.ask(Beat(GROUP, "m2", document.version, 4)) == Beaten(5, None, ("m1", "m3"))

    @conforms
    async def test_a_count_that_was_rolled_back_is_evidence_against_nobody(self, place: Place) -> None:
        document = await with_members(place, "m1", "m2")
        assert await place.ask(Beat(GROUP, "m2", document.version, 99)) == Beaten(3, None, ())
        reply = await place.ask(update(document, "x", Expired(("m1",)), silent_below=99))
        assert reply == StillAlive("m1")

    @conforms
    async def test_who_has_beaten_meanwhile_is_not_expired(self, place: Place) -> None:
        document = await with_members(place, "m1", "m2")
        await place.ask(Beat(GROUP, "m1", document.version, 0))
        assert await place.ask(update(document, "x", Expired(("m1",)), silent_below=3)) == StillAlive("m1")
        assert await loaded(place) == document

    @conforms
    async def test_a_late_beat_revives_nobody(self, place: Place) -> None:
        document = await with_members(place, "m1", "m2")
        await place.ask(Beat(GROUP, "m2", document.version, 0))
        assert isinstance(await place.ask(update(document, "x", Expired(("m1",)), silent_below=3)), GroupUpdated)
        assert await place.ask(Beat(GROUP, "m1", document.version, 0)) == NotMember(await loaded(place))

    @conforms
    async def test_a_beat_for_no_group_creates_none(self, place: Place) -> None:
        assert await place.ask(Beat(GROUP, "m1", "v0", 0)) == Gone()
        assert await place.ask(LoadGroup(GROUP)) == GroupLoaded(None)

    @conforms
    async def test_the_event_log_keeps_the_latest_only(self, place: Place) -> None:
        asked = [place.session.execute(Announce(GROUP, Freed(n, n, "m"))) for n in range(LIMIT_EVENTS + 5)]
        assert set(await asyncio.gather(*asked)) == {Announced()}
        reply = await place.read(Cursor(GROUP, b"0-0"), count=2 * LIMIT_EVENTS)
        assert len(reply[GROUP]) == LIMIT_EVENTS
        assert announcement_of(reply[GROUP][0]) == Freed(5, 5, "m")

    # --- what tools look at ---

    @conforms
    async def test_the_catalogue_lists_streams_and_groups_and_nothing_else(self, place: Place) -> None:
        assert await place.backend.catalogue() == []
        await place.ask(UpdateStream(STREAM, None, CONFIG))
        await place.create("a")
        await with_members(place, "m1")
        await place.ask(Announce(GroupSlot("orders", "wanted"), Freed(0, 7, "m1")))
        await place.ask(UpdateStream(StreamSlot("orders.old"), None, evolve(CONFIG, version="v9")))
        assert await place.backend.catalogue() == [STREAM, GROUP, StreamSlot("orders.old")]
        await place.ask(DropGroup(GROUP))
        assert await place.backend.catalogue() == [STREAM, StreamSlot("orders.old")]

    @conforms
    async def test_a_survey_of_a_group_shows_who_beats(self, place: Place) -> None:
        assert await place.ask(SurveyGroup(GROUP)) == Gone()
        document = await with_members(place, "m1", "m2")
        await place.ask(Beat(GROUP, "m1", document.version, 0))
        surveyed = await place.ask(SurveyGroup(GROUP))
        assert isinstance(surveyed, GroupSurveyed)
        assert surveyed.document == document
        assert surveyed.beats == surveyed.scores["m1"] > surveyed.scores["m2"]
