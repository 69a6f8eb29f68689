"""What a server has lost is told within a heartbeat, with exact counts; and memory that is full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segmenter import (
    BackendError,
    Consumer,
    ConsumerDead,
    LogTruncated,
    OffsetOutOfRange,
    SendsLost,
    ServerFull,
    Stream,
    StreamLost,
)
from segmenter.core.command import PartitionSlot
from segmenter.core.creation import CreateLane, CreatePartition
from segmenter.core.log import Record
from segmenter.core.observations import Truncation
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Probe, Probed, Progress, RolledBack
from segmenter.core.retention import Append, Appended
from segmenter_redis import RedisBackend
from tests.integration.proxy import Proxy
from tests.integration.test_faults import SESSION_S, Work, consumer_of, opened, run
from tests.servers import Server, newest, oldest

BINARIES = pytest.mark.parametrize("binary", [newest, oldest], ids=["redis-8.2", "redis-7.0"])
LOG = "{shop:orders:0}:log"


async def cause_of_death(consumer: Consumer) -> BaseException | None:
    with pytest.raises(ConsumerDead) as stopped:
        await consumer.read(timeout=20)
    return stopped.value.__cause__


# --- what vanished ---

VANISHED: dict[str, tuple[tuple[str, ...], str]] = {
    "everything": (("FLUSHALL",), "is gone"),
    "the log": (("DEL", LOG), "partition 0 of 'orders' is gone"),
    "the lanes": (("DEL", "{shop:orders:0}:lanes"), "partition 0 of 'orders' is gone"),
    "the partition": (("DEL", "{shop:orders:0}:meta"), "partition 0 of 'orders' is gone"),
    "the group": (("DEL", "{shop:orders}:group:g:document"), "document of group 'g'"),
}


@pytest.mark.tampers("it vanishes")
@pytest.mark.parametrize("what", VANISHED)
def test_an_idle_consumer_is_told_within_a_heartbeat_what_vanished(server: Server, what: str) -> None:
    """Deleted, evicted or wiped: beginning again from nothing would lose messages without a word."""
    words, said = VANISHED[what]

    async def test() -> None:
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            consumer = await consumer_of(segmenter)
            await orders.send("k", b"0")
            await consumer.ack(*await consumer.read(timeout=5))
            loop = asyncio.get_running_loop()
            began = loop.time()
            with server.tampering() as client:
                client.execute_command(*words)
            cause = await cause_of_death(consumer)
            assert isinstance(cause, StreamLost)
            assert said in str(cause)
            assert loop.time() - began < SESSION_S  # two heartbeats of 0.12 s, on a machine that is busy

    run(test)


@pytest.mark.tampers("it vanishes")
def test_a_producer_is_told_that_its_stream_vanished(server: Server) -> None:
    async def test() -> None:
        for words in (("DEL", LOG), ("FLUSHALL",)):
            async with opened(server.url) as segmenter:
                await segmenter.remove_stream("orders")
                orders = await segmenter.register_stream("orders", partitions=1)
                await orders.send("k", b"0")
                with server.tampering() as client:
                    client.execute_command(*words)
                    with pytest.raises(StreamLost, match="see that the server evicts nothing"):
                        await orders.send("k", b"1")
                    assert client.exists(LOG) == 0  # and it was not made anew

    run(test)


@pytest.mark.tampers("a key of another type")
@pytest.mark.parametrize("key", ["{shop:orders:0}:meta", "{shop:orders:0}:lanes", LOG, "{shop:orders}:group:g:beats"])
def test_a_key_of_another_type_ends_a_consumer_with_the_remedy(server: Server, key: str) -> None:
    async def test() -> None:
        async with opened(server.url) as segmenter:
            await segmenter.register_stream("orders", partitions=1)
            consumer = await consumer_of(segmenter)
            with server.tampering() as client:
                client.set(key, "somebody else's")
            cause = await cause_of_death(consumer)
            assert isinstance(cause, BackendError)
            assert "another program writes to the keys of this namespace: choose another one" in str(cause)

    run(test)


@pytest.mark.tampers("XTRIM, without asking what is settled")
def test_messages_that_somebody_trimmed_are_counted(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            await orders.send_many([("k", b"%d" % number) for number in range(100)])
            consumer = await consumer_of(segmenter, read_ahead=10)
            (first, *_) = await consumer.read(timeout=5)
            await consumer.ack(first)
            with server.tampering() as client:
                client.execute_command("XTRIM", LOG, "MAXLEN", "=", 30)
            cause = await cause_of_death(consumer)
            assert isinstance(cause, OffsetOutOfRange)
            assert (cause.count, cause.partition) == (69, 0)

    run(test)


# --- a suffix that is lost ---


def test_after_a_change_of_history_no_commit_counts_not_even_one_that_was_stored(server: Server) -> None:
    """Its messages may have been lost and replaced by others, which nobody has handled."""
    slot = PartitionSlot("orders", 0)

    async def test() -> None:
        session = await RedisBackend(server.url, "shop").session()
        try:
            await session.execute(CreatePartition(slot, "born"))
            await session.execute(CreateLane(slot, "g", b"earliest"))
            appended = await session.execute(Append(slot, "p", 1, 1, [Record(b"k", b"x")] * 2, 10))
            claimed = await session.execute(Claim(slot, "g", "m", 1, 0, "c"))
            assert isinstance(appended, Appended)
            assert isinstance(claimed, Claimed)
            first, both = Progress(appended.first, 1), Progress(appended.last, 2)
            commits = [Commit(slot, "g", "m", claimed.epoch, n, progress) for n, progress in ((1, first), (2, both))]
            assert await session.execute(commits[0]) == Committed()
            with server.client as client:
                client.execute_command("DEBUG", "CHANGE-REPL-ID")
            assert [await session.execute(commit) for commit in commits] == [RolledBack(), RolledBack()]
            probed = await session.execute(Probe(slot, "g"))
            assert isinstance(probed, Probed)
            assert (probed.intact, probed.progress) == (False, first)
        finally:
            await session.aclose()

    run(test)


@BINARIES
def test_a_log_whose_tail_was_cut_off_names_every_loss_exactly(binary: Callable[[], str]) -> None:
    """As after a crash with appendfsync everysec: the last writes never reached the disk."""
    server = Server(binary(), "--appendonly", "yes", "--aof-load-truncated", "yes", "--aof-use-rdb-preamble", "no")
    (file,) = Path(server.directory, "appendonlydir").glob("*.incr.aof")

    async def test() -> None:
        work = Work()
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            work.consume(await consumer_of(segmenter, on_loss="continue", observer=work.observe))
            await work.send(orders, 50)
            await work.all_handled()
            size = file.stat().st_size
            lost = [await orders.send("k0", b"%d" % (1_000 + number)) for number in range(7)]
            await work.until(lambda: len(work.handled) == 57)
            server.kill()
            with file.open("r+b") as log:
                log.truncate(size)
            server.restart()
            with pytest.raises(SendsLost) as told:
                await orders.send("k0", b"2000")
            assert (told.value.count, told.value.ids) == (7, [sent.id for sent in lost])
            await orders.send("k0", b"2000")
            await work.until(lambda: work.handled[-1][1] == 2_000)
            await work.until(lambda: any(isinstance(seen, Truncation) for seen in work.observed))
            (cut,) = [seen for seen in work.observed if isinstance(seen, Truncation)]
            assert cut.count == 7
            assert cut.until >= lost[-1].id
            await work.end()

    try:
        run(test)
    finally:
        server.stop()


@BINARIES
def test_a_failover_to_a_replica_that_lagged_names_every_loss_exactly(binary: Callable[[], str]) -> None:
    """Acknowledged writes may be lost by it. Nobody can prevent that; silence about it can be."""
    primary = Server(binary(), "--repl-diskless-sync-delay", "0")
    replica = Server(binary())

    async def test() -> None:
        async with (
            Proxy(primary.port) as to_server,
            Proxy(primary.port) as to_replica,
            opened(to_server.url) as segmenter,
        ):
            with replica.client as client:
                client.execute_command("REPLICAOF", "127.0.0.1", to_replica.port)
            orders = await segmenter.register_stream("orders", partitions=1)
            consumer = await consumer_of(segmenter)
            for number in range(20):
                await orders.send("k", b"%d" % number)
                await consumer.ack(*await consumer.read(timeout=5))
            with primary.client as client:
                assert await asyncio.to_thread(client.execute_command, "WAIT", 1, 10_000) == 1
            to_replica.hold()
            lost = [await orders.send("k", b"lost") for _ in range(5)]
            await consumer.ack(*await consumer.read(timeout=5))
            primary.kill()
            to_server.upstream = replica.port
            sending = asyncio.ensure_future(orders.send("k", b"after"))
            await asyncio.wait([sending], timeout=0.2)  # a replica still: READONLY
            with replica.client as client:
                client.execute_command("REPLICAOF", "NO", "ONE")
            with pytest.raises(SendsLost) as told:
                await sending
            assert told.value.ids == [sent.id for sent in lost]
            cause = await cause_of_death(consumer)
            assert isinstance(cause, LogTruncated)
            assert (cause.until, cause.count) == (lost[-1].id, 5)

    try:
        run(test)
    finally:
        replica.stop()
        primary.stop()


# --- memory that is full ---


async def fill(orders: Stream, data: bytes) -> int:
    """Send until the server's memory is full; the number that went in."""
    for sent in range(1_000):
        try:
            await orders.send(f"k{sent}", data)
        except ServerFull as error:
            return sent if error.refused and "raise maxmemory, or let consumers catch up" in str(error) else 0
    raise AssertionError("memory did not become full")


def test_with_memory_full_producers_are_pushed_back_and_a_drained_stream_goes_on(server: Server) -> None:
    """Consumers go on committing, and what they have settled makes room for what comes."""

    async def test() -> None:
        async with opened(server.url) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=2)
            consumer = await consumer_of(segmenter)
            big = b"x" * 20_000
            with server.client as client:
                used = int(client.info("memory")["used_memory"])
                client.config_set("maxmemory", used + 8_000_000)  # the audit takes half of it, for good
            sent = await fill(orders, big)
            assert sent > 0
            with server.client as client:
                client.config_set("maxmemory", int(client.info("memory")["used_memory"]) - 1_000_000)
            patient = await segmenter.get_stream("orders", on_full="wait", send_timeout=30)
            waiting: Any = asyncio.ensure_future(patient.send("k", big))
            await asyncio.wait([waiting], timeout=0.3)
            assert not waiting.done()
            handled = 0
            while handled < sent:
                batch = await consumer.read(timeout=5)
                handled += len(batch)
                await consumer.ack(*batch)
            await waiting
            (last,) = await consumer.read(timeout=5)
            assert (last.key, handled) == ("k", sent)
            for number in range(50):
                await orders.send(f"k{number}", big)
        with server.client as client:
            assert sum(client.xlen(f"{{shop:orders:{number}}}:log") for number in range(2)) < sent + 51

    run(test)
