"""The processes of a played worker: each runs one of its understudies; and the one that sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve

from segmenter.codecs import Format
from segmenter.core import observations
from segmenter.core.command import GroupSlot
from segmenter.core.observations import Observation
from segmenter.errors import BackendError, SegmenterError, SendUnknown, StreamFull
from segmenter.handlers import Handler, Invoke
from segmenter.stream import Stream
from segmenter.testing.ordering.events import Lost
from segmenter.testing.ordering.work import Work
from segmenter.testing.rehearsal import Inline
from segmenter.testing.simulation.history import Happened, History
from segmenter.testing.simulation.plan import LAST_S, Plan
from segmenter.testing.simulation.process import AGAIN_S, SESSION_S, Process
from segmenter.testing.simulation.server import AuditedStore
from segmenter.worker import ACTING

if TYPE_CHECKING:
    from segmenter.worker import Worker

__all__ = ["Messages", "Sender", "Understudy"]

Messages = Sequence[tuple[str, str, object]]  # stream, key, value


class Understudy(Process):
    """A process that runs the worker, until it dies, is told to leave, or its worker fails."""

    def __init__(
        self, name: str, plan: Plan, store: AuditedStore, history: History, worker: Worker, count: Any
    ) -> None:
        super().__init__(name, plan, store, history)
        self._worker = worker.understudy()
        self._work = Work(name, plan.seed, plan.fails, self._note, count)

    async def run(self, ended: Callable[[Understudy], None]) -> None:
        """Handle messages to the end."""
        ACTING.set(self._worker)
        handlers = [self._played(handler) for handler in self._worker.handlers.values()]
        try:
            await self._worker.run_on(self.segmenter, Inline(), handlers)
        except SegmenterError as error:
            self._note(Happened(self.loop.time(), f"{self.name} ends: {error}"))
        ended(self)

    def leave(self) -> None:
        """Be shut down, as by the first signal."""
        self.start(self._worker.stop())

    def _played(self, handler: Handler) -> Handler:
        """The handler, watched, with sessions that are short and no seat."""

        def around(invoke: Invoke) -> Invoke:
            return partial(self._work.call, handler.slot, handler.retry.attempts, invoke)

        hooks = evolve(handler.hooks, observers=[partial(self._observe, handler.slot), *handler.hooks.observers])
        options = evolve(handler.options, session_timeout_s=SESSION_S, instance_id=None)
        return evolve(handler, around=around, hooks=hooks, options=options)

    def _observe(self, slot: GroupSlot, seen: Observation) -> None:
        if isinstance(seen, observations.Lost):
            self._note(Lost(self.loop.time(), self.name, slot, seen.partition))

    def _note(self, event: Any) -> None:
        self.history.events.append(event)


class Sender(Process):
    """Sends the messages of each stream in their order, each until it is known to be sent, or given up as unknown."""

    def __init__(
        self,
        plan: Plan,
        store: AuditedStore,
        history: History,
        messages: Messages,
        forms: Mapping[str, Format[Any]],
    ) -> None:
        super().__init__("sender", plan, store, history)
        self.registered = asyncio.Event()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self._messages = messages
        self._forms = forms

    async def run(self) -> None:
        """Register the streams, and send everything."""
        names = sorted({*self._forms, *(stream for stream, _, _ in self._messages)})
        streams = {name: await self._register(name) for name in names}
        self.registered.set()
        await asyncio.gather(*(self._send_all(name, stream) for name, stream in streams.items()))
        self.done.set_result(None)

    async def _register(self, name: str) -> Stream[Any]:
        return await self.segmenter.register_stream(name, partitions=self.plan.partitions, on_full="wait")

    async def _send_all(self, name: str, stream: Stream[Any]) -> None:
        mine = [(key, value) for named, key, value in self._messages if named == name]
        for key, value in mine:
            form = self._forms.get(name)
            data: Any = value if isinstance(value, bytes) or form is None else form.encoded(value)
            await self._send(stream, key, data)
            await asyncio.sleep(self.random.random() * 2 * LAST_S / len(mine))

    async def _send(self, stream: Stream[Any], key: str, data: bytes) -> None:
        while True:
            try:
                await stream.send(key, data)
            except SendUnknown:
                return
            except (StreamFull, BackendError):
                await asyncio.sleep(AGAIN_S)
            else:
                return
