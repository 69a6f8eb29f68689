"""How far to explore: how many of each there are, and what may go wrong how often."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from segmenter.core.caution import LIMIT_UNCLEAN
from segmenter.core.errands import LIMIT_PAGE
from segmenter.core.retry import Retry

__all__ = ["ALL_FAULTS", "ASKS", "LARGE", "NETWORK", "REQUESTS", "SMALL", "Ask", "Bounds"]

Ask = tuple[Literal["redrive", "discard"], str]  # "redrive" or "discard", and a key; "" stands for all of them
REDRIVE: tuple[Ask, ...] = (("redrive", ""),)
ASKS: tuple[Ask, ...] = (*REDRIVE, ("discard", "a"))

# What may become of a request: it comes late or never, its answer comes late or never, what it announces is not heard.
REQUESTS = ("slow request", "slow answer", "unheard")
NETWORK = frozenset({*REQUESTS, "lost beat", "slow beat"})
ALL_FAULTS = NETWORK | {"pause", "crash", "roll back", "asked twice"}


@frozen
class Bounds:
    """A corner of all that may happen."""

    name: str
    logs: tuple[str, ...]  # of each partition, a letter for each message: its key; a capital is one that makes trouble
    letters: str = "ab"  # of the processes
    present: int = 2  # who is a member at the beginning: the first ones
    in_flight: int = 1  # handlers of a partition
    joins: int = 0
    leaves: int = 0
    faults: int = 0
    kinds: frozenset[str] = ALL_FAULTS - {"roll back"}
    seat: str | None = None  # of every process: each newcomer displaces who sits there
    own_seats: bool = False  # of each process, which finds it again when it starts once more
    live: bool = True  # whether to ask what is bound to happen, too
    trouble: frozenset[str] = frozenset()  # what handlers of messages that make some may do: fail, reject, kill
    attempts: int = 1  # of a message, before it is parked
    at_once: int = 99  # messages that are read with the claim; the others come one by one
    window: int = 0  # how far ahead of its progress a claimant takes a former owner to have been
    cancels: bool = False  # whether handlers may be cancelled, at the end of the drain time-out
    asks: tuple[Ask, ...] = ()  # what an operator may ask for ...
    requests: int = 0  # ... and how often
    page: int = LIMIT_PAGE  # letters that are fetched at once
    clock_behind: bool = False  # whether the server's clock is behind every epoch, as after a failover to another node

    @property
    def rolls_back(self) -> bool:
        """Whether the server may lose what it had."""
        return self.faults > 0 and "roll back" in self.kinds

    @property
    def retry(self) -> Retry:
        """How often a message is tried."""
        return Retry(attempts=self.attempts)

    def seat_of(self, letter: str) -> str | None:
        """The seat of a process."""
        return f"seat of {letter}" if self.own_seats else self.seat

    @property
    def restarts(self) -> bool:
        """Whether a supervisor starts again what has died."""
        return "kill" in self.trouble

    @property
    def limit_tries(self) -> int:
        """How often a message may fail or kill until it is parked.

        A fault may have it forgotten that it failed; that it killed is only forgotten by a server that goes back.
        """
        again = 1 + self.faults
        failures = self.attempts * again if "fail" in self.trouble else 0
        deaths = (LIMIT_UNCLEAN + self.attempts) * (again if self.rolls_back else 1) if self.restarts else 0
        return failures + deaths

    def troublesome(self, partition: int, ordinal: int) -> bool:
        """Whether a message makes trouble."""
        return self.logs[partition][ordinal].isupper()


PAUSE = frozenset({"pause"})
ROLLBACKS = frozenset({"roll back"})
LATE_OR_CRASH = frozenset({"slow request", "slow answer", "crash"})
FAILS, KILLS = frozenset({"fail"}), frozenset({"kill"})

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
    Bounds("seats, one leaves and comes back or another comes", ("a", ""), joins=1, leaves=1, own_seats=True),
    Bounds("seats, one leaves and comes back, any one fault", ("",), joins=1, leaves=1, faults=1, own_seats=True),
    Bounds("two keys, two in flight, any one fault", ("aba",), in_flight=2, faults=1),
    Bounds("two keys, two in flight, one leaves", ("abab",), in_flight=2, leaves=1),
    Bounds("the server goes back, twice or with a crash", ("aa",), faults=2, kinds=ROLLBACKS | {"crash"}),
    Bounds("the server goes back while one comes", ("a", ""), present=1, joins=1, faults=1, kinds=ROLLBACKS),
    Bounds("the server goes back, and a request is late", ("a",), faults=2, kinds=ROLLBACKS | {"slow request"}),
    Bounds(
        "the server goes back, and its clock is behind", ("a",), present=1, faults=2, kinds=ROLLBACKS, clock_behind=True
    ),
    Bounds("three processes, any one fault", ("", "", ""), letters="abc", present=3, faults=1),
    # What is set aside. With one process, whatever its owners do one after the other is to be seen, and no hand-off.
    Bounds("a key fails, one leaves", ("Aab",), leaves=1, trouble=FAILS | {"reject"}, attempts=2),
    Bounds(
        "redriven or discarded, one leaves",
        ("Aa",),
        leaves=1,
        trouble=FAILS,
        cancels=True,
        asks=ASKS,
        requests=1,
        page=1,
    ),
    Bounds(
        "redriven as it is read, a crash or a late request",
        ("Aa",),
        faults=1,
        kinds=LATE_OR_CRASH,
        trouble=FAILS,
        at_once=1,
        asks=REDRIVE,
        requests=1,
        page=1,
    ),
    Bounds(
        "redriven twice, and a request comes again late",
        ("A",),
        letters="a",
        present=1,
        faults=1,
        kinds=frozenset({"asked twice"}),
        trouble=FAILS,
        asks=REDRIVE,
        requests=2,
    ),
    Bounds("a key fails, and the server goes back", ("Aa",), faults=1, kinds=ROLLBACKS, trouble=FAILS | {"reject"}),
    Bounds("a message kills, two in flight", ("Ab",), in_flight=2, trouble=KILLS, attempts=2, window=2),
    Bounds(
        "a message kills, and is redriven",
        ("Aa",),
        letters="a",
        present=1,
        trouble=KILLS,
        window=2,
        asks=ASKS,
        requests=1,
    ),
)

# What ``make soak`` explores as well: up to minutes each.
LARGE = (
    Bounds("one comes, busy partitions, a bad network", ("a", "b"), present=1, joins=1, faults=1, kinds=NETWORK),
    Bounds("one comes, busy partitions, a pause", ("a", "b"), present=1, joins=1, faults=1, kinds=PAUSE),
    Bounds("one comes, busy partitions, a crash", ("a", "b"), present=1, joins=1, faults=1, kinds=frozenset({"crash"})),
    Bounds("one leaves, hand-offs, any one fault", ("a", ""), leaves=1, faults=1),
    Bounds("seats, hand-offs, any one fault", ("a", ""), present=1, joins=1, seat="s", faults=1),
    Bounds("seats, a restart in order, any one fault", ("a", ""), joins=1, leaves=1, faults=1, own_seats=True),
    Bounds("any two faults, hand-offs", ("", ""), faults=2),
    Bounds("any two faults, one partition busy", ("a", ""), faults=2),
    Bounds("the server goes back, and one stands still", ("a", ""), faults=2, kinds=ROLLBACKS | {"pause"}),
    Bounds("two keys, two in flight, one leaves, a pause", ("abab",), in_flight=2, leaves=1, faults=1, kinds=PAUSE),
    Bounds("one comes, any two faults", ("a", ""), present=1, joins=1, faults=2),
    Bounds("three processes, one comes, any one fault", ("a", "", ""), letters="abc", present=2, joins=1, faults=1),
    Bounds(
        "a key fails, two in flight, one leaves",
        ("Aab",),
        in_flight=2,
        leaves=1,
        trouble=FAILS | {"reject"},
        attempts=2,
        cancels=True,
    ),
    Bounds(
        "a key fails, and the server goes back twice",
        ("Aab",),
        letters="a",
        present=1,
        in_flight=2,
        faults=2,
        kinds=ROLLBACKS,
        trouble=FAILS | {"reject"},
        attempts=2,
    ),
    Bounds("a message kills, and the server goes back", ("Ab",), faults=1, kinds=ROLLBACKS, trouble=KILLS, window=2),
    Bounds("redriven and discarded, one leaves", ("Aa",), leaves=1, trouble=FAILS, asks=ASKS, requests=2),
    Bounds(
        "redriven, one leaves, a crash or a late request",
        ("Aa",),
        leaves=1,
        faults=1,
        kinds=LATE_OR_CRASH,
        trouble=FAILS,
        cancels=True,
        asks=REDRIVE,
        requests=1,
    ),
    Bounds(
        "all of a key fail, one leaves", ("AA",), leaves=1, trouble=FAILS | {"reject"}, asks=ASKS, requests=1, page=1
    ),
    Bounds(
        "two keys, redriven and discarded as they are read",
        ("Aab",),
        letters="a",
        present=1,
        trouble=FAILS,
        at_once=1,
        asks=ASKS,
        requests=2,
        page=1,
    ),
    Bounds(
        "a message kills, is redriven and discarded, any one fault",
        ("Aa",),
        letters="a",
        present=1,
        faults=1,
        trouble=KILLS,
        window=2,
        asks=ASKS,
        requests=1,
    ),
)
