"""The faults, carried out: what is done to the processes, to the connections between, and to the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import redis
from attrs import define, field

from tests.chaos.crew import Crew, Hand
from tests.chaos.plan import Fault
from tests.integration.proxy import Proxy
from tests.servers import Server

__all__ = ["STRIKES", "Scene"]

LIMIT_WORKERS = 6
LEAST_WORKERS = 3
LIMIT_TELLING_S = 15.0
RETRY_S = 0.02
FULL_BYTES = 1  # maxmemory by which whatever is stored is too much
MOST_DROPPED = 20  # replies
HEARD_S = 0.2  # in which requests are overheard, to be repeated
ANSWERED_S = 0.02

T = TypeVar("T")


@define
class Scene:
    """Everything that faults strike."""

    server: Server
    proxy: Proxy
    crew: Crew
    rate: float
    fenced: bool = True
    _restarting: asyncio.Lock = field(factory=asyncio.Lock)

    def join(self, program: str = "worker") -> Hand:
        """Start another process; every second one stands behind the proxy."""
        behind = len(self.crew.hands) % 2
        url = self.proxy.url if behind else self.server.url
        return self.crew.start(program, url, rate=self.rate, fenced=self.fenced)

    def refill(self) -> None:
        """Have enough workers, so that somebody can take over."""
        while len(self.crew.running("worker")) < LEAST_WORKERS:
            self.join()

    def worker(self, fault: Fault) -> Hand:
        """Whom a fault strikes."""
        self.refill()  # if any ended by themselves, which is told in the end
        return _chosen(fault, self.crew.running("worker"))

    async def tell(self, *words: str | int) -> None:
        """Have the server do something, as soon as it can."""
        async with asyncio.timeout(LIMIT_TELLING_S):
            while True:
                with suppress(redis.ConnectionError):
                    return await asyncio.to_thread(self._tell, *words)
                await asyncio.sleep(RETRY_S)

    def _tell(self, *words: str | int) -> None:
        with self.server.client as client:
            client.execute_command(*words)

    async def restart(self) -> None:
        """Kill the server, and have it come back with what is on its disk."""
        async with self._restarting:
            await asyncio.to_thread(self.server.restart)


def _chosen(fault: Fault, among: Sequence[T]) -> T:
    return among[int(fault.chance * len(among))]


# --- processes ------------------------------------------------------------------------------------------------------


async def _kill_worker(scene: Scene, fault: Fault) -> None:
    scene.crew.kill(scene.worker(fault))
    scene.refill()


async def _ask_to_leave(scene: Scene, fault: Fault) -> None:
    scene.crew.ask_to_end(scene.worker(fault))
    scene.refill()


async def _join(scene: Scene, fault: Fault) -> None:
    if len(scene.crew.running("worker")) >= LIMIT_WORKERS:
        scene.crew.ask_to_end(scene.worker(fault))
    scene.join()


async def _stop_worker(scene: Scene, fault: Fault) -> None:
    hand = scene.worker(fault)
    scene.crew.stop(hand)
    await asyncio.sleep(fault.for_s)
    scene.crew.go_on(hand)


async def _kill_producer(scene: Scene, fault: Fault) -> None:
    producers = scene.crew.running("producer")
    if producers:
        scene.crew.kill(_chosen(fault, producers))
        scene.join("producer")


# --- connections ----------------------------------------------------------------------------------------------------


async def _reset(scene: Scene, _: Fault) -> None:
    scene.proxy.reset()


async def _drop_replies(scene: Scene, fault: Fault) -> None:
    until = scene.proxy.dropped + 1 + int(fault.chance * MOST_DROPPED)
    scene.proxy.drops = lambda _: int(scene.proxy.dropped < until)


async def _cut_off(scene: Scene, fault: Fault) -> None:
    """What is on its way when this begins arrives when it ends: commits of former owners among it."""
    scene.proxy.hold()
    await asyncio.sleep(fault.for_s)
    scene.proxy.heal()


async def _repeat_requests(scene: Scene, fault: Fault) -> None:
    """A network may hold a request back for longer than a session, and may have delivered it before."""
    heard: list[bytes] = []
    scene.proxy.tap = heard.append
    await asyncio.sleep(HEARD_S)
    scene.proxy.tap = lambda _: None
    await asyncio.sleep(fault.for_s)
    for chunk in heard:
        with suppress(OSError):  # the server may be down
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.server.port)
            writer.write(chunk)
            with suppress(TimeoutError):  # it waits for what is missing of the last request, or in a read
                async with asyncio.timeout(ANSWERED_S):
                    await reader.read()
            writer.transport.abort()


async def _kill_connections(scene: Scene, _: Fault) -> None:
    await scene.tell("CLIENT", "KILL", "TYPE", "normal")


# --- the server -----------------------------------------------------------------------------------------------------


async def _pause_server(scene: Scene, fault: Fault) -> None:
    await scene.tell("CLIENT", "PAUSE", round(fault.for_s * 1000), "ALL")


async def _hang_server(scene: Scene, fault: Fault) -> None:
    scene.server.pause()
    await asyncio.sleep(fault.for_s)
    scene.server.resume()


async def _kill_server(scene: Scene, _: Fault) -> None:
    await scene.restart()


async def _flush_scripts(scene: Scene, _: Fault) -> None:
    await scene.tell("SCRIPT", "FLUSH")


async def _fill_memory(scene: Scene, fault: Fault) -> None:
    await scene.tell("CONFIG", "SET", "maxmemory", FULL_BYTES)
    await asyncio.sleep(fault.for_s)
    await scene.tell("CONFIG", "SET", "maxmemory", 0)


STRIKES: dict[str, Callable[[Scene, Fault], Coroutine[Any, Any, None]]] = {
    "worker killed": _kill_worker,
    "another worker killed": _kill_worker,
    "worker told to leave": _ask_to_leave,
    "worker joins": _join,
    "worker stopped, for less than a session": _stop_worker,
    "worker stopped, for longer": _stop_worker,
    "producer killed": _kill_producer,
    "connections reset": _reset,
    "replies dropped": _drop_replies,
    "requests come once more, late": _repeat_requests,
    "half of all cut off, for less than a session": _cut_off,
    "half of all cut off, for longer": _cut_off,
    "connections killed by the server": _kill_connections,
    "server paused": _pause_server,
    "server hangs": _hang_server,
    "server killed and restarted": _kill_server,
    "scripts flushed": _flush_scripts,
    "memory full": _fill_memory,
}
