"""A worker for tests, run as ``segmenter run tests.integration.handlers:worker``: what a payload says is done.

It tells what it does on standard output, a JSON object a line: what, key, data, attempt and pid.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
from typing import Any

from segmenter import Message, Retry, Worker
from segmenter.core.observations import Granted, Observation, Parked
from tests.audit.scripts import keep

keep()  # by every process that runs this worker, whoever has started it

OPTIONS: dict[str, Any] = json.loads(os.environ.get("WORKER_OPTIONS", "{}"))

worker = Worker(namespace=os.environ.get("WORKER_NAMESPACE", "default"), group="g")


def tell(what: str, key: str = "", data: str = "", attempt: int = 0) -> None:
    line = {"what": what, "key": key, "data": data, "attempt": attempt, "pid": os.getpid()}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def observe(seen: Observation) -> None:
    if isinstance(seen, Granted):
        tell("granted", data=str(seen.partition))
    elif isinstance(seen, Parked):
        tell("parked", seen.key, seen.reason, seen.attempt)


@worker.handler(
    "orders",
    type=str,
    observer=observe,
    key_concurrency=OPTIONS.pop("key_concurrency", 64),
    retry=Retry(attempts=OPTIONS.pop("attempts", 3), initial=0.05),
    **OPTIONS,
)
async def handle(order: str, message: Message) -> None:
    tell("began", message.key, order, message.attempt)
    verb, _, argument = order.partition(" ")
    match verb:
        case "nap":
            await nap(float(argument))
        case "block":
            threading.Event().wait(float(argument))
        case "raise":
            raise ValueError(argument)
        case "exit":
            os._exit(int(argument))
        case "frozen":
            tell("frozen", data=str(gc.get_freeze_count()))
        case "deaf":
            await deaf()
        case _:
            pass
    tell("ended", message.key, order, message.attempt)


async def nap(for_s: float) -> None:
    """What a handler does that waits for the outside world."""
    await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=for_s)


async def deaf() -> None:
    """Go on whatever happens."""
    while True:
        try:
            await nap(3600)
        except asyncio.CancelledError:
            tell("cancelled")


def make() -> Worker:
    """For ``segmenter run tests.integration.handlers:make``."""
    return worker
