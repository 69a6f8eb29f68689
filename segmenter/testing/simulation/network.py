"""A network between a process and its server that loses, doubles, delays and cuts off, in front of any backend.

What a process has sent is on its way: it arrives, late perhaps, whatever becomes of the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from random import Random
from typing import Any, TypeVar

from segmenter.core.command import Command, GroupSlot, Read, ReadReply, StreamSlot
from segmenter.core.letters import Replay
from segmenter.core.retention import Append
from segmenter.errors import BackendError, ServerFull
from segmenter.port import Backend, Session

__all__ = ["FaultyBackend", "Network"]

R = TypeVar("R")
T = TypeVar("T")

NOTICE_S = 0.02  # after which a sender learns that its connection has broken


class Network:
    """How bad it is at present, for one process. Shares of requests, and seconds."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.down = False
        self.over = False  # nobody watches any more
        self.lose_request = 0.0
        self.lose_reply = 0.0
        self.late = 0.0  # requests that arrive after their sender was told that the connection broke ...
        self.late_s = 0.0  # ... by up to so much
        self.double = 0.0  # requests that arrive twice, the second time up to ``late_s`` later
        self.delay_s = 0.0  # at most, each way
        self.refusing = False
        self.memory_full: Callable[[], bool] = lambda: False
        self.asked: Callable[[], object] = lambda: None  # called with each request
        self.replied: Callable[[float, Command[Any, Any], Any], object] = lambda sent, command, reply: None

    def mend(self) -> None:
        """Be a good network again."""
        self.down = self.refusing = False
        self.mend_spell(("lose_request", "lose_reply", "late", "double", "delay_s"))

    def mend_spell(self, troubles: Iterable[str]) -> None:
        """End some troubles, by their names."""
        for name in troubles:
            setattr(self, name, 0.0)

    def hits(self, share: float) -> bool:
        """Whether something befalls this request."""
        return share > 0 and self.random.random() < share

    def take_in(self, command: Command[Any, Any]) -> None:
        """What a server without memory does to a command."""
        if isinstance(command, Append | Replay) and self.memory_full():
            raise ServerFull("the server's memory is full")

    async def travel(self) -> None:
        """One way, once."""
        if self.delay_s:
            await asyncio.sleep(self.random.random() * self.delay_s)


class FaultySession:
    """Carries requests through the network."""

    def __init__(self, session: Session, network: Network) -> None:
        self._session = session
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._under_way: set[asyncio.Task[Any]] = set()

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command."""
        return self._start(self._carry(command))

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read."""
        return self._start(self._read(read))

    def _start(self, carrying: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """What is on its way belongs to no process, and goes on when the one that sent it stands still."""
        if self._network.over:
            carrying.close()
            refused: asyncio.Future[T] = self._loop.create_future()
            refused.set_exception(BackendError("the run is over", retriable=False, refused=True))
            refused.exception()
            return refused
        task = self._loop.create_task(carrying, context=Context())
        self._under_way.add(task)
        task.add_done_callback(self._arrived)
        return task

    def _arrived(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever sent it gets it; nobody may be waiting any more

    async def _carry(self, command: Command[Any, R]) -> R:
        network, sent = self._network, self._loop.time()
        network.asked()
        if network.refusing:
            await asyncio.sleep(NOTICE_S)
            raise BackendError("the server refuses for the present", retriable=True, refused=True)
        if network.down or network.hits(network.lose_request):
            await self._broken("the request was lost")
        if network.hits(network.late):
            self._start(self._arrive_late(command))
            await self._broken("the connection broke")
        if network.hits(network.double):
            self._start(self._arrive_late(command))
        arriving = self._start(self._arrive(command))
        reply = await asyncio.shield(arriving)
        if network.down or network.hits(network.lose_reply):
            await self._broken("the reply was lost")
        await network.travel()
        network.replied(sent, command, reply)
        return reply

    async def _broken(self, how: str) -> None:
        await asyncio.sleep(NOTICE_S)
        raise BackendError(how, retriable=True)

    async def _arrive(self, command: Command[Any, R]) -> R:
        await self._network.travel()
        self._network.take_in(command)
        return await self._session.execute(command)

    async def _arrive_late(self, command: Command[Any, Any]) -> None:
        await asyncio.sleep(self._network.random.random() * self._network.late_s)
        await self._arrive(command)

    async def _read(self, read: Read) -> ReadReply:
        network = self._network
        if network.down or network.hits(network.lose_request):
            await self._broken("the read was lost")
        await network.travel()
        reply = await self._session.read(read)
        if network.down or network.hits(network.lose_reply):
            await self._broken("what was read was lost")
        await network.travel()
        return reply

    async def aclose(self) -> None:
        """Cut the line; what is on its way arrives all the same."""


class FaultyBackend:
    """A backend behind a network."""

    def __init__(self, backend: Backend, network: Network) -> None:
        self._backend = backend
        self._network = network

    async def session(self) -> Session:
        """Open a session."""
        return FaultySession(await self._backend.session(), self._network)

    async def catalogue(self) -> Sequence[StreamSlot | GroupSlot]:
        """What is stored, whatever the network does."""
        return await self._backend.catalogue()
