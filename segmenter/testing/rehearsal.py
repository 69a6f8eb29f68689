"""A place to try a worker's handlers in: no server, virtual time, and everything that happened to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from attrs import evolve, frozen

from segmenter.core.command import GroupSlot
from segmenter.core.message import Message
from segmenter.core.observations import DeadLettered, Observation, Parked, Retried
from segmenter.errors import InvalidArgument, SegmenterError, Undecodable
from segmenter.handlers import Handler, Invoke
from segmenter.runtime.sent import Sent
from segmenter.runtime.threads import ThreadCall
from segmenter.segmenter import Segmenter
from segmenter.testing.virtual import VirtualLoop, virtual_host
from segmenter_memory import MemoryBackend, Store

if TYPE_CHECKING:
    from segmenter.worker import Worker

__all__ = ["Failed", "Handled", "Inline", "Outside", "Rehearsal"]

R = TypeVar("R")
P = ParamSpec("P")

EPOCH_US = 1_700_000_000_000_000  # of the server's clock at the start
LIMIT_S = 3600.0  # of virtual time, for all messages to be handled
STEP_S = 0.05


@frozen
class Handled:
    """A handler has returned."""

    stream: str
    group: str
    key: str
    value: Any
    attempt: int


@frozen
class Failed:
    """A message is parked, a dead letter, or waits to be tried again."""

    stream: str
    group: str
    key: str
    value: Any  # the payload, where it could not be decoded; None where the handler was not called
    attempt: int
    reason: str


class Inline(Executor):
    """Runs at once and in this thread what other executors would run later and elsewhere."""

    def __init__(self, _loop: VirtualLoop | None = None) -> None:
        pass

    def submit(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call it, and return how that came out."""
        future: Future[R] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except BaseException as error:  # whoever waits for the result gets it
            future.set_exception(error)
        return future

    def awaited(self) -> AbstractContextManager[None]:
        """Nothing waits for the loop, which stands still meanwhile."""
        return nullcontext()


class Outside(Executor):
    """Runs in a thread of its own, one after the other, what may wait for the event loop; time stands still meanwhile.

    So the handlers of blocking code find the loop at work when they send.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._thread = ThreadPoolExecutor(1)

    def submit(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call it in the thread, and let time pass again when whoever waits for it has been told."""
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()

        def ended(inner: Future[R]) -> None:
            if (error := inner.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(inner.result())
            self._loop.call_soon_threadsafe(self._loop.thaw)

        self._loop.freeze()
        self._thread.submit(call, *args, **kwargs).add_done_callback(ended)
        return future

    @contextmanager
    def awaited(self) -> Generator[None]:
        """While the thread waits for something in the loop, time passes."""
        self._loop.thaw()
        try:
            yield
        finally:
            self._loop.freeze()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread."""
        self._thread.shutdown(wait, cancel_futures=cancel_futures)


class Rehearsal:
    """A worker at work on virtual time, from entering a ``with`` block to leaving it. Get one from ``worker.test()``.

    Time passes only within ``drain`` and ``advance``, and not while a plain function runs, so whatever those do takes
    no time; nothing may wait for the outside world.
    """

    def __init__(self, worker: Worker, executor: Callable[[VirtualLoop], Inline | Outside]) -> None:
        self.handled: list[Handled] = []
        self.parked: list[Failed] = []
        self.dead: list[Failed] = []
        self._worker = worker
        self._new_executor = executor
        self._waiting: dict[tuple[GroupSlot, int, str], Failed] = {}
        self._values: dict[tuple[GroupSlot, int, str], Any] = {}
        self._forms = {slot.stream: handler.form for slot, handler in worker.handlers.items()}
        self._segmenter: Segmenter
        self._runner: asyncio.Runner
        self._running: asyncio.Task[None]
        self._executor: Inline | Outside

    # --- what there is to look at -----------------------------------------------------------------------------------

    @property
    def retries(self) -> list[Failed]:
        """The messages that have failed and wait to be tried again."""
        return list(self._waiting.values())

    def values(self, stream: str | None = None) -> list[Any]:
        """The values handled so far, of one stream or of all, in the order of the handlers' ends."""
        return [each.value for each in self.handled if stream in (None, each.stream)]

    def lag(self, stream: str, group: str) -> int:
        """How many messages of a stream a group has yet to settle."""
        return self._run(self._segmenter.describe(stream, group)).lag

    # --- what there is to do ----------------------------------------------------------------------------------------

    def send(self, stream: str, key: str, value: object, headers: dict[str, str] | None = None) -> Sent:
        """Send a value of the type that the stream's handler takes, or a payload as it is."""
        return self._run(self._send(stream, key, value, headers))

    def drain(self, within: float = LIMIT_S) -> None:
        """Let time pass until every message is handled, retries included, or set aside.

        Args:
            within: seconds of virtual time that this may take.

        Raises:
            TimeoutError: it took longer.
            SegmenterError: the worker has ended.
        """
        self._run(self._drain(within))

    def advance(self, seconds: float) -> None:
        """Let so much time pass.

        Raises:
            SegmenterError: the worker has ended.
        """
        self._run(self._advance(seconds))

    # --- from beginning to end --------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if asyncio._get_running_loop() is not None:
            raise SegmenterError("a rehearsal has an event loop of its own: use it in a plain test, not an async one")
        loop = VirtualLoop()
        self._runner = asyncio.Runner(loop_factory=lambda: loop)
        self._executor = self._new_executor(loop)
        try:
            self._run(self._begin(loop))
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self._end())
        except SegmenterError:
            if error is None:
                raise
        finally:
            self._close()

    def _close(self) -> None:
        self._runner.close()
        self._executor.shutdown()

    def _run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        return self._runner.run(coroutine)

    async def _begin(self, loop: VirtualLoop) -> None:
        store = Store(lambda: EPOCH_US + int(loop.time() * 1_000_000))
        backend, host = MemoryBackend(store=store), virtual_host(loop)
        self._segmenter = Segmenter(namespace=self._worker.namespace, backend=backend, host=host)
        for stream in self._forms:
            await self._segmenter.register_stream(stream)
        handlers = [self._watched(handler) for handler in self._worker.handlers.values()]
        door = self._worker.door(MemoryBackend(store=store), evolve(virtual_host(loop), awaited=self._executor.awaited))
        self._running = loop.create_task(self._worker.run_on(door, self._executor, handlers))
        while not self._worker.ready:
            await self._advance(STEP_S)

    async def _end(self) -> None:
        await self._worker.stop()
        await self._segmenter.aclose()
        await self._running

    async def _send(self, stream: str, key: str, value: object, headers: dict[str, str] | None) -> Sent:
        form = self._forms.get(stream)
        if form is None and not isinstance(value, bytes):
            raise InvalidArgument(f"no handler tells the type of stream {stream!r}: send bytes")
        data = value if isinstance(value, bytes) or form is None else form.encoded(value)
        opened = await self._segmenter.register_stream(stream)
        return await opened.send(key, data, headers)  # type: ignore[arg-type]

    async def _drain(self, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while await self._lags():
                await self._advance(STEP_S)

    async def _lags(self) -> bool:
        for slot in self._worker.handlers:
            if (await self._segmenter.describe(slot.stream, slot.group)).lag:
                return True
        return False

    async def _advance(self, seconds: float) -> None:
        await asyncio.wait([self._running], timeout=seconds)
        if self._running.done():
            await self._running
            raise SegmenterError("the worker was stopped")

    # --- watching ---------------------------------------------------------------------------------------------------

    def _watched(self, handler: Handler) -> Handler:
        def observe(observation: Observation) -> None:
            self._observe(handler.slot, observation)

        hooks = evolve(handler.hooks, observers=[observe, *handler.hooks.observers])
        return evolve(handler, hooks=hooks, around=self._noting(handler))

    def _noting(self, handler: Handler) -> Callable[[Invoke], Invoke]:
        slot = handler.slot

        async def noting(invoke: Invoke, taken: list[Message], call: ThreadCall | None) -> None:
            values = [_value(handler, message) for message in taken]
            for message, value in zip(taken, values, strict=True):
                self._values[slot, message.partition, message.id] = value
                self._waiting.pop((slot, message.partition, message.id), None)
            await invoke(taken, call)
            for message, value in zip(taken, values, strict=True):
                self.handled.append(Handled(slot.stream, slot.group, message.key, value, message.attempt))

        return lambda invoke: partial(noting, invoke)

    def _observe(self, slot: GroupSlot, seen: Observation) -> None:
        if not isinstance(seen, Retried | Parked | DeadLettered):
            return
        place = (slot, seen.partition, seen.id)
        aside = Failed(slot.stream, slot.group, seen.key, self._values.get(place), seen.attempt, seen.reason)
        self._waiting.pop(place, None)
        match seen:
            case Retried():
                self._waiting[place] = aside
            case Parked():
                self.parked.append(aside)
            case DeadLettered():
                self.dead.append(aside)


def _value(handler: Handler, message: Message) -> Any:
    try:
        return handler.form.decoded(message.data)
    except Undecodable:
        return message.data
