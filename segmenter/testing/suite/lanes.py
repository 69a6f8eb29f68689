"""What every backend promises about ownership and progress: one owner, and nothing stored by anyone else."""

from __future__ import annotations

from attrs import evolve

from segmenter.core.command import Gone
from segmenter.core.partition import (
    Behind,
    Changed,
    Claim,
    Claimed,
    Commit,
    Committed,
    Fenced,
    Held,
    Probe,
    Progress,
    Release,
    Released,
    Truncated,
)
from segmenter.core.retention import Trim, Trimmed
from segmenter.core.survey import PartitionSurveyed, SurveyPartition
from segmenter.testing.suite.place import ORDERS, Place, Suite, conforms, ids


class Lanes(Suite):
    """What every backend promises about ownership and progress: one owner, and nothing stored by anyone else."""

    @conforms
    async def test_a_claim_of_an_absent_lane_creates_nothing(self, place: Place) -> None:
        await place.create()
        for _ in range(2):
            assert await place.ask(Claim(ORDERS, "a", "m", 1, 0, "c")) == Gone()
            assert await place.ask(Probe(ORDERS, "a")) == Gone()

    @conforms
    async def test_a_partition_has_one_owner(self, place: Place) -> None:
        await place.create("a")
        epoch = await place.claim("m1")
        assert await place.ask(Claim(ORDERS, "a", "m2", 1, epoch, "c2")) == Held("m1", epoch)

    @conforms
    async def test_groups_do_not_see_each_other(self, place: Place) -> None:
        await place.create("a", "b")
        await place.claim("m1", group="a")
        await place.claim("m2", group="b")
        assert ((await place.probe("a")).owner, (await place.probe("b")).owner) == ("m1", "m2")

    @conforms
    async def test_a_repeated_claim_gets_the_same_answer(self, place: Place) -> None:
        """The first answer may have been lost."""
        await place.create("a")
        await place.append(3)
        claim = Claim(ORDERS, "a", "m1", 1, 0, "c1")
        granted = await place.ask(claim)
        assert [await place.ask(claim), await place.ask(evolve(claim, generation=0))] == [granted, granted]

    @conforms
    async def test_a_claim_says_where_to_go_on_and_where_the_log_ends(self, place: Place) -> None:
        await place.create("a")
        _, last = ids(await place.append(3))
        reply = await place.ask(Claim(ORDERS, "a", "m1", 1, 0, "c1"))
        assert isinstance(reply, Claimed)
        assert (reply.progress, reply.end, reply.first, reply.incarnation) == (Progress(), last, 0, "born")

    @conforms
    async def test_a_claim_that_names_an_old_epoch_fails(self, place: Place) -> None:
        await place.create("a")
        epoch = await place.claim("m1")
        assert await place.ask(Claim(ORDERS, "a", "m2", 1, 0, "c2", evict="m1")) == Changed("m1", epoch)

    @conforms
    async def test_a_claim_of_an_older_generation_fails(self, place: Place) -> None:
        await place.create("a")
        reply = await place.ask(Claim(ORDERS, "a", "m1", 7, 0, "c1"))
        assert isinstance(reply, Claimed)
        for member in ("m2", "m1"):
            assert await place.ask(Claim(ORDERS, "a", member, 6, reply.epoch, "c2", evict="m1")) == Behind(7)

    @conforms
    async def test_an_epoch_rises_above_the_floor(self, place: Place) -> None:
        """After a rollback it must exceed what was lost."""
        await place.create("a")
        assert await place.claim("m1", floor=3_000_000_000_000_000) == 3_000_000_000_000_001

    @conforms
    async def test_a_fenced_commit_is_refused(self, place: Place) -> None:
        await place.create("a")
        _, last = ids(await place.append(3))
        old = await place.claim("m1")
        new = await place.claim("m2", if_epoch=old, evict="m1")
        assert new > old
        assert await place.commit("m1", old, 1, last, 3) == Fenced("m2", new)
        assert await place.commit("m1", new, 1, last, 3) == Fenced("m2", new)
        assert await place.commit("m2", old, 1, last, 3) == Fenced("m2", new)
        assert await place.commit("m2", new + 1, 1, last, 3) == Fenced("m2", new), "higher is not better"
        ahead = Progress(last, 3, ((4, 5),), ((3, 2),))
        assert await place.ask(Commit(ORDERS, "a", "m1", old, 1, ahead)) == Fenced("m2", new)
        assert (await place.probe()).progress == Progress()

    @conforms
    async def test_progress_comes_back_as_it_was_stored(self, place: Place) -> None:
        await place.create("a")
        first, _ = ids(await place.append(3))
        epoch = await place.claim("m1")
        progress = Progress(first, 1, ((2, 3), (5, 9)), ((1, 4),))
        assert await place.ask(Commit(ORDERS, "a", "m1", epoch, 1, progress)) == Committed()
        probed = await place.probe()
        assert (probed.progress, probed.owner, probed.epoch, probed.intact) == (progress, "m1", epoch, True)

    @conforms
    async def test_progress_counts_where_nothing_of_what_it_passed_is_left(self, place: Place) -> None:
        """And it goes no further than the log ever did."""
        await place.create("a")
        _, last = ids(await place.append(3))
        epoch = await place.claim("m1")
        assert await place.commit("m1", epoch, 1, last, 3) == Committed()
        assert await place.ask(Trim(ORDERS)) == Trimmed(3)
        assert await place.commit("m1", epoch, 2, last, 3) == Committed()
        beyond = b"%d-0" % (int(last.split(b"-")[0]) + 1)
        assert await place.commit("m1", epoch, 3, beyond, 4) == Truncated(last)

    @conforms
    async def test_a_number_that_was_committed_is_not_committed_again(self, place: Place) -> None:
        """A late repetition must not take back what came after it."""
        await place.create("a")
        first, last = ids(await place.append(3))
        epoch = await place.claim("m1")
        await place.commit("m1", epoch, 2, last, 3)
        assert await place.commit("m1", epoch, 1, first, 1) == Committed()
        assert await place.commit("m1", epoch, 2, first, 1) == Committed()
        assert (await place.probe()).progress.read == 3

    @conforms
    async def test_progress_beyond_the_end_of_the_log_is_refused(self, place: Place) -> None:
        await place.create("a")
        _, last = ids(await place.append(3))
        epoch = await place.claim("m1")
        assert await place.commit("m1", epoch, 1, b"99999999999999-0", 9) == Truncated(last)

    @conforms
    async def test_a_release_stores_the_last_progress_and_frees_the_partition(self, place: Place) -> None:
        await place.create("a")
        _, last = ids(await place.append(3))
        epoch = await place.claim("m1")
        reply = await place.ask(Release(ORDERS, "a", "m1", epoch, 1, Progress(last, 3)))
        assert isinstance(reply, Released)
        probed = await place.probe()
        assert (probed.owner, probed.epoch, probed.progress) == (None, reply.epoch, Progress(last, 3))
        assert await place.claim("m2", if_epoch=reply.epoch) > reply.epoch

    @conforms
    async def test_a_release_without_an_owner_makes_a_late_claim_fail(self, place: Place) -> None:
        """So a claim whose answer was lost can be ended for good."""
        await place.create("a")
        reply = await place.ask(Release(ORDERS, "a", "m1", 0))
        assert isinstance(reply, Released)
        assert await place.ask(Claim(ORDERS, "a", "m1", 1, 0, "late")) == Changed(None, reply.epoch)

    @conforms
    async def test_nobody_else_can_release(self, place: Place) -> None:
        await place.create("a")
        epoch = await place.claim("m1")
        assert await place.ask(Release(ORDERS, "a", "m2", epoch)) == Fenced("m1", epoch)
        assert await place.ask(Release(ORDERS, "a", "m1", epoch - 1)) == Fenced("m1", epoch)

    @conforms
    async def test_a_release_in_place_of_another_stores_nothing(self, place: Place) -> None:
        await place.create("a")
        _, last = ids(await place.append(3))
        epoch = await place.claim("m1")
        assert isinstance(
            await place.ask(Release(ORDERS, "a", "m2", epoch, 1, Progress(last, 3), evict="m1")), Released
        )
        assert (await place.probe()).progress == Progress()

    @conforms
    async def test_a_release_moves_the_group_if_it_is_asked_to(self, place: Place) -> None:
        await place.create("a")
        await place.append(3)
        second = (await place.entries())[1][0]
        epoch = await place.claim("m1")
        await place.ask(Commit(ORDERS, "a", "m1", epoch, 1, Progress(b"0-0", 0, ((1, 3),), ((0, 2),))))
        await place.ask(Release(ORDERS, "a", "m1", epoch, start=second))
        assert (await place.probe()).progress == Progress(second, 2)

    @conforms
    async def test_a_partition_that_is_gone_says_so_to_everyone(self, place: Place) -> None:
        for command in (
            Claim(ORDERS, "a", "m", 1, 0, "c"),
            Commit(ORDERS, "a", "m", 1, 1, Progress()),
            Release(ORDERS, "a", "m", 1),
            Probe(ORDERS, "a"),
        ):
            assert await place.session.execute(command) == Gone()

    @conforms
    async def test_a_survey_of_a_partition_shows_every_lane_and_what_waits_in_it(self, place: Place) -> None:
        assert await place.ask(SurveyPartition(ORDERS)) == Gone()
        await place.create("b", "a")
        await place.append(3)
        entries = [entry[0] for entry in await place.entries()]
        await place.settle(1, group="b")
        surveyed = await place.ask(SurveyPartition(ORDERS))
        assert isinstance(surveyed, PartitionSurveyed)
        assert (surveyed.end, surveyed.first, surveyed.added) == (entries[-1], 0, 3)
        assert [(lane.group, lane.owner, lane.progress.read, lane.oldest) for lane in surveyed.lanes] == [
            ("a", None, 0, entries[0]),
            ("b", "by-b", 1, entries[1]),
        ]
        assert abs(surveyed.now_us // 1000 - int(entries[0].split(b"-")[0])) < 60_000
