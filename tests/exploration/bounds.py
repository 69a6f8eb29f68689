"""How far to explore: how many of each there are, and what may go wrong how often."""

from __future__ import annotations

from attrs import frozen

__all__ = ["ALL_FAULTS", "LARGE", "NETWORK", "REQUESTS", "SMALL", "Bounds"]

# What may become of a request: it comes late or never, its answer comes late or never, what it announces is not heard.
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


PAUSE = frozenset({"pause"})
ROLLBACKS = frozenset({"roll back"})

# What CI explores. A hand-off needs two partitions (with one, nothing moves from a member that stays), a gap needs two
# keys and two in flight.
SMALL = (
    Bounds("any one fault", ("a", "b"), faults=1),
    Bounds("one comes, any one fault", ("a", ""), present=1, joins=1, faults=1),
    Bounds("one leaves, any one fault", ("a",), leaves=1, faults=1),
    Bounds(
        "one crashes or stands still, and one comes", ("a",), joins=1, faults=1, kinds=frozenset({"crash", "pause"})
    ),
    Bounds("any two faults", ("a",), faults=2),
    Bounds("a pause and a late request, hand-offs", ("", ""), faults=2, kinds=frozenset({"pause", "slow request"})),
    Bounds("seats, any one fault", ("a",), present=1, joins=1, seat="s", faults=1),
    Bounds("two keys, two in flight, any one fault", ("aba",), in_flight=2, faults=1),
    Bounds("two keys, two in flight, one leaves", ("abab",), in_flight=2, leaves=1),
    Bounds("the server goes back, twice or with a crash", ("aa",), faults=2, kinds=ROLLBACKS | {"crash"}),
    Bounds("the server goes back while one comes", ("a", ""), present=1, joins=1, faults=1, kinds=ROLLBACKS),
    Bounds("the server goes back, and a request is late", ("a",), faults=2, kinds=ROLLBACKS | {"slow request"}),
    Bounds("three processes, any one fault", ("", "", ""), letters="abc", present=3, faults=1),
)

# What ``make soak`` explores as well: up to minutes each.
LARGE = (
    Bounds("one comes, busy partitions, a bad network", ("a", "b"), present=1, joins=1, faults=1, kinds=NETWORK),
    Bounds("one comes, busy partitions, a pause", ("a", "b"), present=1, joins=1, faults=1, kinds=PAUSE),
    Bounds("one comes, busy partitions, a crash", ("a", "b"), present=1, joins=1, faults=1, kinds=frozenset({"crash"})),
    Bounds("one leaves, hand-offs, any one fault", ("a", ""), leaves=1, faults=1),
    Bounds("seats, hand-offs, any one fault", ("a", ""), present=1, joins=1, seat="s", faults=1),
    Bounds("any two faults, hand-offs", ("", ""), faults=2),
    Bounds("any two faults, one partition busy", ("a", ""), faults=2),
    Bounds("the server goes back, and one stands still", ("a", ""), faults=2, kinds=ROLLBACKS | {"pause"}),
    Bounds("two keys, two in flight, one leaves, a pause", ("abab",), in_flight=2, leaves=1, faults=1, kinds=PAUSE),
    Bounds("one comes, any two faults", ("a", ""), present=1, joins=1, faults=2),
    Bounds("three processes, one comes, any one fault", ("a", "", ""), letters="abc", present=2, joins=1, faults=1),
)
