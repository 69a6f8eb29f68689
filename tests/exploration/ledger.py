"""What is remembered of the past, beside what server and processes know, to judge what comes."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, frozen

from segmenter.core.aside import Aside, Moves, Request
from segmenter.core.parking import BEHIND

__all__ = ["Ledger", "bits"]

Place = tuple[int, int]  # partition and ordinal


def bits(ordinals: int) -> list[int]:
    """The ordinals in a set of bits."""
    return [ordinal for ordinal in range(ordinals.bit_length()) if ordinals >> ordinal & 1]


@frozen(cache_hash=True)
class Ledger:
    """Entries; its methods return what it becomes. Sets of ordinals are bits, for each partition."""

    settled: tuple[int, ...]  # by a handler, or discarded, whatever becomes of whoever did it
    owed: tuple[int, ...]  # parked and asked for, until that is done
    trials: tuple[tuple[Place, int], ...] = ()  # how often each failed or killed since it was parked

    def settle(self, partition: int, ordinal: int) -> Ledger:
        """A message is settled."""
        settled = _put(self.settled, partition, self.settled[partition] | 1 << ordinal)
        return evolve(self, settled=settled)._begun_anew({(partition, ordinal)})

    def tried(self, partition: int, ordinal: int) -> Ledger:
        """A handler failed, or killed its process."""
        return self._with_tries(partition, ordinal, self.tries(partition, ordinal) + 1)

    def tries(self, partition: int, ordinal: int) -> int:
        """How often it did."""
        return dict(self.trials).get((partition, ordinal), 0)

    def _with_tries(self, partition: int, ordinal: int, count: int) -> Ledger:
        trials = {place: tries for place, tries in self.trials if place != (partition, ordinal)}
        kept = {**trials, (partition, ordinal): count} if count else trials
        return evolve(self, trials=tuple(sorted(kept.items())))

    def asked(self, partition: int, request: Request, aside: Aside, tries: int) -> Ledger:
        """An operator asks for what is parked, which may be tried so often once more, even if it is in hand already."""
        concerned = [letter for letter in aside.parked if request.key in (None, letter.key)]
        ledger, owed = self, self.owed[partition]
        for letter in concerned:
            owed |= 1 << letter.ordinal
            in_hand = any(other.key in (None, letter.key) for other in aside.requests)
            left = self.tries(partition, letter.ordinal) - tries if in_hand else 0
            ledger = ledger._with_tries(partition, letter.ordinal, left)
        return evolve(ledger, owed=_put(self.owed, partition, owed))

    def stored(self, partition: int, moves: Moves, keys: str) -> Ledger:
        """A commit went through: what was asked for is done where it takes back, or where a key has failed again."""
        failed = {letter.key for letter in moves.park if letter.reason != BEHIND}
        done = {ordinal for ordinal, _ in moves.unpark}
        left = [ordinal for ordinal in bits(self.owed[partition]) if keys[ordinal].lower().encode() not in failed]
        owed = sum(1 << ordinal for ordinal in left if ordinal not in done)
        parked = {(partition, letter.ordinal) for letter in moves.park}
        return evolve(self, owed=_put(self.owed, partition, owed))._begun_anew(parked)

    def _begun_anew(self, places: Iterable[Place]) -> Ledger:
        trials = tuple((place, count) for place, count in self.trials if place not in places)
        return evolve(self, trials=trials) if trials != self.trials else self


def _put(bits_of_each: tuple[int, ...], partition: int, bits_of_one: int) -> tuple[int, ...]:
    return (*bits_of_each[:partition], bits_of_one, *bits_of_each[partition + 1 :])
