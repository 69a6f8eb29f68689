"""What is peculiar to workers of blocking code: threads everywhere, and signals in the main one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segmenter import HandlerStuck, InvalidArgument, Message, NotHere, Retry, sync
from tests.servers import Server

LIMIT_S = 30.0


@contextmanager
def at_work(worker: sync.Worker) -> Generator[None]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def settled(segmenter: sync.Segmenter, stream: str = "orders", group: str = "g") -> None:
    while group not in segmenter.groups(stream) or segmenter.describe(stream, group).lag:
        pass


# --- what handlers find ---------------------------------------------------------------------------------------------


def with_notes(url: str | None = None, **options: object) -> tuple[sync.Worker, list[str]]:
    """A worker that settles each order by sending a note, and sends another one beside."""
    said: list[str] = []

    @contextmanager
    def notes(worker: sync.Worker) -> Generator[sync.Stream[str]]:
        said.append("opened")
        yield worker.segmenter.register_stream("notes", partitions=1, type=str)
        said.append("closed")
        worker.segmenter.get_stream("notes", type=str).send("k", "the last one")

    worker = sync.Worker(url, group="g", lifespan=notes, **options)  # type: ignore[arg-type]

    @worker.handler("orders", type=str, retry=Retry(attempts=2))
    def handle(order: str, message: Message) -> None:
        if order == "broken":
            raise ValueError(order)
        worker.state.send(message.key, f"about {order}")
        message.forward(worker.state, message.key, f"instead of {order}")
        said.append(order)

    return worker, said


def test_handlers_and_the_lifespan_send_without_await(namespace: str) -> None:
    worker, said = with_notes(f"memory://{namespace}")
    with sync.Segmenter(f"memory://{namespace}") as segmenter:
        orders = segmenter.register_stream("orders", partitions=1, type=str)
        with at_work(worker):
            orders.send("k", "an order")
            settled(segmenter)
        assert said == ["opened", "an order", "closed"]
        notes = [message.data for message in segmenter.tail("notes", start="earliest", follow=False)]
    assert notes == [b"about an order", b"instead of an order", b"the last one"]


def test_a_rehearsal_runs_what_sends() -> None:
    """Time is virtual, the threads are real: while a handler waits for the loop, time passes, otherwise it does not."""
    worker, said = with_notes()
    with worker.test() as rehearsal:
        rehearsal.send("orders", "a", "an order")
        rehearsal.send("orders", "b", "broken")
        rehearsal.drain()
        assert rehearsal.values("orders") == ["an order"]
        assert [(each.value, each.attempt) for each in rehearsal.parked] == [("broken", 2)]
    assert said == ["opened", "an order", "closed"]


def test_a_handler_that_waits_for_time_to_pass_does_not_stop_it() -> None:
    """Here for an hour, for a message that does not come."""
    worker, read = sync.Worker(group="g"), list[list[Message]]()

    @worker.handler("orders")
    def handle(order: bytes) -> None:
        with worker.segmenter.register_consumer("orders", group="other", start="latest") as consumer:
            read.append(consumer.read(timeout=0.5))

    with worker.test() as rehearsal:
        rehearsal.send("orders", "k", b"")
        rehearsal.drain()
    assert read == [[]]


def test_hooks_may_use_the_stream(namespace: str) -> None:
    worker = sync.Worker(f"memory://{namespace}", group="g")

    def opened(partition: int) -> None:
        worker.segmenter.register_stream("notes", partitions=1).send("k", b"%d" % partition)

    worker.handler("orders", on_assigned=opened)(lambda order: None)
    with sync.Segmenter(f"memory://{namespace}") as segmenter:
        orders = segmenter.register_stream("orders", partitions=2)
        with at_work(worker):
            orders.send_many([(f"k{n}", b"") for n in range(20)])
            settled(segmenter)
        assert {m.data for m in segmenter.tail("notes", start="earliest", follow=False)} == {b"0", b"1"}


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_coroutine_function_is_refused_where_it_stands() -> None:
    async def handle(order: bytes) -> None: ...

    with pytest.raises(InvalidArgument, match=r"is async: take segmenter\.Worker"):
        sync.Worker(group="g").handler("orders")(handle)


def test_a_thread_with_an_event_loop_is_refused() -> None:
    worker = sync.Worker("memory://", group="g")

    async def main() -> None:
        worker.run()

    with pytest.raises(NotHere, match="await its run"):
        asyncio.run(main())


def test_a_handler_that_does_not_end_is_told_of(namespace: str) -> None:
    """At once: neither the end of the worker nor that of its event loop waits for the thread."""
    released, returned = threading.Event(), threading.Event()
    worker = sync.Worker(f"memory://{namespace}", group="g")

    @worker.handler("orders", max_processing_time=0.2, session_timeout=0.2)
    def handle(order: bytes) -> None:
        released.wait(LIMIT_S)
        returned.set()

    with sync.Segmenter(f"memory://{namespace}") as segmenter:
        segmenter.register_stream("orders", partitions=1).send("k", b"")
        with pytest.raises(HandlerStuck):
            worker.run()
        assert not returned.is_set()
        released.set()


# --- signals --------------------------------------------------------------------------------------------------------

PROGRAM = """
    import os, signal, sys, threading
    from segmenter import sync

    worker = sync.Worker(os.environ["SEGMENTER_URL"], namespace=os.environ["NAMESPACE"], group="g")

    @worker.handler("orders", type=str)
    def handle(order: str) -> None:
        print("began", flush=True)
        if order == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        if order == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if order == "twice":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(60)
        print("ended", flush=True)
"""
RUN = {
    "run": "worker.run()\nprint('after', signal.getsignal(signal.SIGINT) is signal.default_int_handler)",
    "main": "worker.main()\nprint('after', signal.getsignal(signal.SIGINT) is signal.default_int_handler)",
}


def played(server: Server, namespace: str, order: str, *command: str, folder: Path) -> tuple[int, list[str]]:
    with sync.Segmenter(server.url, namespace=namespace) as segmenter:
        segmenter.register_stream("orders", partitions=1, type=str).send("k", order)
        ended = subprocess.run(
            command,
            env=os.environ | {"SEGMENTER_URL": server.url, "NAMESPACE": namespace},
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if ended.returncode == 0:
            assert segmenter.describe("orders", "g").lag == 0
            assert segmenter.describe("orders", "g").members == ()
        return ended.returncode, ended.stdout.splitlines()


@pytest.mark.parametrize("how", RUN)
@pytest.mark.parametrize("order", ["stop", "interrupt"])
def test_a_signal_lets_what_is_at_work_end(
    newest_server: Server, namespace: str, tmp_path: Path, how: str, order: str
) -> None:
    """And afterwards signals are what they were before."""
    program = textwrap.dedent(PROGRAM) + RUN[how]
    status, said = played(newest_server, namespace, order, sys.executable, "-X", "dev", "-c", program, folder=tmp_path)
    assert (status, said) == (0, ["began", "ended", "after True"])


def test_a_second_signal_ends_the_process_at_once(newest_server: Server, namespace: str, tmp_path: Path) -> None:
    program = textwrap.dedent(PROGRAM) + RUN["run"]
    assert played(newest_server, namespace, "twice", sys.executable, "-c", program, folder=tmp_path) == (130, ["began"])


def test_the_command_line_runs_it(newest_server: Server, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(textwrap.dedent(PROGRAM))
    command = (str(Path(sys.executable).with_name("segmenter")), "run", "shop:worker")
    assert played(newest_server, namespace, "stop", *command, folder=tmp_path) == (0, ["began", "ended"])
