"""What of a partition was read and is not settled: what nobody has looked at yet, and how much it all is."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from segmenter.core.command import Entry
from segmenter.core.continuity import Seen
from segmenter.core.partition import Progress

__all__ = ["Backlog"]


class Backlog:
    """Entries in the order of the log, from ordinal ``first`` on; the next one that is read has ordinal ``end``."""

    __slots__ = ("count", "end", "entries", "first", "position", "size_bytes")

    def __init__(self, progress: Progress) -> None:
        self.entries: deque[Entry] = deque()
        self.first = self.end = progress.read
        self.position = progress.offset  # id of the last entry read: the place to read on from
        self.count = self.size_bytes = 0  # of all that is not settled, messages in hand included

    def extend(self, entries: Sequence[Entry], unsettled: Sequence[Entry]) -> None:
        """Take in entries that follow those taken in before; some of them may be settled already."""
        self.entries.extend(entries)
        self.end += len(entries)
        self.position = entries[-1][0] if entries else self.position
        self.add(len(unsettled), sum([len(fields[3]) for _, fields in unsettled]))

    def pop(self) -> Entry:
        """Look at the first one."""
        self.first += 1
        return self.entries.popleft()

    def add(self, count: int, size_bytes: int) -> None:
        """So much more is not settled."""
        self.count += count
        self.size_bytes += size_bytes

    def settled(self, count: int, size_bytes: int) -> None:
        """So much is."""
        self.count -= count
        self.size_bytes -= size_bytes

    @property
    def seen(self) -> Seen:
        """How far the log has been read."""
        return Seen(self.position, self.end)
