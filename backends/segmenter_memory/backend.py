"""A lock and a clock around ``Command.apply``.

The laws of the core are the whole behaviour. What stands here is what any adapter adds: one command at a time, a
clock, and waking those who wait for entries. Heart and consumers may live in different threads and event loops.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar
from urllib.parse import urlsplit

from attrs import astuple, evolve

from segmenter.core.command import Command, Crossing, GroupSlot, PartitionSlot, Read, ReadReply, Slot, StreamSlot
from segmenter.core.group import GroupData
from segmenter.core.log import Log
from segmenter.core.partition import PartitionState
from segmenter.errors import BackendError

__all__ = ["MemoryBackend", "MemorySession", "Store"]

R = TypeVar("R")

NO_LOG = Log()


def _clock_us() -> int:
    return time.time_ns() // 1000


class Store:
    """The slots themselves. ``history`` may be set anew to say that something was rolled back."""

    def __init__(self, clock_us: Callable[[], int] = _clock_us) -> None:
        self.slots: dict[Slot, Any] = {}
        self.history = "0"
        self._clock_us = clock_us
        self._lock = threading.Lock()
        self._waiting: dict[object, Callable[[], None]] = {}

    def apply(self, command: Command[Any, R]) -> R:
        """Execute a command as one step, and wake whoever waits for entries."""
        with self._lock:
            state, reply = command.apply(self._state(command.slot), self._clock_us())
            self._store(command.slot, state)
            waiting = list(self._waiting.values())
        for wake in waiting:
            wake()
        return reply

    def add_entry(self, log: PartitionSlot | GroupSlot, *fields: bytes) -> bytes:
        """Add an entry to a log that is there, as any program could that may write to it; return its id. For tests.

        Args:
            log: of a partition, or the events of a group.
            fields: name, value, name, value, whatever they are.
        """
        with self._lock:
            state, longer = self.slots[log], self._log(log).append([fields], self._clock_us())
            self.slots[log] = evolve(state, **{"log" if isinstance(state, PartitionState) else "events": longer})
            waiting = list(self._waiting.values())
        for wake in waiting:
            wake()
        return longer.entries[-1][0]

    def _state(self, slot: Slot | Crossing) -> Any:
        if isinstance(slot, Crossing):
            return self._state(slot.here), self._state(slot.there)
        state = self.slots.get(slot)
        return evolve(state, history=self.history) if isinstance(state, PartitionState) else state

    def _store(self, slot: Slot | Crossing, state: Any) -> None:
        if isinstance(slot, Crossing):
            self._store(slot.here, state[0])
            self._store(slot.there, state[1])
        elif state is None:
            self.slots.pop(slot, None)
        else:
            self.slots[slot] = state

    def collect(self, read: Read) -> ReadReply:
        """Return what lies beyond the cursors now."""
        with self._lock:
            found = {cursor.log: self._log(cursor.log).after(cursor.after, read.count) for cursor in read.cursors}
        return {log: entries for log, entries in found.items() if entries}

    def catalogue(self) -> list[StreamSlot | GroupSlot]:
        """Return the slots of streams and groups that hold something, in order."""
        with self._lock:
            slots = [slot for slot, state in self.slots.items() if _is_catalogued(slot, state)]
        return sorted(slots, key=astuple)

    def watch(self, key: object, wake: Callable[[], None]) -> None:
        """Have ``wake`` called, in any thread, after each command."""
        with self._lock:
            self._waiting[key] = wake

    def unwatch(self, key: object) -> None:
        """No longer."""
        with self._lock:
            self._waiting.pop(key, None)

    def _log(self, slot: PartitionSlot | GroupSlot) -> Log:
        state = self.slots.get(slot)
        if isinstance(state, PartitionState):
            return state.log
        return state.events if isinstance(state, GroupData) else NO_LOG


def _is_catalogued(slot: Slot, state: object) -> TypeGuard[StreamSlot | GroupSlot]:
    """Whether a slot has a configuration or a document."""
    return isinstance(slot, StreamSlot) or getattr(state, "document", None) is not None


class MemorySession:
    """A session of one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._reads: set[asyncio.Task[ReadReply]] = set()
        self._waiting: set[asyncio.Event] = set()
        self._closed = False

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Apply the command at once."""
        future: asyncio.Future[R] = self._loop.create_future()
        if self._closed:
            future.set_exception(_closed())
        else:
            future.set_result(self._store.apply(command))
        return future

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a task that waits for entries."""
        task = self._loop.create_task(self._wait(read))
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)
        return task

    async def _wait(self, read: Read) -> ReadReply:
        woken = asyncio.Event()
        key = object()

        def wake() -> None:
            self._loop.call_soon_threadsafe(woken.set)

        deadline = self._loop.time() + read.wait_s
        timer = self._loop.call_at(deadline, woken.set)
        self._store.watch(key, wake)
        self._waiting.add(woken)
        try:
            while not (found := self._store.collect(read)) and self._loop.time() < deadline:
                await woken.wait()
                woken.clear()
                if self._closed:
                    raise _closed()
            return found
        finally:
            timer.cancel()
            self._store.unwatch(key)
            self._waiting.discard(woken)

    async def aclose(self) -> None:
        """End what waits."""
        self._closed = True
        for woken in self._waiting:
            woken.set()


def _closed() -> BackendError:
    return BackendError("the session is closed", retriable=False, refused=True)


class MemoryBackend:
    """The backend of ``memory://`` URLs."""

    _shared: dict[tuple[str, str], Store] = {}

    def __init__(self, url: str = "memory://", namespace: str = "default", *, store: Store | None = None) -> None:
        name = urlsplit(url).netloc
        if store is None:
            store = self._shared.setdefault((name, namespace), Store()) if name else Store()
        self.store = store

    async def session(self) -> MemorySession:
        """Open a session for the running loop; nothing can fail."""
        return MemorySession(self.store)

    async def catalogue(self) -> list[StreamSlot | GroupSlot]:
        """Return what is stored; nothing can fail."""
        return self.store.catalogue()
