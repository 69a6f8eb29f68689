"""Workers: handlers of streams, what they are called with, and how many at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from itertools import pairwise
from typing import Any

import attrs
import pytest

from segmenter import InvalidArgument, Message, NonExistentStream, Retry, Segmenter, SegmenterError, Stream, Worker
from tests.world import World, virtually


@attrs.frozen
class Order:
    number: int


# --- what a handler is called with ----------------------------------------------------------------------------------


def test_a_handler_gets_the_value_and_its_return_settles_the_message() -> None:
    worker = Worker(group="billing")

    @worker.handler("orders", type=Order)
    async def bill(order: Order) -> None:
        billed.append(order)

    billed: list[Order] = []
    with worker.test() as rehearsal:
        rehearsal.send("orders", "customer-42", Order(1))
        rehearsal.drain()
        assert billed == [Order(1)]
        assert rehearsal.lag("orders", "billing") == 0


def test_a_handler_may_take_the_message_too() -> None:
    worker = Worker(group="billing")

    @worker.handler("orders", type=str)
    async def bill(order: str, message: Message) -> None:
        seen.append((order, message.key, message.attempt, message.headers))

    seen: list[tuple[str, str, int, dict[str, str]]] = []
    with worker.test() as rehearsal:
        rehearsal.send("orders", "customer-42", "created", {"by": "web"})
        rehearsal.drain()
    assert seen == [("created", "customer-42", 1, {"by": "web"})]


def test_a_batch_handler_gets_lists_of_one_partition() -> None:
    worker = Worker(group="billing")

    @worker.handler("orders", type=str, batch=10)
    async def bill(orders: list[str], messages: list[Message]) -> None:
        assert len({message.partition for message in messages}) == 1
        batches.append(orders)

    batches: list[list[str]] = []
    with worker.test() as rehearsal:
        for number in range(25):
            rehearsal.send("orders", "k", f"{number}")
        rehearsal.drain()
    assert [order for batch in batches for order in batch] == [f"{n}" for n in range(25)]
    assert max(map(len, batches)) <= 10


def test_anything_callable_will_do() -> None:
    worker = Worker(group="billing")
    seen: list[Any] = []

    class Biller:
        async def __call__(self, order: bytes) -> None:
            seen.append(("object", order))

        def method(self, order: bytes, message: Message) -> None:
            seen.append(("method", order))

    worker.handler("a")(Biller())
    worker.handler("b")(Biller().method)
    worker.handler("c")(seen.append)

    async def later(name: str, order: bytes) -> None:
        seen.append((name, order))

    def plainly(order: bytes, *, name: str = "a plain one that returns a coroutine") -> Any:
        return later(name, order)

    worker.handler("d")(partial(later, "partial"))
    worker.handler("e")(plainly)

    with worker.test() as rehearsal:
        for stream in "abcde":
            rehearsal.send(stream, "k", stream.encode())
        rehearsal.drain()
    assert sorted(map(str, seen)) == sorted(
        map(
            str,
            [
                ("object", b"a"),
                ("method", b"b"),
                b"c",
                ("partial", b"d"),
                ("a plain one that returns a coroutine", b"e"),
            ],
        )
    )


CONTEXT: ContextVar[str] = ContextVar("context", default="none")


def test_a_plain_function_runs_in_a_thread_with_the_context_of_its_worker() -> None:
    """Otherwise one that blocks would keep everything else from running."""

    async def main() -> None:
        worker = Worker("memory://worker-threads", group="g")
        seen: list[tuple[bool, str]] = []

        @worker.handler("orders")
        def blocking(order: bytes) -> None:
            loop.call_soon_threadsafe(blocked.set)
            released.wait(10)
            seen.append((threading.current_thread() is threading.main_thread(), CONTEXT.get()))

        loop, blocked, released = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
        CONTEXT.set("kept")
        async with Segmenter("memory://worker-threads") as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            await orders.send("k", b"")
            running = asyncio.create_task(worker.run())
            await asyncio.wait_for(blocked.wait(), 10)  # and with the thread blocked, the loop goes on
            released.set()
            await worker.stop()
            await running
            assert seen == [(False, "kept")]
            assert (await segmenter.describe("orders", "g")).lag == 0

    asyncio.run(main())


# --- how many at once -----------------------------------------------------------------------------------------------


class Gauge:
    """How many are at work, by key and together."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most = 0
        self.most_of_a_key = 0
        self.done: dict[str, list[bytes]] = {}

    async def work(self, data: bytes, message: Message, for_s: float = 1.0) -> None:
        self.now[message.key] += 1
        self.most = max(self.most, self.now.total())
        self.most_of_a_key = max(self.most_of_a_key, self.now[message.key])
        await asyncio.sleep(for_s)
        self.now[message.key] -= 1
        self.done.setdefault(message.key, []).append(data)


@pytest.mark.parametrize(("concurrency", "takes_s"), [(1, 40), (4, 10), (100, 4)])
def test_keys_are_handled_in_parallel_and_each_in_order(concurrency: int, takes_s: float) -> None:
    @virtually
    async def scene(world: World) -> None:
        orders = await world.segmenter().register_stream("orders", partitions=1)
        await orders.send_many([(f"k{n % 10}", b"%d" % n) for n in range(40)])
        worker, gauge = world.handlers(), Gauge()

        @worker.handler("orders", key_concurrency=concurrency)
        async def work(data: bytes, message: Message) -> None:
            await gauge.work(data, message)

        world.run(worker)
        await world.ready(worker)
        began = world.loop.time()
        await world.until(lambda: sum(map(len, gauge.done.values())) == 40)
        assert world.loop.time() - began == pytest.approx(takes_s, abs=0.3)
        assert (gauge.most, gauge.most_of_a_key) == (min(concurrency, 10), 1)
        assert gauge.done == {f"k{key}": [b"%d" % n for n in range(key, 40, 10)] for key in range(10)}

    scene()


@virtually
async def test_a_slow_key_holds_up_no_other_partition_and_no_other_key(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=2)
    await orders.send("slow", b"")
    worker, done = world.handlers(), set[str]()

    @worker.handler("orders", key_concurrency=2)
    async def work(data: bytes, message: Message) -> None:
        await asyncio.sleep(100 if message.key == "slow" else 0.01)
        done.add(message.key)

    world.run(worker)
    await world.ready(worker)
    await asyncio.sleep(0.1)
    await orders.send_many([(f"k{n}", b"") for n in range(100)])
    await asyncio.sleep(2)
    assert done == {f"k{n}" for n in range(100)}


@virtually
async def test_what_comes_while_slots_are_free_is_started_at_once(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    worker, started = world.handlers(), list[float]()

    @worker.handler("orders", key_concurrency=8)
    async def work(data: bytes) -> None:
        started.append(world.loop.time())
        await asyncio.sleep(10)

    world.run(worker)
    await world.ready(worker)
    for number in range(8):
        sent_at = world.loop.time()
        await orders.send(f"k{number}", b"")
        await asyncio.sleep(0.5)
        assert started[number] - sent_at < 0.01


def test_handlers_that_wait_for_nothing_leave_others_their_turn() -> None:
    """A backlog of them would otherwise stop everything else, commits included, until it is worked off."""

    async def main() -> None:
        worker, turns = Worker("memory://worker-turns", group="g"), list[int]()
        handled = 0

        @worker.handler("orders")
        async def busy(_data: bytes) -> None:
            nonlocal handled
            handled += 1
            ends = time.perf_counter() + 0.001
            while time.perf_counter() < ends:
                pass

        async with Segmenter("memory://worker-turns") as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            await orders.send_many([(f"k{n}", b"") for n in range(300)])
            running = asyncio.create_task(worker.run())
            while handled < 300:
                await asyncio.sleep(0)
                turns.append(handled)
            await worker.stop()
            await running
        jumps = [after - before for before, after in pairwise(turns)]
        assert max(jumps) < 30

    asyncio.run(main())


@virtually
async def test_there_are_no_more_tasks_than_slots(world: World) -> None:
    """A task for each message would cost more than many a handler does."""
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send_many([(f"k{n}", b"") for n in range(2_000)])
    worker, tasks = world.handlers(), set[asyncio.Task[Any] | None]()

    @worker.handler("orders", key_concurrency=16)
    async def work(data: bytes) -> None:
        tasks.add(asyncio.current_task())
        await asyncio.sleep(0.001)
        handled.append(data)

    handled: list[bytes] = []
    world.run(worker)
    await world.until(lambda: len(handled) == 2_000)
    assert len(tasks) <= 16 + 1  # the one that began before the others were read


# --- several handlers, lifespan, health -----------------------------------------------------------------------------


@virtually
async def test_a_worker_handles_several_streams_and_ends_with_all_of_them(world: World) -> None:
    segmenter = world.segmenter()
    worker, handled = world.handlers(group=None), list[str]()

    async def note(what: str, value: str) -> None:
        handled.append(f"{what} {value}")

    for stream in ("orders", "invoices"):
        for group in ("billing", "audit"):
            await segmenter.register_stream(stream, partitions=2)
            worker.handler(stream, group=group, type=str)(partial(note, f"{stream} {group}"))
    assert (worker.healthy, worker.ready) == (False, False)
    running = world.run(worker)
    await world.ready(worker)
    assert worker.healthy
    for stream in ("orders", "invoices"):
        await (await segmenter.get_stream(stream, type=str)).send("k", "v")
    await world.until(lambda: len(handled) == 4)
    assert sorted(handled) == ["invoices audit v", "invoices billing v", "orders audit v", "orders billing v"]
    await worker.stop()
    await running
    assert (worker.healthy, worker.ready) == (False, False)
    for stream in ("orders", "invoices"):
        for group in ("billing", "audit"):
            described = await segmenter.describe(stream, group)
            assert (described.lag, described.members) == (0, ())


@virtually
async def test_what_the_lifespan_yields_is_there_from_before_the_first_message_until_after_the_last(
    world: World,
) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send("k", b"1")
    story: list[str] = []

    @asynccontextmanager
    async def lifespan(worker: Worker) -> AsyncIterator[dict[str, str]]:
        story.append("open")
        yield {"database": "db"}
        story.append("closed")

    worker = world.handlers(lifespan=lifespan)

    @worker.handler("orders")
    async def work(data: bytes) -> None:
        story.append(f"began with {worker.state['database']}")
        await asyncio.sleep(1)
        story.append("ended")

    running = world.run(worker)
    await world.until(lambda: len(story) == 2)
    await worker.stop()
    await running
    assert story == ["open", "began with db", "ended", "closed"]
    assert worker.state is None


@virtually
async def test_handlers_send_through_the_segmenter_of_their_worker(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    await segmenter.register_stream("invoices", partitions=1)
    worker, handled = world.handlers(), list[bytes]()

    @worker.handler("orders")
    async def bill(data: bytes, message: Message) -> None:
        invoices = await worker.segmenter.get_stream("invoices")
        await invoices.send(message.key, b"invoice of " + data)

    @worker.handler("invoices")
    async def post(data: bytes) -> None:
        handled.append(data)

    with pytest.raises(SegmenterError, match="does not run"):
        _ = worker.segmenter
    world.run(worker)
    await orders.send("k", b"order 1")
    await world.until(lambda: handled == [b"invoice of order 1"])


# --- forwarding -----------------------------------------------------------------------------------------------------


async def orders_and_bills(world: World, **options: Any) -> tuple[Segmenter, Stream[bytes], Stream[Order]]:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1)
    return segmenter, orders, await segmenter.register_stream("bills", partitions=1, type=Order, **options)


def biller(world: World, *, patient: bool = True, **options: Any) -> tuple[Worker, list[int]]:
    """A worker that forwards orders as bills, and the attempts that its handler was called with."""
    worker, attempts = world.handlers(), list[int]()

    @worker.handler("orders", key_concurrency=8, **options)
    async def bill(data: bytes, message: Message) -> None:
        attempts.append(message.attempt)
        bills = await worker.segmenter.get_stream("bills", type=Order, on_full="wait" if patient else "raise")
        forwarded = message.forward(bills, message.key, Order(int(data)))
        if patient:
            await forwarded

    return worker, attempts


async def bills_sent(segmenter: Segmenter) -> list[bytes]:
    """Take what has been sent out of the stream."""
    async with segmenter.register_consumer("bills", group="look", batch_size=100) as consumer:
        batch = await consumer.read(timeout=1)
        await consumer.ack(*batch)
        return [message.data for message in batch]


@virtually
async def test_a_handler_may_settle_its_message_by_forwarding_another(world: World) -> None:
    segmenter, orders, _ = await orders_and_bills(world)
    await orders.send_many([(f"k{n % 5}", b"%d" % n) for n in range(50)])
    worker, attempts = biller(world)
    running = world.run(worker)
    await world.until(lambda: len(attempts) == 50)
    await worker.stop()
    await running
    assert sorted(await bills_sent(segmenter)) == sorted(b'{"number": %d}' % n for n in range(50))
    assert (await segmenter.describe("orders", "g")).lag == 0


@virtually
async def test_a_stop_while_a_forward_waits_for_room_neither_loses_nor_doubles(world: World) -> None:
    segmenter, orders, bills = await orders_and_bills(world, partition_size=1)
    await bills.send("k", Order(0))
    await orders.send("k", b"1")
    worker, attempts = biller(world, drain_timeout=2)
    running = world.run(worker)
    await world.until(lambda: attempts == [1])
    await worker.stop()
    await running
    assert world.loop.time() < 2 + 6
    worker, again = biller(world)
    world.run(worker)
    await world.until(lambda: again != [])
    data = await bills_sent(segmenter)
    await asyncio.sleep(2)
    data += await bills_sent(segmenter)
    assert data == [b'{"number": 0}', b'{"number": 1}']


@virtually
async def test_what_was_forwarded_in_vain_by_a_handler_that_did_not_wait_comes_again(world: World) -> None:
    """Nobody else would ever look after it."""
    segmenter, orders, bills = await orders_and_bills(world, partition_size=1)
    await bills.send("k", Order(0))
    await orders.send_many([("k", b"1"), ("k", b"2")])
    worker, attempts = biller(world, patient=False, max_processing_time=5)
    world.run(worker)
    await world.until(lambda: len(attempts) == 3)
    assert attempts == [1, 2, 3]
    assert (await segmenter.describe("orders", "g")).lag == 2


# --- waiting for streams --------------------------------------------------------------------------------------------


@virtually
async def test_a_stream_that_is_not_there_yet_is_waited_for(world: World) -> None:
    """Whoever is deployed first must not fail for it."""
    worker, handled = world.handlers(), list[bytes]()

    @worker.handler("orders")
    async def work(data: bytes) -> None:
        handled.append(data)

    world.run(worker)
    await asyncio.sleep(20)
    assert not worker.ready
    orders = await world.segmenter().register_stream("orders", partitions=1)
    await orders.send("k", b"1")
    await world.until(lambda: handled == [b"1"], limit_s=2)


@virtually
async def test_a_stream_that_does_not_come_ends_the_worker_and_its_other_handlers(world: World) -> None:
    segmenter = world.segmenter()
    await segmenter.register_stream("orders", partitions=1)
    worker = world.handlers()
    worker.handler("orders")(print)
    worker.handler("misspelt")(print)
    running = world.run(worker)
    with pytest.raises(NonExistentStream, match="misspelt"):
        await running
    assert 30 <= world.loop.time() <= 31
    assert (await segmenter.describe("orders", "g")).members == ()


@virtually
async def test_a_worker_that_is_told_to_stop_while_it_waits_for_a_stream_stops(world: World) -> None:
    worker = world.handlers()
    worker.handler("never")(print)
    running = world.run(worker)
    await asyncio.sleep(3)
    await worker.stop()
    await running
    assert world.loop.time() < 4


@virtually
async def test_a_worker_may_run_again_and_not_twice_at_once(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1)
    worker, handled = world.handlers(), list[bytes]()

    @worker.handler("orders")
    async def work(data: bytes) -> None:
        handled.append(data)

    for number in range(2):
        await orders.send("k", b"%d" % number)
        running = world.run(worker)
        await world.until(lambda number=number: len(handled) == number + 1)  # type: ignore[misc]
        with pytest.raises(SegmenterError, match="running already"):
            await worker.run()
        await worker.stop()
        await running
    await worker.stop()  # of one that does not run: nothing happens


# --- bad input ------------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused_where_it_stands() -> None:
    worker = Worker()

    async def good(value: bytes) -> None: ...
    async def nothing() -> None: ...
    async def three(value: bytes, message: Message, more: int) -> None: ...
    async def keyword(value: bytes, *, needed: int) -> None: ...
    async def yielding(value: bytes) -> AsyncIterator[int]:
        yield 1

    for function, words in (
        (nothing, "takes nothing: it is called with the value"),
        (three, "with the value and the message"),
        (keyword, "with the value and the message"),
        (yielding, "that does not yield"),
        ("bill", "use a function"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            worker.handler("orders", group="g")(function)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="has no group: give it one"):
        worker.handler("orders")
    misfits: list[tuple[dict[str, Any], str]] = [
        ({"key_concurrency": 0}, "key_concurrency is 0"),
        ({"retry": 5}, "use Retry"),
        ({"on_exhausted": "shrug"}, "on_exhausted is 'shrug'"),
        ({"batch": 0}, "batch is 0"),
        ({"session_timeout": 0.01}, "session_timeout_s is 0.01"),
        ({"concurrency": 3}, "no option 'concurrency': there are"),
        ({"start": "now"}, "start 'now'"),
    ]
    for options, words in misfits:
        with pytest.raises(InvalidArgument, match=words):
            worker.handler("orders", group="g", **options)(good)
    worker.handler("orders", group="g", retry=Retry(attempts=1))(good)
    with pytest.raises(InvalidArgument, match="there is a handler of 'orders' in group 'g' already"):
        worker.handler("orders", group="g")(good)
    with pytest.raises(InvalidArgument, match="threads is 0"):
        Worker(threads=0)


def test_a_worker_without_handlers_or_without_a_url_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGMENTER_URL", raising=False)
    with pytest.raises(InvalidArgument, match="the worker has no handlers"):
        asyncio.run(Worker("memory://").run())
    worker = Worker()
    worker.handler("orders", group="g")(print)
    with pytest.raises(InvalidArgument, match="set SEGMENTER_URL"):
        asyncio.run(worker.run())
