"""What a deployment does to worker processes: two under one name, a port that is taken, a terminal that closes."""

from __future__ import annotations

import asyncio
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from segmenter import Segmenter, Stream
from segmenter.cli.codes import Exit
from tests.integration.crew import Crew
from tests.integration.test_workers import described_as, play
from tests.servers import Server, free_port


@contextmanager
def taken(address: str = "127.0.0.1") -> Iterator[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as other:
        other.bind((address, 0))
        other.listen()
        yield other.getsockname()[1]


def words(crew: Crew, name: str) -> str:
    return " ".join(crew.talk[name].split())


# --- one instance_id for two processes --------------------------------------------------------------------------------


def test_a_worker_whose_instance_id_another_one_has_is_not_started_again(newest_server: Server, namespace: str) -> None:
    """With two workers under one name one would displace the other for ever, and neither would get anything done."""

    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("crew", "--workers", "2")
        await crew.until(lambda: "is not started again: another process has its instance_id" in words(crew, "crew"))
        assert "instance_id 'pod-1' was registered again by another process (host " in words(crew, "crew")
        assert "Traceback" not in words(crew, "crew")
        await orders.send_many([(f"k{n}", "quick") for n in range(20)])
        await described_as(segmenter, lambda group: group.lag == 0)
        assert len({said.pid for said in crew.of("ended")}) == 1, "the other one goes on"
        assert "started again in" not in words(crew, "crew")
        crew.signal("crew")
        assert await crew.ended("crew") == Exit.OK

    play(scene, newest_server, namespace, instance_id="pod-1")


def test_if_all_have_lost_their_instance_id_the_supervisor_ends_with_an_error(
    newest_server: Server, namespace: str
) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("crew", "--workers", "2")
        await crew.until(lambda: "is not started again" in words(crew, "crew"))
        await crew.start("other")
        assert await crew.ended("crew") == Exit.SEAT_TAKEN
        crew.signal("other")
        assert await crew.ended("other") == Exit.OK

    play(scene, newest_server, namespace, instance_id="pod-1")


def test_a_single_worker_says_who_took_its_place(newest_server: Server, namespace: str) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("first")
        await crew.until(lambda: len(crew.of("granted", by="first")) == 4)
        await crew.start("second")
        assert await crew.ended("first") == Exit.SEAT_TAKEN
        await crew.until(lambda: f"pid {crew.processes['second'].pid})" in words(crew, "first"))
        assert "give each process an instance_id of its own" in words(crew, "first")

    play(scene, newest_server, namespace, instance_id="pod-1")


# --- the port of the probes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_a_usage_error(workers: str, newest_server: Server, namespace: str) -> None:
    """An old pod on the host network has it: a worker that nobody can probe must not look as if it ran."""

    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        with taken() as port:
            await crew.start("one", "--health-port", str(port), "--workers", workers)
            assert await crew.ended("one") == Exit.USAGE
            await crew.until(lambda: f"nothing can listen on 127.0.0.1:{port}" in words(crew, "one"))
            assert "Address already in use" in words(crew, "one")
            assert "Traceback" not in words(crew, "one")

    play(scene, newest_server, namespace)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--health-port", "8080", "--health-host", "no.such.host.invalid"], "on no.such.host.invalid:8080"),
        (["--health-port", "8080", "--health-host", "192.0.2.1"], "on 192.0.2.1:8080"),
        (["--health-port", "65535", "--workers", "2"], "needs ports up to 65536"),
    ],
)
def test_what_cannot_be_listened_on_is_a_usage_error(
    arguments: list[str], said: str, newest_server: Server, namespace: str
) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("one", *arguments)
        assert await crew.ended("one") == Exit.USAGE
        await crew.until(lambda: said in words(crew, "one"))
        assert "Traceback" not in words(crew, "one")

    play(scene, newest_server, namespace)


@pytest.mark.parametrize(
    ("host", "answers", "silent"),
    [
        ("", "127.0.0.1", "[::1]"),
        ("0.0.0.0", "127.0.0.1", "[::1]"),
        ("::1", "[::1]", "127.0.0.1"),
        ("[::]", "[::1]", ""),
    ],
)
def test_probes_are_answered_where_it_is_asked_for_and_by_default_on_the_machine_itself(
    host: str, answers: str, silent: str, newest_server: Server, namespace: str
) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        port = free_port()
        await crew.start("one", "--health-port", str(port), *(["--health-host", host] if host else []))
        await crew.until(lambda: len(crew.of("granted")) == 4)
        assert await asyncio.to_thread(ready, answers, port)
        if silent:
            assert not await asyncio.to_thread(ready, silent, port)

    play(scene, newest_server, namespace)


def ready(address: str, port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


# --- a terminal that closes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_closes_lets_handlers_end(workers: str, newest_server: Server, namespace: str) -> None:
    """Both the shell and the kernel send SIGHUP then, so a second one is no hurry."""

    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("one", "--workers", workers)
        await crew.until(lambda: len(crew.of("granted")) >= 4)
        await orders.send("k", "nap 0.5")
        await crew.until(lambda: len(crew.of("began")) == 1)
        crew.signal("one", signal.SIGHUP)
        await crew.until(lambda: "once more ends" in words(crew, "one"))
        crew.signal("one", signal.SIGHUP)
        assert await crew.ended("one") == Exit.OK
        assert len(crew.of("ended")) == 1
        await described_as(segmenter, lambda group: group.lag == 0 and not group.members)

    play(scene, newest_server, namespace)


def test_after_a_terminal_has_closed_another_signal_ends_the_process_at_once(
    newest_server: Server, namespace: str
) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        await crew.start("one")
        await orders.send("k", "nap 100")
        await crew.until(lambda: len(crew.of("began")) == 1)
        crew.signal("one", signal.SIGHUP)
        await crew.until(lambda: "once more ends" in words(crew, "one"))
        assert await crew.insisted("one") == Exit.INTERRUPTED

    play(scene, newest_server, namespace)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_started_with_nohup_outlives_its_terminal(workers: str, newest_server: Server, namespace: str) -> None:
    async def scene(crew: Crew, segmenter: Segmenter, orders: Stream[str]) -> None:
        former = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which a child inherits, as from nohup
        try:
            await crew.start("one", "--workers", workers)
        finally:
            signal.signal(signal.SIGHUP, former)
        await crew.until(lambda: len(crew.of("granted")) >= 4)
        crew.signal("one", signal.SIGHUP)
        await orders.send("k", "quick")
        await crew.until(lambda: len(crew.of("ended")) == 1)
        crew.signal("one")
        assert await crew.ended("one") == Exit.OK

    play(scene, newest_server, namespace)
