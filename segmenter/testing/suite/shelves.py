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


def letter(ordinal: int, key: bytes = b"k", data: bytes = b"", **more: Any) -> Letter:
    """Of a message that is in no log: one of its own for each data."""
    data = data or b"%d" % ordinal
    return evolve(Letter(ordinal, b"%d-%d" % (ordinal + 99, len(data)), key, data), **more)


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
        while some := await page(place, count=700, after=seen[-1].ordinal if seen else None):
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

    # --- a log that has lost its end ----------------------------------------------------------------------------------

    @conforms
    async def test_what_is_parked_beyond_the_end_goes_below_all_messages_and_keeps_its_order(
        self, place: Place
    ) -> None:
        """Ordinals come again: what is sent later would take its places, or come before it."""
        epoch = await own(place)
        far, tried = (letter(n) for n in (100, 12, 2, 1)), Progress(attempts=((2, 3),))
        await place.ask(Commit(ORDERS, "a", "m1", epoch, 1, tried, Moves(park=tuple(far))))
        claim = Claim(ORDERS, "a", "m2", 1, epoch, "c2", evict="m1")
        taken = await place.ask(claim)
        assert isinstance(taken, Claimed)
        assert (taken.progress, taken.aside) == (Progress(), Summary(((b"k", 4),)))
        assert [(each.ordinal, each.data) for each in await page(place)] == [
            (-101, b"1"),
            (-100, b"2"),
            (-90, b"12"),
            (-2, b"100"),
        ]
        again = Progress(attempts=((-90, 2), (0, 1)))
        await place.ask(Commit(ORDERS, "a", "m2", taken.epoch, 1, again, Moves(park=(letter(3),))))
        repeated = await place.ask(claim)
        assert isinstance(repeated, Claimed)
        assert (repeated.progress, repeated.aside) == (Progress(), Summary(((b"k", 5),)))
        assert [each.data for each in await page(place)] == [b"1", b"2", b"12", b"100", b"3"]
        assert (await page(place))[-1].ordinal == -2
        assert await page(place, after=-7) == (evolve(letter(3), ordinal=-2),)
        assert await place.ask(Redrive(ORDERS, "a", Request("redrive", b"k", "t"))) == Requested(5)

    @conforms
    async def test_an_attempt_that_ended_its_process_is_counted_below_all_messages_too(self, place: Place) -> None:
        epoch = await own(place)
        tried = Progress(attempts=((-3, 1), (-2, 4), (1, 2)), trying=-3)
        await place.ask(Commit(ORDERS, "a", "m1", epoch, 1, tried, Moves(park=(letter(-3), letter(-2)))))
        taken = await place.ask(Claim(ORDERS, "a", "m2", 1, epoch, "c2", evict="m1"))
        assert isinstance(taken, Claimed)
        assert taken.progress == Progress(attempts=((-3, 2), (-2, 4), (1, 2)))

    @conforms
    async def test_a_dead_letter_leaves_another_message_in_its_place(self, place: Place) -> None:
        epoch = await own(place)
        old, new, newest = letter(0), letter(0, data=b"new"), letter(0, data=b"newest")
        await move(place, epoch, 1, bury=(old, letter(1), letter(2, b"l")))
        await move(place, epoch, 2, bury=(letter(-4, b"l"), new, letter(-9), newest, evolve(old, attempts=2)))
        dead = await page(place, "dead")
        assert [(each.ordinal, each.data) for each in dead] == [
            (-10, b"newest"),
            (-9, b"-9"),
            (-5, b"new"),
            (-4, b"-4"),
            (0, b"0"),
            (1, b"1"),
            (2, b"2"),
        ]
        assert dead[4].attempts == 2
        for command in (Replay(ORDERS, "a", (new,)), Purge(ORDERS, "a", (new,))):
            assert (await place.ask(command)) in (Replayed(0), Purged(0)), "another one lies in its place"
        assert await place.ask(Replay(ORDERS, "a", (dead[0], old))) == Replayed(2)
        assert await place.ask(Purge(ORDERS, "a", (dead[2],))) == Purged(1)

    @conforms
    async def test_a_page_leaves_nothing_behind_that_has_the_ordinal_of_its_last_letter(self, place: Place) -> None:
        epoch = await own(place)
        dead = (letter(0), letter(1, b"k"), letter(1, b"l"), letter(1, b"m"), letter(2))
        await move(place, epoch, 1, bury=dead)
        assert await page(place, "dead", 2) == dead[:4]
        assert await page(place, "dead", 2, after=1) == dead[4:]
        assert await page(place, "dead", 0) == ()

    @conforms
    async def test_moving_a_group_drops_of_what_is_parked_what_will_be_read_once_more(self, place: Place) -> None:
        epoch = await own(place)
        first, second, third = [entry[0] for entry in await place.entries()]
        there = [letter(n, entry_id=entry_id) for n, entry_id in enumerate((first, second, third))]
        lost = [letter(n, b"l", entry_id=second + b"7") for n in (1, 2)]
        await move(place, epoch, 1, park=(*there, *lost))
        moved = await place.ask(Release(ORDERS, "a", "m1", epoch, start=first))
        assert isinstance(moved, Released)
        assert [(each.ordinal, each.data, each.key) for each in await page(place)] == [
            (-4, b"0", b"k"),
            (-3, b"1", b"l"),
            (-2, b"2", b"l"),
        ]

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
        assert await place.ask(Purge(ORDERS, "a", letters[:1])) == Purged(0)
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
