"""A producer as a process: several tasks send batches, each under keys of its own, and write down what became of them.

What was not acknowledged is not sent again: it may stand in the log, and a second one would be a double of our own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from segmenter import BackendError, Segmenter, SendUnknown, Stream, StreamFull
from tests.chaos.notes import Notebook, Sent, Tried
from tests.chaos.worker import RETRY_S, STREAM, Job, on_terminate, opened

SEND_TIMEOUT_S = 1.0  # shorter than some faults, so that some sends end unknown
TASKS = 4
KEYS = 16  # of each task
BATCH = 40  # messages at most


async def main(job: Job) -> None:
    stopping = on_terminate()
    with Notebook(Path(job.notes)) as notebook:
        async with aclosing(opened(job.url)) as segmenter:
            stream = await _stream(segmenter, stopping)
            if stream is None:
                return
            async with asyncio.TaskGroup() as tasks:
                for number in range(TASKS):
                    tasks.create_task(Sender(job, number, notebook, stream).send(stopping))


async def _stream(segmenter: Segmenter, stopping: asyncio.Event) -> Stream | None:
    while not stopping.is_set():
        try:
            return await segmenter.get_stream(STREAM, on_full="wait", send_timeout=SEND_TIMEOUT_S)
        except BackendError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(RETRY_S)
    return None


class Sender:
    """One task that sends."""

    def __init__(self, job: Job, number: int, notebook: Notebook, stream: Stream) -> None:
        self._chance = random.Random(f"{job.seed}/{number}")
        self._keys = [f"{job.seed}-{number}-{key}" for key in range(KEYS)]
        self._pause_s = TASKS * (1 + BATCH) / 2 / job.rate
        self._next = Counter[str]()
        self._notebook = notebook
        self._stream = stream

    async def send(self, stopping: asyncio.Event) -> None:
        """Send at an even rate until the end comes."""
        while not stopping.is_set():
            pause = asyncio.create_task(asyncio.sleep(self._pause_s))
            await self._send(self._batch())
            await pause

    def _batch(self) -> list[tuple[str, int]]:
        batch: list[tuple[str, int]] = []
        for key in self._chance.choices(self._keys, k=self._chance.randint(1, BATCH)):
            batch.append((key, self._next[key]))
            self._next[key] += 1
        return batch

    async def _send(self, batch: Sequence[tuple[str, int]]) -> None:
        self._notebook.write(*[Tried(*what) for what in batch])
        try:
            places = await self._stream.send_many([(key, b"%d" % number) for key, number in batch])
        except (BackendError, SendUnknown, StreamFull) as error:
            places = getattr(error, "sent", [None] * len(batch))
        answered = [(what, place) for what, place in zip(batch, places, strict=True) if place]
        self._notebook.write(*[Sent(*what, place.partition, place.id) for what, place in answered])


if __name__ == "__main__":
    asyncio.run(main(Job.from_command_line()))
