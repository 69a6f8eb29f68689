"""Taking partitions into custody and giving them up, as the machine says, and telling the user's hooks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from segmenter.config import ConsumerOptions
from segmenter.core.beats import LEASE_SHARE
from segmenter.core.caution import Turn
from segmenter.core.command import GroupSlot, PartitionSlot
from segmenter.core.continuity import Cut, Memory, cut_by_claim
from segmenter.core.observations import Corrupt, Gap, Observation, Truncation
from segmenter.core.partition import Claimed, Release, Released
from segmenter.errors import SegmenterError
from segmenter.runtime.holding import Holding, Wrong
from segmenter.runtime.holdings import Holdings
from segmenter.runtime.hooks import HookCalls
from segmenter.runtime.host import Host

__all__ = ["Attendant", "Custody"]


class Attendant(Protocol):
    """Whoever runs handlers on what is held here, times them and ends them."""

    def offered(self, holding: Holding) -> None:
        """Something of a holding may start."""
        ...

    def revoked(self, partition: int) -> None:
        """A partition is to be given up, once its handlers have ended."""
        ...

    def lost(self, partition: int) -> None:
        """A partition belongs to somebody else."""
        ...

    def cancelled(self) -> None:
        """The task that runs the consumer was cancelled."""
        ...

    def failed(self, error: SegmenterError) -> None:
        """The process is not to be trusted any more."""
        ...


class Custody:
    """What happens to a holding between its grant and its end."""

    def __init__(
        self,
        slot: GroupSlot,
        holdings: Holdings,
        hooks: HookCalls,
        host: Host,
        *,
        options: ConsumerOptions,
        touched: Callable[[Holding], None],
        observe: Callable[[Observation], None],
        freed: Callable[[Holding], None],
        consumer: object,
        place: object = None,
        turn: Turn | None = None,
    ) -> None:
        self._slot = slot
        self._holdings = holdings
        self._hooks = hooks
        self._host = host
        # That a commit may be without an answer before its partition starts nothing more.
        self._patience_s = LEASE_SHARE * options.session_timeout_s
        self._touched = touched
        self._observe = observe
        self._consumer = consumer
        self.attendant: Attendant | None = None
        self._place = place
        self._turn = turn or Turn()
        self._freed = freed
        self._lenient = options.on_loss == "continue"  # corrupt entries are passed over
        self._memories: dict[tuple[int, str], Memory] = {}  # of partitions held before, by incarnation
        self._seeking: dict[int, tuple[bytes, asyncio.Future[None]]] = {}

    def fetch(self, member: str, partition: int, grant: Claimed) -> None:
        """A claim was granted: hold the partition."""
        slot = PartitionSlot(self._slot.stream, partition)
        holding = Holding(
            slot,
            self._slot.group,
            member,
            grant,
            clock=self._host.clock,
            patience_s=self._patience_s,
            touched=self._touched,
            consumer=self._consumer,
            place=self._place,
            lanes=self._host.lanes,
            lenient=self._lenient,
            turn=self._turn,
            freed=self._freed,
        )
        self._holdings.add(holding)
        self._compare(member, holding, self._memories.pop((partition, grant.incarnation), Memory()))
        self._hooks.assigned(holding)
        seeking = self._seeking.pop(partition, None)
        if seeking is not None and not seeking[1].done():
            seeking[1].set_result(None)

    def _compare(self, member: str, holding: Holding, memory: Memory) -> None:
        """Tell what is lost, as far as the claim shows; what is read next may show the rest."""
        grant, partition = holding.grant, holding.partition
        cut = cut_by_claim(grant, memory)
        if cut is not None:
            self.tell(member, partition, cut)
        elif grant.first > grant.progress.read:
            self._observe(Gap(member, partition, grant.first - grant.progress.read))
        if cut is None:
            ahead = tuple(seen for seen in memory.places if not seen.reached_by(holding.lanes.backlog.seen))
            holding.earlier = Memory(ahead)

    def found(self, holding: Holding, wrong: Wrong) -> None:
        """What was read of a holding shows that something is lost, or no message."""
        self.tell(holding.member, holding.partition, wrong)

    def tell(self, member: str, partition: int, wrong: Wrong) -> None:
        """The end of a log is lost, or an entry is no message."""
        if isinstance(wrong, Cut):
            self._observe(Truncation(member, partition, wrong.after.decode(), wrong.until.decode(), wrong.count))
        else:
            self._observe(Corrupt(member, partition, wrong.entry_id.decode(), wrong.reason))

    def _remember(self, holding: Holding) -> None:
        self._memories[holding.partition, holding.grant.incarnation] = holding.memory

    def stop(self, partition: int) -> None:
        """It is to move: start nothing more of it."""
        holding = self._holdings.at(partition)
        if holding is not None:
            holding.draining = True
            holding.look_again()
            self._holdings.stir(holding)
            holding.lanes.stop()
            holding.seek = self._seeking[partition][0] if partition in self._seeking else b""
            if self.attendant is not None:
                self.attendant.revoked(partition)
            self._hooks.revoked(holding)

    def drop(self, partition: int) -> None:
        """It was lost."""
        holding = self._holdings.remove(partition)
        self._remember(holding)
        holding.lost()
        if self.attendant is not None:
            self.attendant.lost(partition)
        self._hooks.lost(holding)

    def released(self, command: Release, reply: object) -> None:
        """A release was answered."""
        holding = self._holdings.at(command.slot.partition, command.epoch)
        if holding is not None:
            self._holdings.remove(holding.partition)
            self._remember(holding)
            holding.released() if isinstance(reply, Released) else holding.lost()

    def seek(self, partition: int, start: bytes) -> asyncio.Future[None] | None:
        """Note where a partition is to go on, once it has been released; ``None`` if it is not held."""
        holding = self._holdings.at(partition)
        if holding is None:
            return None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seeking[partition] = (start, done)
        holding.lanes.take_back_before(math.inf)
        return done

    def abandon(self) -> None:
        """Nothing is held any more."""
        for partition in self._holdings.partitions:
            self.drop(partition)
        for _, done in self._seeking.values():
            done.cancel()
