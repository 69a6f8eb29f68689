"""What a group has set aside, as a user holds it: parked messages and dead letters."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from attrs import field, frozen

from segmenter.core.aside import Letter, Request, Shelf
from segmenter.core.command import Gone, GroupSlot, PartitionSlot
from segmenter.core.events import Asked
from segmenter.core.group import Announce
from segmenter.core.hashing import partition_of
from segmenter.core.letters import ListLetters, Purge, Redrive, Replay
from segmenter.core.log import parse_position
from segmenter.errors import StreamError
from segmenter.runtime.lifecycle import Lifecycle

__all__ = ["SetAside", "Shelves"]

R = TypeVar("R")

LIMIT_PAGE = 500  # letters fetched, or named, by one command


@frozen
class SetAside:
    """A message that was set aside: parked, or a dead letter."""

    partition: int
    id: str  # in the log, where it may be trimmed by now
    key: str
    data: bytes
    headers: dict[str, str]
    attempts: int  # deliveries that it had
    reason: str
    letter: Letter = field(repr=False)

    @property
    def timestamp(self) -> datetime:
        """When the server took it in, by the server's clock."""
        return datetime.fromtimestamp(parse_position(self.letter.entry_id)[0] / 1000, UTC)


def _told(partition: int, letter: Letter) -> SetAside:
    headers: dict[str, str] = json.loads(letter.headers) if letter.headers else {}
    key = letter.key.decode("utf-8", "surrogateescape")
    return SetAside(
        partition, letter.entry_id.decode(), key, letter.data, headers, letter.attempts, letter.reason, letter
    )


class Shelves:
    """The parked messages and the dead letters of one group. Get it from ``Segmenter.shelves``.

    Every call raises ``NonExistentStream`` if there is no such stream, and ``StreamError`` if there is no such group.
    """

    def __init__(self, slot: GroupSlot, lifecycle: Lifecycle) -> None:
        self._slot = slot
        self._lifecycle = lifecycle

    # --- looking ----------------------------------------------------------------------------------------------------

    async def parked(self, key: str | bytes | None = None, *, limit: int = 100) -> list[SetAside]:
        """Return parked messages, each partition's in order; of one key, if it is given."""
        return await self._list("parked", key, limit)

    async def dead(self, key: str | bytes | None = None, *, limit: int = 100) -> list[SetAside]:
        """Return dead letters, each partition's in order; of one key, if it is given."""
        return await self._list("dead", key, limit)

    async def _list(self, shelf: Shelf, key: str | bytes | None, limit: int) -> list[SetAside]:
        found: list[SetAside] = []
        for lane in await self._lanes(key):
            found += [
                _told(lane.partition, letter) for letter in await self._page(lane, shelf, key, limit - len(found))
            ]
        return found

    async def _page(self, lane: PartitionSlot, shelf: Shelf, key: str | bytes | None, limit: int) -> list[Letter]:
        letters: list[Letter] = []
        while len(letters) < limit:
            after, count = letters[-1].ordinal if letters else -1, min(LIMIT_PAGE, limit - len(letters))
            reply = await self._lifecycle.execute(
                ListLetters(lane, self._slot.group, shelf, count, after, _encoded(key))
            )
            page = self._there(reply).letters
            letters += page
            if len(page) < count:
                break
        return letters

    # --- parked messages --------------------------------------------------------------------------------------------

    async def redrive(self, key: str | bytes | None = None) -> int:
        """Have what is parked handled once more, in order: under one key, or all of it.

        The owners of the partitions see to it, at once or when there is one again. What is sent meanwhile comes after
        it. Returns how many messages are parked at present that this concerns.
        """
        return await self._ask("redrive", key)

    async def discard(self, key: str | bytes | None = None) -> int:
        """Have what is parked thrown away, unhandled: under one key, or all of it. Its keys go on with what follows.

        Returns how many messages are parked at present that this concerns.
        """
        return await self._ask("discard", key)

    async def _ask(self, what: str, key: str | bytes | None) -> int:
        concerned = 0
        for lane in await self._lanes(key):
            request = Request("redrive" if what == "redrive" else "discard", _encoded(key), self._lifecycle.nonce())
            reply = self._there(await self._lifecycle.execute(Redrive(lane, self._slot.group, request)))
            if reply.letters:
                await self._lifecycle.execute(Announce(self._slot, Asked(lane.partition)))
            concerned += reply.letters
        return concerned

    # --- dead letters -----------------------------------------------------------------------------------------------

    async def replay(self, letters: Sequence[SetAside]) -> int:
        """Send dead letters once more, as new messages at the end of their partitions: their order is given up.

        Every group of the stream gets them. Returns how many were sent; those that are not dead letters any more are
        passed over.
        """
        sent = 0
        for lane, some in self._by_lane(letters):
            sent += self._there(await self._lifecycle.execute(Replay(lane, self._slot.group, some))).count
        return sent

    async def purge(self, letters: Sequence[SetAside] | None = None) -> int:
        """Throw dead letters away, all of them by default. Returns how many are gone for ever."""
        if letters is None:
            everywhere = [Purge(lane, self._slot.group) for lane in await self._lanes(None)]
            return sum([self._there(await self._lifecycle.execute(purge)).count for purge in everywhere])
        purged = 0
        for lane, some in self._by_lane(letters):
            places = tuple([letter.place for letter in some])
            purged += self._there(await self._lifecycle.execute(Purge(lane, self._slot.group, places))).count
        return purged

    def _by_lane(self, letters: Sequence[SetAside]) -> list[tuple[PartitionSlot, tuple[Letter, ...]]]:
        of: dict[int, list[Letter]] = defaultdict(list)
        for each in letters:
            of[each.partition].append(each.letter)
        return [
            (PartitionSlot(self._slot.stream, partition), tuple(some[first : first + LIMIT_PAGE]))
            for partition, some in sorted(of.items())
            for first in range(0, len(some), LIMIT_PAGE)
        ]

    # --- shared -----------------------------------------------------------------------------------------------------

    async def _lanes(self, key: str | bytes | None) -> list[PartitionSlot]:
        config = await self._lifecycle.load_stream(self._slot.stream)
        encoded = _encoded(key)
        partitions = range(config.partitions)
        chosen = partitions if encoded is None else [partition_of(encoded, config.partitions, config.hash_name)]
        return [PartitionSlot(self._slot.stream, partition) for partition in chosen]

    def _there(self, reply: R | Gone) -> R:
        if isinstance(reply, Gone):
            stream, group = self._slot.stream, self._slot.group
            raise StreamError(f"there is no group {group!r} on {stream!r}", stream=stream, group=group)
        return reply


def _encoded(key: str | bytes | None) -> bytes | None:
    return key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
