"""The Redis backend when the server or the connection misbehaves: what fails, how it is told, and that it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from segmenter.core.beats import Beat, Beaten
from segmenter.core.command import Cursor, Gone, GroupSlot, PartitionSlot, Read, StreamSlot
from segmenter.core.creation import Created, CreateLane, CreatePartition, DropLane
from segmenter.core.events import Changed
from segmenter.core.group import GroupState, GroupUpdated, Joined, UpdateGroup
from segmenter.core.layout import FORMAT, LoadStream, StreamConfig, UpdateStream
from segmenter.core.log import Record
from segmenter.core.partition import Claim, Claimed, Commit, Committed, Probe, Probed, Progress, Release
from segmenter.core.retention import Append, Appended, Trim, Trimmed
from segmenter.errors import BackendError, InvalidArgument, ServerFull, UnsupportedFormat
from segmenter_redis import RedisBackend, checkup
from segmenter_redis.session import RedisSession
from tests.integration.proxy import Proxy
from tests.servers import Server, newest

SLOT = PartitionSlot("orders", 0)
GROUP = GroupSlot("orders", "a")
TIMEOUT_S = 0.3
SOON_S = 1.5  # well above TIMEOUT_S, well below redis-py's 5 s


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisSession]:
    session = await RedisBackend(url, "shop", **options).session()
    try:
        yield session
    finally:
        await session.aclose()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(bounded())


def batch(first: int, count: int = 1, size: int = 1) -> Append:
    return Append(SLOT, "p", 1, first, [Record(b"k", b"x" * size)] * count, 100_000)


async def prepared(session: RedisSession, size: int = 1) -> int:
    """A partition with two messages, owned by m: the epoch."""
    await session.execute(CreatePartition(SLOT, "born"))
    await session.execute(CreateLane(SLOT, "a", b"earliest"))
    await session.execute(batch(1, 2, size))
    claimed = await session.execute(Claim(SLOT, "a", "m", 1, 0, "c"))
    assert isinstance(claimed, Claimed)
    return claimed.epoch


async def failure(future: asyncio.Future[Any]) -> BackendError:
    with pytest.raises(BackendError) as caught:
        async with asyncio.timeout(SOON_S):
            await future
    return caught.value


# --- connecting ---


@pytest.mark.parametrize("protocol", [2, 3])
def test_both_versions_of_the_protocol_serve(redis_url: str, namespace: str, protocol: int) -> None:
    async def test() -> None:
        session = await RedisBackend(f"{redis_url}?protocol={protocol}", namespace).session()
        await prepared(session)
        reply = await session.read(Read((Cursor(SLOT, b"0-0"),), 10, 1.0))
        assert [fields for _, fields in reply[SLOT]] == [[b"k", b"k", b"d", b"x"]] * 2
        assert await session.read(Read((Cursor(SLOT, reply[SLOT][1][0]),), 10, 0.01)) == {}
        await session.aclose()

    run(test)


@pytest.mark.unheard("there is no server")
def test_a_server_that_is_not_there_is_named() -> None:
    async def test() -> None:
        with pytest.raises(BackendError, match=r"redis://127\.0\.0\.1:1/0.*check that the server runs") as caught:
            await RedisBackend("redis://user:s3cret@127.0.0.1:1/0").session()
        assert caught.value.retriable
        assert "s3cret" not in str(caught.value)

    run(test)


@pytest.mark.unheard("the server hangs up")
def test_a_connection_is_tried_once() -> None:
    """redis-py tries ten times by itself: whoever asks decides whether to ask again, and for how long."""

    async def test() -> None:
        tried: list[None] = []

        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tried.append(None)
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(BackendError):
                await RedisBackend(f"redis://127.0.0.1:{port}").session()
        assert len(tried) <= 2, "a session has two connections"

    run(test)


def test_a_wrong_password_is_not_retried_and_not_shown() -> None:
    server = Server(newest(), password="right")

    async def test() -> None:
        address = f"127.0.0.1:{server.port}"
        for login in ("", ":s3cret@", "user:s3cret@"):
            with pytest.raises(BackendError, match="check user and password") as caught:
                await RedisBackend(f"redis://{login}{address}?password=s3cret" if login else server.url).session()
            assert not caught.value.retriable
            assert "s3cret" not in str(caught.value)
        async with opened(f"redis://:right@{address}") as session:
            await prepared(session)
            server.kill()
            error = await failure(session.execute(Probe(SLOT, "a")))
            assert "right" not in str(error)

    try:
        run(test)
    finally:
        server.stop()


@pytest.mark.unheard("nothing is connected")
@pytest.mark.parametrize("url", ["http://localhost", "redis://localhost?colour=red", "redis://localhost?db=one"])
def test_what_is_no_url_of_redis_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidArgument):
        RedisBackend(url)


def test_a_server_that_may_evict_streams_is_refused(server: Server) -> None:
    """It would delete fences and messages when its memory is full, without a word."""

    async def test() -> None:
        with server.client as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(BackendError, match="noeviction"):
            await RedisBackend(server.url).session()
        async with opened(server.url, allow_eviction=True) as session:
            await prepared(session)

    run(test)


def test_a_user_without_the_right_to_ask_for_the_history_can_work(server: Server) -> None:
    async def test() -> None:
        with server.client as client:
            client.execute_command("ACL", "SETUSER", "plain", "on", ">pw", "~*", "+@all", "-info")
        async with opened(f"redis://plain:pw@127.0.0.1:{server.port}") as session:
            epoch = await prepared(session)
            reply = await session.execute(Commit(SLOT, "a", "m", epoch, 1, Progress(b"1-0", 1)))
            assert reply == Committed()

    run(test)


@pytest.mark.unheard("no session is opened")
def test_a_user_without_the_right_to_run_scripts_is_told_so(server: Server) -> None:
    async def test() -> None:
        with server.client as client:
            client.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "+@all", "-@scripting")
        with pytest.raises(BackendError, match="let the user run scripts") as caught:
            await RedisBackend(f"redis://poor:pw@127.0.0.1:{server.port}").session()
        assert not caught.value.retriable

    run(test)


@pytest.mark.unheard("no session is opened")
def test_a_server_that_is_too_old_is_refused(newest_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "OLDEST_REDIS", (99, 0))

    async def test() -> None:
        with pytest.raises(BackendError, match="is the oldest that will do") as caught:
            await RedisBackend(newest_server.url).session()
        assert not caught.value.retriable

    run(test)


@pytest.mark.tampers("the laws read no later version either")
def test_what_a_later_version_stored_is_refused(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            slot = StreamSlot("orders")
            config = StreamConfig("v1", 1, 1, "born", format=FORMAT + 1)
            with server.tampering():
                await session.execute(UpdateStream(slot, None, config))
            with pytest.raises(UnsupportedFormat):
                await session.execute(LoadStream(slot))

    run(test)


@pytest.mark.tampers("a key of another type")
def test_keys_of_another_program_are_reported(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            with server.tampering() as client:
                client.set("{shop:orders:0}:meta", "mine")
            error = await failure(session.execute(batch(1)))
            assert not error.retriable
            assert "choose another one" in str(error)

    run(test)


# --- breaking ---


def test_scripts_that_were_flushed_are_sent_again(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            epoch = await prepared(session)
            with server.client as client:
                for number in range(3, 23, 5):
                    client.script_flush()
                    asked = [session.execute(batch(number + n)) for n in range(5)]
                    assert all(isinstance(reply, Appended) for reply in await asyncio.gather(*asked))
                client.script_flush()
            commit = session.execute(Commit(SLOT, "a", "m", epoch, 1, Progress(b"1-0", 1)))
            read = session.read(Read((Cursor(SLOT, b"0-0"),), 100, 1.0))
            assert await commit == Committed()
            assert len((await read)[SLOT]) == 22

    run(test)


def test_killed_connections_fail_what_is_under_way_and_are_opened_again(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            await prepared(session)
            beyond = Read((Cursor(SLOT, b"99999999999999-0"),), 10, 2.0)
            read = session.read(beyond)
            await session.execute(Probe(SLOT, "a"))
            with server.client as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            error = await failure(read)
            assert error.retriable
            assert "Read" in str(error)
            probed = await retried(session, Probe(SLOT, "a"))
            assert isinstance(probed, Probed)
            found = await session.read(Read((Cursor(SLOT, b"0-0"),), 10, 1.0))
            assert len(found[SLOT]) == 2

    run(test)


async def retried(session: RedisSession, command: Any) -> Any:
    """What the runtime does: ask again as long as the error says that it may help."""
    while True:
        try:
            return await session.execute(command)
        except BackendError as error:
            if not error.retriable:
                raise


def test_a_server_that_hangs_fails_calls_and_reads_in_time(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url, reply_timeout_s=TIMEOUT_S) as session:
            await prepared(session)
            server.pause()
            asked = [session.execute(Probe(SLOT, "a")) for _ in range(3)]
            read = session.read(Read((Cursor(SLOT, b"0-0"),), 10, 0.1))
            assert all([(await failure(future)).retriable for future in asked])
            assert (await failure(read)).retriable
            again = await failure(session.read(Read((Cursor(SLOT, b"0-0"),), 10, 0.5)))
            assert again.retriable
            server.resume()
            assert isinstance(await retried(session, Probe(SLOT, "a")), Probed)

    run(test)


def test_after_a_read_that_might_have_waited_long_a_hung_server_is_noticed_as_soon(server: Server) -> None:
    """One timer watches a connection: it must not stay set to the deadline of what was answered long ago."""

    async def test() -> None:
        async with opened(server.url, reply_timeout_s=TIMEOUT_S) as session, opened(server.url) as other:
            await prepared(session)
            last = (await session.read(Read((Cursor(SLOT, b"0-0"),), 10, 1.0)))[SLOT][-1][0]
            read = session.read(Read((Cursor(SLOT, last),), 10, 5.0))
            assert await other.read(Read((Cursor(SLOT, last),), 10, 2 * TIMEOUT_S)) == {}
            await session.execute(batch(3))
            assert await read
            server.pause()
            error = await failure(session.read(Read((Cursor(SLOT, b"0-0"),), 10, 0.1)))
            assert error.retriable
            server.resume()

    run(test)


def test_on_a_dead_connection_a_read_that_is_cancelled_holds_up_the_next_no_longer_than_any_answer(
    server: Server,
) -> None:
    """It might have waited for a minute."""

    async def test() -> None:
        async with Proxy(server.port) as proxy, opened(proxy.url, reply_timeout_s=TIMEOUT_S) as session:
            await prepared(session)
            last = (await session.read(Read((Cursor(SLOT, b"0-0"),), 10, 1.0)))[SLOT][-1][0]
            swallowed = asyncio.Event()

            def swallow(chunk: bytes) -> bool:
                first = b"XREAD" in chunk and not swallowed.is_set()
                if first:
                    swallowed.set()
                return first

            proxy.swallows = swallow
            dead = session.read(Read((Cursor(SLOT, last),), 10, 60.0))
            await swallowed.wait()
            dead.cancel()
            error = await failure(session.read(Read((Cursor(SLOT, b"0-0"),), 10, 60.0)))
            assert error.retriable
            assert len((await session.read(Read((Cursor(SLOT, b"0-0"),), 10, 60.0)))[SLOT]) == 2

    run(test)


def test_a_server_that_was_restarted_is_found_again(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            await prepared(session)
            server.restart()
            assert await retried(session, Probe(SLOT, "a")) == Gone()
            assert await session.execute(CreatePartition(SLOT, "again")) == Created()

    run(test)


def test_timeouts_of_the_url_have_no_effect(server: Server) -> None:
    """redis-py would take a read that waits for a dead server, and a slow answer for a reason to send again."""

    async def test() -> None:
        async with opened(f"{server.url}?socket_timeout=0.05&retry_on_timeout=yes&health_check_interval=1") as session:
            await prepared(session)
            for _ in range(3):
                assert await session.read(Read((Cursor(SLOT, b"99999999999999-0"),), 10, 0.3)) == {}

    run(test)


def test_what_waits_long_on_one_connection_does_not_break_the_other(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url, reply_timeout_s=TIMEOUT_S) as session:
            await prepared(session)
            assert await session.read(Read((Cursor(SLOT, b"99999999999999-0"),), 10, 2 * TIMEOUT_S)) == {}
            assert isinstance(await session.execute(Probe(SLOT, "a")), Probed)

    run(test)


def test_a_packet_beyond_all_buffers_arrives(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            await prepared(session)
            asked = [session.execute(batch(3 + n * 50, 50, 20_000)) for n in range(20)]
            assert all(isinstance(reply, Appended) for reply in await asyncio.gather(*asked))

    run(test)


# --- the state of the server ---


def test_with_memory_full_only_appending_is_refused(server: Server) -> None:
    """Who reads must be able to make room."""

    async def test() -> None:
        async with opened(server.url) as session:
            epoch = await prepared(session)
            document = GroupState(1, 1_000, "v1").on(Joined("m"))
            await session.execute(UpdateGroup(GROUP, None, document, Changed("v1", "joined", "m")))
            last = (await session.read(Read((Cursor(SLOT, b"0-0"),), 10, 1.0)))[SLOT][1][0]
            with server.client as client:
                client.config_set("maxmemory", 1)
                error = await failure(session.execute(batch(3)))
                assert isinstance(error, ServerFull)
                assert "raise maxmemory" in str(error)
                commit = session.execute(Commit(SLOT, "a", "m", epoch, 1, Progress(last, 2)))
                assert await commit == Committed()
                assert isinstance(await session.execute(Beat(GROUP, "m", "v1", 0)), Beaten)
                update = UpdateGroup(GROUP, "v1", GroupState(1, 1_000, "v2"), Changed("v2", "left", "m"))
                assert isinstance(await session.execute(update), GroupUpdated)
                assert await session.execute(Trim(SLOT)) == Trimmed(2)
                client.config_set("maxmemory", 0)
            assert isinstance(await session.execute(batch(3)), Appended)

    run(test)


def test_a_new_session_opens_with_memory_full(server: Server) -> None:
    """A consumer that is restarted then is the one that makes room."""

    async def test() -> None:
        with server.client as client:
            client.config_set("maxmemory", 1)
        async with opened(server.url) as session:
            assert await session.execute(CreatePartition(SLOT, "born")) == Created()

    run(test)


def test_standard_tools_show_the_lag(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            epoch = await prepared(session)
            with server.client as client:
                await session.execute(batch(3, 3))
                assert lag(client) == 5
                second = (await session.read(Read((Cursor(SLOT, b"0-0"),), 2, 1.0)))[SLOT][1][0]
                await session.execute(Commit(SLOT, "a", "m", epoch, 1, Progress(second, 2)))
                assert lag(client) == 3
                await session.execute(Release(SLOT, "a", "m", epoch, start=b"latest"))
                assert lag(client) == 0
                await session.execute(DropLane(SLOT, "a"))
                assert client.xinfo_groups("{shop:orders:0}:log") == []

    run(test)


def lag(client: Any) -> int:
    (group,) = client.xinfo_groups("{shop:orders:0}:log")
    value: int = group["lag"]
    return value


def test_a_group_of_the_log_that_somebody_destroyed_does_not_matter(server: Server) -> None:
    async def test() -> None:
        async with opened(server.url) as session:
            epoch = await prepared(session)
            with server.client as client:
                client.xgroup_destroy("{shop:orders:0}:log", "a")
            reply = await session.execute(Commit(SLOT, "a", "m", epoch, 1, Progress(b"1-0", 1)))
            assert reply == Committed()

    run(test)
