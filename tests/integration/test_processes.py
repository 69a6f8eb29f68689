"""Real processes on real servers: killed, stopped and continued, joining and leaving."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable

import pytest

from segmenter import Segmenter, Stream
from segmenter.core.command import PartitionSlot
from segmenter.core.partition import Commit, Fenced, Progress
from tests.integration.stage import Stage
from tests.servers import Server

Scene = Callable[[Stage, Stream, Segmenter], Awaitable[None]]

REAL = pytest.mark.parametrize("server_name", ["newest_server", "oldest_server"])


def _play(scene: Scene, request: pytest.FixtureRequest, server_name: str, namespace: str, **options: float) -> None:
    server: Server = request.getfixturevalue(server_name)

    async def main() -> None:
        stage = Stage(server.url, namespace, **options)
        async with stage.segmenter() as segmenter:
            try:
                stream = await segmenter.register_stream("flights", partitions=4)
                await scene(stage, stream, segmenter)
            finally:
                await stage.crew.dismiss()

    asyncio.run(main())


@REAL
def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    request: pytest.FixtureRequest, server_name: str, namespace: str
) -> None:
    async def scene(stage: Stage, stream: Stream, segmenter: Segmenter) -> None:
        for name in ("worker-1", "worker-2", "worker-3"):
            await stage.start(name)
        await stage.send(stream, 600)
        await stage.until(lambda: stage.done > 150)
        await stage.crew.kill("worker-2")
        await stage.send(stream, 200)
        await stage.until(lambda: stage.done == 800)
        verdict = stage.verdict()
        assert verdict.holds, verdict
        taken = [handoff.seconds for handoff in verdict.handoffs if handoff.killed]
        assert taken
        assert max(taken) < 0.6 + 2 * 0.12 + 1.0, "session and two heartbeats, and a slow machine"

    _play(scene, request, server_name, namespace)


@REAL
def test_workers_join_and_leave_while_it_goes_on(
    request: pytest.FixtureRequest, server_name: str, namespace: str
) -> None:
    async def scene(stage: Stage, stream: Stream, segmenter: Segmenter) -> None:
        await stage.start("worker-1")
        await stage.until(lambda: stage.owned("worker-1") == 4)
        await stage.send(stream, 300)
        await stage.start("worker-2")
        await stage.until(lambda: stage.owned("worker-1") == stage.owned("worker-2") == 2)
        await stage.send(stream, 300)
        await stage.crew.stop("worker-1")
        await stage.until(lambda: stage.done == 600)
        verdict = stage.verdict()
        assert verdict.holds, verdict
        assert verdict.again == 0, "a graceful hand-over repeats nothing"
        assert stage.noted("worker-1", "lost") == []
        await stage.until(lambda: stage.owned("worker-2") == 4)

    _play(scene, request, server_name, namespace, session_s=3.0)


@REAL
def test_a_worker_that_slept_past_its_session_is_fenced_and_told(
    request: pytest.FixtureRequest, server_name: str, namespace: str
) -> None:
    """SIGSTOP is what a long garbage collection, a suspended laptop or a frozen container look like."""

    async def scene(stage: Stage, stream: Stream, segmenter: Segmenter) -> None:
        for name in ("worker-1", "worker-2"):
            await stage.start(name)
        await stage.until(lambda: stage.owned("worker-1") == stage.owned("worker-2") == 2)
        before = await segmenter.describe("flights", "tower")
        await stage.send(stream, 400)
        await stage.until(lambda: stage.done > 40)
        stage.crew.signal("worker-1", signal.SIGSTOP)
        await stage.until(lambda: stage.owned("worker-2") == 4)
        stage.crew.signal("worker-1", signal.SIGCONT)
        await stage.until(lambda: len(stage.noted("worker-1", "lost")) >= 2)
        await stage.until(lambda: stage.done == 400)
        await stage.until(lambda: len(stage.noted("worker-1", "admitted")) >= 2)
        assert stage.verdict().holds, stage.verdict()
        for lane in before.partitions:  # a commit of the time before the sleep, arriving now
            assert lane.owner is not None
            late = Commit(
                PartitionSlot("flights", lane.partition), "tower", lane.owner, lane.epoch, 10**6, Progress(b"1-1", 1)
            )
            now = (await segmenter.describe("flights", "tower")).partitions[lane.partition]
            if now.epoch != lane.epoch:
                assert isinstance(await segmenter.session.execute(late), Fenced)

    _play(scene, request, server_name, namespace)


@REAL
def test_an_idle_stream_is_still_read_after_longer_than_the_clients_time_outs(
    request: pytest.FixtureRequest, server_name: str, namespace: str
) -> None:
    """redis-py gives sockets five seconds; a blocked read that ran into that was an outage of a minute."""

    async def scene(stage: Stage, stream: Stream, segmenter: Segmenter) -> None:
        consumer = await segmenter.register_consumer("flights", group="idle", session_timeout=1.0)
        assert await consumer.read(timeout=6.5) == []
        owners = (await segmenter.describe("flights", "idle")).partitions
        assert {lane.owner for lane in owners} == {consumer.id}, "it went on beating"
        began = asyncio.get_running_loop().time()
        await stream.send("k", b"after the silence")
        assert [message.data for message in await consumer.read(timeout=5)] == [b"after the silence"]
        assert asyncio.get_running_loop().time() - began < 0.5

    _play(scene, request, server_name, namespace)


@REAL
def test_a_blocking_handler_keeps_its_membership(
    request: pytest.FixtureRequest, server_name: str, namespace: str
) -> None:
    """The heart beats in a thread of its own, so that blocking the loop for a while costs nothing."""

    async def scene(stage: Stage, stream: Stream, segmenter: Segmenter) -> None:
        lost: list[int] = []
        consumer = await segmenter.register_consumer(
            "flights", group="blocking", session_timeout=0.5, on_lost=lost.append
        )
        await stream.send("k", b"")
        message = await anext(consumer)
        _block(1.2)
        await consumer.ack(message)
        assert lost == []

    _play(scene, request, server_name, namespace)


def _block(for_s: float) -> None:
    """Keep the thread, and with it the loop, from doing anything else."""
    threading.Event().wait(for_s)
