"""Hooks, observers, lifespans and pull loops: what they raise is told, and what does not return is bounded in time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from segmenter import (
    ConsumerDead,
    HandlerStuck,
    InvalidArgument,
    LifespanTimeout,
    Message,
    Segmenter,
    SegmenterError,
    Worker,
    sync,
)
from segmenter.core.command import GroupSlot
from segmenter.core.observations import Departed, Granted, HookFailed, Observation, ReadOverdue
from segmenter.runtime.heart import Heart
from segmenter.runtime.host import Host
from segmenter.runtime.lease import Lease
from segmenter_memory.backend import MemoryBackend
from tests.public_reports.shop import Shop
from tests.world import World, virtually

LIMIT_S = 30.0


# --- observers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Admitted", "Granted", "Reassigned", "Retried", "Parked", "HandedBack", "Departed"])
def test_an_observer_that_raises_changes_nothing(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """astubbs/parallel-consumer#267, hivemq/hivemq-mqtt-client#575: a metric with a wrong label stops the consumer."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "bad"), ("b", "good"))

        def observer(seen: Observation) -> None:
            shop.seen.append(seen)
            if type(seen).__name__ == kind:
                raise SystemExit("no such label")

        async def handle(text: str) -> None:
            shop.handled.append((text, 1))
            if text == "bad":
                raise ValueError

        worker = shop.worker(handle, observer=observer)
        task = world.run(worker)
        await world.until(lambda: bool(shop.parked))
        assert ("good", 1) in shop.handled
        await worker.stop()
        await task

    test()
    assert f"observation={kind}" in caplog.text


def test_an_observer_that_returns_a_coroutine_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """The same; nothing shows before the call that its function is async, and its coroutine is never awaited."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "x"))

        async def count(_seen: Observation) -> None: ...

        def observer(seen: Observation) -> Any:
            return count(seen)

        async def handle(text: str) -> None:
            shop.handled.append((text, 1))

        await shop.run(handle, observer=observer)
        await shop.settled()
        assert shop.handled == [("x", 1)]

    test()
    assert "observer failed" in caplog.text
    assert "it returned a coroutine" in caplog.text


def test_an_observer_that_could_not_be_called_is_refused() -> None:
    """Its coroutine would never be awaited."""

    async def observer(_seen: Observation) -> None: ...

    worker = Worker(group="g")
    with pytest.raises(InvalidArgument, match=r"observer .* is async: pass a plain function"):
        worker.handler("orders", observer=observer)(print)  # type: ignore[arg-type]


# --- hooks ----------------------------------------------------------------------------------------------------------

Loading = Callable[[int], Any]


def task_of(load: Callable[[], Awaitable[None]]) -> Loading:
    return lambda _partition: asyncio.ensure_future(load())


def coroutine_of(load: Callable[[], Awaitable[None]]) -> Loading:
    return lambda _partition: load()


def awaitable_of(load: Callable[[], Awaitable[None]]) -> Loading:
    class Later:
        def __await__(self) -> Any:
            return load().__await__()

    return lambda _partition: Later()


@pytest.mark.parametrize("hook_of", [task_of, coroutine_of, awaitable_of])
def test_whatever_a_hook_returns_is_awaited_before_the_first_message(
    hook_of: Callable[[Callable[[], Awaitable[None]]], Loading],
) -> None:
    """dpkp/kafka-python#917: messages come before the state of their partition is loaded."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "x"))
        loaded = asyncio.Event()

        async def load() -> None:
            await asyncio.sleep(3)
            loaded.set()

        async def handle(text: str) -> None:
            assert loaded.is_set()
            shop.handled.append((text, 1))

        await shop.run(handle, on_assigned=hook_of(load))
        await shop.settled()
        assert shop.handled == [("x", 1)]

    test()


@pytest.mark.parametrize("plain", [True, False], ids=["plain function", "async function"])
def test_a_partition_waits_until_its_on_assigned_has_succeeded(plain: bool, caplog: pytest.LogCaptureFixture) -> None:
    """dpkp/kafka-python#917: when on_partitions_assigned fails, the consumer goes on as if nothing had happened."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "x"))
        calls = 0

        def load(_partition: int) -> None:
            nonlocal calls
            calls += 1
            if calls < 4:
                raise SystemExit("the database is away")

        async def load_async(partition: int) -> None:
            load(partition)

        async def handle(text: str) -> None:
            assert calls == 4
            shop.handled.append((text, 1))

        await shop.run(handle, on_assigned=load if plain else load_async)
        await shop.settled()
        assert shop.handled == [("x", 1)]
        told = [seen for seen in shop.seen if isinstance(seen, HookFailed)]
        assert [seen.reason for seen in told] == ["SystemExit: the database is away"] * 3
        assert all(seen.retry_in_s is not None for seen in told)

    test()
    assert "hook='on_assigned'" in caplog.text


@virtually
async def test_an_on_assigned_that_hangs_is_cancelled_told_and_called_again(world: World) -> None:
    """The same, for one that waits for an answer that never comes: its partition stood still without a word."""
    shop = await Shop(world).open(("a", "x"))
    calls = 0

    async def load(_partition: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(1e6)

    async def handle(text: str) -> None:
        shop.handled.append((text, 1))

    await shop.run(handle, on_assigned=load, max_processing_time=60)
    began = world.loop.time()
    await shop.settled()
    assert 59 < world.loop.time() - began < 62
    (told,) = [seen for seen in shop.seen if isinstance(seen, HookFailed)]
    assert "on_assigned did not return within max_processing_time, 60 s" in told.reason
    assert "load" in told.function


@pytest.mark.parametrize("how", ["raises", "hangs"])
def test_an_on_revoked_that_fails_does_not_keep_the_partition(how: str) -> None:
    """The same, on the way out: the partition moves, and it is told."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(*((f"k{number}", f"{number}") for number in range(20)), partitions=2)

        async def save(_partition: int) -> None:
            if how == "raises":
                raise GeneratorExit
            await asyncio.sleep(1e6)

        async def handle(text: str) -> None:
            shop.handled.append((text, 1))

        await shop.run(handle, on_revoked=save, max_processing_time=20)
        other = Shop(world)
        other.orders = shop.orders
        await other.run(handle)
        await world.until(lambda: any(isinstance(seen, Granted) for seen in other.seen))
        (told,) = [seen for seen in shop.seen if isinstance(seen, HookFailed)]
        assert (told.hook, told.retry_in_s) == ("on_revoked", None)

    test()


@virtually
async def test_a_hook_that_ignores_its_cancellation_costs_its_process(world: World) -> None:
    """The same, for code that catches everything: whoever runs the worker is told to replace it."""
    shop = await Shop(world).open(("a", "x"))
    over = asyncio.Event()

    async def load(_partition: int) -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    async def handle(_text: str) -> None:
        raise AssertionError

    worker = shop.worker(handle, on_assigned=load, max_processing_time=10)
    task = world.run(worker)
    await asyncio.wait([task])
    over.set()
    with pytest.raises(HandlerStuck, match=r"on_assigned hook .*load ignored its cancellation"):
        await task


def test_a_hook_of_blocking_code_gets_a_thread_while_handlers_have_all_of_theirs() -> None:
    """Bogdanp/dramatiq#211 is about limits in threads: a partition could not be given up while all were taken."""
    revoked, began = threading.Event(), threading.Event()
    worker = sync.Worker("memory://threads", group="g", threads=1)

    @worker.handler("orders", on_revoked=lambda _partition: revoked.set())
    def handle(_data: bytes) -> None:
        began.set()
        assert revoked.wait(LIMIT_S)

    with sync.Segmenter("memory://threads") as segmenter:
        segmenter.register_stream("orders", partitions=1).send("k", b"")
        running = threading.Thread(target=worker.run)
        running.start()
        assert began.wait(LIMIT_S)
        worker.request_stop()
        running.join(LIMIT_S)
        assert not running.is_alive()


# --- lifespans ------------------------------------------------------------------------------------------------------


@virtually
async def test_a_lifespan_that_never_comes_up_is_told_by_name(world: World) -> None:
    """No public report: a start-up that hangs looks like one that takes its time."""
    await Shop(world).open()

    @asynccontextmanager
    async def connect(_worker: Worker) -> AsyncIterator[None]:
        await asyncio.sleep(1e6)
        yield

    worker = world.handlers(lifespan=connect, lifespan_timeout=60)
    worker.handler("orders")(print)
    began = world.loop.time()
    with pytest.raises(LifespanTimeout, match=r"entering lifespan .*connect took longer than lifespan_timeout, 60 s"):
        await worker.run()
    assert world.loop.time() - began == pytest.approx(60, abs=1)


@virtually
async def test_a_lifespan_that_does_not_go_down_is_told_when_everything_was_handed_over(world: World) -> None:
    shop = await Shop(world).open(("a", "x"))

    @asynccontextmanager
    async def connect(_worker: Worker) -> AsyncIterator[None]:
        yield
        await asyncio.sleep(1e6)

    worker = world.handlers(lifespan=connect, lifespan_timeout=60)

    @worker.handler("orders", type=str, observer=shop.seen.append)
    async def handle(text: str) -> None:
        shop.handled.append((text, 1))

    task = world.run(worker)
    await world.ready(worker)
    await shop.settled()
    worker.request_stop()
    with pytest.raises(LifespanTimeout, match="leaving lifespan"):
        await task
    assert any(isinstance(seen, Departed) and seen.reason == "left" for seen in shop.seen)


@virtually
async def test_a_worker_that_is_stopped_while_its_lifespan_comes_up_ends_at_once(world: World) -> None:
    """A pod that is replaced during a slow start is killed otherwise."""
    await Shop(world).open()
    left = False

    @asynccontextmanager
    async def connect(_worker: Worker) -> AsyncIterator[None]:
        nonlocal left
        try:
            await asyncio.sleep(1e6)
            yield
        finally:
            left = True

    worker = world.handlers(lifespan=connect)
    worker.handler("orders")(print)
    task = world.run(worker)
    await asyncio.sleep(1)
    await asyncio.wait_for(worker.stop(), 1)
    await task
    assert left


def test_a_lifespan_of_blocking_code_may_raise_what_it_likes() -> None:
    """python/cpython#112182: a ``StopIteration`` in a thread hangs asyncio, in a lifespan as in a handler."""

    class Connect:
        def __init__(self, _worker: sync.Worker) -> None: ...

        def __enter__(self) -> None:
            next(iter(()))

        def __exit__(self, *_reason: object) -> None: ...

    worker = sync.Worker("memory://", group="g", lifespan=Connect)
    worker.handler("orders")(print)
    with pytest.raises(RuntimeError, match="StopIteration"):
        worker.run()


def test_a_lifespan_timeout_is_a_duration() -> None:
    with pytest.raises(InvalidArgument, match="lifespan_timeout is 0"):
        Worker(group="g", lifespan_timeout=0)


# --- pull loops -----------------------------------------------------------------------------------------------------


@virtually
async def test_a_consumer_whose_application_stops_reading_gives_its_partitions_to_others(world: World) -> None:
    """confluentinc/confluent-kafka-python#629 and ``max.poll.interval.ms``: a loop has ended by an exception.

    Its consumer kept beating, and its partitions stood still for as long as the process lived.
    """
    shop = await Shop(world).open(("a", "x"), ("b", "y"))
    consumer = await world.segmenter().register_consumer(
        "orders", group="g", max_processing_time=30, observer=shop.seen.append
    )

    async def loop() -> None:
        async for message in consumer:
            raise ValueError(message.key)

    await asyncio.gather(loop(), return_exceptions=True)
    began = world.loop.time()

    async def handle(text: str) -> None:
        shop.handled.append((text, 1))

    await shop.run(handle)
    await world.until(lambda: len(shop.handled) == 2)
    assert sorted(shop.handled) == [("x", 1), ("y", 1)]
    assert world.loop.time() - began < 40
    assert any(isinstance(seen, ReadOverdue) for seen in shop.seen)
    with pytest.raises(ConsumerDead, match="the application has not read from this consumer") as stopped:
        await consumer.read(timeout=1)
    assert isinstance(stopped.value.__cause__, HandlerStuck)


@virtually
async def test_a_consumer_may_wait_for_messages_as_long_as_it_likes(world: World) -> None:
    """confluentinc/confluent-kafka-python#618: the limit struck a consumer that was waiting within ``poll()``."""
    shop = await Shop(world).open()
    consumer = await world.segmenter().register_consumer("orders", group="g", max_processing_time=5)
    reading = asyncio.ensure_future(consumer.read())
    await asyncio.sleep(3600)
    await shop.orders.send("a", "x")
    assert [message.key for message in await reading] == ["a"]


@virtually
async def test_a_paused_consumer_is_not_missed(world: World) -> None:
    """confluentinc/confluent-kafka-dotnet#785: pausing did not help."""
    shop = await Shop(world).open(("a", "x"))
    consumer = await world.segmenter().register_consumer("orders", group="g", max_processing_time=5)
    await asyncio.sleep(1)
    consumer.pause()
    await shop.orders.send("b", "y")
    await asyncio.sleep(3600)
    consumer.resume()
    assert sorted(message.key for message in await consumer.read(timeout=5)) == ["a", "b"]


@virtually
async def test_a_consumer_without_messages_is_not_missed(world: World) -> None:
    """aio-libs/aiokafka#720: one without partitions timed out, and left for good."""
    shop = await Shop(world).open()
    consumer = await world.segmenter().register_consumer("orders", group="g", max_processing_time=5)
    await asyncio.sleep(3600)
    await shop.orders.send("a", "x")
    await asyncio.sleep(4)
    assert [message.key for message in await consumer.read(timeout=5)] == ["a"]


# --- the heart ------------------------------------------------------------------------------------------------------


def test_a_heart_that_ends_is_told_to_its_consumers(caplog: pytest.LogCaptureFixture) -> None:
    """dpkp/kafka-python#1515: the heartbeat thread has ended, and nobody notices; here by whatever may end it."""

    async def main() -> None:
        def clock() -> float:
            if threading.current_thread().name == "segmenter-heart" and broken.is_set():
                raise MemoryError("no memory for another timer")
            return Host().clock()

        broken = threading.Event()
        async with Segmenter("memory://", host=evolve(Host(), clock=clock)) as segmenter:
            await segmenter.register_stream("orders", partitions=1)
            consumer = await segmenter.register_consumer("orders", group="g", session_timeout=0.3)
            broken.set()
            with pytest.raises(ConsumerDead) as stopped:
                await consumer.read(timeout=LIMIT_S)
            assert "no memory for another timer" in str(stopped.value)

    with caplog.at_level(logging.ERROR, "segmenter.heart"):
        asyncio.run(main())
    assert "heartbeat stopped" in caplog.text


@virtually
async def test_a_heart_that_stands_still_is_told_to_its_consumers(world: World) -> None:
    """The same, for a thread that hangs: nothing ends it, and so nothing says that it has ended."""
    hearts: list[asyncio.Task[None]] = []

    def place(coroutine: Coroutine[Any, Any, None], failed: object) -> Callable[[], Coroutine[Any, Any, None]]:
        hearts.append(world.loop.create_task(coroutine))
        return partial(asyncio.sleep, 0)

    await Shop(world).open()
    world.host = evolve(world.host, place_heart=place)
    consumer = await world.segmenter().register_consumer("orders", group="g", session_timeout=1)
    assert await consumer.read(timeout=60) == []
    began = world.loop.time()
    hearts[0].cancel()  # as far as its consumers can see, it only does no more
    with pytest.raises(ConsumerDead, match="the heartbeat of group 'g' on 'orders' has stopped: its thread stands"):
        await consumer.read(timeout=60)
    assert world.loop.time() - began < 10


def test_a_heart_is_not_missed_while_its_consumer_is_no_member() -> None:
    """A neighbour: a membership so short that the heart's thread had no time to turn, and a long time without one."""
    now = 100.0
    failures: list[BaseException] = []
    lease = Lease(
        Heart(MemoryBackend(), Host()),
        GroupSlot("orders", "g"),
        1.0,
        clock=lambda: now,
        stall_s=5.0,
        known=lambda: "",
        tell=lambda _event: None,
        stuck=lambda _stall_s: None,
        failed=failures.append,
    )
    lease.begin("first", now)
    lease.end()
    for _ in range(60):
        now += 1
        lease.check_heart()
    lease.begin("second", now)
    lease.check_heart()
    assert failures == []
    for _ in range(6):
        now += 1
        lease.check_heart()
    assert "its thread stands still" in str(failures[0])


def test_threads_that_are_greenlets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """dpkp/kafka-python#1515, temporalio/sdk-python#291: gevent's ``monkey.patch_all()``.

    The heart died at its start, and a consumer read 4 of 17 messages. Here as gevent makes threads: in the same one.
    """

    class Greenlet(threading.Thread):
        def start(self) -> None:
            self._target(*self._args)  # type: ignore[attr-defined]

    monkeypatch.setattr("segmenter.sync.portal.threading.Thread", Greenlet)
    with pytest.raises(SegmenterError, match="threads are greenlets in this process"):
        sync.Segmenter("memory://").register_stream("orders")


class Panic(BaseException):
    """As of a library in another language: no ``Exception``."""


@pytest.mark.parametrize(("raised", "attempt"), [(Panic, 2), (ValueError, 2), (SystemExit, 1), (KeyboardInterrupt, 1)])
def test_what_leaves_a_consumers_block_is_a_failed_attempt_unless_it_may_be_a_signal(
    raised: type[BaseException], attempt: int
) -> None:
    """No public report: the neighbour of a handler whose exception is none of ``Exception``."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "x"))
        block = world.segmenter().register_consumer("orders", group="g")
        consumer = await block.__aenter__()
        assert await consumer.read(timeout=1)
        await block.__aexit__(raised, raised(), None)

        async def handle(text: str, message: Message) -> None:
            shop.handled.append((text, message.attempt))

        await shop.run(handle)
        await shop.settled()
        assert shop.handled == [("x", attempt)]

    test()
