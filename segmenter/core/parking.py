"""Which keys of a held partition are parked, and what the next commit sets aside.

The owner counts for itself what it has parked and taken back, from what its claim told it, so it knows at each moment
which keys are parked, without asking. What is set aside here becomes durable with the progress that counts it as
settled: ``take`` hands over all of it, for the very next commit.
"""

from __future__ import annotations

from attrs import evolve

from segmenter.core.aside import LIMIT_ASIDE, LIMIT_REASON, Letter, Moves, Place, Request, Summary
from segmenter.core.message import Message

__all__ = ["BEHIND", "LIMIT_PENDING", "Parking", "letter_behind", "letter_of"]

LIMIT_PENDING = 500  # letters waiting for the next commit, before reading stops until it is answered
NOTHING = Summary()
BEHIND = "behind a parked message of its key"


def letter_of(message: Message, reason: str) -> Letter:
    """Return a message as it is set aside."""
    return Letter(
        ordinal=message.ordinal,
        entry_id=message.entry_id,
        key=message.raw_key,
        data=message.data,
        headers=message.raw_headers,
        attempts=message.attempt,
        reason=reason[:LIMIT_REASON],
    )


def letter_behind(message: Message) -> Letter:
    """Return a message as it is parked behind another one, without having been tried."""
    return evolve(letter_of(message, BEHIND), attempts=message.attempt - 1)


class Parking:
    """The parked keys of one partition under one epoch."""

    def __init__(self, summary: Summary = NOTHING) -> None:
        self.counts = dict(summary.keys)  # of the letters under each parked key
        self.parked = sum(self.counts.values())
        self.dead = summary.dead
        self.requests = summary.requests  # as last told
        self.failed: set[bytes] = set()  # keys of which a letter that was taken up has failed once more
        self._park: dict[Place, Letter] = {}
        self._bury: dict[Place, Letter] = {}
        self._unpark: list[Place] = []
        self._heeded: list[Request] = []

    # --- what is set aside ------------------------------------------------------------------------------------------

    def park(self, letter: Letter) -> None:
        """Put a letter behind those of its key."""
        self._park[letter.place] = letter
        self.counts[letter.key] = self.counts.get(letter.key, 0) + 1
        self.parked += 1

    def park_again(self, letter: Letter) -> None:
        """A letter that was taken up failed again: it stays where it lies, and tells why."""
        self._park[letter.place] = letter
        self.failed.add(letter.key)

    def bury(self, letter: Letter) -> None:
        """Make a letter a dead one."""
        self._bury[letter.place] = letter
        self.dead += 1

    def unpark(self, letter: Place) -> None:
        """A letter that was taken up is settled; with the last one, its key is no longer parked."""
        self._unpark.append(letter)
        self._park.pop(letter, None)
        key = letter[1]
        self.parked -= 1
        self.counts[key] -= 1
        if self.counts[key] == 0:
            del self.counts[key]

    def forget(self, key: bytes) -> None:
        """Nothing is parked under a key."""
        self.parked -= self.counts.pop(key, 0)

    def heed(self, request: Request) -> None:
        """A request has been carried out."""
        self._heeded.append(request)
        self.requests = tuple([other for other in self.requests if other != request])

    # --- what the next commit carries -------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the next commit."""
        return not (self._park or self._bury or self._unpark or self._heeded)

    @property
    def pressing(self) -> bool:
        """Whether so much waits for the next commit that it should come at once."""
        return len(self._park) + len(self._bury) >= LIMIT_PENDING

    @property
    def full(self) -> bool:
        """Whether so much is set aside that reading on must wait until somebody has taken care of it."""
        return self.parked >= LIMIT_ASIDE or self.dead >= LIMIT_ASIDE

    def take(self) -> Moves:
        """Hand over all that waits for the next commit."""
        moves = Moves(tuple(self._park.values()), tuple(self._bury.values()), tuple(self._unpark), tuple(self._heeded))
        self._park, self._bury, self._unpark, self._heeded = {}, {}, [], []
        return moves
