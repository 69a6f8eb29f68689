"""Creating and removing streams and groups, whose parts live in several slots.

Each is a walk of small steps, every one of them harmless to repeat, recorded by the document's state. Whoever meets a
walk half done takes it to its end: ``creating`` to ``ready``, ``removing`` to nothing or a tombstone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from attrs import evolve, frozen

from segmenter.core.command import Command, Gone, GroupSlot, PartitionSlot, StreamSlot
from segmenter.core.creation import CreateLane, CreatePartition, DropLane, DropPartition, Exists
from segmenter.core.events import Changed
from segmenter.core.group import (
    DropGroup,
    GroupConflict,
    GroupLoaded,
    GroupState,
    GroupUpdated,
    LoadGroup,
    Paused,
    Readied,
    Removed,
    Removing,
    Resumed,
    SessionChanged,
    UpdateGroup,
)
from segmenter.core.layout import FORMAT, Loaded, LoadStream, StreamConfig, StreamUpdated, UpdateStream
from segmenter.core.log import format_position
from segmenter.core.partition import Probe, Probed, Release, Released
from segmenter.core.survey import SurveyGroup
from segmenter.errors import (
    BackendError,
    GroupNotEmpty,
    NonExistentStream,
    StreamError,
    StreamMismatch,
    UnsupportedFormat,
)
from segmenter.port import Session
from segmenter.runtime.backoff import Backoff
from segmenter.runtime.failures import no_such_group, remains, stream_lost
from segmenter.runtime.host import Host
from segmenter.runtime.membership_errors import group_not_empty, seat_contested, session_mismatch

__all__ = ["Lifecycle", "OpenGroup"]

R = TypeVar("R")

LIMIT_ATTEMPTS = 5  # of one command, within 1 to 2 seconds
LISTEN_SHARE = 0.4  # of a session, in which a member that is alive beats twice ...
LOOKS = 8  # ... and is noticed early
LIMIT_RACES = 100  # compare-and-sets lost in a row before giving up


@frozen
class OpenGroup:
    """A group that is ready to be joined."""

    document: GroupState
    events_end: bytes  # its event log is read on from here


class Lifecycle:
    """The walks, over one session.

    ``catalogue`` lists what is stored: the groups of a stream are found by it when the stream is removed.
    """

    def __init__(
        self, session: Session, host: Host, catalogue: Callable[[], Awaitable[Sequence[StreamSlot | GroupSlot]]]
    ) -> None:
        self._session = session
        self._catalogue = catalogue
        self.nonce = host.nonce
        self._process = host.process
        self._chance = host.chance

    async def execute(self, command: Command[Any, R]) -> R:
        """Ask again for a while where that may help: all these commands are harmless to repeat."""
        backoff = Backoff(self._chance)
        for _ in range(LIMIT_ATTEMPTS - 1):
            try:
                return await self._session.execute(command)
            except BackendError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(backoff.next_s())
        return await self._session.execute(command)

    # --- streams ----------------------------------------------------------------------------------------------------

    async def load_stream(self, stream: str) -> StreamConfig:
        """Return the configuration of a stream, completing its creation if that was interrupted.

        Raises:
            NonExistentStream: there is none of that name.
            UnsupportedFormat: a later version of the library made it.
        """
        for _ in range(LIMIT_RACES):
            config = await self._stored(stream)
            if config is None:
                raise NonExistentStream(
                    f"there is no stream {stream!r}: register it first, or check the namespace", stream=stream
                )
            if config.state == "ready":
                return config
            await self._roll_forward(stream, config)
        raise _contended("stream", stream)

    async def create_stream(self, stream: str, partitions: int, partition_size: int) -> StreamConfig:
        """Return the configuration of a stream, creating it if there is none.

        Raises:
            StreamMismatch: it is there with other properties.
            StreamLost: the partitions of an earlier stream of that name are still there.
            UnsupportedFormat: a later version of the library made it.
        """
        for _ in range(LIMIT_RACES):
            config = await self._stored(stream)
            if config is None:
                config = StreamConfig(self.nonce(), partitions, partition_size, incarnation=self.nonce())
                await self.execute(UpdateStream(StreamSlot(stream), None, config))
            elif config.state == "ready":
                return _matching(stream, config, partitions, partition_size)
            else:
                await self._roll_forward(stream, config)
        raise _contended("stream", stream)

    async def alter_stream(self, stream: str, partition_size: int) -> StreamConfig:
        """Change how many messages each partition keeps."""
        for _ in range(LIMIT_RACES):
            config = await self.load_stream(stream)
            changed = evolve(config, version=self.nonce(), partition_size=partition_size)
            reply = await self.execute(UpdateStream(StreamSlot(stream), config.version, changed))
            if isinstance(reply, StreamUpdated):
                return changed
        raise _contended("stream", stream)

    async def remove_stream(self, stream: str) -> None:
        """Remove a stream with all its messages and all its groups; nothing happens if there is none."""
        for _ in range(LIMIT_RACES):
            config = await self._stored(stream)
            if config is None:
                return
            if config.state == "removing":
                await self._roll_forward(stream, config)
            else:
                removing = evolve(config, version=self.nonce(), state="removing")
                await self.execute(UpdateStream(StreamSlot(stream), config.version, removing))
        raise _contended("stream", stream)

    async def _stored(self, stream: str) -> StreamConfig | None:
        reply: Loaded = await self.execute(LoadStream(StreamSlot(stream)))
        config = reply.config
        if config is not None and config.format > FORMAT:
            raise UnsupportedFormat(
                f"stream {stream!r} has format {config.format}, this version knows {FORMAT}: upgrade segmenter",
                stream=stream,
            )
        return config

    async def _roll_forward(self, stream: str, config: StreamConfig) -> None:
        slots = [PartitionSlot(stream, number) for number in range(config.partitions)]
        after: StreamConfig | None
        if config.state == "creating":
            for slot in slots:
                reply = await self.execute(CreatePartition(slot, config.incarnation, config.layout))
                if isinstance(reply, Exists) and reply.incarnation != config.incarnation:
                    raise remains(slot)
            after = evolve(config, version=self.nonce(), state="ready")
        else:
            for slot in slots:
                await self.execute(DropPartition(slot))
            for group in await self.groups_of(stream):
                await self.execute(DropGroup(group))
            after = None
        await self.execute(UpdateStream(StreamSlot(stream), config.version, after))

    # --- groups -----------------------------------------------------------------------------------------------------

    async def groups_of(self, stream: str) -> list[GroupSlot]:
        """Return the slots of all groups that a stream has or had."""
        return [slot for slot in await self._catalogue() if isinstance(slot, GroupSlot) and slot.stream == stream]

    async def open_group(
        self, slot: GroupSlot, partitions: int, session_ms: int, start: bytes, seat: str | None = None
    ) -> OpenGroup:
        """Return a group's document, creating the group if there is none or if it had been removed.

        The session time-out of a group without members becomes the one that is asked for.

        Raises:
            SessionMismatch: the group has members, with another session time-out.
            SeatTaken: two processes that live displace each other from this seat.
            StreamLost: a partition of the stream is gone.
        """
        for _ in range(LIMIT_RACES):
            loaded: GroupLoaded = await self.execute(LoadGroup(slot))
            document = loaded.document
            if document is None or document.state == "removed":
                fresh = GroupState(partitions, session_ms)
                await self._write(slot, document, fresh, "created")
            elif document.state == "creating":
                await self._create_lanes(slot, document, start)
            elif document.state == "removing":
                await self._remove_lanes(slot, document)
            elif document.session_ms == session_ms:
                await self._refuse_contest(slot, loaded, seat)
                return OpenGroup(document, format_position(loaded.end))
            elif document.members:
                raise session_mismatch(slot, document, session_ms)
            else:
                await self._write(slot, document, document.on(SessionChanged(session_ms)), "altered")
        raise _contended("group", slot.group)

    async def _refuse_contest(self, slot: GroupSlot, loaded: GroupLoaded, seat: str | None) -> None:
        """Do not take a seat from a member that beats, if it was taken too often lately: a crash loop may go on."""
        document = loaded.document
        sitting = document.sitting_in(seat) if document is not None else None
        if document is None or sitting is None or not (contests := document.contests(seat, loaded.now_us)):
            return
        before = await self._score(slot, sitting)
        for _ in range(LOOKS):
            await asyncio.sleep(LISTEN_SHARE / LOOKS * document.session_ms / 1000)
            if await self._score(slot, sitting) > before:
                raise seat_contested(slot, seat, len(contests), document.members[sitting].process, self._process())

    async def _score(self, slot: GroupSlot, member: str) -> int:
        surveyed = await self.execute(SurveyGroup(slot))
        return 0 if isinstance(surveyed, Gone) else surveyed.scores.get(member, 0)

    async def alter_group(self, slot: GroupSlot, session_ms: int) -> None:
        """Change the session time-out of a group without members.

        Raises:
            NonExistentGroup: there is none of that name.
            GroupNotEmpty: it has members.
        """
        for _ in range(LIMIT_RACES):
            document = await self._existing(slot)
            if document.session_ms == session_ms:
                return
            if document.members:
                raise group_not_empty(slot, document, "stop them before its session time-out is changed")
            await self._write(slot, document, document.on(SessionChanged(session_ms)), "altered")
        raise _contended("group", slot.group)

    async def pause_group(self, slot: GroupSlot) -> None:
        """Have the members hand every partition back, as each drains, and claim none.

        Raises:
            NonExistentGroup: there is none of that name.
        """
        await self._switch(slot, Paused())

    async def resume_group(self, slot: GroupSlot) -> None:
        """Let the members of a paused group go on.

        Raises:
            NonExistentGroup: there is none of that name.
        """
        await self._switch(slot, Resumed())

    async def _switch(self, slot: GroupSlot, event: Paused | Resumed) -> None:
        for _ in range(LIMIT_RACES):
            document = await self._existing(slot)
            after = document.on(event)
            if after is document:
                return
            await self._write(slot, document, after, type(event).__name__.lower())
        raise _contended("group", slot.group)

    async def remove_group(self, slot: GroupSlot) -> None:
        """Remove a group: it holds nothing back any more, and members that still run get ``GroupRemoved``.

        Raises:
            GroupNotEmpty: it has members and is not paused, or they have yet to hand something back.
        """
        for _ in range(LIMIT_RACES):
            document = await self._document(slot)
            if document is None or document.state == "removed":
                return
            if document.state == "removing":
                await self._remove_lanes(slot, document)
            else:
                _refuse_members(slot, document, "removed")
                for number in range(document.partitions):
                    await self._free_lane(slot, document, number, "removed")
                await self._write(slot, document, document.on(Removing()), "removing")
        raise _contended("group", slot.group)

    async def reset_group(self, slot: GroupSlot, start: bytes) -> None:
        """Move a group to another place in every partition, forgetting what is finished.

        Raises:
            NonExistentGroup: there is none of that name.
            GroupNotEmpty: it has members and is not paused, or they have yet to hand something back.
            StreamLost: a partition is gone.
        """
        document = await self._existing(slot)
        _refuse_members(slot, document, "moved")
        for number in range(document.partitions):
            await self._free_lane(slot, document, number, "moved")
        for number in range(document.partitions):
            await self._reset_lane(slot, document, number, start)

    async def _reset_lane(self, slot: GroupSlot, document: GroupState, number: int, start: bytes) -> None:
        lane = PartitionSlot(slot.stream, number)
        for _ in range(LIMIT_RACES):
            probed = await self._free_lane(slot, document, number, "moved")
            if isinstance(probed, Gone):
                raise stream_lost(lane)
            release = Release(lane, slot.group, "", probed.epoch, evict=probed.owner, start=start)
            if isinstance(await self.execute(release), Released):
                return
        raise _contended("group", slot.group)

    async def _free_lane(self, slot: GroupSlot, document: GroupState, number: int, verb: str) -> Probed | Gone:
        """Return a lane that no member holds; who is no member any more holds nothing that counts."""
        probed: Probed | Gone = await self.execute(Probe(PartitionSlot(slot.stream, number), slot.group))
        if isinstance(probed, Probed) and probed.owner in document.members:
            raise GroupNotEmpty(
                f"{probed.owner} has yet to hand partition {number} of {slot.stream!r} back to group {slot.group!r}: "
                f"wait until its handlers have ended before it is {verb}",
                stream=slot.stream,
                group=slot.group,
                partition=number,
            )
        return probed

    async def _existing(self, slot: GroupSlot) -> GroupState:
        document = await self._document(slot)
        if document is None or document.state in ("removing", "removed"):
            raise no_such_group(slot)
        if document.state == "creating":
            raise _contended("group", slot.group)
        return document

    async def _document(self, slot: GroupSlot) -> GroupState | None:
        loaded: GroupLoaded = await self.execute(LoadGroup(slot))
        return loaded.document

    async def _create_lanes(self, slot: GroupSlot, document: GroupState, start: bytes) -> None:
        for number in range(document.partitions):
            lane = PartitionSlot(slot.stream, number)
            if isinstance(await self.execute(CreateLane(lane, slot.group, start)), Gone):
                raise stream_lost(lane)
        await self._write(slot, document, document.on(Readied()), "readied")

    async def _remove_lanes(self, slot: GroupSlot, document: GroupState) -> None:
        for number in range(document.partitions):
            await self.execute(DropLane(PartitionSlot(slot.stream, number), slot.group))
        await self._write(slot, document, document.on(Removed()), "removed")

    async def _write(self, slot: GroupSlot, before: GroupState | None, after: GroupState, cause: str) -> None:
        """Try once; whoever lost the race looks again at what stands there."""
        version = self.nonce()
        expect = before.version if before is not None else None
        event = Changed(version, cause, "", tuple(sorted(before.members)) if before is not None else ())
        reply = await self.execute(UpdateGroup(slot, expect, evolve(after, version=version), event))
        assert isinstance(reply, GroupUpdated | GroupConflict)  # noqa: S101 - nobody is expired by these writes


def _matching(stream: str, config: StreamConfig, partitions: int, partition_size: int) -> StreamConfig:
    if (config.partitions, config.partition_size) == (partitions, partition_size):
        return config
    raise StreamMismatch(
        f"stream {stream!r} is registered with {config.partitions} partitions of {config.partition_size}, "
        f"not {partitions} of {partition_size}: use get_stream(), or alter(partition_size=)",
        stream=stream,
    )


def _refuse_members(slot: GroupSlot, document: GroupState, verb: str) -> None:
    if document.members and document.state != "paused":
        raise group_not_empty(slot, document, f"stop them, or pause the group, before it is {verb}")


def _contended(kind: str, name: str) -> StreamError:
    return StreamError(f"{kind} {name!r} is being changed by others all the time: try again later")
