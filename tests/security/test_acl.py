"""The users that ``docs/security.md`` gives: each does its job, and not another's; no right of theirs is spare."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from segmenter import BackendError, Segmenter, SegmenterError
from tests.servers import Server

ROOT = Path(__file__).parents[2]
LINES = re.findall(r"^ACL SETUSER (\w+ .*)$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
ROLES = {line.split()[0]: line.split() for line in LINES}
SPARE = {"+info", "+xgroup|setid", "+client|unblock", "+eval"}  # as the page says, and by role:
SPARE_OF = {"producer": {"+hdel"}, "consumer": {"+xgroup|create", "+xlen", "+xinfo|groups"}}
LIMIT_S = 30

Job = Callable[[Segmenter, Segmenter], Awaitable[object]]


async def produce(mine: Segmenter, admin: Segmenter) -> None:
    """Into a partition that is full of what was settled, so that it is trimmed."""
    await admin.register_stream("orders", partitions=1, partition_size=3)
    async with admin.register_consumer("orders", group="g", session_timeout=0.5) as consumer:
        orders = await mine.get_stream("orders")
        for first in (0, 3):
            for number in range(first, first + 3):
                await orders.send("k", b"%d" % number)
            settled = 0
            while settled < 3:  # a read may come between two of them
                batch = await consumer.read(timeout=LIMIT_S)
                await consumer.ack(*batch)
                settled += len(batch)


async def consume(mine: Segmenter, admin: Segmenter) -> None:
    """In a new group that begins in the middle, beside another member that joins and leaves; and set aside."""
    orders = await admin.register_stream("orders", partitions=2)
    sent = await orders.send_many([("k", b"0"), ("k", b"1"), ("k", b"2")])
    async with mine.register_consumer("orders", group="g", session_timeout=0.3, start=sent[0].id) as consumer:
        first, second = await consumer.read(timeout=LIMIT_S)
        first.reject("bad")
        second.park("bad")
        await consumer.commit()
        await (await admin.shelves("orders", "g")).redrive()
        (again,) = await consumer.read(timeout=LIMIT_S)
        await consumer.ack(again)
        async with mine.register_consumer("orders", group="g", session_timeout=0.3, start="latest") as other:
            while len(other.partitions) != 1:
                await consumer.read(timeout=0.05)
        # Two sessions, so that beats and the watch for silent members are a part of it.
        for _ in range(12):
            await consumer.read(timeout=0.05)
        await consumer.shutdown()


async def observe(mine: Segmenter, admin: Segmenter) -> None:
    orders = await admin.register_stream("orders", partitions=1)
    await orders.send_many([("k", b"0"), ("k", b"1")])
    async with admin.register_consumer("orders", group="g", session_timeout=0.5, batch_size=1) as consumer:
        (message,) = await consumer.read(timeout=LIMIT_S)
        message.reject("bad")
        await consumer.commit()
        assert len(await (await mine.shelves("orders", "g")).dead()) == 1
        assert await mine.streams() == ["orders"]
        assert await mine.groups("orders") == ["g"]
        assert (await mine.describe("orders", "g")).lag == 1
        assert (await mine.describe_stream("orders")).messages == 2
        tailed = mine.tail("orders", start="earliest", follow=False)
        assert [message.data async for message in tailed] == [b"0", b"1"]


async def administer(mine: Segmenter, admin: Segmenter) -> None:
    orders = await mine.register_stream("orders", partitions=1)
    sent = await (await admin.get_stream("orders")).send_many([("k", b"%d" % number) for number in range(4)])
    async with admin.register_consumer("orders", group="g", session_timeout=0.5) as consumer:
        first, second, third, _ = await consumer.read(timeout=LIMIT_S)
        first.reject("bad")
        second.reject("bad")
        third.park("bad")
        await consumer.commit()
    shelves = await mine.shelves("orders", "g")
    assert await shelves.redrive("k") == 2
    assert await shelves.replay((await shelves.dead())[:1]) == 1
    assert await shelves.purge() == 1
    await mine.pause_group("orders", "g")
    await mine.reset_group("orders", "g", sent[0].id)
    await mine.resume_group("orders", "g")
    await mine.remove_group("orders", "g")
    await orders.alter(partition_size=5)
    await mine.remove_stream("orders")


JOBS: dict[str, Job] = {"producer": produce, "consumer": consume, "observer": observe, "admin": administer}


async def tried(server: Server, role: str, job: Job) -> Exception | None:
    """Do a job as a user, on a server that is empty; what it fails with."""
    with server.client as client:
        client.flushall()
    admin = Segmenter(server.url, namespace="shop")
    mine = Segmenter(f"redis://{role}:secret@127.0.0.1:{server.port}", namespace="shop")
    try:
        async with asyncio.timeout(LIMIT_S), admin, mine:
            await job(mine, admin)
    except SegmenterError as error:
        return error
    return None


def spare_of(role: str) -> set[str]:
    return SPARE | SPARE_OF.get(role, set())


def allow(server: Server, role: str, words: list[str]) -> None:
    with server.client as client:
        client.execute_command("ACL", "SETUSER", *words)


@pytest.mark.parametrize("role", ROLES)
def test_each_user_can_do_its_job(server: Server, role: str) -> None:
    allow(server, role, ROLES[role])
    assert asyncio.run(tried(server, role, JOBS[role])) is None


@pytest.mark.parametrize("role", ROLES)
def test_no_right_is_given_that_the_job_does_not_need(server: Server, role: str) -> None:
    spare: list[str] = []
    for word in [word for word in ROLES[role] if word.startswith("+") and word not in spare_of(role)]:
        allow(server, role, [*ROLES[role], "-" + word[1:]])
        if asyncio.run(tried(server, role, JOBS[role])) is None:
            spare.append(word)
    assert spare == []


@pytest.mark.parametrize("role", ROLES)
def test_without_the_rights_that_may_be_left_out_the_job_is_done_all_the_same(server: Server, role: str) -> None:
    allow(server, role, [word for word in ROLES[role] if word not in spare_of(role)])
    assert asyncio.run(tried(server, role, JOBS[role])) is None


@pytest.mark.parametrize(
    ("role", "job"),
    [
        ("producer", "consumer"),
        ("producer", "admin"),
        ("consumer", "producer"),
        ("consumer", "admin"),
        ("observer", "producer"),
        ("observer", "consumer"),
        ("observer", "admin"),
    ],
)
def test_no_user_can_do_the_job_of_another(server: Server, role: str, job: str) -> None:
    allow(server, role, ROLES[role])
    error = asyncio.run(tried(server, role, JOBS[job]))
    cause = error if isinstance(error, BackendError) or error is None else error.__cause__
    assert isinstance(cause, BackendError)
    assert not cause.retriable
    assert "let the user run scripts and stream commands" in str(cause)
    assert "secret" not in str(error)


@pytest.mark.parametrize("role", ROLES)
def test_no_user_reaches_another_namespace(server: Server, role: str) -> None:
    allow(server, role, ROLES[role])

    async def reach() -> None:
        async with Segmenter(f"redis://{role}:secret@127.0.0.1:{server.port}", namespace="bank") as segmenter:
            with pytest.raises(BackendError) as refused:
                await segmenter.get_stream("orders")
            assert not refused.value.retriable

    asyncio.run(reach())
