"""What every backend promises about what is set aside: in one place, byte for byte, and nothing left behind."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from segmenter.core.aside import LIMIT_TOKEN, Letter, Moves, Request, Summary
from segmenter.core.command import Command, Gone
from segmenter.core.letters import Letters, ListLetters, Purge, Purged, Redrive, Replay, Replayed, Requested
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Fenced, Progress, Release, Released
from segmenter.testing.suite.place import ORDERS, Place, Suite, conforms

KEYS = [b"", b"k", b"a:b", b"1:2:", b"a\nb\r\n", b"\x00\xff\xfe", "ключ {}%d".encode(), b"x" * 1024]
REDRIVE = Request("redrive", None, "t1")


def letter(ordinal: int, key: bytes = b"k", **more: Any) -> Letter:
    return Letter(ordinal, b"%d-0" % (ordinal + 1), key, b"%d" % ordinal, **more)


async def own(place: Place) -> int:
    await place.create("a")
    await place.append(3)
    return await place.claim("m1")


async def move(place: Place, epoch: int, number: int, **moves: Any) -> Any:
    return await place.ask(Commit(ORDERS, "a", "m1", epoch, number, Progress(), Moves(**moves)))


async def page(place: Place, shelf: Any = "parked", count: int = 20_000, **more: Any) -> tuple[Letter, ...]:
    reply = await place.ask(ListLetters(ORDERS, "a", shelf, count, **more))
    assert isinstance(reply, Letters)
    return reply.letters


class Shelves(Suite):
    """What every backend promises about what is set aside: in one place, byte for byte, and nothing left behind."""

    # --- as they were -------------------------------------------------------------------------------------------------

    @conforms
    async def test_letters_come_back_byte_for_byte(self, place: Place) -> None:
        epoch = await own(place)
        letters = tuple(
            Letter(
                ordinal, b"7-%d" % ordinal, key, bytes(range(256)) + key, b'{"h":"\n\xe2\x82\xac"}', 3, "Fehler: \n€ {}"
            )
            for ordinal, key in enumerate(KEYS)
        )
        assert await move(place, epoch, 1, park=letters, bury=letters) == Committed()
        assert await page(place) == await page(place, "dead") == letters
        for each in letters:
            assert await page(place, key=each.key) == (each,)

    @conforms
    async def test_a_letter_may_be_as_large_as_a_message(self, place: Place) -> None:
        epoch = await own(place)
        large = evolve(letter(0), data=bytes(range(256)) * 4096, headers=b"h" * 4096, reason="r" * 500)
        await move(place, epoch, 1, park=(large,))
        assert await page(place) == (large,)

    @conforms
    async def test_a_shelf_holds_thousands_and_is_looked_through_page_by_page(self, place: Place) -> None:
        epoch = await own(place)
        letters = [letter(ordinal, b"k%d" % (ordinal % 3)) for ordinal in range(3_000)]
        for number in range(6):
            await move(place, epoch, number + 1, park=tuple(letters[number * 500 : (number + 1) * 500]))
        seen: list[Letter] = []
        while some := await page(place, count=700, after=seen[-1].ordinal if seen else -1):
            seen += some
        assert seen == letters
        assert len(await page(place, key=b"k1")) == 1_000
        heir = await place.ask(Claim(ORDERS, "a", "m2", 1, epoch, "c2", evict="m1"))
        assert isinstance(heir, Claimed)
        assert heir.aside == Summary(((b"k0", 1_000), (b"k1", 1_000), (b"k2", 1_000)))

    @conforms
    async def test_requests_are_told_to_the_owner_and_to_whoever_takes_over(self, place: Place) -> None:
        epoch = await own(place)
        await move(place, epoch, 1, park=tuple(letter(ordinal, key) for ordinal, key in enumerate(KEYS)))
        requests = [REDRIVE, *(Request("discard", key, "t2") for key in KEYS)]
        for request in requests:
            assert await place.ask(Redrive(ORDERS, "a", request)) == Requested(
                1 if request.key is not None else len(KEYS)
            )
        assert sorted((await place.probe()).requests, key=repr) == sorted(requests, key=repr)
        heir = await place.ask(Claim(ORDERS, "a", "m2", 1, epoch, "c2", evict="m1"))
        assert isinstance(heir, Claimed)
        assert sorted(heir.aside.requests, key=repr) == sorted(requests, key=repr)

    @conforms
    async def test_a_request_stands_in_the_place_of_another_under_the_tokens_of_both(self, place: Place) -> None:
        """One that comes again, late, would have a later one taken away by whoever has carried out the earlier one."""
        epoch = await own(place)
        await move(place, epoch, 1, park=(letter(0),))
        for token in ("t1", "t2", "t2", "t1"):
            await place.ask(Redrive(ORDERS, "a", evolve(REDRIVE, token=token)))
        await move(place, epoch, 2, heeded=(REDRIVE,))
        assert [request.token for request in (await place.probe()).requests] == ["t1+t2+t1"]
        for number in range(LIMIT_TOKEN):
            await place.ask(Redrive(ORDERS, "a", evolve(REDRIVE, token=f"u{number}")))
        assert [len(request.token) for request in (await place.probe()).requests] == [LIMIT_TOKEN]

    # --- moved once, by the owner -------------------------------------------------------------------------------------

    @conforms
    async def test_what_is_set_aside_is_moved_by_the_commit_that_counts_it_and_only_once(self, place: Place) -> None:
        epoch = await own(place)
        await move(place, epoch, 1, park=(letter(0),), bury=(letter(1),))
        await move(place, epoch, 2, unpark=(letter(0).place,))
        assert await move(place, epoch, 1, park=(letter(0),)) == Committed()
        assert await move(place, epoch - 1, 3, park=(letter(0),)) == Fenced("m1", epoch)
        assert await page(place) == ()
        assert await page(place, "dead") == (letter(1),)

    @conforms
    async def test_a_release_moves_as_a_commit_does(self, place: Place) -> None:
        epoch = await own(place)
        release = Release(ORDERS, "a", "m1", epoch, 1, Progress(), moves=Moves(park=(letter(0),)))
        assert isinstance(await place.ask(release), Released)
        assert await page(place) == (letter(0),)

    @conforms
    async def test_dead_letters_are_replayed_once_and_purged(self, place: Place) -> None:
        epoch = await own(place)
        letters = (letter(0, KEYS[5]), letter(1, headers=b"h"), letter(2))
        await move(place, epoch, 1, bury=letters)
        replay = Replay(ORDERS, "a", letters[:2])
        assert [await place.ask(replay), await place.ask(replay)] == [Replayed(2), Replayed(0)]
        assert [list(entry[1]) for entry in (await place.entries())[3:]] == [
            [b"k", KEYS[5], b"d", b"0"],
            [b"k", b"k", b"d", b"1", b"h", b"h"],
        ]
        assert await place.ask(Purge(ORDERS, "a", (letters[0].place,))) == Purged(0)
        assert await place.ask(Purge(ORDERS, "a")) == Purged(1)

    @conforms
    async def test_unclean_ends_are_counted_until_the_progress_has_passed_them(self, place: Place) -> None:
        epoch = await own(place)
        ids = [entry[0] for entry in await place.entries()]
        await place.ask(Commit(ORDERS, "a", "m1", epoch, 1, Progress(trying=1)))
        taken = await place.ask(Claim(ORDERS, "a", "m2", 1, epoch, "c2", evict="m1", window=2))
        assert isinstance(taken, Claimed)
        assert (taken.unclean, taken.horizon, taken.progress) == (1, 2, Progress(attempts=((1, 1),)))
        await place.ask(Commit(ORDERS, "a", "m2", taken.epoch, 1, Progress(ids[1], 2)))
        again = await place.ask(Claim(ORDERS, "a", "m2", 1, taken.epoch, "c3"))
        assert isinstance(again, Claimed)
        assert (again.unclean, again.horizon) == (0, 0)

    @conforms
    async def test_what_is_not_there_is_not_made_by_looking_after_it(self, place: Place) -> None:
        commands: list[Command[Any, Any]] = [
            ListLetters(ORDERS, "a", "parked", 1),
            Redrive(ORDERS, "a", REDRIVE),
            Replay(ORDERS, "a", (letter(0),)),
            Purge(ORDERS, "a"),
        ]
        for command in commands:
            assert await place.ask(command) == Gone()
        await place.create()
        for command in commands:
            assert await place.ask(command) == Gone()
