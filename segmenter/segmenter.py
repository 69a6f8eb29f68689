"""The door to everything: a namespace on a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from attrs import evolve

from segmenter.administration import Administration
from segmenter.cancellation import outlast
from segmenter.codecs import Codec, Format, T, codec_for
from segmenter.config import (
    ConsumerOptions,
    Durability,
    Duration,
    OnFull,
    OnLoss,
    Start,
    StreamOptions,
    Takeover,
    check_group,
    check_namespace,
    check_stream,
)
from segmenter.connect import backend_for
from segmenter.consumer import Consumer, Registration, started
from segmenter.core.caution import Turn
from segmenter.core.command import GroupSlot
from segmenter.core.layout import StreamConfig
from segmenter.core.observations import Observation
from segmenter.errors import ConsumerDead, SegmenterError
from segmenter.observe import logged
from segmenter.port import Backend, Session
from segmenter.runtime.heart import Heart
from segmenter.runtime.home import Home
from segmenter.runtime.hooks import Hook, Hooks
from segmenter.runtime.host import Host
from segmenter.runtime.lifecycle import Lifecycle
from segmenter.runtime.observers import check_observer
from segmenter.runtime.pump import Pump
from segmenter.stream import Stream

__all__ = ["Segmenter"]


class Segmenter(Administration):
    """Streams and consumers of one namespace.

    Enter it with ``async with``, or call ``aclose()`` when done; nothing is connected before its first use.

    Args:
        url: where the streams live, such as ``redis://localhost:6379``; ``memory://`` keeps them in this object,
            ``memory://name`` shares them in the process. Without it the environment variable ``SEGMENTER_URL`` is
            read.
        namespace: keeps the streams of one application apart from another's on the same server.
        backend: an instance to use instead of a URL.
        host: the clock and the place for the heart; simulations bring their own.

    Raises:
        InvalidArgument: the URL or the namespace cannot be.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str = "default",
        backend: Backend | None = None,
        host: Host | None = None,
    ) -> None:
        check_namespace(namespace)
        self._backend = backend if backend is not None else backend_for(url, namespace)
        self.namespace = namespace
        self.host = host or Host()
        self._session: Session | None = None
        self._opening = asyncio.Lock()
        self._heart: Heart | None = None
        self._heart_ended: Callable[[], object] | None = None
        self._consumers: set[Consumer] = set()  # that have not ended
        self._streams: list[Stream[Any]] = []
        self._home: Home | None = None
        self._closing: asyncio.Task[None] | None = None
        self._turn = Turn()  # of all partitions whose messages are under suspicion

    # --- streams ----------------------------------------------------------------------------------------------------

    async def register_stream(
        self,
        name: str,
        *,
        partitions: int = 8,
        partition_size: int = 100_000,
        on_full: OnFull = "raise",
        send_timeout: Duration = 30.0,
        durability: Durability | None = None,
        type: type[T] | Codec[T] = bytes,  # type: ignore[assignment] # noqa: A002 - as handlers name it
    ) -> Stream[T]:
        """Return a stream, creating it if there is none of that name.

        Args:
            name: letters, digits, dots, dashes and underscores.
            partitions: how many consumers of a group can work at once; fixed from then on.
            partition_size: how many messages each partition keeps for groups that are behind.
            on_full: what ``send`` does when a partition is full of messages that a group has yet to settle: raise
                ``StreamFull``, wait for room, or drop the oldest messages, unread ones too.
            send_timeout: seconds until an unanswered send is given up as ``SendUnknown``.
            durability: what a send must have reached before it counts as sent, such as
                ``Durability(replicas=1, disk=True)``; by default the server's memory.
            type: what is sent: ``bytes``, ``str``, an attrs or data class, a ``msgspec.Struct``, a pydantic model, or
                a ``Codec``. It is the producer's affair: the stream itself stores payloads.

        Raises:
            StreamMismatch: it is registered with other partitions or another size.
            InvalidArgument: a value cannot be (``EmptyStreamName``, ``InvalidPartitionCount``, ...).
        """
        check_stream(name)
        form = codec_for(type)
        options = StreamOptions(
            partitions=partitions,
            partition_size=partition_size,
            on_full=on_full,
            send_timeout_s=send_timeout,
            durability=durability,
        )
        await self._open()
        config = await self.lifecycle.create_stream(name, partitions, partition_size)
        return self._stream(name, config, options, form)

    async def get_stream(
        self,
        name: str,
        *,
        on_full: OnFull = "raise",
        send_timeout: Duration = 30.0,
        durability: Durability | None = None,
        type: type[T] | Codec[T] = bytes,  # type: ignore[assignment] # noqa: A002 - as handlers name it
    ) -> Stream[T]:
        """Return a stream that is registered already.

        Raises:
            NonExistentStream: there is none of that name.
        """
        check_stream(name)
        form = codec_for(type)
        options = StreamOptions(on_full=on_full, send_timeout_s=send_timeout, durability=durability)
        await self._open()
        return self._stream(name, await self.lifecycle.load_stream(name), options, form)

    def _stream(self, name: str, config: StreamConfig, options: StreamOptions, form: Format[T]) -> Stream[T]:
        producer, place = self.host.nonce(), self._backend
        stream = Stream(name, config, options, self.session, self.lifecycle, producer, self.host, form, place)
        self._streams.append(stream)
        return stream

    # --- consumers --------------------------------------------------------------------------------------------------

    def register_consumer(
        self,
        stream: str,
        *,
        group: str,
        batch_size: int = 10,
        max_processing_time: Duration = 300.0,
        start: Start = "earliest",
        session_timeout: Duration = 10.0,
        instance_id: str | None = None,
        takeover: Takeover = "silence",
        on_loss: OnLoss = "raise",
        commit_interval: Duration = 0.1,
        drain_timeout: Duration = 25.0,
        rebalance_delay: Duration = 0.1,
        read_ahead: int = 2_000,
        read_ahead_bytes: int = 8 << 20,
        on_assigned: Hook | None = None,
        on_revoked: Hook | None = None,
        on_lost: Hook | None = None,
        observer: Callable[[Observation], None] | None = None,
    ) -> Registration:
        """Become a consumer of a stream, as a member of a group. Enter the result, or shut it down when done.

        Args:
            stream: its name; it must be registered.
            group: consumers of one group share the partitions; each group gets every message.
            batch_size: how many messages ``read`` returns at most.
            max_processing_time: seconds after which a message that is not settled is taken back and handed out again.
            start: where a group that is new begins: ``"earliest"``, ``"latest"``, a message's id, or a datetime.
            session_timeout: seconds of silence after which a consumer counts as dead; the same in all of a group. It
                can change while the group has no members.
            instance_id: a name that outlives the process, of one process at a time: a restart takes its partitions up
                again, and no other partition moves. After an orderly end they wait for it for a session.
            takeover: whether a restart under the same ``instance_id`` waits for the former to fall silent, or not.
            on_loss: what happens when the server has lost messages that the group had yet to settle, or had read:
                stop with ``OffsetOutOfRange`` or ``LogTruncated``, or go on with what is left. The same goes for an
                entry of a log that is no message, since another program has written it: stop with ``Corrupt`` once
                all before it is settled, or pass over it. All of these are logged as errors, and told to the observer.
            commit_interval: seconds after which an acknowledgement is stored at the latest.
            drain_timeout: seconds that ``shutdown`` waits at most for the hand-over.
            rebalance_delay: seconds that membership must be quiet before partitions move to a newcomer.
            read_ahead: messages of a partition that are read before the earlier ones are settled.
            read_ahead_bytes: the same in bytes.
            on_assigned: called with a partition before anything of it is handed out.
            on_revoked: called with a partition that is to be given up, before it is released.
            on_lost: called with a partition that was lost without being released.
            observer: called with each observation (``segmenter.observations``).

        Raises:
            NonExistentStream: there is no such stream.
            SessionMismatch: the group has members, with another session time-out.
            SeatTaken: processes that live displace each other from this ``instance_id``.
            InvalidArgument: a value cannot be (``EmptyGroupName``, ``InvalidBatchSize``, ...).
        """
        options = ConsumerOptions(
            batch_size=batch_size,
            max_processing_time_s=max_processing_time,
            session_timeout_s=session_timeout,
            instance_id=None if instance_id is None else check_group(instance_id),
            takeover=takeover,
            on_loss=on_loss,
            commit_interval_s=commit_interval,
            drain_timeout_s=drain_timeout,
            rebalance_delay_s=rebalance_delay,
            read_ahead=read_ahead,
            read_ahead_bytes=read_ahead_bytes,
        )
        observers = [] if observer is None else [check_observer(observer)]
        hooks = Hooks(on_assigned, on_revoked, on_lost, observers)
        return Registration(self._start_consumer, stream, group, start, options, hooks)

    async def _start_consumer(self, slot: GroupSlot, start: bytes, options: ConsumerOptions, hooks: Hooks) -> Consumer:
        pump = await self.open_pump(slot, start, options, hooks)
        return await started(pump, options, slot, self._consumers)

    async def open_pump(
        self,
        slot: GroupSlot,
        start: bytes,
        options: ConsumerOptions,
        hooks: Hooks,
        gate: Callable[[Session], Session] = lambda session: session,
    ) -> Pump:
        """Return the pump of a new consumer, for whoever runs it; ``gate`` stands between it and its session."""
        await self._open()
        config = await self.lifecycle.load_stream(slot.stream)
        session_ms = round(options.session_timeout_s * 1000)
        opened = await self.lifecycle.open_group(slot, config.partitions, session_ms, start, options.instance_id)
        session = await self._backend.session()
        if self._closing is not None:
            await session.aclose()
            raise self._was_closed()
        return Pump(
            slot=slot,
            document=opened.document,
            events_end=opened.events_end,
            options=options,
            session=gate(session),
            heart=self._beating(),
            host=self.host,
            hooks=evolve(hooks, observers=[logged(slot), *hooks.observers]),
            place=self._backend,
            turn=self._turn,
        )

    # --- the end ----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Shut every consumer down, fail what has not been sent, and disconnect. May be called twice.

        If it is cancelled, it does all of that first.
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await outlast(self._closing)

    async def _close(self) -> None:
        await asyncio.gather(*(consumer.shutdown(drain=False) for consumer in tuple(self._consumers)))
        for stream in self._streams:
            stream.close(ConsumerDead("the Segmenter was closed before the send was answered"))
        if self._heart is not None and self._heart_ended is not None:
            self._heart.stop()
            await self._heart_ended()  # type: ignore[misc]
            self._heart = None
        if self._session is not None:
            await self._session.aclose()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- shared by streams and consumers ----------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session for everything but consumers; open since the first call."""
        if self._session is None:
            raise SegmenterError("the Segmenter is not open: enter it with 'async with', or register something")
        return self._session

    @property
    def lifecycle(self) -> Lifecycle:
        """The walks that create and remove."""
        return Lifecycle(self.session, self.host, self._backend.catalogue)

    async def _open(self) -> None:
        if self._closing is not None:
            raise self._was_closed()
        if self._home is None:
            self._home = Home("Segmenter of namespace", self.namespace)
        self._home.check()
        async with self._opening:
            if self._session is None:
                self._session = await self._backend.session()

    def _was_closed(self) -> ConsumerDead:
        return ConsumerDead("the Segmenter was closed: make a new one")

    def _beating(self) -> Heart:
        """The heart, started with the first consumer."""
        if self._heart is None:
            self._heart = Heart(self._backend, self.host)
            self._heart_ended = self.host.place_heart(self._heart.run(), self._heart.failed)
        return self._heart
