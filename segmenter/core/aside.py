"""What a lane has set aside: parked letters, dead letters, and requests for the parked ones.

When a message fails for good, one of two things lets its partition go on. It becomes a **dead letter**, and its key
goes on; or it is **parked**, and every later message of its key is parked behind it, so that the key keeps its order
while all others go on. Either way it is copied out of the log by the very step that counts it as settled, so trimming
does not reach it, and it is in exactly one place.

Parked letters are taken up again by the partition's owner alone, since only it can keep them in order: whoever wants
that leaves a **request** in the lane. Dead letters belong to no order; they are replayed to the end of the log.

Letters outlive the log that they were copied from. When it has lost its end, ordinals come again, for other messages;
so letters that would stand in their way get ordinals below those of any message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from typing import Literal

from attrs import evolve, frozen

__all__ = [
    "LIMIT_ASIDE",
    "LIMIT_REASON",
    "NO_MOVES",
    "Aside",
    "Letter",
    "Moves",
    "Place",
    "Request",
    "Shelf",
    "Summary",
]

LIMIT_ASIDE = 10_000  # letters of each shelf; at the limit the partition reads no further until some are gone
LIMIT_REASON = 500  # characters of a reason
LIMIT_TOKEN = 200  # characters of the token of a request
LOWEST = -1  # no message has an ordinal below this one, which says that none is tried

Shelf = Literal["parked", "dead"]
Place = tuple[int, bytes]  # ordinal and key: where a letter lies on its shelf


@frozen
class Letter:
    """A message that was set aside."""

    ordinal: int
    entry_id: bytes
    key: bytes
    data: bytes
    headers: bytes = b""
    attempts: int = 0  # deliveries that it had
    reason: str = ""

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.ordinal, self.key


@frozen(order=True)
class Request:
    """What the owner is asked to do with what is parked: under one key, or all of it."""

    what: Literal["redrive", "discard"]
    key: bytes | None
    token: str  # fresh for each, so that whoever has carried one out does not take away the next

    def in_place_of(self, standing: Request) -> Request:
        """Return what stands when this one has come, under the tokens of both; the same once more changes nothing.

        It may be an earlier one that comes again, late. By its own token, whoever has carried that out would take it
        away, and with it the one in whose place it stands.
        """
        if f"{standing.token}+".startswith(f"{self.token}+"):
            return standing
        return evolve(self, token=f"{self.token}+{standing.token}"[:LIMIT_TOKEN])


@frozen
class Moves:
    """What a commit sets aside and takes back, in the step that stores the progress that goes with it."""

    park: tuple[Letter, ...] = ()
    bury: tuple[Letter, ...] = ()
    unpark: tuple[Place, ...] = ()
    heeded: tuple[Request, ...] = ()

    @property
    def none(self) -> bool:
        """Whether nothing is moved."""
        return not (self.park or self.bury or self.unpark or self.heeded)


NO_MOVES = Moves()


@frozen
class Summary:
    """What an owner has to know of what is set aside."""

    keys: tuple[tuple[bytes, int], ...] = ()  # that are parked, and how many letters lie under each
    dead: int = 0
    requests: tuple[Request, ...] = ()


@frozen
class Aside:
    """The shelves of a lane, by ordinal, and the requests."""

    parked: tuple[Letter, ...] = ()
    dead: tuple[Letter, ...] = ()
    requests: tuple[Request, ...] = ()

    def moved(self, moves: Moves) -> Aside:
        """Return what it is after a commit."""
        if moves.none:
            return self
        parked = _without(self.parked, moves.unpark)
        requests = tuple([request for request in self.requests if request not in moves.heeded])
        return Aside(_with(parked, moves.park), _beside(self.dead, moves.bury), requests)

    def without_parked(self, ids: Container[bytes]) -> Aside:
        """Return it without what was parked of these entries of the log."""
        return evolve(self, parked=tuple([letter for letter in self.parked if letter.entry_id not in ids]))

    def clear_of(self, ordinal: int) -> Aside:
        """Return it with nothing parked from an ordinal on, where other messages will be.

        If anything is, all that is parked goes below the ordinals of any message, and keeps its order.
        """
        last = max([letter.ordinal for letter in self.parked], default=LOWEST)
        if last < ordinal:
            return self
        down = last - LOWEST + 1
        return evolve(self, parked=tuple([evolve(letter, ordinal=letter.ordinal - down) for letter in self.parked]))

    def still_dead(self, letters: Iterable[Letter]) -> list[Letter]:
        """Return those of some dead letters that still are; in the place of one, another message may lie."""
        ids = {letter.place: letter.entry_id for letter in self.dead}
        return [letter for letter in letters if ids.get(letter.place) == letter.entry_id]

    def without_dead(self, letters: Iterable[Letter]) -> Aside:
        """Return it without some dead letters, all of which still are."""
        return evolve(self, dead=_without(self.dead, [letter.place for letter in letters]))

    def asked(self, request: Request) -> Aside:
        """Return it with a request, in the place of one that stands for the same."""
        same = [other for other in self.requests if (other.what, other.key) == (request.what, request.key)]
        others = [other for other in self.requests if other not in same]
        asked = request.in_place_of(same[0]) if same else request
        return evolve(self, requests=tuple(sorted([*others, asked], key=_order)))

    @property
    def summary(self) -> Summary:
        """What an owner has to know."""
        keys = Counter(letter.key for letter in self.parked)
        return Summary(tuple(sorted(keys.items())), len(self.dead), self.requests)


def _with(letters: tuple[Letter, ...], new: tuple[Letter, ...]) -> tuple[Letter, ...]:
    by_place = {letter.place: letter for letter in (*letters, *new)}
    return tuple([by_place[place] for place in sorted(by_place)])


def _beside(letters: tuple[Letter, ...], new: tuple[Letter, ...]) -> tuple[Letter, ...]:
    """Put in new letters; one whose place another message has goes below all others, and below all messages."""
    by_place = {letter.place: letter for letter in letters}
    for letter in new:
        there = letter
        if by_place.get(letter.place, letter).entry_id != letter.entry_id:
            there = evolve(letter, ordinal=min([LOWEST, *(ordinal for ordinal, _ in by_place)]) - 1)
        by_place[there.place] = there
    return tuple([by_place[place] for place in sorted(by_place)])


def _without(letters: tuple[Letter, ...], places: Iterable[Place]) -> tuple[Letter, ...]:
    gone = set(places)
    return tuple([letter for letter in letters if letter.place not in gone])


def _order(request: Request) -> tuple[str, bytes]:
    return request.what, request.key or b""
