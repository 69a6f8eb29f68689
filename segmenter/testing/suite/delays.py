"""What every backend promises about delays: a message that waits for its next attempt goes on waiting elsewhere."""

from __future__ import annotations

from segmenter.core.command import Cursor
from segmenter.core.delays import Delays as Stored
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Progress, Release, Released
from segmenter.testing.suite.place import BEGIN_S, ORDERS, Place, Suite, conforms, ids

__all__ = ["Delays"]

HOUR_MS = 3_600_000
DELAYS: Stored = ((0, HOUR_MS), (2, 2 * HOUR_MS))
WAITING = Progress(attempts=((0, 1), (2, 3)), delays=DELAYS)


async def claimed(place: Place, member: str, if_epoch: int, evict: str | None = None) -> Claimed:
    reply = await place.ask(Claim(ORDERS, "a", member, 1, if_epoch, f"claim-{member}", evict))
    assert isinstance(reply, Claimed), reply
    return reply


async def delayed(place: Place, delays: Stored = DELAYS) -> int:
    """A partition whose owner ``m1`` has stored delays; its epoch."""
    await place.create("a")
    await place.append(3)
    epoch = await place.claim("m1")
    progress = Progress(attempts=WAITING.attempts, delays=delays)
    assert await place.ask(Commit(ORDERS, "a", "m1", epoch, 1, progress)) == Committed()
    return epoch


async def pass_time(place: Place) -> None:
    """Let a twentieth of a second pass at the server: a read waits there for messages that do not come."""
    end = (await place.probe()).end
    await place.read(Cursor(ORDERS, end), wait_s=BEGIN_S)


def shorter(left: Stored, than: Stored) -> bool:
    """Whether the same messages wait, for less time than before, and no test takes half an hour."""
    before, after = dict(than), dict(left)
    return before.keys() == after.keys() and all(0 < before[at] - after[at] < HOUR_MS / 2 for at in before)


class Delays(Suite):
    """What every backend promises about delays: a message that waits for its next attempt goes on waiting elsewhere."""

    @conforms
    async def test_delays_come_back_as_they_were_stored(self, place: Place) -> None:
        await delayed(place)
        await pass_time(place)
        assert (await place.probe()).progress == WAITING

    @conforms
    async def test_what_is_left_of_a_delay_is_claimed_after_a_release(self, place: Place) -> None:
        """Otherwise a deploy would end every wait, and use up attempts."""
        epoch = await delayed(place, ())
        released = await place.ask(Release(ORDERS, "a", "m1", epoch, 2, WAITING))
        assert isinstance(released, Released)
        await pass_time(place)
        granted = await claimed(place, "m2", released.epoch)
        assert shorter(granted.progress.delays, DELAYS)
        assert granted.progress.attempts == WAITING.attempts

    @conforms
    async def test_what_is_left_of_a_delay_is_claimed_after_each_crash(self, place: Place) -> None:
        """The owner after the next one may have stored nothing before it crashed, too."""
        epoch = await delayed(place)
        await pass_time(place)
        first = await claimed(place, "m2", epoch, evict="m1")
        assert shorter(first.progress.delays, DELAYS)
        await pass_time(place)
        second = await claimed(place, "m3", first.epoch, evict="m2")
        assert shorter(second.progress.delays, first.progress.delays)

    @conforms
    async def test_a_delay_that_is_over_is_claimed_no_more(self, place: Place) -> None:
        epoch = await delayed(place, ((0, HOUR_MS), (2, round(BEGIN_S * 500))))
        await pass_time(place)
        granted = await claimed(place, "m2", epoch, evict="m1")
        assert [ordinal for ordinal, _ in granted.progress.delays] == [0]

    @conforms
    async def test_delays_that_the_last_commit_does_not_store_are_gone(self, place: Place) -> None:
        epoch = await delayed(place)
        assert await place.ask(Commit(ORDERS, "a", "m1", epoch, 2, Progress())) == Committed()
        granted = await claimed(place, "m2", epoch, evict="m1")
        assert granted.progress == Progress()

    @conforms
    async def test_moving_a_group_forgets_delays(self, place: Place) -> None:
        """Whoever moves a group wants its messages now."""
        epoch = await delayed(place)
        _, last = ids(await place.append(1))
        released = await place.ask(Release(ORDERS, "a", "m1", epoch, start=b"earliest"))
        assert isinstance(released, Released)
        granted = await claimed(place, "m2", released.epoch)
        assert (granted.progress, granted.end) == (Progress(), last)
