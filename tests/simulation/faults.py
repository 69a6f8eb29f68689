"""A network that loses requests, loses replies and delivers late, in front of any backend; one seed, one story."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from segmenter.core.command import Command, Read, ReadReply
from segmenter.errors import BackendError
from segmenter.port import Backend, Session

__all__ = ["FaultyBackend", "Network"]

R = TypeVar("R")


class Network:
    """How bad it is at present, for one process. Shares of requests, and seconds."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.lose_request = 0.0
        self.lose_reply = 0.0
        self.delay_s = 0.0
        self.down = False
        self.refusing = False
        self.asked: Callable[[], object] = lambda: None  # called with each request


class FaultySession:
    """Carries requests through the network; what is delayed may arrive after its sender has given up."""

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

    def _start(self, carrying: Any) -> asyncio.Future[Any]:
        task = self._loop.create_task(carrying)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _carry(self, command: Command[Any, R]) -> R:
        random, network = self._network.random, self._network
        network.asked()
        if network.refusing:
            await asyncio.sleep(0.02)
            raise BackendError("the server refuses for the present", retriable=True, refused=True)
        if network.down or random.random() < network.lose_request:
            await asyncio.sleep(0.02)
            raise BackendError("the request was lost", retriable=True)
        # What a process has sent arrives even if the process dies meanwhile.
        arriving = self._loop.create_task(self._arrive(command, random.random() * network.delay_s))
        self._under_way.add(arriving)
        arriving.add_done_callback(self._under_way.discard)
        reply = await asyncio.shield(arriving)
        if network.down or random.random() < network.lose_reply:
            await asyncio.sleep(0.02)
            raise BackendError("the reply was lost", retriable=True)
        await asyncio.sleep(random.random() * network.delay_s)
        return reply

    async def _arrive(self, command: Command[Any, R], delay_s: float) -> R:
        await asyncio.sleep(delay_s)
        return await self._session.execute(command)

    async def _read(self, read: Read) -> ReadReply:
        if self._network.down or self._network.random.random() < self._network.lose_request:
            await asyncio.sleep(0.02)
            raise BackendError("the read was lost", retriable=True)
        reply = await self._session.read(read)
        await asyncio.sleep(self._network.random.random() * self._network.delay_s)
        return reply

    async def aclose(self) -> None:
        """Cut the line; what is on its way arrives all the same."""
        await asyncio.sleep(0)


class FaultyBackend:
    """A backend behind a network."""

    def __init__(self, backend: Backend, network: Network) -> None:
        self._backend = backend
        self._network = network

    async def session(self) -> Session:
        """Open a session."""
        return FaultySession(await self._backend.session(), self._network)
