"""Where do the client's nanoseconds for a message go, step by step? The least of many repetitions, without a server."""

from __future__ import annotations

import asyncio
import timeit
from collections.abc import Callable
from typing import Any

import hiredis

from bench.loads import BATCH, messages
from bench.measure import Contest, Run
from segmenter.core.command import Cursor, PartitionSlot, Read
from segmenter.core.hashing import DEFAULT_HASH
from segmenter.core.retention import Append
from segmenter.runtime.intake import Router, checked
from segmenter.runtime.parcels import Bag
from segmenter.runtime.sent import SentMany
from segmenter_redis.codec import decode_read, encode
from segmenter_redis.keys import Keys
from segmenter_redis.packing import pack

__all__ = ["contests"]

REPEAT, NUMBER = 30, 10

SLOT = PartitionSlot("s", 0)
KEYS = Keys("bench")
ROUTER = Router(1, DEFAULT_HASH)
MESSAGES = list(messages(BATCH))
(SHARE,) = ROUTER.shares(MESSAGES, 10**6)
CALL = encode(Append(SLOT, "p", 1, 1, SHARE.records, 10**6), KEYS)
WORDS = ("EVALSHA", "0" * 40, len(CALL.keys), *CALL.keys, *CALL.args)
PIECES = pack(WORDS, CALL.payload)
ENTRIES = [[b"1795518806717-%d" % number, [b"k", key, b"d", data]] for number, (key, data) in enumerate(MESSAGES)]
RAW = [[KEYS.log(SLOT).encode(), ENTRIES]]
READ = Read((Cursor(SLOT, b"0-0"),), BATCH, 1.0)


def _written(value: Any) -> bytes:
    """A reply as the server writes it."""
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(_written, value))
    return b"$%d\r\n%b\r\n" % (len(value), value)


WRITTEN = _written(RAW)


def _parse() -> Any:
    reader = hiredis.Reader()
    reader.feed(WRITTEN)
    return reader.gets()


def _bags() -> None:
    """What awaited sends wait in: futures, their records, and the answer to each."""
    loop = asyncio.new_event_loop()
    bag = Bag(BATCH)
    for message in MESSAGES:
        bag.add(checked(*message), loop.create_future())
    bag.records()
    bag.deliver((0, 1, 0))
    loop.close()


STEPS: dict[str, Callable[[], Any]] = {
    "send_many: check and sort": lambda: ROUTER.shares(MESSAGES, 10**6),
    "send_many: lay out in columns": lambda: encode(Append(SLOT, "p", 1, 1, SHARE.records, 10**6), KEYS),
    "send_many: pack": lambda: pack(WORDS, CALL.payload),
    "send_many: join": lambda: b"".join(PIECES),
    "send_many: tell where each stands, if asked": lambda: SentMany(BATCH, [(SHARE.indexes, (0, 1, 0))]).known,
    "send: check, wait and be answered, without the event loop": _bags,
    "read: parse with hiredis": _parse,
    "read: decode": lambda: decode_read(READ, KEYS, RAW),
}


def contests() -> list[Contest]:
    def way(step: Callable[[], Any]) -> Run:
        return Run(min(timeit.repeat(step, number=NUMBER, repeat=REPEAT)) / NUMBER / BATCH * 1e9)

    return [
        Contest(
            "steps of the client, for each message of a batch of 500",
            {name: lambda _, step=step: way(step) for name, step in STEPS.items()},  # type: ignore[misc]
            unit="ns",
            rounds=1,
            yardstick=False,
        )
    ]
