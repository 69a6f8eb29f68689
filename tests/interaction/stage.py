"""Where a script plays: processes with the real runtime, on virtual time, over one server behind a network."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from attrs import define, field

from segmenter import Consumer, Message, Segmenter
from segmenter.core.command import GroupSlot
from segmenter.core.group import ProcessInfo
from segmenter.core.observations import Observation
from segmenter.errors import ConsumerDead, SegmenterError
from segmenter.runtime.host import Host
from segmenter.stream import Stream
from segmenter.testing.virtual import Thread, VirtualLoop
from tests.interaction.network import Network, Server, Wire
from tests.interaction.words import Words

__all__ = ["MOMENT_S", "Process", "Stage", "on_stage"]

MOMENT_S = 0.02  # passes after each command, so that its consequences are seen


@define
class Process:
    """A process of the story, with one consumer or one stream, or both."""

    name: str
    segmenter: Segmenter
    thread: Thread  # of its event loop
    heart: Thread
    consumer: Consumer | None = None
    stream: Stream | None = None
    in_hand: list[Message] = field(factory=list)


class Stage:
    """Processes, server and network of one script, and the trace of what happens."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.loop = loop
        self.words = Words()
        self.server = Server(loop.time)
        self.network = Network(self.server, self.words, self.tell)
        self.processes: dict[str, Process] = {}
        self.remembered: dict[Any, Any] = {}
        self._trace: list[tuple[float, str, str]] = []  # when, line, and what a tally counts it by
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        loop.set_exception_handler(self._failed)

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What no callback may raise ends the story; a future that nobody asks for its error does not."""
        if "handle" in context:
            self._failures.append(context["exception"])

    # --- the trace --------------------------------------------------------------------------------------------------

    def tell(self, line: str, counted_as: str = "") -> None:
        """Write a line of the trace."""
        self._trace.append((self.loop.time(), line, counted_as or line))

    async def trace_of(self, playing: Awaitable[None]) -> list[str]:
        """The lines that something produces, with the seconds since it began where there are any."""
        began = self.loop.time()
        self._trace.clear()
        await playing
        if self._failures:
            raise self._failures[0]
        return [f"{at - began:.2f}  {line}" if at - began > MOMENT_S else line for at, line, _ in self._trace]

    def tally(self) -> list[str]:
        """The last trace in numbers."""
        counted = Counter(counted_as for _, _, counted_as in self._trace)
        return [f"{count} x {name}" for name, count in sorted(counted.items())]

    # --- processes --------------------------------------------------------------------------------------------------

    def process(self, name: str) -> Process:
        """The process of a name; a new one if there is none yet."""
        if name not in self.processes:
            thread = Thread()
            heart = Thread(main=thread)
            segmenter = Segmenter(backend=Wire(name, self.network), host=self._host(name, heart))
            self.processes[name] = Process(name, segmenter, thread, heart)
        return self.processes[name]

    def _host(self, name: str, heart: Thread) -> Host:
        counter = itertools.count(1)

        def place_heart(
            coroutine: Coroutine[Any, Any, None],
            failed: Callable[[BaseException], None],
        ) -> Callable[[], Coroutine[Any, Any, None]]:
            beating = self.loop.create_task(coroutine, context=heart.context)

            async def ended() -> None:
                await beating

            return ended

        return Host(
            clock=self.loop.time,
            nonce=lambda: f"{name}.{next(counter)}",
            chance=random.Random(name).random,
            process=ProcessInfo,
            place_heart=place_heart,
        )

    async def do(self, process: Process, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have a process do something, and let a moment pass; how it fails is part of the story."""

        async def doing() -> None:
            try:
                await what()
            except ConsumerDead as error:
                self.tell(f"{process.name} has ended: {type(error.__cause__ or error).__name__}")
            except StopAsyncIteration:
                self.tell(f"{process.name} has ended")
            except SegmenterError as error:
                self.tell(f"{process.name} gets {_named(error)}")

        task = self.loop.create_task(doing(), context=process.thread.context)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        await asyncio.sleep(MOMENT_S)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    def observer(self, slot: GroupSlot) -> Callable[[Observation], None]:
        """Writes observations down, indented."""
        return lambda seen: self.tell("  " + self.words.observed(slot, seen), type(seen).__name__)

    def pause(self, name: str) -> None:
        """Nothing of a process runs any more."""
        self.process(name).thread.stop()
        self.process(name).heart.stop()

    def resume(self, name: str) -> None:
        """It goes on."""
        self.process(name).thread.go_on(self.loop)
        self.process(name).heart.go_on(self.loop)

    async def aclose(self) -> None:
        """End every process."""
        self.network.cut_off.clear()
        self.network.refusing = False
        self.network.release(object, arrives=False)
        for process in self.processes.values():
            self.resume(process.name)
            if process.consumer is not None:
                process.thread.context.run(process.consumer.halt)
        await asyncio.sleep(0)
        for process in self.processes.values():
            await self.loop.create_task(process.segmenter.aclose(), context=process.thread.context)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _named(error: SegmenterError) -> str:
    count = getattr(error, "count", None)
    return type(error).__name__ + (f" of {count}" if count is not None else "")


def on_stage(play: Callable[[Stage], Coroutine[Any, Any, list[str]]]) -> list[str]:
    """Play something on a stage of its own, to its end."""

    async def main() -> list[str]:
        stage = Stage()
        try:
            async with asyncio.timeout(10_000):
                return await play(stage)
        finally:
            await stage.aclose()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
