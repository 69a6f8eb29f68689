"""What operators and tools do with a namespace: look at it, and reset, pause and remove what is in it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing

from segmenter.config import (
    ConsumerOptions,
    Duration,
    Start,
    check_group,
    check_partitions,
    check_stream,
    seconds,
    start_of,
)
from segmenter.core.command import Gone, GroupSlot, StreamSlot
from segmenter.core.group import GroupState, LoadGroup
from segmenter.core.layout import StreamConfig
from segmenter.core.survey import GroupSurveyed, SurveyGroup
from segmenter.history import Heard, Rebalance, hear, load_history
from segmenter.port import Backend, Session
from segmenter.runtime.failures import no_such_group
from segmenter.runtime.lifecycle import Lifecycle
from segmenter.shelves import Shelves
from segmenter.snapshot import GroupSnapshot, StreamSnapshot, group_snapshot, stream_snapshot, survey_partitions
from segmenter.tail import LoggedMessage, tail

__all__ = ["Administration"]

LISTEN_S = 0.05  # between two looks at the beats of a group


class Administration(ABC):
    """The part of a ``Segmenter`` that sends and consumes nothing."""

    _backend: Backend

    @abstractmethod
    async def _open(self) -> None: ...

    @property
    @abstractmethod
    def session(self) -> Session:
        """The session for everything but consumers; open since the first call."""

    @property
    @abstractmethod
    def lifecycle(self) -> Lifecycle:
        """The walks that create and remove."""

    # --- streams ----------------------------------------------------------------------------------------------------

    async def streams(self) -> list[str]:
        """Return the names of all streams of the namespace, in order.

        There is no index: this looks at every key of the server, and is meant for tools.
        """
        await self._open()
        return [slot.stream for slot in await self._backend.catalogue() if isinstance(slot, StreamSlot)]

    async def describe_stream(self, name: str) -> StreamSnapshot:
        """Return what a stream holds, and which groups read it.

        Raises:
            NonExistentStream: there is none of that name.
            StreamLost: a partition of it is gone.
        """
        config = await self._stream_config(name)
        surveyed = await survey_partitions(self.session, name, config.partitions)
        groups = sorted({lane.group for partition in surveyed for lane in partition.lanes})
        return stream_snapshot(name, config, groups, surveyed)

    async def remove_stream(self, name: str) -> None:
        """Remove a stream with all its messages and groups; nothing happens if there is none of that name.

        Consumers of it that still run stop with ``StreamLost``.
        """
        check_stream(name)
        await self._open()
        await self.lifecycle.remove_stream(name)

    async def tail(
        self, stream: str, *, start: Start = "latest", partitions: Iterable[int] | None = None, follow: bool = True
    ) -> AsyncGenerator[LoggedMessage, None]:
        """Yield the messages of a stream without being a consumer: nothing is settled, and nothing is held back.

        Messages that are there come in the order of their ids, over all partitions. An entry of another program that
        is no message is skipped, with a warning of the logger ``segmenter.tail`` that names it.

        Args:
            stream: its name; it must be registered.
            start: ``"earliest"``, ``"latest"``, the id of a message, or a datetime: where to begin.
            partitions: numbers of those to look at; by default all.
            follow: go on with what comes in, until the iteration is closed.

        Raises:
            NonExistentStream: there is no such stream.
            InvalidArgument: the place cannot be, or there is no such partition.
            StreamLost: a partition is gone.
        """
        place = start_of(start)
        config = await self._stream_config(stream)
        numbers = check_partitions(stream, config.partitions, partitions)
        session = await self._backend.session()  # of its own: it waits
        try:
            async with aclosing(tail(session, stream, numbers, place, follow=follow)) as messages:
                async for message in messages:
                    yield message
        finally:
            await session.aclose()

    async def _stream_config(self, name: str) -> StreamConfig:
        check_stream(name)
        await self._open()
        return await self.lifecycle.load_stream(name)

    # --- groups -----------------------------------------------------------------------------------------------------

    async def groups(self, stream: str) -> list[str]:
        """Return the names of a stream's groups, in order. It is as costly as ``streams``.

        Raises:
            NonExistentStream: there is no such stream.
        """
        await self._stream_config(stream)
        slots = await self.lifecycle.groups_of(stream)
        loaded = await asyncio.gather(*(self.session.execute(LoadGroup(slot)) for slot in slots))
        return [slot.group for slot, reply in zip(slots, loaded, strict=True) if _exists(reply.document)]

    async def describe(self, stream: str, group: str, *, listen: Duration = 0.0) -> GroupSnapshot:
        """Return who is in a group, who owns what, and how far it has come.

        Args:
            stream: its name.
            group: its name.
            listen: seconds to listen at most for every member to beat, which it does five times in a session; without
                it nothing is known of who is alive, and ``beating`` is ``None``.

        Raises:
            NonExistentStream: there is no such stream.
            NonExistentGroup: there is no such group.
            StreamLost: a partition is gone.
        """
        slot = GroupSlot(check_stream(stream), check_group(group))
        config = await self._stream_config(stream)
        listening_s = seconds(listen)
        heard = await self._survey(slot)
        beating = await self._listen(slot, heard.scores, listening_s) if listening_s > 0 else None
        surveyed = await self._survey(slot)
        partitions = await survey_partitions(self.session, stream, config.partitions)
        return group_snapshot(slot, surveyed, partitions, beating)

    async def shelves(self, stream: str, group: str) -> Shelves:
        """Return what a group has set aside: its parked messages and its dead letters.

        Raises:
            NonExistentStream: there is no such stream.
        """
        slot = GroupSlot(check_stream(stream), check_group(group))
        await self._stream_config(stream)
        return Shelves(slot, self.lifecycle)

    async def _survey(self, slot: GroupSlot) -> GroupSurveyed:
        surveyed = await self.session.execute(SurveyGroup(slot))
        if isinstance(surveyed, Gone) or not _exists(surveyed.document):
            raise no_such_group(slot)
        return surveyed

    async def _listen(self, slot: GroupSlot, before: Mapping[str, int], limit_s: float) -> set[str]:
        """The members that beat within a time; it ends early if all do."""
        beating: set[str] = set()
        for _ in range(max(1, round(limit_s / LISTEN_S))):
            await asyncio.sleep(LISTEN_S)
            scores = (await self._survey(slot)).scores
            beating = {name for name, score in scores.items() if score > before.get(name, 0)}
            if beating == set(scores):
                break
        return beating

    async def rebalances(self, stream: str, group: str) -> list[Rebalance]:
        """Return the latest rebalances of a group, with their causes, the latest one last.

        Raises:
            NonExistentStream, NonExistentGroup, StreamLost: as for ``describe``.
        """
        snapshot = await self.describe(stream, group)
        session = await self._backend.session()  # of its own: it reads
        try:
            return await load_history(session, GroupSlot(stream, group), snapshot)
        finally:
            await session.aclose()

    async def hear(
        self, groups: Iterable[tuple[str, str]], *, wait: Duration = 1.0
    ) -> AsyncGenerator[list[Heard], None]:
        """Yield what happens in groups as it happens: changes with their causes, and partitions handed back.

        Args:
            groups: pairs of stream and group; at least one.
            wait: seconds after which an empty list is yielded, so that whoever shows something can look anew.
        """
        slots = [GroupSlot(check_stream(stream), check_group(group)) for stream, group in groups]
        await self._open()
        session = await self._backend.session()  # of its own: it waits
        try:
            async with aclosing(hear(session, slots, seconds(wait))) as hearing:
                async for heard in hearing:
                    yield heard
        finally:
            await session.aclose()

    async def alter_group(self, stream: str, group: str, *, session_timeout: Duration) -> None:
        """Change the session time-out of a group that has no members, paused or not.

        Args:
            stream: its name.
            group: its name.
            session_timeout: seconds of silence after which a consumer counts as dead; consumers must register with
                the same.

        Raises:
            NonExistentGroup: there is no such group.
            GroupNotEmpty: it has members.
            InvalidArgument: the time-out is too short or too long.
        """
        slot = GroupSlot(check_stream(stream), check_group(group))
        session_ms = round(ConsumerOptions(session_timeout_s=session_timeout).session_timeout_s * 1000)
        await self._open()
        await self.lifecycle.alter_group(slot, session_ms)

    async def pause_group(self, stream: str, group: str) -> None:
        """Have nothing more processed for a group: its members stay, and hand back each partition when it has drained.

        The request is stored when this returns; ``describe`` shows who still holds something. Nothing is trimmed that
        the group has yet to settle. Members that join meanwhile wait.

        Raises:
            NonExistentGroup: there is no such group.
        """
        await self._open()
        await self.lifecycle.pause_group(GroupSlot(check_stream(stream), check_group(group)))

    async def resume_group(self, stream: str, group: str) -> None:
        """Let a paused group go on from where it is.

        Raises:
            NonExistentGroup: there is no such group.
        """
        await self._open()
        await self.lifecycle.resume_group(GroupSlot(check_stream(stream), check_group(group)))

    async def reset_group(self, stream: str, group: str, to: Start) -> None:
        """Move a group that is paused, or has no members, to another place in every partition.

        Raises:
            NonExistentGroup: there is no such group.
            GroupNotEmpty: it has members and is not paused, or they have yet to hand something back.
        """
        slot = GroupSlot(check_stream(stream), check_group(group))
        place = start_of(to)
        await self._open()
        await self.lifecycle.reset_group(slot, place)

    async def remove_group(self, stream: str, group: str) -> None:
        """Remove a group that is paused, or has no members: it holds nothing back any more.

        Raises:
            GroupNotEmpty: it has members and is not paused, or they have yet to hand something back.
        """
        slot = GroupSlot(check_stream(stream), check_group(group))
        await self._open()
        await self.lifecycle.remove_group(slot)


def _exists(document: GroupState | None) -> bool:
    return document is not None and document.state != "removed"
