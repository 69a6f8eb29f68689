"""Which keys of a held partition are parked, and what the next commit sets aside.

The owner counts for itself what it has parked and taken back, from what its claim told it, so it knows at each moment
which keys are parked, without asking. What is set aside here becomes durable with the progress that counts it as
settled: ``take`` hands over all of it, for the very next commit.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from segmenter.core.aside import LIMIT_ASIDE, NO_MOVES, Letter, Moves, Place, Request, Summary
from segmenter.core.failure import safe_text
from segmenter.core.message import Message

if TYPE_CHECKING:
    from segmenter.core.lanes import KeyLanes

__all__ = ["BEHIND", "LIMIT_PENDING", "Parking", "letter_behind", "letter_of", "message_of"]

LIMIT_PENDING = 500  # letters waiting for the next commit, before reading stops until it is answered
LIMIT_HEEDED = 100  # requests remembered, so that none is carried out twice
NOTHING = Summary()
BEHIND = "behind a parked message of its key"


def letter_of(message: Message, reason: object) -> Letter:
    """Return a message as it is set aside; the reason is made a text that can be stored, whatever it is."""
    return Letter(
        ordinal=message.ordinal,
        entry_id=message.entry_id,
        key=message.raw_key,
        data=message.data,
        headers=message.raw_headers,
        attempts=message.attempt,
        reason=safe_text(reason),
    )


def message_of(letter: Letter, lanes: KeyLanes, attempt: int) -> Message:
    """Return a letter as a message that is handled once more."""
    return Message(lanes, letter.ordinal, letter.entry_id, letter.key, letter.data, letter.headers, attempt)


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
        self._in_flight = NO_MOVES  # what the commit carries that is not answered yet
        self._past: deque[str] = deque(maxlen=LIMIT_HEEDED)

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
        """Nothing is parked under a key but what is not stored yet."""
        self.parked -= self.counts.pop(key, 0)
        if left := self._arriving[key]:
            self.counts[key] = left
            self.parked += left

    def heed(self, request: Request) -> None:
        """A request has been carried out."""
        self._heeded.append(request)
        self._past.append(request.token)
        self.requests = tuple([other for other in self.requests if other != request])

    def told(self, dead: int, requests: Sequence[Request]) -> None:
        """What others have done meanwhile: dead letters may be gone, and requests have come.

        One that was carried out may have been sent twice, the second one late: it is taken away once more.
        """
        self.requests = tuple([request for request in requests if request.token not in self._past])
        self._heeded += [each for each in requests if each.token in self._past and each not in self._heeded]
        if not (self._bury or self._in_flight.bury):
            self.dead = dead

    # --- what the next commit carries -------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the next commit."""
        return not (self._park or self._bury or self._unpark or self._heeded)

    @property
    def unstored(self) -> set[bytes]:
        """The keys of which nothing can be fetched: what is stored will be gone, or nothing is stored yet."""
        leaving = {key for _, key in (*self._unpark, *self._in_flight.unpark)}
        return leaving.union(key for key, count in self._arriving.items() if count >= self.counts.get(key, 0))

    @property
    def _arriving(self) -> Counter[bytes]:
        return Counter(letter.key for letter in (*self._park.values(), *self._in_flight.park))

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
        self._in_flight = moves
        return moves

    def stored(self) -> None:
        """What was taken last is stored."""
        self._in_flight = NO_MOVES
