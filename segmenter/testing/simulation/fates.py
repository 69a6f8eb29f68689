"""What becomes of each message in a simulation: drawn from the seed and the message, whoever handles it."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Literal

from segmenter import Message
from segmenter.testing.simulation.plan import Plan

__all__ = ["LIMIT_ATTEMPTS", "Fate", "Fates"]

LIMIT_ATTEMPTS = 2  # what comes more often is parked before it is looked at: it may have killed its process
LIMIT_FAILURES = 2  # for good, of a message that fails at first

Fate = Literal["ack", "nack", "hang", "park", "reject", "die"]


class Fates:
    """Some messages fail for good once or twice; a delivery of any other may be given back, or never end."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._failed: Counter[tuple[str, bytes]] = Counter()

    def of(self, message: Message, worker: str) -> Fate:
        """What the handler in a worker makes of a delivery."""
        if message.attempt > LIMIT_ATTEMPTS:
            return self._fail(message, "park")
        chance = Random(f"{self._plan.seed}/{message.key}/{message.data.decode()}")
        failures, fate = chance.randint(1, LIMIT_FAILURES), chance.random()
        if self._failed[message.key, message.data] < failures:
            for share, bad in self._bad:
                if fate < share:
                    return bad if bad == "die" else self._fail(message, bad)
                fate -= share
        return self._of_delivery(message, worker)

    @property
    def _bad(self) -> tuple[tuple[float, Fate], ...]:
        return (self._plan.deadly, "die"), (self._plan.parked, "park"), (self._plan.rejected, "reject")

    def _fail(self, message: Message, fate: Fate) -> Fate:
        self._failed[message.key, message.data] += 1
        return fate

    def _of_delivery(self, message: Message, worker: str) -> Fate:
        fate = Random(f"{self._plan.seed}/{message.id}/{message.attempt}/{worker}").random()
        if fate < self._plan.hangs:
            return "hang"
        return "nack" if fate < self._plan.hangs + self._plan.fails else "ack"
