"""The door to everything, for blocking code."""

# It is the async Segmenter, as seen from other threads.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from attrs import evolve

from segmenter.codecs import T
from segmenter.consumer import Consumer as AsyncConsumer
from segmenter.port import Backend
from segmenter.runtime.host import Host
from segmenter.runtime.pump import Pump
from segmenter.segmenter import Segmenter as AsyncSegmenter
from segmenter.stream import Stream as AsyncStream
from segmenter.sync.administration import Administration
from segmenter.sync.consumer import Consumer
from segmenter.sync.desk import Desk, LentLanes
from segmenter.sync.facade import in_thread, opening
from segmenter.sync.portal import Portal
from segmenter.sync.stream import Stream

__all__ = ["HOOKS", "Segmenter"]

HOOKS = ("on_assigned", "on_revoked", "on_lost")


def _stream(segmenter: Segmenter, inner: AsyncStream[T]) -> Stream[T]:
    return Stream(segmenter._portal, inner)


def _consumer(segmenter: Segmenter, inner: AsyncConsumer) -> Consumer:
    return Consumer(inner, segmenter._desk_of(inner._pump))


def _hooked(options: dict[str, Any]) -> dict[str, Any]:
    return {name: in_thread(option) if name in HOOKS and option else option for name, option in options.items()}


class Segmenter(Administration):
    """Streams and consumers of one namespace, for blocking code.

    Enter it with ``with``, or call ``close()`` when done; nothing is connected before its first use. It has a thread
    of its own, which keeps up memberships and commits while your code is busy. Several threads may share it; a forked
    child has to open its own.

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
        self.host = evolve(host or Host(), lanes=self._lanes)
        inner = AsyncSegmenter(url, namespace=namespace, backend=backend, host=self.host)
        super().__init__(Portal(namespace, self._farewell, self.host.awaited), inner)
        self.namespace = namespace
        self._desks: dict[object, Desk] = {}

    # --- streams and consumers --------------------------------------------------------------------------------------

    register_stream = opening(AsyncSegmenter.register_stream, _stream)
    get_stream = opening(AsyncSegmenter.get_stream, _stream)
    register_consumer = opening(AsyncSegmenter.register_consumer, _consumer, _hooked)

    # --- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Shut every consumer down, fail what has not been sent, and disconnect. May be called twice.

        A process that exits without it does so too, within a few seconds. In a forked child nothing happens.
        """
        self._portal.close()

    def __enter__(self) -> Self:
        try:
            self._call(self._inner.__aenter__)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- in the loop's thread ---------------------------------------------------------------------------------------

    async def _farewell(self) -> None:
        for desk in self._desks.values():
            desk.clear()
        await self._inner.aclose()

    def _lanes(self, *, consumer: Pump, **given: Any) -> LentLanes:
        return LentLanes(self._desk_of(consumer), consumer=consumer, **given)

    def _desk_of(self, pump: Pump) -> Desk:
        """The desk of a consumer, which is there before it is handed any partition."""
        if pump not in self._desks:
            self._desks[pump] = Desk(self._portal, pump)
        return self._desks[pump]
