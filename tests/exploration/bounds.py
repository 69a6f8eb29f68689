"""How far to explore: how many of each there are, and what may go wrong how often."""

from __future__ import annotations

from attrs import frozen

__all__ = ["ALL_FAULTS", "NETWORK", "Bounds"]

# What may become of a request: it comes late, or never; its answer comes late, or never; what it announces is not heard.
REQUESTS = ("slow request", "slow answer", "unheard")
NETWORK = frozenset({*REQUESTS, "lost beat", "slow beat"})
ALL_FAULTS = NETWORK | {"pause", "crash", "roll back"}


@frozen
class Bounds:
    """A corner of all that may happen."""

    name: str
    logs: tuple[str, ...]  # of each partition, a letter for each message: its key
    letters: str = "ab"  # of the processes
    present: int = 2  # who is a member at the beginning: the first ones
    in_flight: int = 1  # handlers of a partition
    joins: int = 0
    leaves: int = 0
    faults: int = 0
    kinds: frozenset[str] = ALL_FAULTS - {"roll back"}
    seat: str | None = None  # of every process: each newcomer displaces who sits there
    live: bool = True  # whether to ask what is bound to happen, too

    @property
    def rolls_back(self) -> bool:
        """Whether the server may lose what it had."""
        return self.faults > 0 and "roll back" in self.kinds
