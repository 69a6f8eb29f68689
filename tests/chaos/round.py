"""One run: a server, a crew, a plan of faults; then peace, until everything is settled; then the account."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attrs import Factory, field, frozen

from segmenter import GroupSnapshot, Segmenter, SegmenterError
from tests.chaos.account import Account, gathered
from tests.chaos.checks import DRAINED_S
from tests.chaos.crew import Crew
from tests.chaos.faults import LEAST_WORKERS, STRIKES, Scene
from tests.chaos.plan import Fault, plan
from tests.chaos.worker import GROUP, NAMESPACE, STREAM, opened
from tests.integration.proxy import Proxy
from tests.servers import Server

__all__ = ["Setting", "play"]

LOOK_S = 0.05
# Every write is on disk before it is answered, so that a server that is killed has lost nothing.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")

_log = logging.getLogger("chaos")


@frozen
class Setting:
    """What a run is made of."""

    seed: int
    binary: str  # of the server
    seconds: float = 45.0  # of faults
    every_s: float = 1.3  # between two, on average
    rate: float = 600.0  # messages per second
    partitions: int = 8
    partition_size: int = 400  # so that what is settled is trimmed all the time, and a pause fills a partition
    fenced: bool = True  # a run without the fence of commits shows what that is good for
    faults: tuple[Fault, ...] = field(
        default=Factory(lambda self: plan(self.seed, self.seconds, self.every_s), takes_self=True)
    )


def play(setting: Setting) -> Account:
    """Play a run from its beginning to its end. Nothing of it is left: no process, no server, no file."""
    with tempfile.TemporaryDirectory(prefix="segmenter-chaos-") as folder:
        server = Server(setting.binary, *DURABLE)
        try:
            with Crew(Path(folder)) as crew:
                owned_s, drained_s = asyncio.run(_through(setting, server, crew))
                endings = list(crew.endings())
            with server.client as client:
                place = (NAMESPACE, STREAM, setting.partitions)
                return gathered(Path(folder), client, *place, endings, owned_s, drained_s)
        finally:
            server.stop()


async def _through(setting: Setting, server: Server, crew: Crew) -> tuple[float | None, float | None]:
    """Everything from the first process to the last; how long it took to come to rest."""
    async with Proxy(server.port) as proxy, opened(server.url) as segmenter:
        await segmenter.register_stream(
            STREAM, partitions=setting.partitions, partition_size=setting.partition_size, on_full="wait"
        )
        scene = Scene(server, proxy, crew, setting.rate, setting.fenced)
        scene.join("producer")
        for _ in range(LEAST_WORKERS):
            scene.join()
        await _faults(setting, scene)
        rest = await _rest(segmenter, scene)
        for hand in crew.running("worker"):
            crew.ask_to_end(hand)
        await crew.all_left()
        return rest


async def _faults(setting: Setting, scene: Scene) -> None:
    began = time.monotonic()
    async with asyncio.TaskGroup() as strikes:
        for fault in setting.faults:
            await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
            _log.info("%6.2f s  %s%s", fault.at_s, fault.kind, f", {fault.for_s:.1f} s" if fault.for_s else "")
            strikes.create_task(STRIKES[fault.kind](scene, fault))
        await asyncio.sleep(max(0.0, began + setting.seconds - time.monotonic()))


async def _rest(segmenter: Segmenter, scene: Scene) -> tuple[float | None, float | None]:
    """The producers come to their end; then nothing disturbs, and the group has to come to rest."""
    began = time.monotonic()
    owned_s = await _until(began, segmenter, _owned)
    for hand in scene.crew.running("producer"):
        scene.crew.ask_to_end(hand)
    await scene.crew.all_left()
    return owned_s, await _until(began, segmenter, lambda group: group.lag == 0)


def _owned(group: GroupSnapshot) -> bool:
    return all(each.owner is not None and each.owner == each.assigned for each in group.partitions)


async def _until(began: float, segmenter: Segmenter, holds: Callable[[GroupSnapshot], bool]) -> float | None:
    """Seconds until something holds of the group; nothing if it does not come to hold."""
    while time.monotonic() < began + DRAINED_S:
        try:
            if holds(await segmenter.describe(STREAM, GROUP)):
                return time.monotonic() - began
        except SegmenterError as error:
            _log.info("looking at the group: %s", error)
        await asyncio.sleep(LOOK_S)
    return None
