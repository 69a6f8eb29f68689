"""Workers as processes on a real Redis: stopped, killed, blocked, deaf; and what their supervisor makes of it."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from segmenter import GroupSnapshot, Segmenter, Stream
from segmenter.cli.codes import Exit
from tests.integration.crew import Crew
from tests.servers import Server, free_port

Scene = Callable[[Crew, Segmenter, Stream[str]], Awaitable[None]]


def play(scene: Scene, server: Server, namespace: str, partitions: int = 4, **options: Any) -> None:
    async def main() -> None:
        crew = Crew(server.url, namespace, **options)
        async with Segmenter(server.url, namespace=namespace) as segmenter:
            try:
                await scene(crew, segmenter, await segmenter.register_stream("orders", partitions=partitions, type=str))
            finally:
                await crew.dismiss()

    asyncio.run(main())


async def described_as(segmenter: Segmenter, condition: Callable[[GroupSnapshot], bool]) -> None:
    """Ask the server until it says so; each question takes a round trip."""
    async with asyncio.timeout(30):
        while not condition(await segmenter.describe("orders", "g")):
            pass


def test_a_handler_ends_when_its_worker_is_told_to_stop_and_a_peer_goes_on_within_a_second(
    newest_server: Server, namespace: str
) -> None:
    """What every deployment does to every worker."""

    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("first")
        await crew.until(lambda: len(crew.of("granted", by="first")) == 4)
        await crew.start("second")
        await crew.until(lambda: len(crew.of("granted", by="second")) == 2)
        await orders.send_many([(f"k{n}", "nap 1") for n in range(20)])
        await crew.until(lambda: len(crew.of("began")) == 20)
        at_work = {said.key for said in crew.of("began", by="first")}
        crew.signal("first")
        assert await crew.ended("first") == Exit.OK
        assert {said.key for said in crew.of("ended", by="first")} == at_work != set()
        last = max(said.at for said in crew.of("ended", by="first"))
        await crew.until(lambda: len(crew.of("granted", by="second")) == 4)
        assert crew.of("granted", by="second")[-1].at - last < 1
        await described_as(segmenter, lambda group: group.lag == 0)
        assert len(crew.of("began")) == 20, "nothing was handled twice"

    play(scene, newest_server, namespace, session_timeout=10.0)


def test_what_the_application_has_made_at_its_start_is_not_collected_again_and_again(
    newest_server: Server, namespace: str
) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("one")
        await orders.send("k", "frozen")
        await crew.until(lambda: len(crew.of("frozen")) == 1)
        assert int(crew.of("frozen")[0].data) > 1_000  # objects

    play(scene, newest_server, namespace)


def test_a_second_signal_ends_the_process_at_once(newest_server: Server, namespace: str) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("one")
        await orders.send("a", "nap 100")
        await crew.until(lambda: len(crew.of("began")) == 1)
        await orders.send("b", "block 100")  # the loop: none of its callbacks would be called
        await crew.until(lambda: len(crew.of("began")) == 2)
        crew.signal("one", signal.SIGINT)
        assert await crew.insisted("one") == Exit.INTERRUPTED

    play(scene, newest_server, namespace)


def test_a_crash_with_64_keys_in_flight_costs_only_what_was_in_flight(newest_server: Server, namespace: str) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("first")
        await orders.send_many([(f"done{n}", "quick") for n in range(200)])
        await crew.until(lambda: len(crew.of("ended")) == 200)
        await described_as(segmenter, lambda group: group.lag == 0)
        await orders.send_many([(f"k{n}", "nap 100") for n in range(64)])
        await orders.send_many([(f"k{n}", "quick") for n in range(64)])
        await crew.until(lambda: len(crew.of("began")) == 264)
        await orders.send_many([(f"more{n}", "quick") for n in range(10)])
        crew.signal("first", signal.SIGKILL)
        await crew.ended("first")
        ended = {said.key for said in crew.of("ended")}
        await crew.start("second")
        in_flight, unanswered = ({f"{name}{n}" for n in range(64)} for name in ("k", "more"))
        await crew.until(lambda: {said.key for said in crew.of("began", by="second")} >= in_flight)
        again = {said.key for said in crew.of("began", by="second")}
        assert again - in_flight <= unanswered, "what had been answered is not done again"
        assert again & ended <= unanswered
        assert {said.attempt for said in crew.of("began", by="second")} == {1}, "nobody knows whose fault it was"

    play(scene, newest_server, namespace, key_concurrency=64)


def test_a_message_that_kills_every_process_is_parked_and_the_others_get_done(
    newest_server: Server, namespace: str
) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await orders.send_many([("well0", "quick"), ("deadly", "exit 9"), ("deadly", "quick"), ("well1", "quick")])
        await crew.start("crew", "--workers", "2")
        await crew.until(lambda: bool(crew.of("parked")))
        (parked,) = crew.of("parked")
        assert (parked.key, parked.data) == ("deadly", "after 2 attempts (of 2) that did not come to an end")
        await described_as(segmenter, lambda group: group.lag == 0)
        assert {said.key for said in crew.of("ended")} >= {"well0", "well1"}
        assert len(crew.of("began", key="deadly")) <= 2 + 2, (
            "two unclean ends before there is caution, then two attempts"
        )
        assert "ended with exit code 9: it is started again in" in crew.talk["crew"]
        crew.signal("crew")
        assert await crew.ended("crew") == Exit.OK

    play(scene, newest_server, namespace, partitions=1, attempts=2, session_timeout=0.5)


def test_a_deaf_handler_costs_its_process_and_not_its_partition(newest_server: Server, namespace: str) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("stuck")
        await crew.until(lambda: len(crew.of("granted")) == 4)
        await orders.send("k", "deaf")
        await orders.send("k", "quick")
        await crew.until(lambda: bool(crew.of("began")))
        assert await crew.ended("stuck") == Exit.ERROR
        assert len(crew.of("cancelled")) == 1
        assert "went on after it was cancelled" in crew.talk["stuck"]
        assert (await segmenter.describe("orders", "g")).members == ()
        await crew.start("next")
        await crew.until(lambda: bool(crew.of("began", by="next")))
        (again,) = crew.of("began", by="next")
        assert (again.data, again.attempt) == ("deaf", 2)

    play(scene, newest_server, namespace, max_processing_time=0.5)


def test_a_handler_that_blocks_the_loop_for_too_long_costs_its_process(newest_server: Server, namespace: str) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("blocked")
        await orders.send("k", "block 6")
        await crew.until(lambda: bool(crew.of("began")))
        await crew.start("peer")
        await crew.until(lambda: len(crew.of("granted", by="peer")) == 4)
        await crew.until(lambda: bool(crew.of("began", by="peer")))
        assert crew.of("ended") == [], "its partitions had moved before it came round"
        assert await crew.ended("blocked") == Exit.ERROR
        assert "stood still" in crew.talk["blocked"]

    play(scene, newest_server, namespace, max_processing_time=0.5, attempts=9)


def test_a_supervisor_starts_again_what_was_killed_and_ends_what_it_started(
    newest_server: Server, namespace: str
) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("crew", "--workers", "3", target="tests.integration.handlers:make")
        await crew.until(lambda: len({said.pid for said in crew.of("granted")}) == 3)
        victim = crew.of("granted")[-1].pid
        os.kill(victim, signal.SIGKILL)
        await crew.until(lambda: len({said.pid for said in crew.of("granted")}) == 4)
        assert "ended with signal SIGKILL: it is started again" in crew.talk["crew"]
        await orders.send_many([(f"k{n}", "nap 0.5") for n in range(9)])
        await crew.until(lambda: len(crew.of("began")) == 9)
        crew.signal("crew", signal.SIGINT)
        assert await crew.ended("crew") == Exit.OK
        assert len(crew.of("ended")) == 9
        assert (await segmenter.describe("orders", "g")).members == ()

    play(scene, newest_server, namespace)


def test_workers_end_with_a_supervisor_that_was_killed(newest_server: Server, namespace: str) -> None:
    """Nobody would be left to stop them."""

    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("crew", "--workers", "2")
        await crew.until(lambda: len({said.pid for said in crew.of("granted")}) == 2)
        crew.signal("crew", signal.SIGKILL)
        await crew.ended("crew")
        await described_as(segmenter, lambda group: not group.members)

    play(scene, newest_server, namespace, session_timeout=20.0)


def test_probes_tell_whether_a_worker_is_healthy_and_ready(newest_server: Server, namespace: str) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await segmenter.remove_stream("orders")
        port = free_port()
        await crew.start("one", "--health-port", str(port))
        await crew.until(lambda: "waits up to 30 s for stream 'orders'" in crew.talk["one"])
        assert await asyncio.to_thread(asked, port) == {"/healthz": 200, "/readyz": 503, "/": 404}
        await segmenter.register_stream("orders", partitions=1)
        await crew.until(lambda: bool(crew.of("granted")))
        assert await asyncio.to_thread(asked, port) == {"/healthz": 200, "/readyz": 200, "/": 404}

    play(scene, newest_server, namespace)


def asked(port: int) -> dict[str, int]:
    answers = {}
    for path in ("/healthz", "/readyz", "/"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                answers[path] = answer.status
        except urllib.error.HTTPError as refused:
            answers[path] = refused.code
            refused.close()
    return answers


def test_a_change_of_a_file_starts_the_workers_anew(newest_server: Server, namespace: str, tmp_path: Path) -> None:
    app = tmp_path / "app.py"

    def write(words: str) -> None:
        app.write_text(
            "import json, os\n"
            "from segmenter import Worker\n"
            "from tests.audit.scripts import keep\n"
            "keep()\n"
            f"worker = Worker(namespace={namespace!r}, group='g')\n"
            "@worker.handler('orders', session_timeout=1.0)\n"
            "async def handle(data):\n"
            f"    line = dict(what={words!r}, key='', data='', attempt=0, pid=os.getpid())\n"
            "    print(json.dumps(line), flush=True)\n"
        )

    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        write("before")
        await crew.start("crew", "--reload", target="app:worker", where=tmp_path)
        await orders.send("k", "")
        await crew.until(lambda: bool(crew.of("before")))
        app.write_text("def broken(:")
        await crew.until(lambda: "it is started again when a file changes" in crew.talk["crew"])
        assert "SyntaxError" in crew.talk["crew"]
        write("after the change")
        await orders.send("k", "")
        await crew.until(lambda: bool(crew.of("after the change")))
        crew.signal("crew")
        assert await crew.ended("crew") == Exit.OK

    play(scene, newest_server, namespace)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere", "names no worker: use module:name"),
        ("nowhere:worker", "there is no module 'nowhere'"),
        ("tests.integration.handlers:OPTIONS", "is no Worker: {"),
        ("tests.integration.handlers:missing", "is no Worker: None"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_no_worker_is_a_usage_error(
    target: str, words: str, workers: str, newest_server: Server, namespace: str
) -> None:
    """A supervisor must not try it for ever."""

    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("crew", "--workers", workers, target=target)
        assert await crew.ended("crew") == Exit.USAGE
        await crew.until(lambda: words in " ".join(crew.talk["crew"].split()))

    play(scene, newest_server, namespace)
