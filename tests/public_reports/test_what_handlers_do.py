"""However a handler ends, it is an outcome of its own message: another message, key or worker does not pay for it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from decimal import Decimal, localcontext
from typing import Any

import pytest

from segmenter import Message, Reject, Retry
from segmenter.core.observations import Departed, HandedBack, HandlerTimedOut
from tests.public_reports.shop import QUICK, NoThreads, Shop, WaitingThreads
from tests.world import World, virtually

tenant: ContextVar[str] = ContextVar("tenant", default="-")


# --- what is raised -------------------------------------------------------------------------------------------------


class Timeout(BaseException):
    """As gevent's: no ``Exception``."""


def stop_iteration() -> None:
    raise StopIteration


def empty_iterator() -> None:
    next(iter(()))


def leave() -> None:
    sys.exit(3)


def panic() -> None:
    raise Timeout("3 seconds")


def generator_exit() -> None:
    raise GeneratorExit


def cancelled() -> None:
    raise asyncio.CancelledError("by a library")


RAISING = [stop_iteration, empty_iterator, leave, panic, generator_exit, cancelled]


def failing_with(fails: Callable[[], None], shop: Shop, *, plain: bool) -> Callable[..., Any]:
    def handle(text: str, message: Message) -> None:
        shop.handled.append((text, message.attempt))
        if text == "bad":
            fails()

    async def handle_async(text: str, message: Message) -> None:
        handle(text, message)

    return handle if plain else handle_async


@pytest.mark.parametrize("plain", [True, False], ids=["plain function", "async function"])
@pytest.mark.parametrize("fails", RAISING)
def test_whatever_a_handler_raises_is_a_failed_attempt(fails: Callable[[], None], plain: bool) -> None:
    """python/cpython#112182 and agronholm/anyio#475: a ``StopIteration`` in a thread hangs asyncio.

    celery/celery#1285 and dask/distributed#301: ``sys.exit()`` in a task stops the worker, or hangs. Other exceptions
    that are none of ``Exception`` are their neighbours.
    """

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "bad"), ("a", "behind it"), ("b", "good"))
        task = await shop.run(failing_with(fails, shop, plain=plain))
        await world.until(lambda: bool(shop.parked))
        await shop.settled()
        assert [attempt for text, attempt in shop.handled if text == "bad"] == [1, 2, 3]
        assert ("good", 1) in shop.handled
        assert ("behind it", 1) not in shop.handled  # it waits behind the parked one
        assert [(key, attempt) for key, attempt, _ in shop.parked] == [("a", 3)]
        assert not task.done()

    test()


class Broken(Exception):
    def __str__(self) -> str:
        raise AttributeError("'NoneType' object has no attribute 'status'")


class NoText(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]  # noqa: PLE0307 - as an application's does


class Hostile(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError

    def __format__(self, spec: str) -> str:
        raise RuntimeError


BROKEN: dict[str, Callable[[], Exception]] = {
    "str raises": Broken,
    "str is no string": NoText,
    "every attribute raises": Hostile,
    "half an emoji": lambda: ValueError("\ud83d and \udcff"),
    "a megabyte": lambda: ValueError("x" * 10**6),
}


@pytest.mark.parametrize("error", BROKEN.values(), ids=BROKEN)
def test_an_exception_that_cannot_be_shown_is_a_failure_like_any_other(
    error: Callable[[], Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """rq/rq#482, celery/celery#92 and celery/celery#3858: the error handler itself fails on the exception."""
    monkeypatch.setattr(logging.getLogger("segmenter"), "propagate", False)  # pytest, too, cannot pass it on

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "bad"), ("b", "good"))

        async def handle(text: str) -> None:
            shop.handled.append((text, 0))
            if text == "bad":
                raise error()

        task = await shop.run(handle)
        await world.until(lambda: bool(shop.parked))
        await shop.settled()
        assert ("good", 0) in shop.handled
        ((key, attempt, reason),) = shop.parked
        assert (key, attempt) == ("a", 3)
        assert reason.startswith(("Broken", "NoText", "Hostile", "ValueError"))
        reason.encode()
        assert not task.done()

    test()


async def rejecting() -> None:
    raise Reject("not an order")


async def failing() -> None:
    raise ValueError("no connection")


@virtually
async def test_reject_inside_a_task_group_is_a_reject(world: World) -> None:
    """Exception groups hide what a framework looks for: a ``Reject`` from a task group was retried, then parked."""
    shop = await Shop(world).open(("a", "x"), ("b", "y"))

    async def handle(_text: str) -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(nested())

    async def nested() -> None:
        async with asyncio.TaskGroup() as inner:
            inner.create_task(rejecting())

    await shop.run(handle)
    await shop.settled()
    assert sorted(shop.dead) == [("a", "not an order"), ("b", "not an order")]
    assert shop.retried == []


@virtually
async def test_a_group_of_a_reject_and_something_else_is_a_failure(world: World) -> None:
    """The same: what else has failed may succeed the next time, and be lost with a dead letter."""
    shop = await Shop(world).open(("a", "x"))

    async def handle(_text: str) -> None:
        raise ExceptionGroup("both", [Reject("not an order"), ValueError("no connection")])

    await shop.run(handle)
    await world.until(lambda: bool(shop.parked))
    assert shop.dead == []
    assert shop.retried == ["a", "a"]


# --- what is left behind --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_concurrency", [1, 8])
@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("plain", [True, False], ids=["plain function", "async function"])
def test_a_context_variable_set_by_a_handler_is_not_there_for_the_next_message(
    plain: bool, batch: int | None, key_concurrency: int
) -> None:
    """taskiq-python/taskiq#482: context variables of structlog and handlers."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(*((f"k{number}", f"{number}") for number in range(40)))
        seen: list[str] = []

        def handle(texts: Any) -> None:
            seen.append(tenant.get())
            shop.handled += [(text, 1) for text in ([texts] if batch is None else texts)]
            tenant.set(f"of {texts}")

        async def handle_async(texts: Any) -> None:
            handle(texts)

        options = {"key_concurrency": key_concurrency, **({} if batch is None else {"batch": batch})}
        await shop.run(handle if plain else handle_async, **options)
        await shop.settled()
        assert len(shop.handled) == 40
        assert set(seen) == {"-"}

    test()


@virtually
async def test_a_decimal_context_entered_by_a_handler_is_not_there_for_the_next_message(world: World) -> None:
    """The same: the precision of decimals is a context variable, too."""
    shop = await Shop(world).open(*((f"k{number}", f"{number}") for number in range(3)))
    thirds: list[str] = []

    async def handle(text: str) -> None:
        thirds.append(str(Decimal(1) / 3))
        localcontext(prec=4).__enter__()  # type: ignore[call-overload, unused-ignore]
        shop.handled.append((text, 1))

    await shop.run(handle)
    await shop.settled()
    assert {len(third) for third in thirds} == {30}


@virtually
async def test_a_cancellation_left_behind_in_a_task_meets_no_other_message(world: World) -> None:
    """A timeout helper calls ``task.cancel()`` and swallows what comes of it, without ``uncancel()``.

    A later message whose child task is cancelled was taken for the end of the event loop: its partition stood still.
    """
    shop = await Shop(world).open(("a", "leaves one"), ("b", "good"), ("c", "child"))

    async def handle(text: str, message: Message) -> None:
        shop.handled.append((text, message.attempt))
        if text == "leaves one":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # and returns: the next await of this task would get it
        elif text == "child":
            child = asyncio.ensure_future(asyncio.sleep(60))
            asyncio.get_running_loop().call_soon(child.cancel)
            await child
        else:
            await asyncio.sleep(0)

    task = await shop.run(handle)
    await world.until(lambda: bool(shop.parked))
    await shop.settled()
    assert shop.handled == [("leaves one", 1), ("good", 1), ("child", 1), ("child", 2), ("child", 3)]
    assert [key for key, _, _ in shop.parked] == ["c"]
    assert not task.done()


# --- who pays for it ------------------------------------------------------------------------------------------------


@virtually
async def test_a_message_that_waits_for_a_thread_is_not_being_processed(world: World) -> None:
    """Bogdanp/dramatiq#211 and celery/celery#9203: limits that run while a message waits in the worker's own queue."""
    shop = await Shop(world).open(*((f"k{number}", f"{number}") for number in range(6)))
    threads = WaitingThreads()

    def handle(text: str, message: Message) -> None:
        shop.handled.append((text, message.attempt))

    worker = shop.worker(handle, key_concurrency=6, max_processing_time=1)
    world.tasks.append(world.loop.create_task(threads.run(worker, world)))
    await world.until(lambda: threads.waiting == 6)
    await asyncio.sleep(10)
    assert not [each for each in shop.seen if isinstance(each, HandlerTimedOut)]
    while threads.waiting:
        threads.free_one()
        await asyncio.sleep(0.1)
    await shop.settled()
    assert sorted(shop.handled) == [(f"{number}", 1) for number in range(6)]
    assert (shop.retried, shop.parked) == ([], [])


@virtually
async def test_a_message_that_waits_for_a_thread_goes_elsewhere_untried_when_its_worker_stops(world: World) -> None:
    """The same: whoever takes over calls it for the first time, and a stopping worker calls nothing any more."""
    shop = await Shop(world).open(("a", "x"))
    threads = WaitingThreads()

    def never(_text: str) -> None:
        raise AssertionError

    worker = shop.worker(never)
    running = world.loop.create_task(threads.run(worker, world))
    await world.until(lambda: threads.waiting == 1)
    began = world.loop.time()
    await worker.stop()
    await running
    assert world.loop.time() - began < 1

    async def handle(text: str, message: Message) -> None:
        shop.handled.append((text, message.attempt))

    await shop.run(handle)
    await shop.settled()
    assert shop.handled == [("x", 1)]


@virtually
async def test_a_message_for_which_no_thread_can_be_started_is_called_later_untried(
    world: World,
) -> None:
    """No public report: at a limit of processes, Python says ``can't start new thread``."""
    shop = await Shop(world).open(("a", "x"), ("a", "y"))
    threads = NoThreads(refusals=3)

    def handle(text: str, message: Message) -> None:
        shop.handled.append((text, message.attempt))

    world.tasks.append(world.loop.create_task(threads.run(shop.worker(handle), world)))
    await world.until(lambda: len(shop.handled) == 2)
    assert threads.refusals == 0
    assert shop.handled == [("x", 1), ("y", 1)]
    assert (shop.retried, shop.parked) == ([], [])


@virtually
async def test_ctrl_c_in_a_handler_ends_its_worker_in_order_and_goes_on_its_way(world: World) -> None:
    """celery/celery#1285 and its neighbour: what is raised ends the loop in the middle, and nothing is handed over."""
    shop = await Shop(world).open(("a", "bad"), ("b", "good"))

    async def handle(text: str) -> None:
        if text == "bad":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await shop.worker(handle).run()
    assert [seen.reason for seen in shop.seen if isinstance(seen, Departed)] == ["left"]
    assert any(isinstance(seen, HandedBack) for seen in shop.seen)

    async def heir(text: str, message: Message) -> None:
        shop.handled.append((text, message.attempt))

    await shop.run(heir)
    await shop.settled()
    assert ("bad", 2) in shop.handled


@virtually
async def test_a_batch_that_fails_costs_none_of_its_messages_an_attempt(world: World) -> None:
    """confluentinc/parallel-consumer#887: one bad record fails its whole batch, again and again."""
    shop = await Shop(world).open(("a", "1"), ("b", "bad"), ("c", "2"))
    calls: list[list[tuple[str, int]]] = []

    async def handle(texts: list[str], messages: list[Message]) -> None:
        calls.append([(text, message.attempt) for text, message in zip(texts, messages, strict=True)])
        if "bad" in texts:
            raise ValueError("one of them is bad")

    await shop.run(handle, batch=10, retry=Retry(attempts=1))
    await shop.settled()
    assert calls == [[("1", 1), ("bad", 1), ("2", 1)], [("1", 1)], [("bad", 1)], [("2", 1)]]
    assert [(key, attempt) for key, attempt, _ in shop.parked] == [("b", 1)]


@virtually
async def test_a_batch_that_takes_too_long_costs_none_of_its_messages_an_attempt(world: World) -> None:
    """The same, for the time limit."""
    shop = await Shop(world).open(("a", "1"), ("b", "slow"), ("c", "2"))

    async def handle(texts: list[str], messages: list[Message]) -> None:
        shop.handled += [(text, message.attempt) for text, message in zip(texts, messages, strict=True)]
        if "slow" in texts:
            await asyncio.sleep(3600)

    await shop.run(handle, batch=10, retry=Retry(attempts=1), max_processing_time=1)
    await shop.settled()
    assert shop.handled == [("1", 1), ("slow", 1), ("2", 1), ("1", 1), ("slow", 1), ("2", 1)]
    assert [key for key, _, _ in shop.parked] == ["b"]


@virtually
async def test_a_payload_in_a_batch_that_cannot_be_decoded_costs_only_itself(world: World) -> None:
    """The same, for a codec."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await orders.send_many([("a", b"fine"), ("b", b"\xff"), ("c", b"fine too")])
    shop = Shop(world)

    async def handle(texts: list[str]) -> None:
        shop.handled += [(text, 1) for text in texts]

    await shop.run(handle, batch=10, retry=Retry(attempts=1))
    await shop.settled()
    assert shop.handled == [("fine", 1), ("fine too", 1)]
    assert [key for key, _, _ in shop.parked] == ["b"]


# --- what logging does ----------------------------------------------------------------------------------------------


class Raising(logging.Handler):
    def handle(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("the disk is full")


def test_logging_that_raises_ends_no_worker(capsys: pytest.CaptureFixture[str]) -> None:
    """rq/rq#482: the handling of an error fails itself; here, since a log handler of the application's raises."""

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "bad"), ("b", "good"))

        async def handle(text: str) -> None:
            shop.handled.append((text, 1))
            if text == "bad":
                raise ValueError

        task = await shop.run(handle, retry=QUICK)
        await world.until(lambda: bool(shop.parked))
        await shop.settled()
        assert ("good", 1) in shop.handled
        assert not task.done()

    logger = logging.getLogger("segmenter")
    raising = Raising()
    logger.addHandler(raising)
    try:
        test()
    finally:
        logger.removeHandler(raising)
    assert "the disk is full" in capsys.readouterr().err


def test_a_record_factory_that_raises_ends_no_consumer(capsys: pytest.CaptureFixture[str]) -> None:
    """The same, for what applications put in the place of ``logging.LogRecord``."""

    def factory(*_args: Any, **_kwargs: Any) -> logging.LogRecord:
        raise LookupError("no request")

    @virtually
    async def test(world: World) -> None:
        shop = await Shop(world).open(("a", "x"))
        consumer = await world.segmenter().register_consumer("orders", group="g")
        (await anext(consumer)).park("for its own reasons")
        await consumer.commit()
        await shop.settled()

    former = logging.getLogRecordFactory()
    logging.setLogRecordFactory(factory)
    try:
        test()
    finally:
        logging.setLogRecordFactory(former)
    capsys.readouterr()
