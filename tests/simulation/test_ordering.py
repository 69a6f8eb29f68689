"""``check_ordering``: sound handlers pass through every fault; those that break a promise fail, each in its words."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve, frozen

from segmenter import InvalidArgument, Message, Retry, SegmenterError, Worker, sync
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.log import Log
from segmenter.core.partition import Commit, Committed, Progress
from segmenter.testing import Simulation, check_ordering
from segmenter.testing.ordering import FAULTS
from segmenter.testing.ordering.events import Call, Ended, Event, Finished, Place, Started
from segmenter.testing.ordering.promises import Account, broken_promise
from segmenter.testing.simulation.history import Executed

APART = [("orders", f"customer-{number}", b"%d" % number) for number in range(30)]  # no key twice


def worker_of(handler: Callable[..., object], **settings: Any) -> Worker:
    worker = Worker(group="billing")
    worker.handler("orders", **settings)(handler)
    return worker


# --- sound handlers -------------------------------------------------------------------------------------------------


async def takes_a_moment(order: object) -> None:
    await asyncio.sleep(0.01)


async def awaits_what_it_starts(order: object) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(asyncio.sleep(0.01))


def is_plain(order: object, message: Message) -> None:
    assert message.attempt > 0


async def fails_at_first(order: object, message: Message) -> None:
    if message.attempt == 1:
        raise ConnectionError("the database is away")


@pytest.mark.parametrize(
    ("handler", "settings"),
    [
        (takes_a_moment, {}),
        (takes_a_moment, {"key_concurrency": 8}),
        (takes_a_moment, {"batch": 10, "key_concurrency": 2}),
        (awaits_what_it_starts, {"key_concurrency": 4}),
        (is_plain, {"type": str}),
        (fails_at_first, {"retry": Retry(attempts=3)}),
        (takes_a_moment, {"on_exhausted": "dead_letter", "session_timeout": 30, "instance_id": "pod"}),
    ],
)
def test_a_sound_handler_keeps_every_promise(handler: Callable[..., object], settings: dict[str, Any]) -> None:
    check_ordering(worker_of(handler, **settings), seeds=range(30))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sound_handler_bears_each_fault(fault: str) -> None:
    check_ordering(worker_of(takes_a_moment), faults=[fault], seeds=range(5))


@pytest.mark.parametrize("keys", [1, 8])
def test_what_is_passed_on_is_handled_further_on(keys: int) -> None:
    worker = Worker(group="billing")

    @worker.handler("orders", type=str, key_concurrency=keys)
    async def bill(order: str, message: Message) -> None:
        bills = await worker.segmenter.register_stream("bills", partitions=2)
        await message.forward(bills, message.key, order.encode())

    @worker.handler("bills")
    def collect(data: bytes) -> None:
        pass

    check_ordering(worker, seeds=range(10))


def test_each_process_has_a_state_of_its_own() -> None:
    opened: list[Worker] = []
    found: set[int] = set()

    @asynccontextmanager
    async def lifespan(mine: Worker) -> AsyncGenerator[int]:
        opened.append(mine)
        yield len(opened)

    worker = Worker(group="billing", lifespan=lifespan)

    @worker.handler("orders")
    def note(data: bytes) -> None:
        found.add(worker.state)

    check_ordering(worker, seeds=[3])
    assert worker not in opened
    assert 1 < len(found) <= len(opened)
    assert worker.state is None


def test_messages_may_be_objects() -> None:
    @frozen
    class Order:
        cents: int

    billed: Counter[str] = Counter()

    async def bill(order: Order, message: Message) -> None:
        billed[message.key] = order.cents

    messages = [("orders", f"customer-{n % 5}", Order(n)) for n in range(30)]
    check_ordering(worker_of(bill, type=Order), messages, seeds=[1])
    assert billed == {f"customer-{n}": 25 + n for n in range(5)}


# --- handlers that break a promise ----------------------------------------------------------------------------------


async def leaves_a_task_behind(order: object) -> None:
    asyncio.create_task(asyncio.sleep(0.3))  # noqa: RUF006 - that is the fault


def test_who_leaves_a_task_behind_is_overtaken_by_the_next_message_of_the_key() -> None:
    with pytest.raises(AssertionError, match=r"seed 0: order: k\d/\d+ starts in w\d while k\d/\d+ is not done"):
        check_ordering(worker_of(leaves_a_task_behind), faults=())


def test_who_leaves_a_task_behind_loses_it_with_its_process() -> None:
    plays = [Simulation(worker_of(leaves_a_task_behind), seed, APART, faults=["crash"]).play() for seed in range(20)]
    lost = [played.broken for played in plays if played.broken and played.broken.startswith("no loss")]
    assert lost
    assert all(each.endswith("left a task behind that never ended") for each in lost)


def test_who_leaves_a_task_behind_hands_over_what_is_not_done() -> None:
    with pytest.raises(AssertionError, match=r"one owner: .* which w1 has handed over while .* is not done there"):
        check_ordering(worker_of(leaves_a_task_behind), APART, faults=["join", "leave"])


def test_who_does_something_twice_has_another_outcome() -> None:
    owed: Counter[str] = Counter()

    async def bill(order: str, message: Message) -> None:
        owed[message.key] += 1

    settings: dict[str, Any] = {"outcome": lambda: dict(owed), "reset": owed.clear}
    check_ordering(worker_of(bill, type=str), faults=(), **settings)
    with pytest.raises(AssertionError, match=r"outcome: .* without faults"):
        check_ordering(worker_of(bill, type=str), faults=["fail"], **settings)


def test_who_notes_what_was_done_may_do_it_twice() -> None:
    billed: dict[str, set[str]] = {}

    async def bill(order: str, message: Message) -> None:
        billed.setdefault(message.key, set()).add(order)

    check_ordering(
        worker_of(bill, type=str),
        outcome=lambda: {key: sorted(all_) for key, all_ in billed.items()},
        reset=billed.clear,
    )


def test_who_halts_comes_to_no_end() -> None:
    async def fails(order: object) -> None:
        raise ValueError("always")

    with pytest.raises(AssertionError, match=r"an end: .* still not settled"):
        check_ordering(worker_of(fails, retry=Retry(attempts=1), on_exhausted="halt"), faults=(), seeds=[0])


def test_a_failure_tells_a_small_story_and_how_to_play_it_again() -> None:
    with pytest.raises(AssertionError) as first:
        check_ordering(worker_of(leaves_a_task_behind))
    said = str(first.value)
    assert "seconds  |what" in said
    assert "! w1 starts" in said
    assert said.endswith("Play it again: check_ordering(..., seeds=[0])")
    assert said.count("\n") < 60
    with pytest.raises(AssertionError) as second:
        check_ordering(worker_of(leaves_a_task_behind), seeds=[0])
    assert str(second.value) == said


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    stories = [Simulation(worker_of(takes_a_moment), seed).play().story for seed in (7, 7, 8)]
    assert stories[0] == stories[1] != stories[2]


# --- bad input ------------------------------------------------------------------------------------------------------


def test_a_fault_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidArgument, match=r"no fault 'flood': there are join, crash"):
        Simulation(worker_of(takes_a_moment), faults=["flood"])


def test_a_worker_without_handlers_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no handlers"):
        check_ordering(Worker())


def test_a_worker_for_blocking_code_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidArgument, match="can be given to one as they are"):
        check_ordering(sync.Worker())  # type: ignore[arg-type]


def test_a_handler_of_objects_needs_messages() -> None:
    @frozen
    class Order:
        cents: int

    with pytest.raises(InvalidArgument, match=r"pass messages=\[\('orders', key, value\), \.\.\.\]"):
        check_ordering(worker_of(takes_a_moment, type=Order))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"messages": []}, "messages is empty"),
        ({"messages": [("order", "k", b"1")]}, "no handler takes messages of 'order': there are some for orders"),
        ({"seeds": []}, "there are no seeds"),
    ],
)
def test_what_would_be_played_in_vain_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        check_ordering(worker_of(takes_a_moment), **options)


def test_in_an_event_loop_it_says_where_to_use_it() -> None:
    async def main() -> None:
        check_ordering(worker_of(takes_a_moment))

    with pytest.raises(SegmenterError, match="use it in a plain test"):
        asyncio.run(main())


# --- what no handler can break, since the library keeps it: each on a true account with one thing made wrong ----------

SLOT, HERE = GroupSlot("orders", "billing"), PartitionSlot("orders", 0)
LOG = Log().append([(b"k", b"a", b"d", b"1"), (b"k", b"a", b"d", b"2")], 1_000_000)


def delivery(number: int, ordinal: int, *, process: str = "w1", epoch: int = 1, at: float = 0.0) -> list[Event]:
    call = Call(Place("orders", 0, LOG.entries[ordinal][0].decode()), "a", ordinal, 1)
    started = Started(at, number, process, SLOT, 0, epoch, (call,))
    return [started, Ended(at, number, "returned"), Finished(at, number)]


def said(*events: Event) -> str | None:
    return broken_promise(Account(events, [SLOT], {HERE: LOG}, rested=True))


def test_a_true_account_is_true() -> None:
    assert said(*delivery(1, 0), *delivery(2, 1)) is None


def test_a_later_message_that_starts_first_is_found() -> None:
    assert said(*delivery(1, 1), *delivery(2, 0)) == "order: a/1 first starts after a/2"


def test_a_message_that_starts_once_more_for_no_reason_is_found() -> None:
    told = said(*delivery(1, 0), *delivery(2, 0), *delivery(3, 1))
    assert told == "repetition: a/1 starts once more in w1, for no reason"


def test_a_message_that_failed_may_start_once_more() -> None:
    started, ended, finished = delivery(1, 0)
    assert isinstance(ended, Ended)
    assert said(started, evolve(ended, outcome="ValueError()"), finished, *delivery(2, 0), *delivery(3, 1)) is None


def test_two_processes_at_work_in_a_partition_are_found() -> None:
    (first, *_), (second, *_) = delivery(1, 0), delivery(2, 1, process="w2", epoch=2)
    told = said(first, second)
    assert told is not None
    assert told.startswith("one owner: w2 works in partition 0 of orders, which w1 has handed over while a/1")


def test_a_commit_of_somebody_else_is_found() -> None:
    commit = Commit(HERE, "billing", "m", 1, 1, Progress())
    told = said(Executed(0.0, commit, None, None, Committed()), *delivery(1, 0), *delivery(2, 1))
    assert told is not None
    assert told.startswith("one owner: m commits in")


def test_a_message_that_nobody_handled_is_found() -> None:
    told = said(*delivery(1, 0))
    assert told == "no loss: a/2 of orders counts as settled for billing: no handler was called with it and returned"
