"""What a group has set aside, as a user holds it: parked messages and dead letters."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from attrs import field, frozen

from segmenter.config import check_partitions
from segmenter.core.aside import Letter, Request, Shelf
from segmenter.core.command import Gone, GroupSlot, PartitionSlot
from segmenter.core.entries import headers_of, time_of
from segmenter.core.events import Asked
from segmenter.core.group import Announce
from segmenter.core.hashing import partition_of
from segmenter.core.letters import ListLetters, Purge, Redrive, Replay
from segmenter.runtime.failures import no_such_group
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
    attempts: int  # deliveries that it had
    reason: str
    letter: Letter = field(repr=False)

    @property
    def timestamp(self) -> datetime:
        """When the server took it in, by the server's clock."""
        return time_of(self.letter.entry_id)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that it was sent with.

        Raises:
            Corrupt: another program has written them, and not as a JSON object of texts.
        """
        return headers_of(self.letter.headers, self.letter.entry_id, partition=self.partition)


def _told(partition: int, letter: Letter) -> SetAside:
    key = letter.key.decode("utf-8", "surrogateescape")
    return SetAside(partition, letter.entry_id.decode(), key, letter.data, letter.attempts, letter.reason, letter)


class Shelves:
    """The parked messages and the dead letters of one group. Get it from ``Segmenter.shelves``.

    Every call raises ``NonExistentStream`` or ``NonExistentGroup`` if there is no such stream or group, and
    ``InvalidArgument`` for a partition that the stream does not have.
    """

    def __init__(self, slot: GroupSlot, lifecycle: Lifecycle) -> None:
        self._slot = slot
        self._lifecycle = lifecycle

    # --- looking ----------------------------------------------------------------------------------------------------

    async def parked(
        self, key: str | bytes | None = None, *, partitions: Iterable[int] | None = None, limit: int | None = 100
    ) -> list[SetAside]:
        """Return parked messages, each partition's in order; of one key or some partitions, if they are given.

        With a limit of ``None`` they are all returned: up to 10,000 of each partition.
        """
        return await self._list("parked", key, partitions, limit)

    async def dead(
        self, key: str | bytes | None = None, *, partitions: Iterable[int] | None = None, limit: int | None = 100
    ) -> list[SetAside]:
        """Return dead letters, each partition's in order; of one key or some partitions, if they are given.

        With a limit of ``None`` they are all returned: up to 10,000 of each partition.
        """
        return await self._list("dead", key, partitions, limit)

    async def _list(
        self, shelf: Shelf, key: str | bytes | None, partitions: Iterable[int] | None, limit: int | None
    ) -> list[SetAside]:
        found: list[SetAside] = []
        for lane in await self._lanes(key, partitions):
            left = sys.maxsize if limit is None else limit - len(found)
            found += [_told(lane.partition, letter) for letter in await self._page(lane, shelf, key, left)]
        return found

    async def _page(self, lane: PartitionSlot, shelf: Shelf, key: str | bytes | None, limit: int) -> list[Letter]:
        letters: list[Letter] = []
        while len(letters) < limit:
            after, count = letters[-1].ordinal if letters else None, min(LIMIT_PAGE, limit - len(letters))
            reply = await self._lifecycle.execute(
                ListLetters(lane, self._slot.group, shelf, count, after, _encoded(key))
            )
            page = self._there(reply).letters
            letters += page
            if len(page) < count:
                break
        return letters[:limit]

    # --- parked messages --------------------------------------------------------------------------------------------

    async def redrive(self, key: str | bytes | None = None, *, partitions: Iterable[int] | None = None) -> int:
        """Have what is parked handled once more, in order: under one key, in some partitions, or all of it.

        The owners of the partitions see to it, at once or when there is one again. What is sent meanwhile comes after
        it. Returns how many messages are parked at present that this concerns.
        """
        return await self._ask("redrive", key, partitions)

    async def discard(self, key: str | bytes | None = None, *, partitions: Iterable[int] | None = None) -> int:
        """Have what is parked thrown away, unhandled: under one key, in some partitions, or all of it.

        Its keys go on with what follows. Returns how many messages are parked at present that this concerns.
        """
        return await self._ask("discard", key, partitions)

    async def _ask(self, what: str, key: str | bytes | None, partitions: Iterable[int] | None) -> int:
        concerned = 0
        for lane in await self._lanes(key, partitions):
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
            everywhere = [Purge(lane, self._slot.group) for lane in await self._lanes()]
            return sum([self._there(await self._lifecycle.execute(purge)).count for purge in everywhere])
        purged = 0
        for lane, some in self._by_lane(letters):
            purged += self._there(await self._lifecycle.execute(Purge(lane, self._slot.group, some))).count
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

    async def _lanes(
        self, key: str | bytes | None = None, partitions: Iterable[int] | None = None
    ) -> list[PartitionSlot]:
        stream, encoded = self._slot.stream, _encoded(key)
        config = await self._lifecycle.load_stream(stream)
        chosen = check_partitions(stream, config.partitions, partitions)
        of_key = None if encoded is None else partition_of(encoded, config.partitions, config.hash_name)
        return [PartitionSlot(stream, partition) for partition in chosen if of_key in (None, partition)]

    def _there(self, reply: R | Gone) -> R:
        if isinstance(reply, Gone):
            raise no_such_group(self._slot)
        return reply


def _encoded(key: str | bytes | None) -> bytes | None:
    return key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
