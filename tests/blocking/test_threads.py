"""What user threads do while the loop goes on without them, and what it does while they hang."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from segmenter import ConsumerDead, HandlerStuck, Message, NotHere, PartitionLost, SegmenterError, StaleDelivery, sync
from segmenter.core.message import STALE
from segmenter.core.observations import Observation
from segmenter.runtime.host import Host
from segmenter.sync import desk as desks
from segmenter_memory import MemoryBackend, Store

LIMIT_S = 30.0


class World:
    """A store, and Segmenters that share it as processes share a server."""

    def __init__(self) -> None:
        self.store = Store()
        self.skew_s = 0.0  # by which clocks are ahead
        self.segmenters: list[sync.Segmenter] = []

    def segmenter(self) -> sync.Segmenter:
        host = Host(clock=lambda: time.monotonic() + self.skew_s)
        self.segmenters.append(sync.Segmenter(backend=MemoryBackend(store=self.store), host=host))
        return self.segmenters[-1]

    def until(self, condition: Callable[[], bool]) -> None:
        """Look until it holds."""
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, "it did not come to hold"


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for segmenter in world.segmenters:
        segmenter.close()


@pytest.fixture
def patient_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies on a tray stays there, so that a test can look at it."""
    monkeypatch.setattr(desks, "LIE_S", LIMIT_S)


def _filled(consumer: sync.Consumer, at_least: int = 8) -> None:
    """Handle messages until some lie ready."""
    while len(consumer._desk._tray) < at_least:
        next(consumer).ack()


# --- the loop goes on -----------------------------------------------------------------------------------------------


def test_the_membership_is_kept_up_while_user_code_blocks(world: World) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=2)
    orders.send("k", b"")
    busy = segmenter.register_consumer("orders", group="g", session_timeout=0.4)
    message = next(busy)
    other = world.segmenter().register_consumer("orders", group="g", session_timeout=0.4)
    name, until = busy.id, time.monotonic() + 3 * 0.4
    world.until(lambda: time.monotonic() > until)  # this thread is the handler that blocks
    assert busy.id == name
    assert message.partition in busy.partitions
    assert message.partition not in other.partitions
    busy.ack(message)


def test_what_lies_ready_moves_with_its_partition_and_was_never_delivered(world: World) -> None:
    """A thread that is busy with one message must not hold up the rest, nor have them count as tried."""
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=4)
    orders.send_many((f"k{n}", b"") for n in range(400))
    busy = segmenter.register_consumer("orders", group="g", session_timeout=2)
    world.until(lambda: len(busy.partitions) == 4)
    busy._desk._appetite = 400
    message = next(busy)
    world.until(lambda: not busy._desk._tray)
    other = world.segmenter().register_consumer("orders", group="g", session_timeout=2, batch_size=1000)
    batch = other.read()
    assert message.partition not in {each.partition for each in batch}
    assert {each.attempt for each in batch} == {1}
    message.ack()


def test_a_hung_thread_loses_its_messages_and_its_membership(world: World) -> None:
    """Otherwise its partitions would stand still for as long as the process lives."""
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send_many([("k", b"0"), ("k", b"1")])
    options = {"group": "g", "session_timeout": 0.5}
    hung = segmenter.register_consumer("orders", max_processing_time=0.3, **options)  # type: ignore[arg-type]
    late = next(hung)
    heir = world.segmenter().register_consumer("orders", **options)  # type: ignore[arg-type]
    message = next(heir)  # this thread does not come back to the other consumer meanwhile
    assert (message.data, message.attempt) == (b"0", 2)
    with pytest.raises((PartitionLost, StaleDelivery)):
        late.ack()
    with pytest.raises(ConsumerDead) as stopped:
        hung.read()
    assert isinstance(stopped.value.__cause__, HandlerStuck)
    assert "raise max_processing_time" in str(stopped.value)


def test_a_thread_that_is_late_once_goes_on(world: World) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send("k", b"0")
    consumer = segmenter.register_consumer("orders", group="g", max_processing_time=0.1)
    late = next(consumer)
    world.until(lambda: late._state == STALE)
    assert next(consumer).attempt == 2


# --- promises -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient_desk")
def test_a_lease_that_is_over_hands_nothing_out_that_lies_ready(world: World) -> None:
    """The partition may have another owner by then: two handlers of a key would run at once."""
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send_many((f"k{n}", b"") for n in range(1000))
    consumer = segmenter.register_consumer("orders", group="g", session_timeout=0.5)
    _filled(consumer)
    epoch = next(consumer).fence.epoch
    world.skew_s = 1000.0
    assert consumer._desk._tray
    assert consumer._desk.pick(1) == []
    assert next(consumer).fence.epoch > epoch, "it was handed out under a lease that had ended"


@pytest.mark.usefixtures("patient_desk")
def test_a_key_waits_for_its_message_that_is_being_handled_though_the_next_lies_ready(world: World) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send_many(("k", b"%d" % n) for n in range(100))
    consumer = segmenter.register_consumer("orders", group="g")
    _filled(consumer)
    message = next(consumer)
    orders.send("other", b"")
    assert next(consumer).key == "other"
    message.ack()
    assert int(next(consumer).data) == int(message.data) + 1


@pytest.mark.usefixtures("patient_desk")
def test_what_was_taken_back_is_not_handed_out_though_it_lies_ready(world: World) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send_many((f"k{n}", b"") for n in range(1000))
    consumer = segmenter.register_consumer("orders", group="g")
    _filled(consumer)
    lying = len(consumer._desk._tray)
    _take_all_back(segmenter, consumer._desk._tray[0])
    again = [next(consumer) for _ in range(lying)]
    for message in again:
        message.ack()
    assert {message.attempt for message in again} == {2}


def test_what_is_acknowledged_is_not_taken_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was in time, whenever the loop comes to hear of it."""
    monkeypatch.setattr(desks, "COLLECT_S", LIMIT_S)
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send("k", b"0")
    consumer = segmenter.register_consumer("orders", group="g")
    message = next(consumer)
    message.ack()
    _take_all_back(segmenter, message)
    assert message.settled
    assert consumer.read(timeout=0) == []


def _take_all_back(segmenter: sync.Segmenter, message: Message) -> None:
    """As if all of its partition had taken too long."""

    async def take_back() -> None:
        message._lanes.take_back_before(float("inf"))

    segmenter._portal.call(take_back)


@pytest.mark.usefixtures("patient_desk")
def test_what_is_paused_is_not_handed_out_though_it_lies_ready(world: World) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send_many((f"k{n}", b"") for n in range(1000))
    consumer = segmenter.register_consumer("orders", group="g")
    _filled(consumer)
    consumer.pause()
    assert consumer.read(timeout=0) == []
    consumer.resume()
    assert {message.attempt for message in consumer.read()} == {1}


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns in the middle of whatever they do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_threads_share_a_consumer(world: World) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=4)
    orders.send_many((f"k{n % 5}", b"%d" % n) for n in range(4000))
    handled: list[tuple[str, int]] = []
    running: set[str] = set()
    over = threading.Event()

    def work() -> None:
        for message in consumer:
            assert message.key not in running, "two messages of a key are being handled"
            running.add(message.key)
            handled.append((message.key, int(message.data)))
            running.remove(message.key)
            message.ack()
            if len(handled) >= 4000:
                over.set()

    with ThreadPoolExecutor(4) as pool, segmenter.register_consumer("orders", group="g") as consumer:
        workers = [pool.submit(work) for _ in range(4)]
        for worker in workers:
            worker.add_done_callback(lambda _: over.set())
        assert over.wait(LIMIT_S), "they did not come to an end"  # looking all the time would take it from them
        consumer.commit()
        consumer.shutdown()
        for worker in workers:
            worker.result()
    assert segmenter.describe("orders", "g").lag == 0
    assert sorted(number for _, number in handled) == list(range(4000))
    for key in {key for key, _ in handled}:
        numbers = [number for each, number in handled if each == key]
        assert numbers == sorted(numbers)


def test_an_acknowledgement_that_comes_too_late_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It was given while the message was being taken back: nobody can be told any more, and it comes again."""
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send("k", b"0")
    consumer = segmenter.register_consumer("orders", group="g")
    message = next(consumer)

    async def taken_back_in_this_moment() -> None:
        await asyncio.to_thread(message.ack)
        super(desks.LentLanes, message._lanes).take_back_before(float("inf"))  # type: ignore[misc]

    with caplog.at_level(logging.WARNING, "segmenter.sync"):
        segmenter._portal.call(taken_back_in_this_moment)
        assert next(consumer).attempt == 2
    assert "acknowledged too late" in caplog.text
    assert not message.settled


# --- interruptions --------------------------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c() -> Iterator[list[sync.Consumer]]:
    """Ctrl-C interrupts the main thread while it waits for one of these consumers, and not between two waits."""
    waited_for: list[sync.Consumer] = []

    def interrupt(*_: object) -> None:
        if any(consumer._inner._pump.delivery._waiting for consumer in waited_for):
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    yield waited_for
    signal.signal(signal.SIGINT, before)


def _press() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


WAITS = {
    "iteration": lambda consumer: [next(consumer)],
    "read": lambda consumer: consumer.read(),
    "batches": lambda consumer: next(consumer.batches()),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_ctrl_c_ends_a_wait(world: World, ctrl_c: list[sync.Consumer], wait: Callable[[sync.Consumer], object]) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    consumer = segmenter.register_consumer("orders", group="g")
    ctrl_c.append(consumer)

    def press() -> None:
        world.until(lambda: consumer._inner._pump.delivery._waiting > 0)
        _press()

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        wait(consumer)
    pressing.join()
    orders.send("k", b"0")
    assert next(consumer).attempt == 1, "the consumer goes on"


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_an_interrupted_wait_loses_no_message(
    world: World, ctrl_c: list[sync.Consumer], wait: Callable[[sync.Consumer], list[Message]]
) -> None:
    """What has been handed out to a wait that ends before it can return goes to the next."""
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    consumer = segmenter.register_consumer("orders", group="g")
    ctrl_c.append(consumer)

    def disturb() -> None:
        world.until(lambda: consumer._inner._pump.delivery._waiting > 0)
        _press()
        interrupted.wait(LIMIT_S)  # once at least: the next message may end the wait before the signal does
        for number in range(200):
            orders.send("k", b"%d" % number)
            _press()

    interrupted = threading.Event()
    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    got: list[tuple[bytes, int]] = []
    while len(got) < 200:
        try:
            batch = wait(consumer)
        except KeyboardInterrupt:
            interrupted.set()
            continue
        for message in batch:
            message.ack()
            got.append((message.data, message.attempt))
    disturbing.join()
    assert interrupted.is_set()
    assert got == [(b"%d" % number, 1) for number in range(200)]


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_wait_that_is_interrupted_as_it_begins_takes_nothing_from_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, wait: Callable[[sync.Consumer], list[Message]]
) -> None:
    """It would go on in the loop, unknown to anybody, and be handed a message that nobody gets."""
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    consumer = segmenter.register_consumer("orders", group="g")

    def interrupted(*arguments: Any) -> None:
        begun(*arguments)
        world.until(lambda: consumer._inner._pump.delivery._waiting > 0)
        raise KeyboardInterrupt

    begun = asyncio.run_coroutine_threadsafe
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            wait(consumer)
    orders.send("k", b"0")
    assert [message.data for message in wait(consumer)] == [b"0"]


@pytest.mark.usefixtures("patient_desk")
def test_what_was_picked_when_the_interruption_came_goes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send_many(("k", b"%d" % number) for number in range(100))
    consumer = segmenter.register_consumer("orders", group="g")
    _filled(consumer)
    following = int(consumer._desk._tray[0].data)

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Message, "settled", property(interrupted))
        with pytest.raises(KeyboardInterrupt):
            next(consumer)
    message = next(consumer)
    assert (int(message.data), message.attempt) == (following, 1)


# --- the wrong place ------------------------------------------------------------------------------------------------


def test_the_thread_of_the_loop_is_told_that_it_would_wait_for_itself(world: World) -> None:
    segmenter = world.segmenter()
    segmenter.register_stream("orders", partitions=1)
    refused: list[BaseException] = []

    def observe(_: Observation) -> None:
        try:
            segmenter.describe("orders", "g")
        except SegmenterError as error:
            refused.append(error)

    segmenter.register_consumer("orders", group="g", observer=observe)
    assert isinstance(refused[0], NotHere)
    assert "call it from another" in str(refused[0])


def test_hooks_may_block_and_call_the_consumer(world: World) -> None:
    """What was gathered for a partition can be written and settled before another consumer has it."""
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=2)
    orders.send_many((f"k{n}", b"") for n in range(20))
    gathered: list[Message] = []

    def flush(partition: int) -> None:
        consumer.ack(*(message for message in gathered if message.partition == partition))

    consumer = segmenter.register_consumer("orders", group="g", on_revoked=flush)
    while len(gathered) < 20:
        gathered += consumer.read()
    other = world.segmenter().register_consumer("orders", group="g")
    world.until(lambda: len(other.partitions) == 1)
    assert other.read(timeout=0.1) == []
    settled = {message.partition for message in gathered if message.settled}
    assert settled == set(other.partitions)


def test_a_generator_given_to_send_many_runs_where_it_was_made(world: World) -> None:
    """It may read from a connection or a cursor that belongs to the thread."""
    orders = world.segmenter().register_stream("orders", partitions=1)
    here = {threading.get_ident()}
    orders.send_many(("k", b"%d" % threading.get_ident()) for _ in range(3))
    orders.send_many((key, b"") for key in map(str, here) if here == {threading.get_ident()})
    assert list(orders.send_many(iter(()))) == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of the thread, which is the point
def test_objects_of_the_parent_refuse_to_work_after_a_fork(world: World) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=1)
    orders.send("k", b"")
    consumer = segmenter.register_consumer("orders", group="g")
    message = next(consumer)
    calls: list[Callable[[], object]] = [
        lambda: orders.send("k", b""),
        lambda: segmenter.describe("orders", "g"),
        lambda: consumer.read(timeout=1),
        lambda: next(consumer),
        message.ack,
        message.nack,
    ]
    child = os.fork()
    if child == 0:
        refused = 0
        for call in calls:
            try:
                call()
            except NotHere as error:
                refused += "before this process was forked" in str(error)
        segmenter.close()  # leaving its block in the child does nothing
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == len(calls)
    message.ack()
    consumer.commit()
    assert segmenter.describe("orders", "g").lag == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_segmenter_that_was_not_used_before_a_fork_works_in_the_child() -> None:
    """Servers import an application first, and fork their workers then."""
    segmenter = sync.Segmenter("memory://")
    child = os.fork()
    if child == 0:
        segmenter.register_stream("orders", partitions=3)
        partitions = segmenter.get_stream("orders").partitions
        segmenter.close()
        os._exit(partitions)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_iterating_in_slices_leaves_nothing_behind(world: World) -> None:
    segmenter = world.segmenter()
    orders = segmenter.register_stream("orders", partitions=2)
    orders.send_many((f"k{n}", b"%d" % n) for n in range(1000))
    consumer = segmenter.register_consumer("orders", group="g")
    data: list[bytes] = []
    for size in itertools.cycle((1, 7, 130)):
        for message in itertools.islice(consumer, min(size, 1000 - len(data))):
            data.append(message.data)
            message.ack()
        batch = consumer.read(timeout=0)
        consumer.ack(*batch)
        data += [message.data for message in batch]
        if len(data) == 1000:
            break
    assert sorted(map(int, data)) == list(range(1000))
