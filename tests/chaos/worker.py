"""A worker as a process: it handles messages, several at a time, and writes down when it starts and when it is done."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import aclosing
from itertools import count
from pathlib import Path

from attrs import frozen

from segmenter import BackendError, Consumer, Message, PartitionLost, Segmenter, StaleDelivery
from segmenter.core.observations import Admitted, Observation
from segmenter_redis import RedisBackend
from tests.audit.scripts import AUDITED, UNFENCED
from tests.chaos.hearing import Heard
from tests.chaos.notes import Became, Done, Notebook, Refused, Started

__all__ = ["GROUP", "NAMESPACE", "RETRY_S", "SESSION_S", "STREAM", "Job", "on_terminate", "opened"]

NAMESPACE, STREAM, GROUP = "chaos", "orders", "billing"
SESSION_S = 0.6
DRAIN_S = 5.0
REPLY_TIMEOUT_S = 0.4
RETRY_S = 0.05
AT_A_TIME = 8  # handlers
WORK_S = 0.004  # on average


@frozen
class Job:
    """What a process is to do, as it stands on its command line."""

    url: str
    notes: str  # path of its file
    seed: int
    rate: float = 0.0  # messages per second, of a producer
    fenced: bool = True  # without its fence, commits of former owners go through

    @classmethod
    def from_command_line(cls) -> Job:
        """Read the job that this process was started with."""
        return cls(**json.loads(sys.argv[1]))


def opened(url: str, *, fenced: bool = True, notebook: Notebook | None = None) -> Segmenter:
    """Return a door to the server whose audit is kept; a notebook has every beat that was answered."""
    scripts = AUDITED if fenced else UNFENCED
    backend = RedisBackend(url, NAMESPACE, reply_timeout_s=REPLY_TIMEOUT_S, scripts=scripts)
    return Segmenter(backend=backend if notebook is None else Heard(backend, notebook))


def on_terminate() -> asyncio.Event:
    """Return what is set when the process is asked to end; it ends at once if the one that started it is gone."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_reader(sys.stdin, os._exit, 1)  # a pipe, which ends with whoever holds the other end
    return stopping


async def main(job: Job) -> None:
    stopping = on_terminate()
    with Notebook(Path(job.notes)) as notebook:
        async with aclosing(
            opened(job.url, fenced=job.fenced, notebook=notebook)
        ) as segmenter:  # connected by its first use
            consumer = await _registered(segmenter, notebook, stopping)
            if consumer is None:
                return
            working = asyncio.create_task(Hands(job, notebook).work(consumer))
            ending = asyncio.create_task(stopping.wait())
            await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            await consumer.shutdown()
            await working


async def _registered(segmenter: Segmenter, notebook: Notebook, stopping: asyncio.Event) -> Consumer | None:
    """Join, as soon as the server can be reached; nobody, if the end comes first."""

    def observe(observation: Observation) -> None:
        if isinstance(observation, Admitted):
            notebook.write(Became(observation.member))

    while not stopping.is_set():
        try:
            return await segmenter.register_consumer(
                STREAM, group=GROUP, session_timeout=SESSION_S, drain_timeout=DRAIN_S, observer=observe
            )
        except BackendError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(RETRY_S)
    return None


class Hands:
    """The handlers of a worker."""

    def __init__(self, job: Job, notebook: Notebook) -> None:
        self._chance = random.Random(job.seed)
        self._notebook = notebook
        self._numbers = count()
        self._free = asyncio.Semaphore(AT_A_TIME)

    async def work(self, consumer: Consumer) -> None:
        """Handle whatever comes, until the consumer ends."""
        async with asyncio.TaskGroup() as handlers:
            async for message in consumer:
                started_ns = self._notebook.now_ns()
                await self._free.acquire()
                handlers.create_task(self._handle(message, started_ns))

    async def _handle(self, message: Message, started_ns: int) -> None:
        delivery, fence, now_ns = next(self._numbers), message.fence, self._notebook.now_ns
        self._notebook.write(Started(started_ns, delivery, message.key, int(message.data), *fence, message.id))
        await asyncio.sleep(self._chance.expovariate(1 / WORK_S))
        self._notebook.write(Done(now_ns(), delivery))  # first: what counts as settled must have been done
        try:
            message.ack()
        except (PartitionLost, StaleDelivery):
            self._notebook.write(Refused(delivery))
        self._free.release()


if __name__ == "__main__":
    asyncio.run(main(Job.from_command_line()))
