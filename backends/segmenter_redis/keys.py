"""Every key of Redis that the library uses. ``specs/keys.md`` says what each holds and who writes it.

A slot is one hash tag, so that all keys of a script live on one node of a cluster: ``{ns:stream}`` for a stream and
its groups, ``{ns:stream:p}`` for a partition. Names hold no braces and no colons, so no two slots share a key.
"""

from __future__ import annotations

import re

from attrs import field, frozen

from segmenter.core.command import GroupSlot, PartitionSlot, StreamSlot

__all__ = ["Keys"]

_CATALOGUED = re.compile(r"\{(?P<namespace>[^:]+):(?P<stream>[^:}]+)\}:(?:config|group:(?P<group>[^:]+):document)")
_Place = tuple[str, int, str]  # stream, partition, and group or nothing


@frozen
class Keys:
    """The keys of one namespace."""

    namespace: str
    _known: dict[_Place, tuple[str, ...]] = field(
        factory=dict[_Place, tuple[str, ...]], init=False, eq=False, repr=False
    )

    # --- of a stream ---

    def config(self, slot: StreamSlot) -> str:
        """The stream's configuration: a hash."""
        return f"{{{self.namespace}:{slot.stream}}}:config"

    # --- of a group ---

    def document(self, slot: GroupSlot) -> str:
        """The group's document and its count of beats: a hash."""
        return f"{self._group(slot)}:document"

    def beats(self, slot: GroupSlot) -> str:
        """The number of each member's last beat: a sorted set."""
        return f"{self._group(slot)}:beats"

    def events(self, slot: GroupSlot) -> str:
        """What the members tell each other: a stream."""
        return f"{self._group(slot)}:events"

    def _group(self, slot: GroupSlot) -> str:
        return f"{{{self.namespace}:{slot.stream}}}:group:{slot.group}"

    # --- of a partition ---

    def log(self, slot: PartitionSlot) -> str:
        """The messages: a stream."""
        return f"{self._partition(slot)}:log"

    def meta(self, slot: PartitionSlot) -> str:
        """What the partition is; it exists while this does: a hash."""
        return f"{self._partition(slot)}:meta"

    def producers(self, slot: PartitionSlot) -> str:
        """The last batch of each producer: a hash."""
        return f"{self._partition(slot)}:producers"

    def lanes(self, slot: PartitionSlot) -> str:
        """The hold and the progress of each group: a hash."""
        return f"{self._partition(slot)}:lanes"

    def parked(self, slot: PartitionSlot, group: str) -> str:
        """The parked letters of a group: a hash."""
        return f"{self._partition(slot)}:group:{group}:parked"

    def dead(self, slot: PartitionSlot, group: str) -> str:
        """Its dead letters: a hash."""
        return f"{self._partition(slot)}:group:{group}:dead"

    def requests(self, slot: PartitionSlot, group: str) -> str:
        """What the owner is asked to do with parked letters: a hash."""
        return f"{self._partition(slot)}:group:{group}:requests"

    def of_partition(self, slot: PartitionSlot) -> tuple[str, ...]:
        """Its log, meta, producers and lanes. Appends name them all the time, so they are put together once."""
        known = self._known.get((slot.stream, slot.partition, ""))
        if known is None:
            known = self.log(slot), self.meta(slot), self.producers(slot), self.lanes(slot)
            self._known[slot.stream, slot.partition, ""] = known
        return known

    def of_lane(self, slot: PartitionSlot, group: str) -> tuple[str, ...]:
        """The log, meta and lanes of its partition, and what is set aside; commits name them all the time."""
        known = self._known.get((slot.stream, slot.partition, group))
        if known is None:
            aside = self.parked(slot, group), self.dead(slot, group), self.requests(slot, group)
            known = (self.log(slot), self.meta(slot), self.lanes(slot), *aside)
            self._known[slot.stream, slot.partition, group] = known
        return known

    def _partition(self, slot: PartitionSlot) -> str:
        return f"{{{self.namespace}:{slot.stream}:{slot.partition}}}"

    # --- of whatever can be found ---

    @property
    def pattern(self) -> str:
        """What every key of the namespace matches; names hold no character that a pattern gives a meaning to."""
        return f"{{{self.namespace}:*"

    def slot_of(self, key: str) -> StreamSlot | GroupSlot | None:
        """The stream or group whose configuration or document a key holds; ``None`` for any other key."""
        found = _CATALOGUED.fullmatch(key)
        if found is None or found["namespace"] != self.namespace:
            return None
        return GroupSlot(found["stream"], found["group"]) if found["group"] else StreamSlot(found["stream"])

    # --- of whatever can be read ---

    def readable(self, slot: PartitionSlot | GroupSlot) -> str:
        """The stream that a cursor points into."""
        return self.log(slot) if isinstance(slot, PartitionSlot) else self.events(slot)
