"""Whatever a deploy does: no partition moves without need, no attempt is used up, and errors say what to do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import evolve

from segmenter import Consumer, GroupNotEmpty, Message, NotHere, Retry, SeatTaken, Segmenter, SessionMismatch, sync
from segmenter.cli.codes import Exit
from segmenter.core.aside import Letter, Moves
from segmenter.core.command import PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.group import ProcessInfo
from segmenter.core.log import Record
from segmenter.core.observations import Granted, HandedBack, Lost
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Fenced, Progress, RolledBack
from segmenter.core.retention import Append
from segmenter.testing import virtual_host
from segmenter_memory import MemoryBackend, Store
from tests.integration.crew import Crew
from tests.public_reports.shop import Shop
from tests.servers import Server, free_port
from tests.world import World, virtually

SESSION_S = 1.0
LIMIT_S = 50.0  # longer than a crew waits, which says more

APP = """
import asyncio
import json
import os

from segmenter import Worker

worker = Worker(namespace={namespace!r}, group="g")


def tell(what, data=""):
    line = json.dumps(dict(what=what, key="", data=data, attempt=0, pid=os.getpid()))
    os.write(1, line.encode() + b"\\n")  # in one piece, since processes share the pipe


def observe(seen):
    tell(type(seen).__name__)


@worker.handler("orders", type=str, observer=observe, **{options!r})
async def handle(order: str):
    tell("began", order)
    await asyncio.sleep(float(order))
    tell("ended", order)
"""

Scene = Callable[[Crew, Segmenter], Awaitable[None]]


def deployed(scene: Scene, server: Server, namespace: str, folder: Path, **options: object) -> None:
    """Play a scene with processes of one application, on a stream of four partitions."""
    (folder / "app.py").write_text(APP.format(namespace=namespace, options={"session_timeout": SESSION_S, **options}))

    async def main() -> None:
        crew = Crew(server.url, namespace)
        async with asyncio.timeout(LIMIT_S), Segmenter(server.url, namespace=namespace) as segmenter:
            await segmenter.register_stream("orders", partitions=4, type=str)
            try:
                await scene(crew, segmenter)
            finally:
                await crew.dismiss()

    asyncio.run(main())


async def start(crew: Crew, folder: Path, *arguments: str) -> None:
    await crew.start("app", *arguments, target="app:worker", where=folder)


def talk(crew: Crew) -> str:
    return " ".join(crew.talk["app"].split())


# --- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of the thread, which is the point
def test_what_a_module_has_opened_before_a_fork_says_so_in_the_child(newest_server: Server, namespace: str) -> None:
    """apache/pulsar#18059, Parsely/pykafka#983: gunicorn --preload imports the application, then forks its workers.

    Messages of the children were never delivered, or ``flush()`` hung.
    """
    segmenter = sync.Segmenter(newest_server.url, namespace=namespace)
    orders = segmenter.register_stream("orders", partitions=2, type=str)
    orders.send("k", "of the parent")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            os.write(writing, _in_the_child(orders, newest_server.url, namespace).encode())
        finally:
            os._exit(0)
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with os.fdopen(reading) as said:
        assert said.read() == (
            f"the Segmenter of namespace {namespace!r} was opened before this process was forked: "
            "open a Segmenter in the child; sent"
        )
    orders.send("k", "of the parent again")
    with segmenter, segmenter.register_consumer("orders", group="g") as consumer:
        read: list[bytes] = []
        while len(read) < 3:
            messages = consumer.read(timeout=5)
            consumer.ack(*messages)
            read += [message.data for message in messages]
    assert read == [b"of the parent", b"of the child", b"of the parent again"]


def _in_the_child(orders: sync.Stream[str], url: str, namespace: str) -> str:
    """What comes of the parent's stream, and then of one that the child opens."""
    try:
        orders.send("k", "through what the parent has opened")
        said = "sent"
    except NotHere as refused:
        said = str(refused)
    with sync.Segmenter(url, namespace=namespace) as own:
        own.get_stream("orders", type=str).send("k", "of the child")
    return f"{said}; sent"


# --- one instance_id for two processes --------------------------------------------------------------------------------


def test_two_workers_with_one_instance_id_do_not_displace_each_other_for_ever(
    newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """No public report: a known trap of static members, here POD_NAME together with ``--workers 2``.

    The supervisor started the displaced one again, which displaced the other one, and so on.
    """

    async def scene(crew: Crew, segmenter: Segmenter) -> None:
        await start(crew, tmp_path, "--workers", "2")
        await crew.until(lambda: "is not started again: another process has its instance_id" in talk(crew))
        assert "instance_id 'pod-1' was registered again by another process (host " in talk(crew)
        orders = await segmenter.get_stream("orders", type=str)
        await orders.send_many([(f"k{number}", "0") for number in range(20)])
        await crew.until(lambda: len(crew.of("ended")) == 20)
        assert len({said.pid for said in crew.of("ended")}) == 1
        assert "started again in" not in talk(crew)
        crew.signal("app")
        assert await crew.ended("app") == Exit.OK

    deployed(scene, newest_server, namespace, tmp_path, instance_id="pod-1")


def process(world: World, host: str, pid: int) -> Segmenter:
    """A process of that name."""
    its = evolve(virtual_host(world.loop, f"{host}.{pid}."), process=lambda: ProcessInfo(host, pid, "1"))
    segmenter = Segmenter(backend=MemoryBackend(store=world.store), host=its)
    world.segmenters.append(segmenter)
    return segmenter


@virtually
async def test_after_three_displacements_within_a_minute_the_newcomer_is_refused(world: World) -> None:
    """The same, for processes that nobody supervises together."""
    await Shop(world).open(partitions=2)
    nodes = [process(world, "node-a", 17), process(world, "node-b", 23)]

    async def consume(node: Segmenter) -> Consumer:
        return await node.register_consumer("orders", group="g", session_timeout=SESSION_S, instance_id="pod-1")

    holders = []
    for number in range(4):
        holders.append(await consume(nodes[number % 2]))
        await world.until(lambda: len(holders[-1].partitions) == 2)
    with pytest.raises(SeatTaken) as refused:
        await consume(nodes[0])
    for words in ("'pod-1'", "3 times", "host node-b, pid 23", "host node-a, pid 17"):
        assert words in str(refused.value)
    await asyncio.sleep(3 * SESSION_S)
    assert len(holders[-1].partitions) == 2, "whoever was there goes on"


# --- supervisors ------------------------------------------------------------------------------------------------------


def test_workers_end_by_themselves_when_their_supervisor_is_killed(
    newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """No public report: orphaned workers hold partitions and jobs, as those of rq, celery and dramatiq do."""

    async def scene(crew: Crew, segmenter: Segmenter) -> None:
        await start(crew, tmp_path, "--workers", "2")
        await crew.until(lambda: len({said.pid for said in crew.of("Granted")}) == 2)
        orders = await segmenter.get_stream("orders", type=str)
        await orders.send_many([(f"k{number}", "0.5") for number in range(8)])
        await crew.until(lambda: len({said.pid for said in crew.of("began")}) == 2)
        crew.signal("app", signal.SIGKILL)
        await asyncio.wait(crew._listening)  # until the last of them has closed its standard output and error
        assert len(crew.of("ended")) == len(crew.of("began")), "what was at work was finished"
        assert (await segmenter.describe("orders", "g")).members == ()

    deployed(scene, newest_server, namespace, tmp_path, session_timeout=30.0)


def test_a_single_worker_drains_when_its_terminal_closes(newest_server: Server, namespace: str, tmp_path: Path) -> None:
    """No public report: SIGHUP killed a single worker at once, in the middle of its handlers."""

    async def scene(crew: Crew, segmenter: Segmenter) -> None:
        await start(crew, tmp_path)
        await crew.until(lambda: len(crew.of("Granted")) == 4)
        orders = await segmenter.get_stream("orders", type=str)
        await orders.send("k", "0.5")
        await crew.until(lambda: len(crew.of("began")) == 1)
        crew.signal("app", signal.SIGHUP)
        assert await crew.ended("app") == Exit.OK
        await asyncio.wait(crew._listening)
        assert len(crew.of("ended")) == 1
        described = await segmenter.describe("orders", "g")
        assert (described.lag, described.members) == (0, ())

    deployed(scene, newest_server, namespace, tmp_path, session_timeout=30.0)


# --- probes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_health_port_that_is_taken_is_one_line_and_an_exit_code(
    workers: str, newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """jitsucom/jitsu#1491: a process that looks healthy and does nothing. Here an old pod still has the port."""

    async def scene(crew: Crew, _segmenter: Segmenter) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            await start(crew, tmp_path, "--health-port", str(port), "--workers", workers)
            assert await crew.ended("app") == Exit.USAGE
            await asyncio.wait(crew._listening)
        assert f"--health-port {port}: nothing can listen on 127.0.0.1:{port}" in talk(crew)
        assert crew.talk["app"].count(f"--health-port {port}") == 1
        assert "Traceback" not in talk(crew)
        assert "started again" not in talk(crew)

    deployed(scene, newest_server, namespace, tmp_path)


def test_probes_are_answered_on_the_loopback_address_unless_more_is_asked_for(
    newest_server: Server, namespace: str, tmp_path: Path
) -> None:
    """The same: without a word the port was open to every machine that could reach this one."""

    def answers(address: str, port: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}:{port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async def scene(crew: Crew, _segmenter: Segmenter) -> None:
        port = free_port()
        await start(crew, tmp_path, "--health-port", str(port))
        await crew.until(lambda: len(crew.of("Granted")) == 4)
        assert await asyncio.to_thread(answers, "127.0.0.1", port)
        assert not await asyncio.to_thread(answers, "127.0.0.2", port)  # another address of this machine

    deployed(scene, newest_server, namespace, tmp_path)


# --- restarts in order ------------------------------------------------------------------------------------------------


@virtually
async def test_a_wait_for_the_next_attempt_survives_six_restarts(world: World) -> None:
    """allegro/hermes#978: five attempts with waits of a minute were used up by six restarts within eight seconds."""
    shop = await Shop(world).open(("k", "x"))
    calls: list[tuple[float, int]] = []

    async def handle(_text: str, message: Message) -> None:
        calls.append((world.loop.time(), message.attempt))
        raise ValueError("the database is away")

    retry = Retry(attempts=5, initial=60, maximum=60, jitter=0)
    for _ in range(6):
        worker = shop.worker(handle, retry=retry)
        task = world.run(worker)
        await world.ready(worker)
        await asyncio.sleep(1.2)
        await worker.stop()
        await task
    assert [attempt for _, attempt in calls] == [1]
    await shop.run(handle, retry=retry)
    await world.until(lambda: len(calls) == 2)
    assert calls[1][1] == 2
    assert calls[1][0] - calls[0][0] == pytest.approx(60, abs=0.5)
    assert shop.parked == []


async def three_pods(world: World) -> list[Consumer]:
    """A StatefulSet of three over nine partitions, each with its share."""
    await Shop(world).open(partitions=9)
    pods = [await world.worker(f"pod-{number}", instance_id=f"pod-{number}") for number in range(3)]
    await world.until(lambda: [len(pod.partitions) for pod in pods] == [3, 3, 3])
    return pods


def moved(world: World, since: float, but: str) -> list[str]:
    """What pods other than this one have seen of partitions since then."""
    return [
        f"{name}: {seen}"
        for at, name, seen in world.observed
        if at >= since and name != but and isinstance(seen, Granted | HandedBack | Lost)
    ]


@virtually
async def test_a_rolling_restart_moves_no_partition_of_another_member(world: World) -> None:
    """No public report: a rolling update of a StatefulSet moved partitions twice for each pod."""
    pods = await three_pods(world)
    before = [pod.partitions for pod in pods]
    for number in (2, 1, 0):
        began = world.loop.time()
        await pods[number].shutdown()
        await asyncio.sleep(0.8 * SESSION_S)  # the image, the interpreter, the imports
        pods[number] = await world.worker(f"pod-{number}", instance_id=f"pod-{number}")
        await world.until(lambda number=number: pods[number].partitions == before[number])  # type: ignore[misc]
        await asyncio.sleep(3 * SESSION_S)
        assert moved(world, began, but=f"pod-{number}") == []
    assert [pod.partitions for pod in pods] == before


@virtually
async def test_after_a_scale_down_others_have_the_partitions_once_a_session_is_over(world: World) -> None:
    """The same, when nobody comes back under that name."""
    pods = await three_pods(world)
    await pods[2].shutdown()
    began = world.loop.time()
    await asyncio.sleep(0.9 * SESSION_S)
    assert moved(world, began, but="pod-2") == []
    await world.until(lambda: sum(len(pod.partitions) for pod in pods[:2]) == 9)
    assert SESSION_S <= world.loop.time() - began < 2 * SESSION_S
    assert sorted(len(pod.partitions) for pod in pods[:2]) == [4, 5]


# --- settings that change ---------------------------------------------------------------------------------------------


@virtually
async def test_a_session_timeout_changes_when_no_member_runs(world: World) -> None:
    """KIP-848 of Kafka moved the session time-out to the broker for deploys like this one.

    It could be changed only by removing the group, which forgets its place.
    """
    shop = await Shop(world).open(("a", "x"), ("b", "y"))
    old = await world.worker("old", session_timeout=2.0)
    await world.until(lambda: len(world.handled) == 2)
    await old.shutdown()
    await world.worker("new", session_timeout=4.0)
    await shop.orders.send("c", "z")
    await world.until(lambda: len(world.handled) == 3)
    assert [name for name, _, _ in world.handled] == ["old", "old", "new"]
    assert (await world.segmenter().describe("orders", "g")).session_timeout == 4.0


@virtually
async def test_while_members_run_the_error_says_how_a_session_timeout_is_changed(world: World) -> None:
    """The same, in a rolling deploy."""
    await Shop(world).open()
    old = await world.worker("old", session_timeout=2.0)
    with pytest.raises(SessionMismatch) as refused:
        await world.worker("new", session_timeout=4.0)
    for words in ("time-out of 2 s, not 4 s", "1 member must", "alter_group('orders', 'g', session_timeout=4)"):
        assert words in str(refused.value)
    operator = world.segmenter()
    with pytest.raises(GroupNotEmpty, match="has 1 member"):
        await operator.alter_group("orders", "g", session_timeout=4)
    await old.shutdown()
    await operator.alter_group("orders", "g", session_timeout=4)
    assert (await operator.describe("orders", "g")).session_timeout == 4.0


# --- a server that goes back ------------------------------------------------------------------------------------------

SLOT = PartitionSlot("orders", 0)
FAST, SLOW = 5_000_000, 1_000_000  # the clocks of two nodes, in microseconds


@pytest.mark.parametrize("late_is_late", ["before the claim", "after the claim"])
def test_a_late_commit_of_a_tenure_that_was_rolled_back_changes_nothing(late_is_late: str) -> None:
    """No public report: a failover to a node whose clock is behind gave one member the same epoch twice.

    A commit of the first tenure then took the number of one of the second, whose parked message was in no place.
    """
    now = FAST
    store = Store(lambda: now)
    store.apply(CreatePartition(SLOT, "i"))
    store.apply(CreateLane(SLOT, "g", b"earliest"))
    store.apply(Append(SLOT, "p", 1, 1, (Record(b"k", b"1"), Record(b"k", b"2")), 10))
    store.apply(Claim(SLOT, "g", "B", 1, 0, "B.1"))
    now, before = SLOW, store.slots[SLOT]
    first = store.apply(Claim(SLOT, "g", "A", 1, before.lanes["g"].epoch, "A.1", "B"))
    assert isinstance(first, Claimed)
    late = Commit(SLOT, "g", "A", first.epoch, 1, Progress(before.log.entries[0][0], 1))
    store.slots[SLOT], store.history = before, "after a failover"  # the claim is lost
    if late_is_late == "before the claim":
        assert isinstance(store.apply(late), Fenced | RolledBack)
    second = store.apply(Claim(SLOT, "g", "A", 1, before.lanes["g"].epoch, "A.2", "B", floor=first.epoch))
    assert isinstance(second, Claimed)
    assert second.epoch > first.epoch
    assert isinstance(store.apply(late), Fenced)
    letter = Letter(0, before.log.entries[0][0], b"k", b"1", b"", 5, "the database is away")
    parking = Commit(SLOT, "g", "A", second.epoch, 1, Progress(before.log.entries[1][0], 2), Moves((letter,)))
    assert isinstance(store.apply(parking), Committed)
    lane = store.slots[SLOT].lanes["g"]
    assert (lane.progress.read, len(lane.aside.parked)) == (2, 1)


@virtually
async def test_no_member_gets_an_epoch_twice_from_a_server_that_has_gone_back(world: World) -> None:
    """The same, for a consumer: it names the highest epoch that it has ever had."""
    shop = await Shop(world).open(partitions=1)
    first = await world.worker("first")
    await world.until(lambda: first.partitions == [0])
    await first.shutdown()
    before = world.store.slots[SLOT]  # with the epoch of a node whose clock is fast
    world.store._clock_us = lambda: SLOW + int(world.loop.time() * 1_000)
    consumer = await world.segmenter().register_consumer(
        "orders", group="g", session_timeout=SESSION_S, on_loss="continue", observer=world.observer("a")
    )
    for history in ("1", "2", "3"):
        await shop.orders.send("k", "x")
        await consumer.ack(*await consumer.read(timeout=20))
        await consumer.commit()
        world.store.slots[SLOT] = evolve(world.store.slots[SLOT], lanes=before.lanes)
        world.store.history = history
        await world.until(lambda history=history: len(world.times(Granted, "a")) > int(history))  # type: ignore[misc]
    tenures = [
        (seen.member, seen.epoch) for _, name, seen in world.observed if name == "a" and isinstance(seen, Granted)
    ]
    assert len(tenures) == 4
    assert len(set(tenures)) == 4
    assert [epoch for _, epoch in tenures] == sorted(epoch for _, epoch in tenures)
