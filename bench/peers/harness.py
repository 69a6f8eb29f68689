"""What each adapter is run by: a program of its own that sends, or consumes, and tells its counts on stdout.

``ADAPTER.py about`` prints versions and settings as JSON; ``send URL COUNT`` sends and prints the seconds that it took;
``consume URL`` says ``ready``, and then how many messages it has handled, whenever that has changed. With a file named
in ``SEEN`` each message is written there as it is handled, at once, so that a kill takes nothing back.

Nothing but the standard library is used here: adapters of other libraries run in an environment of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version

KEYS = 97
SIZE = 100  # bytes of a message
TOLD_EVERY_S = 0.005

Send = Callable[[str, int], Awaitable[None]]
Consume = Callable[[str, "Seen"], Awaitable[None]]


def messages(count: int) -> Iterator[tuple[str, str]]:
    """Keys in turn, and data that says which message of its key it is."""
    for index in range(count):
        key = f"key-{index % KEYS}"
        yield key, f"{key} {index // KEYS} ".ljust(SIZE, "x")


def by_key(count: int) -> dict[str, list[str]]:
    """The same, for senders that have a task for each key."""
    found: dict[str, list[str]] = {}
    for key, data in messages(count):
        found.setdefault(key, []).append(data)
    return found


async def send_by_key(count: int, send: Callable[[str, str], Awaitable[object]]) -> None:
    """Send with one task for each key, each send awaited before the next one of its key."""

    async def task(key: str, datas: list[str]) -> None:
        for data in datas:
            await send(key, data)

    await asyncio.gather(*(task(key, datas) for key, datas in by_key(count).items()))


class Seen:
    """Counts what was handled."""

    def __init__(self) -> None:
        path = os.environ.get("SEEN")
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if path else None
        self.count = 0

    def __call__(self, data: str) -> None:
        """A message is handled."""
        self.count += 1
        if self._file is not None:
            os.write(self._file, (data.rstrip("x").strip() + "\n").encode())

    def tell(self) -> None:
        """Write the count down for the rest of the process's life, from a thread."""
        told, never = 0, threading.Event()
        print("ready", flush=True)
        while True:
            never.wait(TOLD_EVERY_S)
            if self.count != told:
                told = self.count
                print(told, flush=True)


def main(packages: tuple[str, ...], settings: str, send: Send, consume: Consume) -> None:
    """Run an adapter."""
    if sys.argv[1] == "about":
        about = {"versions": {name: version(name) for name in packages}, "settings": settings}
        print(json.dumps(about))
    elif sys.argv[1] == "send":
        asyncio.run(_timed(send, sys.argv[2], int(sys.argv[3])))
    else:
        seen = Seen()
        threading.Thread(target=seen.tell, daemon=True).start()
        asyncio.run(consume(sys.argv[2], seen))


async def _timed(send: Send, url: str, count: int) -> None:
    """An adapter prints by itself when it has connected; what comes before does not count."""
    await send(url, 0)
    began = time.perf_counter()
    await send(url, count)
    print(time.perf_counter() - began)
