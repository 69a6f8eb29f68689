"""What every backend promises about a partition's log: appended once, in order, and never trimmed too early."""

from __future__ import annotations

from attrs import evolve

from segmenter.core.command import Gone
from segmenter.core.creation import Created, CreateLane, CreatePartition, DropLane, DropPartition, Dropped, Exists
from segmenter.core.log import LIMIT_PRODUCERS, Record, parse_position
from segmenter.core.partition import Fenced, Release
from segmenter.core.retention import (
    Append,
    Appended,
    Duplicate,
    Full,
    Moved,
    OutOfSequence,
    Superseded,
    Trim,
    Trimmed,
    UnknownProducer,
)
from segmenter.testing.suite.place import ORDERS, Place, Suite, conforms, ids


class Logs(Suite):
    """What every backend promises about a partition's log: appended once, in order, and never trimmed too early."""

    @conforms
    async def test_what_was_appended_is_read_in_order(self, place: Place) -> None:
        await place.create()
        await place.append(2)
        await place.append(3)
        assert await place.data() == [b"0", b"1", b"2", b"3", b"4"]

    @conforms
    async def test_a_batch_stands_under_one_millisecond_and_without_a_gap(self, place: Place) -> None:
        """Otherwise a producer could not say where its messages are from the first and the last id."""
        await place.create()
        first, last = ids(await place.append(50))
        assert parse_position(last) == (parse_position(first)[0], parse_position(first)[1] + 49)

    @conforms
    async def test_a_repeated_append_is_appended_once(self, place: Place) -> None:
        await place.create()
        batch = place.batch(3)
        first, last = ids(await place.ask(batch))
        assert await place.ask(batch) == Duplicate(first, last)
        assert await place.ask(evolve(batch, layout=1)) == Duplicate(first, last), "whatever has become of the layout"
        assert len(await place.entries()) == 3

    @conforms
    async def test_a_gap_in_the_sequence_is_refused_and_named(self, place: Place) -> None:
        await place.create()
        await place.append(3)
        assert await place.ask(evolve(place.batch(1), first=5)) == OutOfSequence(3)

    @conforms
    async def test_a_producer_that_went_on_with_a_higher_epoch_is_refused_under_the_lower(self, place: Place) -> None:
        """What was given up as unknown must not be appended after all."""
        await place.create()
        await place.append(1)
        assert isinstance(await place.ask(evolve(place.batch(1), epoch=2, first=1)), Appended)
        assert await place.ask(evolve(place.batch(1), epoch=1, first=2)) == Superseded(2)

    @conforms
    async def test_a_producer_that_nobody_knows_begins_at_one(self, place: Place) -> None:
        await place.create()
        assert await place.ask(Append(ORDERS, "stranger", 1, 7, [Record(b"k", b"")], 10)) == UnknownProducer()

    @conforms
    async def test_an_append_by_an_older_layout_is_turned_away(self, place: Place) -> None:
        await place.create()
        assert await place.append(1, layout=1) == Moved(0)

    @conforms
    async def test_an_append_to_nothing_creates_nothing(self, place: Place) -> None:
        assert await place.append(1) == Gone()
        assert await place.entries() == []

    @conforms
    async def test_headers_come_with_those_messages_that_have_them(self, place: Place) -> None:
        await place.create()
        await place.ask(Append(ORDERS, "p", 1, 1, [Record(b"k", b"1"), Record(b"k", b"2", b"h")], 10))
        plain, headed = [list(entry[1]) for entry in await place.entries()]
        assert plain == [b"k", b"k", b"d", b"1"]
        assert headed == [b"k", b"k", b"d", b"2", b"h", b"h"]

    @conforms
    async def test_any_bytes_come_back_as_they_were(self, place: Place) -> None:
        await place.create()
        payload = bytes(range(256)) * 4
        await place.ask(Append(ORDERS, "p", 1, 1, [Record(payload, payload, payload)], 10))
        ((_, fields),) = await place.entries()
        assert list(fields) == [b"k", payload, b"d", payload, b"h", payload]

    # --- full ---

    @conforms
    async def test_a_full_partition_names_the_slowest_group(self, place: Place) -> None:
        await place.create("a", "b")
        await place.append(4, capacity=4)
        await place.settle(3, "a")
        assert await place.append(1, capacity=4) == Full("b", 4)

    @conforms
    async def test_of_groups_that_are_equally_slow_the_first_by_name_is_told(self, place: Place) -> None:
        """By bytes, whatever the language of the server."""
        await place.create("b", "B", "a")
        await place.append(4, capacity=4)
        assert await place.append(1, capacity=4) == Full("B", 4)

    @conforms
    async def test_a_full_partition_without_groups_is_full(self, place: Place) -> None:
        """Nobody has read these messages: a group may come that wants them from the start."""
        await place.create()
        await place.append(4, capacity=4)
        assert await place.append(1, capacity=4) == Full(None, 4)

    @conforms
    async def test_at_the_limit_an_append_drops_what_every_group_has_settled(self, place: Place) -> None:
        await place.create("a", "b")
        await place.append(4, capacity=4)
        await place.settle(3, "a")
        await place.settle(2, "b")
        assert isinstance(await place.append(1, capacity=4), Appended)
        assert await place.data() == [b"2", b"3", b"4"]

    @conforms
    async def test_what_just_fits_drops_nothing(self, place: Place) -> None:
        await place.create("a")
        await place.append(3, capacity=4)
        await place.settle(2)
        await place.append(1, capacity=4)
        assert len(await place.entries()) == 4

    @conforms
    async def test_room_for_exactly_the_batch_is_enough(self, place: Place) -> None:
        await place.create("a")
        await place.append(4, capacity=4)
        await place.settle(2)
        assert isinstance(await place.append(2, capacity=4), Appended)
        assert await place.data() == [b"2", b"3", b"4", b"5"]

    @conforms
    async def test_who_asked_for_it_loses_the_oldest(self, place: Place) -> None:
        await place.create("a")
        await place.append(4, capacity=4)
        assert isinstance(await place.append(2, capacity=4, overflow="drop_oldest"), Appended)
        assert await place.data() == [b"2", b"3", b"4", b"5"]
        assert (await place.probe()).first == 2

    @conforms
    async def test_trimming_never_passes_the_slowest_group(self, place: Place) -> None:
        await place.create("a", "b")
        await place.append(5)
        await place.settle(4, "a")
        await place.settle(1, "b")
        assert await place.ask(Trim(ORDERS)) == Trimmed(1)
        assert await place.data() == [b"1", b"2", b"3", b"4"]

    @conforms
    async def test_a_group_that_goes_back_holds_trimming_back_again(self, place: Place) -> None:
        """Who is the slowest is looked up each time: what was known before may be more than is settled now."""
        await place.create("a")
        await place.append(5)
        await place.settle(4)
        assert await place.ask(Trim(ORDERS, keep=4)) == Trimmed(1)
        await place.ask(Release(ORDERS, "a", "by-a", (await place.probe()).epoch, start=b"earliest"))
        assert await place.ask(Trim(ORDERS)) == Trimmed(0)

    @conforms
    async def test_trimming_keeps_what_it_is_asked_to_keep(self, place: Place) -> None:
        await place.create("a")
        await place.append(5)
        await place.settle(4)
        assert await place.ask(Trim(ORDERS, keep=3)) == Trimmed(2)

    @conforms
    async def test_trimming_without_any_group_drops_nothing(self, place: Place) -> None:
        """None has settled anything, which is not the same as all having settled everything."""
        await place.create()
        await place.append(5)
        assert await place.ask(Trim(ORDERS)) == Trimmed(0)

    @conforms
    async def test_a_removed_group_holds_nothing_back(self, place: Place) -> None:
        await place.create("a", "b")
        await place.append(5)
        await place.settle(5, "a")
        assert await place.ask(DropLane(ORDERS, "b")) == Dropped()
        assert await place.ask(Trim(ORDERS)) == Trimmed(5)

    @conforms
    async def test_ids_rise_over_a_log_that_was_trimmed_empty(self, place: Place) -> None:
        await place.create("a")
        _, last = ids(await place.append(5))
        await place.settle(5)
        await place.ask(Trim(ORDERS))
        first, _ = ids(await place.append(1))
        assert parse_position(first) > parse_position(last)
        assert (await place.probe()).added == 6

    @conforms
    async def test_among_many_producers_those_long_silent_are_forgotten(self, place: Place) -> None:
        """Each start of a process is a new producer: without a limit their memory would fill the server's."""
        await place.create()
        batches = [Append(ORDERS, f"p{n}", 1, 1, [Record(b"k", b"")], 9_999) for n in range(LIMIT_PRODUCERS)]
        for batch in batches:
            await place.ask(batch)
        assert isinstance(await place.ask(batches[0]), Duplicate)
        await place.ask(Append(ORDERS, "last", 1, 1, [Record(b"k", b"")], 9_999, forget_ms=-3_600_000))
        assert await place.ask(evolve(batches[0], first=2)) == UnknownProducer()

    # --- creation and removal ---

    @conforms
    async def test_creating_twice_changes_nothing(self, place: Place) -> None:
        await place.create("a")
        await place.append(1)
        assert await place.ask(CreatePartition(ORDERS, "other")) == Exists("born")
        assert await place.ask(CreateLane(ORDERS, "a", b"latest")) == Exists()
        assert (await place.probe()).incarnation == "born"
        assert (await place.probe()).progress.read == 0

    @conforms
    async def test_a_partition_that_was_dropped_leaves_nothing(self, place: Place) -> None:
        await place.create("a")
        await place.append(1)
        assert await place.ask(DropPartition(ORDERS)) == Dropped()
        assert await place.entries() == []
        assert await place.ask(CreatePartition(ORDERS, "again")) == Created()
        assert await place.append(1) == UnknownProducer()
        assert not isinstance(await place.ask(Trim(ORDERS)), Fenced)

    @conforms
    async def test_a_group_begins_where_it_was_told_to(self, place: Place) -> None:
        await place.create()
        await place.append(5)
        middle = (await place.entries())[2][0]
        for group, start, read in (("e", b"earliest", 0), ("l", b"latest", 5), ("m", middle, 3), ("o", b"9-0", 0)):
            await place.ask(CreateLane(ORDERS, group, start))
            assert (await place.probe(group)).progress.read == read, group

    @conforms
    async def test_a_group_that_comes_after_trimming_counts_what_was_trimmed(self, place: Place) -> None:
        """Else it would take the first message that is left for the first there ever was, and report nothing lost."""
        await place.create("a")
        await place.append(5)
        await place.settle(2)
        await place.ask(Trim(ORDERS))
        second = (await place.entries())[1][0]
        for group, start, read in (("e", b"earliest", 2), ("m", second, 4), ("l", b"latest", 5)):
            await place.ask(CreateLane(ORDERS, group, start))
            assert (await place.probe(group)).progress.read == read, group
