"""What every backend promises about settling here and sending there: both or neither, or an honest refusal."""

from __future__ import annotations

from attrs import evolve, frozen

from segmenter.core.command import Crossing, PartitionSlot
from segmenter.core.forward import Forward, Forwarded, ForwardReply
from segmenter.core.log import Record, in_columns
from segmenter.core.partition import Commit, Fenced, Progress
from segmenter.core.retention import Full
from segmenter.errors import BackendError
from segmenter.testing.suite.place import ORDERS, OTHERS, Place, Suite, conforms, ids

BILL = Record(b"k", b"bill")


@frozen
class Way:
    """From a message that somebody owns to another partition."""

    place: Place
    commit: Commit
    there: PartitionSlot = OTHERS

    async def forward(self, capacity: int = 10) -> ForwardReply | None:
        """Go it; nothing comes back where the backend says that it cannot be gone."""
        try:
            crossing = Crossing(self.commit.slot, self.there)
            return await self.place.ask(Forward(crossing, self.commit, in_columns([BILL]), capacity))
        except BackendError as error:
            if error.retriable or not error.refused:
                raise AssertionError("a refusal says that nothing was done, and that nothing ever will be") from error
            return None

    async def outcome(self) -> tuple[int, list[bytes]]:
        """How much is settled here, and what stands there."""
        return (await self.place.probe()).progress.read, await self.place.data(self.there)


async def way(place: Place, there: PartitionSlot = OTHERS) -> Way:
    await place.create("a")
    await place.create(slot=OTHERS)
    _, last = ids(await place.append(1))
    epoch = await place.claim("m1")
    return Way(place, Commit(ORDERS, "a", "m1", epoch, 1, Progress(last, 1)), there)


class Crossings(Suite):
    """What every backend promises about settling here and sending there: both or neither, or an honest refusal."""

    @conforms
    async def test_a_message_is_settled_here_and_stands_there_or_that_is_refused(self, place: Place) -> None:
        to = await way(place)
        done = await to.forward() == Forwarded()
        assert await to.outcome() == ((1, [b"bill"]) if done else (0, []))

    @conforms
    async def test_a_message_that_is_passed_on_within_its_partition_stands_behind_it(self, place: Place) -> None:
        to = await way(place, ORDERS)
        done = await to.forward() == Forwarded()
        assert await to.outcome() == ((1, [b"0", b"bill"]) if done else (0, [b"0"]))

    @conforms
    async def test_passing_on_once_more_sends_nothing_more(self, place: Place) -> None:
        """The first answer may have been lost."""
        to = await way(place)
        assert await to.forward() == await to.forward()
        assert (await to.outcome())[1] in ([b"bill"], [])

    @conforms
    async def test_who_does_not_own_the_message_passes_nothing_on(self, place: Place) -> None:
        to = await way(place)
        stranger = evolve(to, commit=evolve(to.commit, member="m2"))
        assert await stranger.forward() in {Fenced("m1", to.commit.epoch), None}
        assert await to.outcome() == (0, [])

    @conforms
    async def test_what_finds_no_room_there_is_not_settled_here(self, place: Place) -> None:
        to = await way(place)
        assert await to.forward(capacity=0) in {Full(None, 0), None}
        assert await to.outcome() == (0, [])
