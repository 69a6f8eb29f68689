"""Redis beside the laws: the scripts, and all that they left in the server, key by key."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, TypeVar

import redis

from segmenter.core.aside import Aside
from segmenter.core.command import Command, GroupSlot, PartitionSlot, Slot, StreamSlot
from segmenter.core.group import GroupData
from segmenter.core.layout import StreamConfig
from segmenter.core.log import Log, Producer, parse_position
from segmenter.core.partition import Lane, PartitionState
from segmenter.testing.agreement import Law
from segmenter_redis import RedisBackend
from segmenter_redis.documents import config_from, group_from, progress_from
from segmenter_redis.keys import Keys
from segmenter_redis.letters import letters_from, requests_from

__all__ = ["InRedis"]

R = TypeVar("R")
State = PartitionState | GroupData | StreamConfig | None


class InRedis:
    """The scripts, and what they left in the server."""

    def __init__(self, url: str, namespace: str, runner: asyncio.Runner) -> None:
        self.keys = Keys(namespace)
        self.client: Any = redis.Redis.from_url(url)  # its hints cover synchronous and asynchronous clients at once
        self.history = self._history()
        self._runner = runner
        self._session = runner.run(RedisBackend(url, namespace).session())

    def execute(self, command: Command[Any, R]) -> R:
        async def ask() -> R:
            return await self._session.execute(command)

        return self._runner.run(ask())

    def seen(self, slot: Slot, law: Law) -> tuple[State, State]:
        """All that is stored."""
        return self.state(slot), law.state(slot)

    def seal(self, slot: PartitionSlot) -> bool:
        """No command seals a partition yet, but Append knows of it."""
        self.client.hset(self.keys.meta(slot), "sealed", 1)
        return True

    def close(self) -> None:
        """Leave nothing behind."""
        self._runner.run(self._session.aclose())
        for key in self.client.scan_iter(f"{{{self.keys.namespace}:*", count=1_000):
            self.client.delete(key)
        self.client.close()

    def lose_history(self) -> None:
        """Have the server say that it may have lost something."""
        if self.history:
            self.client.execute_command("DEBUG", "CHANGE-REPL-ID")
            self.history = self._history()

    def _history(self) -> str:
        try:
            info = self.client.info("replication")
        except redis.RedisError:  # fakeredis has none, and hangs up
            return ""
        return str(info["master_replid"])

    # --- what is stored ---

    def state(self, slot: Slot) -> State:
        if isinstance(slot, PartitionSlot):
            return self._partition(slot)
        return self._group(slot) if isinstance(slot, GroupSlot) else self._stream(slot)

    def _hash(self, key: str) -> dict[str, bytes]:
        stored = self.client.hgetall(key)
        return {name.decode(): value for name, value in stored.items()}

    def _log(self, key: str) -> Log:
        if not self.client.exists(key):
            return Log()
        info = self.client.xinfo_stream(key)
        entries = self.client.xrange(key)
        flat = tuple((at, tuple(itertools.chain(*fields.items()))) for at, fields in entries)
        return Log(flat, info["entries-added"], parse_position(info["last-generated-id"]))

    def _partition(self, slot: PartitionSlot) -> PartitionState | None:
        meta = self._hash(self.keys.meta(slot))
        if not meta:
            assert not self.client.exists(self.keys.log(slot), self.keys.producers(slot), self.keys.lanes(slot))
            return None
        producers = {name: _producer(packed) for name, packed in self._hash(self.keys.producers(slot)).items()}
        lanes = self._hash(self.keys.lanes(slot))
        groups = {name.partition(":")[0] for name in lanes}
        return PartitionState(
            incarnation=meta["incarnation"].decode(),
            layout=int(meta["layout"]),
            sealed=int(meta["sealed"]) if "sealed" in meta else None,
            log=self._log(self.keys.log(slot)),
            producers=producers,
            lanes={group: _lane(lanes, group, self._aside(slot, group)) for group in groups},
        )

    def _aside(self, slot: PartitionSlot, group: str) -> Aside:
        flat = [
            list(itertools.chain(*self.client.hgetall(key(slot, group)).items()))
            for key in (self.keys.parked, self.keys.dead, self.keys.requests)
        ]
        return Aside(letters_from(flat[0]), letters_from(flat[1]), requests_from(flat[2]))

    def _group(self, slot: GroupSlot) -> GroupData | None:
        stored = self._hash(self.keys.document(slot))
        scores = self.client.zrange(self.keys.beats(slot), 0, -1, withscores=True)
        data = GroupData(
            document=group_from(stored["version"], stored["generation"], stored["body"]) if stored else None,
            scores={name.decode(): int(score) for name, score in scores},
            beats=int(stored.get("beats", 0)),
            events=self._log(self.keys.events(slot)),
        )
        return None if data == GroupData() else data

    def _stream(self, slot: StreamSlot) -> StreamConfig | None:
        stored = self._hash(self.keys.config(slot))
        return config_from(stored["version"], stored["body"]) if stored else None


def _producer(packed: bytes) -> Producer:
    epoch, first, count, first_id, last_id, seen_ms = packed.split()
    return Producer(int(epoch), int(first), int(count), first_id, last_id, int(seen_ms))


def _lane(lanes: dict[str, bytes], group: str, aside: Aside) -> Lane:
    it = {name.removeprefix(f"{group}:"): value for name, value in lanes.items() if name.startswith(f"{group}:")}
    delays = it.get("delays", b"")
    return Lane(
        progress=progress_from(it["offset"], it["read"], it["ranges"], it["attempts"], it["trying"], delays),
        owner=it["owner"].decode() or None,
        epoch=int(it["epoch"]),
        generation=int(it["generation"]),
        claim=it["claim"].decode(),
        history=it["history"].decode(),
        number=int(it["number"]),
        unclean=int(it["unclean"]),
        horizon=int(it["horizon"]),
        aside=aside,
        delayed_at_us=int(delays.partition(b" ")[0]) if delays else 0,
    )
