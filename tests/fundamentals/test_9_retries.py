"""What becomes of messages whose handler fails: tried again, parked, given up; and what it costs the others."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from segmenter import Message, Reject, RetriesExhausted, Retry, Worker
from segmenter.core.observations import DeadLettered, Halted, Parked, Retried
from tests.world import World, virtually

QUICK = Retry(attempts=3, initial=1, factor=2, jitter=0)


def failing(worker: Worker, *bad: str, **options: Any) -> list[tuple[str, str, int]]:
    """A handler that fails on some values; what it was called with."""
    calls: list[tuple[str, str, int]] = []
    options.setdefault("retry", QUICK)

    @worker.handler("orders", type=str, **options)
    async def handle(value: str, message: Message) -> None:
        calls.append((message.key, value, message.attempt))
        if value in bad:
            raise ValueError(f"no {value}, please")

    return calls


# --- trying again ---------------------------------------------------------------------------------------------------


@virtually
async def test_a_message_that_failed_is_tried_again_and_only_its_key_waits(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1, type=str)
    await orders.send_many([("a", "flaky"), ("a", "next"), ("b", "1"), ("b", "2")])
    worker, ended = world.handlers(), dict[str, float]()

    @worker.handler("orders", type=str, retry=QUICK, observer=world.observer("w"))
    async def handle(value: str, message: Message) -> None:
        if value == "flaky" and message.attempt < 3:
            raise ValueError("not yet")
        ended[value] = world.loop.time()

    world.run(worker)
    await world.until(lambda: len(ended) == 4)
    assert list(ended) == ["1", "2", "flaky", "next"]
    assert ended["2"] < 0.1
    assert ended["flaky"] == pytest.approx(1 + 2, abs=0.1), "the waits of the policy"
    retried = [seen for _, _, seen in world.observed if isinstance(seen, Retried)]
    assert [(seen.key, seen.attempt, seen.delay_s, seen.reason) for seen in retried] == [
        ("a", 1, 1, "ValueError: not yet"),
        ("a", 2, 2, "ValueError: not yet"),
    ]


def test_a_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(group="g")
    failing(worker, "bad", retry=Retry(attempts=1))
    with worker.test() as rehearsal, caplog.at_level(logging.WARNING, "segmenter.worker"):
        rehearsal.send("orders", "k", "bad")
        rehearsal.drain()
    (record,) = [record for record in caplog.records if record.name == "segmenter.worker"]
    assert "failing.<locals>.handle failed on <Message orders/" in record.message
    assert record.exc_info is not None
    assert (record.stream, record.group, record.key, record.attempt) == ("orders", "g", "k", 1)  # type: ignore[attr-defined]


@virtually
async def test_attempts_are_counted_over_restarts(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1, type=str)
    await orders.send("k", "bad")
    attempts: list[int] = []
    for _ in range(3):
        worker = world.handlers()
        calls = failing(worker, "bad", retry=Retry(attempts=5, initial=100))
        running = world.run(worker)
        await world.until(lambda calls=calls: calls != [])  # type: ignore[misc]
        await worker.stop()
        await running
        attempts += [attempt for _, _, attempt in calls]
    assert attempts == [1, 2, 3]


@virtually
async def test_a_handler_that_decides_itself_has_the_last_word(world: World) -> None:
    """Whoever acknowledges before a step that may fail does not want the message again."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, type=str)
    await orders.send_many([("a", "ack then raise"), ("b", "nack then return"), ("c", "park then raise")])
    worker, calls = world.handlers(), list[tuple[str, int]]()

    @worker.handler("orders", type=str, retry=QUICK)
    async def handle(value: str, message: Message) -> None:
        calls.append((value, message.attempt))
        if value.startswith("ack"):
            message.ack()
        elif value.startswith("park"):
            message.park("by hand")
        elif message.attempt == 1:
            message.nack(delay=5)
        if value.endswith("raise"):
            raise ValueError(value)

    world.run(worker)
    await asyncio.sleep(30)
    assert calls == [
        ("ack then raise", 1),
        ("nack then return", 1),
        ("park then raise", 1),
        ("nack then return", 2),
    ]
    assert (await segmenter.describe("orders", "g")).lag == 0
    assert [letter.reason for letter in await (await segmenter.shelves("orders", "g")).parked()] == ["by hand"]


@virtually
async def test_a_cancellation_of_the_handlers_own_is_a_failure_like_any_other(world: World) -> None:
    """It comes of awaiting a task that somebody cancelled, and must not end the slot."""
    orders = await world.segmenter().register_stream("orders", partitions=1, type=str)
    await orders.send_many([("a", "cancels"), ("b", "fine")])
    worker, done = world.handlers(), list[str]()

    @worker.handler("orders", type=str, retry=QUICK, observer=world.observer("w"))
    async def handle(value: str, message: Message) -> None:
        if value == "cancels" and message.attempt == 1:
            task = asyncio.ensure_future(asyncio.sleep(10))
            task.cancel()
            await task
        done.append(value)

    world.run(worker)
    await world.until(lambda: done == ["fine", "cancels"])
    assert len(world.times(Retried)) == 1


# --- in vain --------------------------------------------------------------------------------------------------------


def test_what_fails_too_often_is_parked_with_what_follows_in_its_key_and_nothing_else() -> None:
    worker = Worker(group="g")
    calls = failing(worker, "bad")
    with worker.test() as rehearsal:
        for key, value in (("a", "fine"), ("a", "bad"), ("a", "after"), ("b", "1")):
            rehearsal.send("orders", key, value)
        rehearsal.drain()
        rehearsal.send("orders", "a", "later")
        rehearsal.send("orders", "b", "2")
        rehearsal.drain()
        assert calls == [
            ("a", "fine", 1),
            ("a", "bad", 1),
            ("b", "1", 1),
            ("a", "bad", 2),
            ("a", "bad", 3),
            ("b", "2", 1),
        ] or calls[0] == ("b", "1", 1)
        assert [(key, value) for key, value, _ in calls if value in ("after", "later")] == []
        (parked,) = rehearsal.parked
        assert (parked.key, parked.value, parked.attempt) == ("a", "bad", 3)
        assert parked.reason == "ValueError: no bad, please"
        assert sorted(rehearsal.values()) == ["1", "2", "fine"]
        assert rehearsal.lag("orders", "g") == 0


def test_what_fails_too_often_may_be_given_up_and_its_key_goes_on() -> None:
    worker = Worker(group="g")
    failing(worker, "bad", on_exhausted="dead_letter")
    with worker.test() as rehearsal:
        rehearsal.send("orders", "a", "bad")
        rehearsal.send("orders", "a", "after")
        rehearsal.drain()
        assert [(dead.value, dead.attempt, dead.reason) for dead in rehearsal.dead] == [
            ("bad", 3, "ValueError: no bad, please")
        ]
        assert rehearsal.values() == ["after"]


def test_a_rejected_message_is_a_dead_letter_at_once() -> None:
    worker = Worker(group="g")

    @worker.handler("orders", type=str)
    async def handle(value: str) -> None:
        if value == "bad":
            raise Reject("of no use to anybody")
        handled.append(value)

    handled: list[str] = []
    with worker.test() as rehearsal:
        rehearsal.send("orders", "a", "bad")
        rehearsal.send("orders", "a", "after")
        rehearsal.drain()
        assert [(dead.value, dead.attempt, dead.reason) for dead in rehearsal.dead] == [
            ("bad", 1, "of no use to anybody")
        ]
    assert handled == ["after"]


@virtually
async def test_a_worker_may_halt_instead_and_a_restart_tries_once_more(world: World) -> None:
    """Where order matters more than going on, somebody has to look."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, type=str)
    await orders.send_many([("a", "bad"), ("a", "after")])
    for number in range(2):
        worker = world.handlers()
        calls = failing(worker, "bad", on_exhausted="halt", observer=world.observer("w"))
        with pytest.raises(
            RetriesExhausted, match=r"handle has failed 3 times .* no bad, please; a restart tries once"
        ):
            await world.run(worker)
        assert [attempt for _, _, attempt in calls] == ([1, 2, 3] if number == 0 else [3])
        described = await segmenter.describe("orders", "g")
        assert (described.lag, described.members) == (2, ())
    assert len(world.times(Halted)) == 2
    worker = world.handlers()
    calls = failing(worker)
    running = world.run(worker)
    await world.until(lambda: len(calls) == 2)
    await worker.stop()
    await running
    assert calls == [("a", "bad", 3), ("a", "after", 1)]


@virtually
async def test_a_message_that_was_tried_too_often_already_is_not_run_again(world: World) -> None:
    """Its earlier attempts ended their processes: one more would end this one."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, type=str)
    await orders.send("a", "deadly")
    async with segmenter.register_consumer("orders", group="g") as consumer:
        for _ in range(3):
            await consumer.nack(*await consumer.read(timeout=1))
        await consumer.commit()
    await orders.send("b", "fine")
    worker = world.handlers()
    calls = failing(worker, observer=world.observer("w"))
    world.run(worker)
    await world.until(lambda: world.times(Parked) != [] and len(calls) == 1)
    assert calls == [("b", "fine", 1)]
    (parked,) = [seen for _, _, seen in world.observed if isinstance(seen, Parked)]
    assert parked.reason == "after 3 attempts (of 3) that did not come to an end"


@virtually
async def test_what_was_parked_comes_again_in_its_order_when_it_is_redriven(world: World) -> None:
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=1, type=str)
    await orders.send_many([("a", "bad"), ("a", "2"), ("b", "1")])
    worker, mended, calls = world.handlers(), asyncio.Event(), list[str]()

    @worker.handler("orders", type=str, retry=Retry(attempts=2, initial=1), observer=world.observer("w"))
    async def handle(value: str) -> None:
        if value == "bad" and not mended.is_set():
            raise ValueError(value)
        calls.append(value)

    world.run(worker)
    await world.until(lambda: world.times(Parked) != [])
    await asyncio.sleep(1)
    await orders.send("a", "3")
    await asyncio.sleep(1)
    mended.set()
    assert await (await segmenter.shelves("orders", "g")).redrive("a") == 3
    await world.until(lambda: len(calls) == 4)
    assert calls == ["1", "bad", "2", "3"]


# --- batches --------------------------------------------------------------------------------------------------------


@virtually
async def test_of_a_batch_that_fails_each_message_is_tried_again_alone(world: World) -> None:
    """One bad message must not cost those that happened to come with it, not even an attempt."""
    orders = await world.segmenter().register_stream("orders", partitions=1, type=str)
    await orders.send_many([("a", "1"), ("a", "bad"), ("a", "2"), ("b", "3")])
    worker, batches = world.handlers(), list[list[str]]()

    @worker.handler("orders", type=str, batch=10, retry=QUICK, observer=world.observer("w"))
    async def handle(values: list[str]) -> None:
        batches.append(values)
        if "bad" in values:
            raise ValueError("one of them is bad")

    world.run(worker)
    await world.until(lambda: world.times(Parked) != [])
    assert batches == [["1", "bad", "2", "3"], ["1"], ["bad"], ["3"], ["bad"], ["bad"]]
    (parked,) = [seen for _, _, seen in world.observed if isinstance(seen, Parked)]
    assert (parked.key, parked.attempt) == ("a", 3)


@virtually
async def test_a_batch_may_hold_several_of_a_key_and_their_order_survives_a_failure(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1, type=str)
    await orders.send_many([(f"k{n % 3}", f"{n}") for n in range(30)])
    worker, done, failed = world.handlers(), defaultdict[str, list[int]](list), set[str]()

    @worker.handler("orders", type=str, batch=10, key_concurrency=2, retry=Retry(attempts=9, initial=0.1))
    async def handle(values: list[str], messages: list[Message]) -> None:
        fresh = [value for value in values if int(value) % 5 == 0 and value not in failed]
        failed.update(fresh)
        if fresh:
            raise ValueError(fresh)
        for message, value in zip(messages, values, strict=True):
            done[message.key].append(int(value))
        await asyncio.sleep(0.01)

    world.run(worker)
    await world.until(lambda: sum(map(len, done.values())) == 30)
    assert done == {f"k{key}": list(range(key, 30, 3)) for key in range(3)}


@virtually
async def test_a_batch_handler_may_acknowledge_what_it_has_done_before_it_fails(world: World) -> None:
    orders = await world.segmenter().register_stream("orders", partitions=1, type=str)
    await orders.send_many([(f"k{n}", f"{n}") for n in range(4)])
    worker, calls = world.handlers(), list[list[str]]()

    @worker.handler("orders", type=str, batch=10, retry=QUICK)
    async def handle(values: list[str], messages: list[Message]) -> None:
        calls.append(values)
        if len(values) > 1:
            messages[0].ack()
            raise ValueError("the rest")

    world.run(worker)
    await world.until(lambda: len(calls) == 4)
    assert calls == [["0", "1", "2", "3"], ["1"], ["2"], ["3"]]


# --- many -----------------------------------------------------------------------------------------------------------

KEYS = 10_000
MESSAGES = 3


@pytest.fixture
def silence() -> Iterator[None]:
    """Thousands of failures would be thousands of lines beside the one that matters."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("silence")
@virtually
async def test_ten_thousand_keys_with_random_failures(world: World) -> None:
    """Order per key, exactly the attempts there should be, and a parked key holds back its own followers only."""
    chance = random.Random(42)
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=8)
    fate: dict[tuple[str, int], int] = {}  # how many attempts fail; 3 is in vain
    for key in range(KEYS):
        for number in range(MESSAGES):
            fate[f"k{key}", number] = chance.choices((0, 1, 2, 3), (90, 6, 3, 1))[0]
    parked_at = {key: n for n in reversed(range(MESSAGES)) for key, m in fate if m == n and fate[key, n] == 3}
    await orders.send_many((f"k{key}", b"%d" % n) for n in range(MESSAGES) for key in range(KEYS))
    attempts, done, busy = defaultdict[tuple[str, int], int](int), defaultdict[str, list[int]](list), set[str]()

    async def handle(data: bytes, message: Message) -> None:
        key, number = message.key, int(data)
        assert key not in busy
        assert number == len(done[key]), "a message was started before the one before it was settled"
        busy.add(key)
        attempts[key, number] += 1
        assert attempts[key, number] == message.attempt
        await asyncio.sleep(0)
        busy.remove(key)
        if message.attempt <= fate[key, number]:
            raise ValueError(number)
        done[key].append(number)

    parked: list[Parked] = []
    workers = [world.handlers() for _ in range(3)]
    for worker in workers:
        worker.handler(
            "orders",
            key_concurrency=64,
            retry=Retry(attempts=3, initial=0.1),
            observer=lambda seen: parked.append(seen) if isinstance(seen, Parked) else None,
        )(handle)
        world.run(worker)
    expected = sum(parked_at.get(f"k{key}", MESSAGES) for key in range(KEYS))
    await world.until(lambda: sum(map(len, done.values())) == expected, limit_s=600)
    await asyncio.sleep(2)

    assert {key: list(range(parked_at.get(key, MESSAGES))) for key in done} == done
    assert {(seen.key, seen.attempt) for seen in parked} == {(key, 3) for key in parked_at}
    tried = {(key, n) for key, n in fate if n <= parked_at.get(key, MESSAGES)}
    assert attempts == {(key, n): min(fate[key, n] + 1, 3) for key, n in tried}
    behind = sum(MESSAGES - at for at in parked_at.values())
    described = await segmenter.describe("orders", "g")
    assert (described.lag, sum(partition.parked for partition in described.partitions)) == (0, behind)
    assert len(parked_at) > 200


def test_dead_letters_are_logged_as_errors(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(group="g")
    failing(worker, "bad", on_exhausted="dead_letter", retry=Retry(attempts=1))
    with worker.test() as rehearsal, caplog.at_level(logging.ERROR, "segmenter.consumer"):
        rehearsal.send("orders", "k", "bad")
        rehearsal.drain()
    (record,) = [record for record in caplog.records if record.name == "segmenter.consumer"]
    assert record.message.startswith(f"{DeadLettered.__name__} of orders/g")
    assert record.key == "k"  # type: ignore[attr-defined]
