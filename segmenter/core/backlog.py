"""What of a partition was read and is not settled: what nobody has looked at yet, and how much it all is.

Corrupt entries are found here. Either they are passed over, or the first one is where the log ends for this hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from segmenter.core.command import Entry
from segmenter.core.continuity import Seen
from segmenter.core.entries import CorruptEntry, in_ordinary_form, sizes_of
from segmenter.core.partition import Progress
from segmenter.core.watermark import Watermark

__all__ = ["Backlog"]


class Backlog:
    """Entries in the order of the log, from ordinal ``first`` on; the next one that is read has ordinal ``end``."""

    __slots__ = ("corrupt", "count", "end", "entries", "first", "found", "lenient", "position", "size_bytes")

    def __init__(self, progress: Progress, *, lenient: bool = False) -> None:
        self.lenient = lenient  # corrupt entries are passed over
        self.corrupt: CorruptEntry | None = None  # the one that ends what is taken in
        self.found: list[CorruptEntry] = []  # those that nobody was told of yet
        self.entries: deque[Entry] = deque()
        self.first = self.end = progress.read
        self.position = progress.offset  # id of the last entry read: the place to read on from
        self.count = self.size_bytes = 0  # of all that is not settled, messages in hand included

    def extend(self, entries: Sequence[Entry], mark: Watermark) -> bool:
        """Take in entries that follow those taken in before; return whether corrupt ones are passed over.

        Some entries may be settled already. Nobody looks at their fields, and nobody is told if they are corrupt.
        """
        if self.corrupt is not None:
            return False
        unsettled = mark.unfinished(self.end, entries)
        sizes, found = sizes_of(unsettled), len(self.found)
        if len(sizes) < len(unsettled):
            entries, sizes = self._sift(entries, mark)
        self.entries.extend(entries)
        self.end += len(entries)
        self.position = entries[-1][0] if entries else self.position
        self.add(len(sizes), sum(sizes))
        return self.lenient and len(self.found) > found

    def _sift(self, entries: Sequence[Entry], mark: Watermark) -> tuple[Sequence[Entry], list[int]]:
        """Return the entries to take in, all messages in ordinary form, and the sizes of those that are not settled."""
        kept: list[Entry] = []
        sizes: list[int] = []
        for ordinal, entry in enumerate(entries, self.end):
            fields = None if mark.finished(ordinal) else in_ordinary_form(entry[1])
            if fields is None:
                kept.append(entry)
            elif not isinstance(fields, str):
                kept.append((entry[0], fields))
                sizes.append(len(fields[3]))
            elif self._passes_over(CorruptEntry(ordinal, entry[0], fields)):
                mark.pass_over(ordinal)
                kept.append((entry[0], ()))  # its fields may be long, and nobody looks at them
            else:
                break
        return kept, sizes

    def _passes_over(self, corrupt: CorruptEntry) -> bool:
        self.found.append(corrupt)
        self.corrupt = None if self.lenient else corrupt
        return self.lenient

    def take_found(self) -> list[CorruptEntry]:
        """Return the corrupt entries that nobody was told of yet."""
        found, self.found = self.found, []
        return found

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
