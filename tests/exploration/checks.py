"""What must hold of what a lane stores and of each start, beyond what the core's own invariants ask of one step."""

from __future__ import annotations

from collections.abc import Sequence

from segmenter.core.aside import Aside, Letter, Request
from segmenter.core.invariants import Violation, check_progress
from segmenter.core.parking import BEHIND
from segmenter.core.partition import Lane
from tests.exploration.ledger import bits

__all__ = ["check_moved", "check_owed", "check_start", "check_stored"]


def check_stored(lane: Lane, settled: int, keys: str) -> None:
    """INV-4 and INV-5: what counts as settled is, or is set aside, in one place; of each key it is what came first."""
    progress, parked, dead = lane.progress, _ordinals(lane.aside.parked), _ordinals(lane.aside.dead)
    check_progress(progress, {*bits(settled), *parked, *dead})
    if parked & dead:
        raise Violation(f"INV-5 a letter is in one place: {sorted(parked & dead)} is parked and dead")
    counted = {*range(progress.read)}.union(*(range(start, end) for start, end in progress.ranges))
    if not parked | dead <= counted:
        raise Violation(f"INV-5 what is set aside counts as settled: {sorted((parked | dead) - counted)} does not")
    for ordinal in counted:
        skipped = [other for other in _before(ordinal, keys) if other not in counted]
        if skipped:
            raise Violation(f"INV-5 of a key, what came first is settled: {ordinal} counts, and {skipped} does not")


def check_moved(before: Aside, after: Aside) -> None:
    """INV-5: what is parked has failed, or lies behind what did."""
    for letter in after.parked:
        ahead = [other for other in (*before.parked, *after.parked) if other.key == letter.key]
        behind = any(other.ordinal < letter.ordinal for other in ahead)
        if letter not in before.parked and letter.reason == BEHIND and not behind:
            raise Violation(f"INV-5 what is parked has failed, or lies behind what did: {letter.ordinal} does not")


def check_start(what: str, ordinal: int, keys: str, settled: int, aside: Aside) -> None:
    """INV-6, where ``aside`` is what the owner knows to be set aside, stored or not."""
    before = _before(ordinal, keys)
    parked = _ordinals(aside.parked).intersection(before)
    if parked:
        raise Violation(f"INV-6 nothing starts behind a parked message: {what}, and {sorted(parked)} is parked")
    done = {*bits(settled), *_ordinals(aside.dead)}
    if not done.issuperset(before):
        left = [other for other in before if other not in done]
        raise Violation(f"INV-6 a message starts after the one before it: {what}, and {left} is not settled")


def check_owed(owed: int, keys: str, requests: Sequence[Request]) -> None:
    """P6: of what was to be redriven or discarded nothing is left, or its key has failed once more."""
    asked = {request.key for request in requests}
    left = [ordinal for ordinal in bits(owed) if None not in asked and keys[ordinal].lower().encode() not in asked]
    if left:
        raise Violation(f"P6 what is asked is done: {left} is parked, and nothing is asked of it any more")


def _ordinals(letters: Sequence[Letter]) -> set[int]:
    return {letter.ordinal for letter in letters}


def _before(ordinal: int, keys: str) -> list[int]:
    """The earlier messages of the same key."""
    return [other for other in range(ordinal) if keys[other].lower() == keys[ordinal].lower()]
