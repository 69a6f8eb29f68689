"""One consumer of the demo; as a program it reports on standard output, until it gets SIGTERM or is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from contextlib import suppress

from attrs import asdict, frozen

from segmenter.cli.demo.records import Handled, Noted, Report, encoded
from segmenter.consumer import Consumer
from segmenter.core.observations import Admitted, Departed, Granted, HandedBack, Lost, Observation
from segmenter.errors import PartitionLost, StaleDelivery
from segmenter.segmenter import Segmenter

__all__ = ["Job", "serve", "work"]

NAMES: dict[type, str] = {
    Admitted: "admitted",
    Departed: "departed",
    Granted: "granted",
    HandedBack: "handed_back",
    Lost: "lost",
}


@frozen
class Job:
    """What a worker is to do."""

    name: str
    url: str
    namespace: str
    stream: str
    group: str
    work_s: float
    session_s: float


async def serve(segmenter: Segmenter, job: Job, report: Report) -> Consumer:
    """Register the consumer, and have its observations reported."""

    def observe(observation: Observation) -> None:
        what = NAMES.get(type(observation))
        if what is not None:
            partition = getattr(observation, "partition", None)
            report(Noted(job.name, what, partition, getattr(observation, "epoch", None), time.monotonic()))

    return await segmenter.register_consumer(
        job.stream, group=job.group, session_timeout=job.session_s, rebalance_delay=0.05, observer=observe
    )


async def work(consumer: Consumer, job: Job, report: Report) -> None:
    """Handle flights until the consumer is shut down."""
    async for message in consumer:
        if job.work_s:
            await asyncio.sleep(job.work_s)
        number = json.loads(message.data)["number"]
        fence = message.fence
        # Reported first: what is acknowledged must have been handled.
        report(Handled(job.name, message.key, number, *fence, message.attempt, time.monotonic()))
        with suppress(PartitionLost, StaleDelivery):  # handed out elsewhere meanwhile: its next owner settles it
            message.ack()


async def _run(job: Job) -> None:
    def report(record: Handled | Noted) -> None:
        sys.stdout.write(encoded(record) + "\n")
        sys.stdout.flush()

    async with Segmenter(job.url, namespace=job.namespace) as segmenter:
        consumer = await serve(segmenter, job, report)
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        working = asyncio.create_task(work(consumer, job, report))
        await asyncio.wait((working, asyncio.ensure_future(stopping.wait())), return_when=asyncio.FIRST_COMPLETED)
        await consumer.shutdown()
        await working


def arguments(job: Job) -> list[str]:
    """The command line that runs a job in a process of its own."""
    return [sys.executable, "-m", "segmenter.cli.demo.worker", json.dumps(asdict(job))]


if __name__ == "__main__":
    asyncio.run(_run(Job(**json.loads(sys.argv[1]))))
