"""A process whose event loop or interpreter stands still is ended and replaced, and its message counts an attempt."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from segmenter import Segmenter
from segmenter.cli.codes import Exit
from tests.integration.crew import Crew
from tests.public_reports.shop import Shop
from tests.servers import Server
from tests.world import World, virtually

LIMIT_S = 50.0  # longer than a crew waits, which says more
LIMIT_ALONE_S = 20.0
PARTITIONS = 4

# A module of its own, so that the stacks and the words can name the file.
APP = """
import json
import os
import re
import select
import socket
import urllib.request
from contextlib import asynccontextmanager

import segmenter.worker
from segmenter import Message, Retry, Worker

segmenter.worker.WATCHDOG_S = {watchdog_s}
WHERE, HOW = {where!r}, {how!r}


@asynccontextmanager
async def connect(worker):
    if WHERE == "lifespan":
        stand_still()
    yield


worker = Worker({url!r}, namespace={namespace!r}, group="g", lifespan=connect, lifespan_timeout=1)


def tell(what, key="", data="", attempt=0):
    line = json.dumps(dict(what=what, key=key, data=data, attempt=attempt, pid=os.getpid()))
    os.write(1, line.encode() + b"\\n")  # in one piece, since processes share the pipe


def stand_still():
    if HOW == "waits":
        select.select([os.pipe()[0]], [], [])
    elif HOW == "waits in a library":
        silent = socket.create_server(("127.0.0.1", 0))
        urllib.request.urlopen("http://127.0.0.1:%d" % silent.getsockname()[1])
    else:
        re.match(r"(a+)+$", "a" * 60 + "b")  # keeps the interpreter's lock for years


class Texts:
    def encode(self, value):
        return value.encode()

    def decode(self, data):
        if WHERE == "codec" and data == b"bad":
            stand_still()
        return data.decode()


def observe(seen):
    if type(seen).__name__ == WHERE:
        stand_still()
    if type(seen).__name__ == "Parked":
        tell("parked", seen.key, seen.reason, seen.attempt)


async def load(partition):
    if WHERE == "hook":
        stand_still()


def load_in_a_thread(partition):
    if WHERE == "plain hook":
        stand_still()


def charge(order: str, message: Message):
    tell("began", message.key, order, message.attempt)
    if order == "bad" and WHERE == "plain handler":
        stand_still()
    tell("ended", message.key, order, message.attempt)


async def charge_async(order: str, message: Message):
    tell("began", message.key, order, message.attempt)
    if order == "bad" and WHERE == "handler":
        stand_still()
    tell("ended", message.key, order, message.attempt)


worker.handler(
    "orders",
    type=Texts(),
    observer=observe,
    on_assigned=load_in_a_thread if WHERE == "plain hook" else load,
    session_timeout=1,
    max_processing_time=1,
    retry=Retry(attempts=1),
)(charge if WHERE == "plain handler" else charge_async)

if __name__ == "__main__":
    worker.main()
"""

Scene = Callable[[Crew, Segmenter], Awaitable[None]]


def written(
    folder: Path, server: Server, namespace: str, *, where: str, how: str = "waits", watchdog_s: float = 1.0
) -> Path:
    """An application in which something stands still."""
    app = folder / "app.py"
    app.write_text(APP.format(url=server.url, namespace=namespace, where=where, how=how, watchdog_s=watchdog_s))
    return app


async def sent(segmenter: Segmenter, *, good: int = 20) -> None:
    """One bad message among good ones of other keys."""
    orders = await segmenter.register_stream("orders", partitions=PARTITIONS, type=str)
    await orders.send_many([*((f"k{n}", "good") for n in range(good)), ("bad", "bad")])
    await orders.send_many([(f"k{n}", "good, too") for n in range(good)])


# --- under a supervisor -----------------------------------------------------------------------------------------------


def supervised(scene: Scene, server: Server, namespace: str, app: Path) -> None:
    async def main() -> None:
        crew = Crew(server.url, namespace)
        async with asyncio.timeout(LIMIT_S), Segmenter(server.url, namespace=namespace) as segmenter:
            try:
                await sent(segmenter)
                await crew.start("app", "--workers", "2", target="app:worker", where=app.parent)
                await scene(crew, segmenter)
            finally:
                await crew.dismiss()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("where", "how", "words"),
    [
        ("handler", "waits", "charge_async (app.py:"),
        ("handler", "keeps the lock", "in charge_async"),
        ("plain handler", "keeps the lock", "in charge"),
        ("codec", "waits", "decode (app.py:"),
    ],
    ids=[
        "an async handler blocks the loop",
        "an async handler keeps the lock",
        "a plain handler keeps the lock",
        "a codec blocks the loop",
    ],
)
def test_a_message_that_makes_its_process_stand_still_ends_up_parked_and_all_others_are_handled(
    where: str, how: str, words: str, newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """dpkp/kafka-python#1515: the heartbeat starves, and the message goes from one process to the other for ever."""

    async def scene(crew: Crew, segmenter: Segmenter) -> None:
        await crew.until(lambda: len(crew.of("parked")) == 1)
        expected = {(f"k{number}", data) for number in range(20) for data in ("good", "good, too")}
        await crew.until(lambda: {(said.key, said.data) for said in crew.of("ended")} >= expected)
        async with asyncio.timeout(20):
            while (await segmenter.describe("orders", "g")).lag:  # noqa: ASYNC110 - each look is a round trip
                await asyncio.sleep(0)
        (parked,) = await (await segmenter.shelves("orders", "g")).parked()
        assert (parked.key, parked.data) == ("bad", b"bad")
        assert {said.attempt for said in crew.of("ended")} == {1}
        assert words in crew.talk["app"]
        assert "app.py" in crew.talk["app"]
        await crew.until(lambda: crew.talk["app"].count("ended with exit code 1: it is started again in") == 3)
        crew.signal("app")
        assert await crew.ended("app") == Exit.OK

    supervised(scene, newest_server, namespace, written(tmp_path, newest_server, namespace, where=where, how=how))


# --- alone ------------------------------------------------------------------------------------------------------------


def main_of(app: Path, server: Server, namespace: str) -> tuple[int, str]:
    """Run the program until it ends by itself; what it ended with, and its words."""

    async def main() -> tuple[int, str]:
        async with Segmenter(server.url, namespace=namespace) as segmenter:
            await sent(segmenter)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(app), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LIMIT_ALONE_S):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, said.decode()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("where", "function"),
    [
        ("handler", "charge_async"),
        ("hook", "load"),
        ("Granted", "observe"),
        ("codec", "decode"),
    ],
    ids=["handler", "hook", "observer", "codec"],
)
def test_user_code_that_blocks_the_event_loop_ends_its_process_and_is_named(
    where: str, function: str, newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """dpkp/kafka-python#1515, for a worker that runs alone: whoever runs it learns that it has to be replaced.

    The heart noticed, and told the very loop that stood still. It knows the time limit of each handler.
    """
    app = written(tmp_path, newest_server, namespace, where=where, watchdog_s=3600)
    code, said = main_of(app, newest_server, namespace)
    assert code == 1
    (line,) = (line for line in said.splitlines() if line.startswith("segmenter: "))
    assert "the event loop stood still for more than 2 s" in line
    assert f"{function} (app.py:" in line
    assert "stand_still (app.py:" in line


@pytest.mark.parametrize(("where", "function"), [("lifespan", "connect"), ("Admitted", "observe")])
def test_user_code_that_blocks_the_event_loop_before_the_heart_beats_ends_its_process_and_is_named(
    where: str, function: str, newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """The same, before there is a consumer whose heartbeat would show it."""
    code, said = main_of(written(tmp_path, newest_server, namespace, where=where), newest_server, namespace)
    assert code == 1
    (line,) = (line for line in said.splitlines() if line.startswith("segmenter: "))
    assert "the event loop stood still for more than 2 s" in line
    assert f"{function} (app.py:" in line


def test_the_words_name_the_handler_however_deep_in_a_library_it_waits(
    newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """The same, for the commonest case: a request over HTTP without a time-out, in an async handler."""
    app = written(tmp_path, newest_server, namespace, where="handler", how="waits in a library")
    code, said = main_of(app, newest_server, namespace)
    assert code == 1
    (line,) = (line for line in said.splitlines() if line.startswith("segmenter: "))
    assert "charge_async (app.py:" in line


@pytest.mark.parametrize(
    ("where", "function"),
    [
        ("handler", "charge_async"),
        ("plain handler", "charge"),
        ("hook", "load"),
        ("plain hook", "load_in_a_thread"),
        ("Granted", "observe"),
        ("codec", "decode"),
        ("lifespan", "connect"),
    ],
    ids=["handler", "plain handler", "hook", "plain hook", "observer", "codec", "lifespan"],
)
def test_user_code_that_keeps_the_lock_of_the_interpreter_ends_its_process_and_is_named(
    where: str, function: str, newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """The same, for a regular expression that takes for ever: no thread runs any more, the heart among them."""
    app = written(tmp_path, newest_server, namespace, where=where, how="keeps the lock")
    code, said = main_of(app, newest_server, namespace)
    assert code == 1
    assert "Timeout (0:00:02)!" in said
    stacks = said[said.index("Timeout (") :].splitlines()
    assert any('app.py"' in line and line.endswith(f"in {function}") for line in stacks)


# --- what comes after -------------------------------------------------------------------------------------------------


@virtually
async def test_after_two_such_ends_every_partition_of_a_process_gets_on(world: World) -> None:
    """The same: partitions under suspicion take turns in trying one message at a time, and none waits for ever."""
    shop = await Shop(world).open(*((f"k{number}", f"{number}") for number in range(40)), partitions=PARTITIONS)
    for _ in range(2):
        consumer = await world.segmenter().register_consumer("orders", group="g", session_timeout=1)
        await world.until(lambda consumer=consumer: len(consumer.partitions) == PARTITIONS)  # type: ignore[misc]
        assert await consumer.read(timeout=1)
        consumer.halt()

    async def handle(text: str) -> None:
        shop.handled.append((text, 1))

    await shop.run(handle, session_timeout=1)
    await world.until(lambda: len(shop.handled) >= 40, 30)
    assert sorted(shop.handled) == sorted((f"{number}", 1) for number in range(40))
