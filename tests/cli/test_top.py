"""``segmenter top``: what is watched, on virtual time, and how it is drawn."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from segmenter import Segmenter
from segmenter.cli.board import Board
from segmenter.cli.place import Place
from segmenter.cli.watching import Look, told, watch
from tests.cli.golden import ran
from tests.servers import free_port
from tests.world import World, virtually

HERE = Place("memory://top", "default", "table")
LIMIT_S = 30


def test_the_colours_are_those_of_the_terminal() -> None:
    """One that is light is not painted dark."""
    assert Board(HERE, None, None).ansi_color


async def passing(world: World, seconds: float) -> None:
    """Let virtual time pass."""
    until = world.loop.time() + seconds
    await world.until(lambda: world.loop.time() >= until)


@virtually
async def test_what_happens_is_shown_when_it_happens_and_rates_follow(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    await world.worker("a")
    looks: list[Look] = []

    async def looking() -> None:
        async with aclosing(watch(world.segmenter(), clock=world.loop.time)) as watching:
            async for look in watching:
                looks.append(look)  # noqa: PERF401 - they are looked at while they come

    eye = asyncio.ensure_future(looking())
    for number in range(100):
        await orders.send(f"k{number}", b"")
        await passing(world, 0.1)
    (group,) = looks[-1].groups
    assert group.total.sent == pytest.approx(10, abs=1)
    assert group.total.settled == pytest.approx(10, abs=1)
    before = world.loop.time()
    await world.worker("b")
    await world.until(lambda: any(look.news for look in looks))
    assert world.loop.time() - before < 0.5

    def news() -> list[str]:
        return [told(heard) for look in looks for heard in look.news]

    await world.until(lambda: any("handed back" in words for words in news()))
    assert [words.split()[0] for words in news()] == ["joined", "balanced", "partition"]
    eye.cancel()


@virtually
async def test_a_member_that_says_nothing_is_told_by_its_silence(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=2)
    living = await world.worker("a", session_timeout=60.0)
    ghost = await world.worker("b", session_timeout=60.0)
    async with aclosing(watch(world.segmenter(), "orders", "g", clock=world.loop.time)) as watching:
        await anext(watching)
        ghost.halt()
        look = await anext(watching)
        while world.loop.time() < 40:
            look = await anext(watching)
    (group,) = look.groups
    assert (group.silence_s(living.id) or 0) < 15
    assert (group.silence_s(ghost.id) or 0) > 25
    assert group.silence_s("nobody") is None


@virtually
async def test_streams_and_groups_that_come_and_go_are_followed(world: World) -> None:
    segmenter = world.segmenter()
    async with aclosing(watch(world.segmenter(), clock=world.loop.time)) as watching:
        assert (await anext(watching)).groups == ()
        await segmenter.register_stream("orders", partitions=1)
        await world.worker("a")
        while not (look := await anext(watching)).groups:
            pass
        assert [group.name for group in look.groups] == [("orders", "g")]
        await segmenter.remove_stream("orders")
        while (await anext(watching)).groups:
            pass


def shown(board: Board, name: str) -> str:
    return str(board.query_one(f"#{name}-text", Static).render())


async def until(board: Board, pilot: Pilot[None], name: str, words: str) -> None:
    while words not in shown(board, name):
        await pilot.pause()


def test_the_board_shows_groups_their_partitions_and_the_news() -> None:
    async def main() -> None:
        async with asyncio.timeout(LIMIT_S), Segmenter("memory://top") as segmenter:
            for stream in ("orders", "payments"):
                await segmenter.register_stream(stream, partitions=2)
                consumer = await segmenter.register_consumer(stream, group=f"of-{stream}")
                assert consumer.partitions in ([], [0, 1])
            board = Board(HERE, None, None)
            async with board.run_test(size=(120, 40)) as pilot:
                await until(board, pilot, "groups", "▸ of-orders")
                assert "of-payments" in shown(board, "groups")
                await until(board, pilot, "partitions", "owned")
                await pilot.press("down")
                await until(board, pilot, "groups", "▸ of-payments")
                assert board.query_one("#partitions").border_title == "of-payments of payments"
                await segmenter.pause_group("payments", "of-payments")
                await until(board, pilot, "news", "of-payments of payments: paused")
                await until(board, pilot, "news", "handed back")
                await until(board, pilot, "partitions", "paused")
                assert "SENT/S" in shown(board, "groups")
                assert "PARKED  DEAD" in shown(board, "groups")
                assert "PARKED  DEAD" in shown(board, "partitions")
                await pilot.resize_terminal(60, 24)
                while "SENT/S" in shown(board, "groups"):
                    await pilot.pause()
                assert "SETTLED/S" in shown(board, "groups")
                await pilot.press("q")
            assert board.failure is None

    asyncio.run(main())


def test_a_board_without_a_server_ends_with_the_reason() -> None:
    async def main() -> None:
        board = Board(Place(f"redis://127.0.0.1:{free_port()}", "default", "table"), None, None)
        async with asyncio.timeout(LIMIT_S), board.run_test() as pilot:
            while board.failure is None:
                await pilot.pause()
        assert "check that the server runs" in str(board.failure)

    asyncio.run(main())


def test_without_a_terminal_it_says_what_to_use_instead() -> None:
    code, out, err = ran(["--url", "memory://", "top"])
    assert (code, out) == (2, "")
    assert "use groups describe -o json" in err
