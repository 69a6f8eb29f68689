"""One test, two APIs: the blocking one in the dress of the async one, each of its calls in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Self

import pytest

from segmenter import Consumer, Segmenter, Shelves, Stream, Worker, sync

__all__ = ["Place", "both", "eventually"]

LIMIT_S = 30.0  # for a test


class Dressed:
    """Something of the blocking API; what is a coroutine function in the async one is one here."""

    def __init__(self, thing: Any, asynchronous: type) -> None:
        self.thing = thing
        self._asynchronous = asynchronous

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.thing, {"aclose": "close"}.get(name, name))
        if inspect.isasyncgenfunction(getattr(self._asynchronous, name, None)) and name != "batches":
            return lambda *args, **kwargs: Iteration(value(*args, **kwargs))
        waits = name == "register_consumer" or inspect.iscoroutinefunction(getattr(self._asynchronous, name, None))
        return self._awaitable(value) if waits else value

    @staticmethod
    def _awaitable(method: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return dressed(await asyncio.to_thread(method, *args, **kwargs))

        return call

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.thing.__enter__)
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.thing.__exit__, *error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        message = await asyncio.to_thread(next, self.thing, None)
        if message is None:
            raise StopAsyncIteration
        return message


class Iteration:
    """An iteration of the blocking API, as the async one has it."""

    def __init__(self, items: Generator[Any, None, None]) -> None:
        self._items = items

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        item = await asyncio.to_thread(next, self._items, self)
        if item is self:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        await asyncio.to_thread(self._items.close)


ASYNC: dict[type, type] = {
    sync.Segmenter: Segmenter,
    sync.Stream: Stream,
    sync.Consumer: Consumer,
    sync.Shelves: Shelves,
    sync.Worker: Worker,
}


def dressed(thing: Any) -> Any:
    """A thing as the async API would have it."""
    return Dressed(thing, ASYNC[type(thing)]) if type(thing) in ASYNC else thing


class Place:
    """One of the APIs, on one of the backends."""

    def __init__(self, api: str, url: str, namespace: str) -> None:
        self._kind: Callable[..., Any] = Segmenter if api == "async" else sync.Segmenter
        self._worker: Callable[..., Any] = Worker if api == "async" else sync.Worker
        self._url = url
        self._namespace = namespace
        self._segmenters: list[Any] = []

    def segmenter(self) -> Any:
        """A process of its own, as far as the others can see."""
        segmenter = dressed(self._kind(self._url, namespace=self._namespace))
        self._segmenters.append(segmenter)
        return segmenter

    def worker(self, **options: Any) -> Any:
        """One, in the same place."""
        return dressed(self._worker(self._url, namespace=self._namespace, **options))

    async def aclose(self) -> None:
        """Close them all, once more."""
        for segmenter in self._segmenters:
            await segmenter.aclose()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it holds; the test's own limit ends it otherwise."""
    while not await condition():  # noqa: ASYNC110 - what is asked for is not announced
        await asyncio.sleep(0)


def both(test: Callable[[Place], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a test of a coroutine function that takes a place."""

    @pytest.mark.parametrize("api", ["async", "sync"])
    @pytest.mark.parametrize("where", ["memory", "redis"])
    def run(request: pytest.FixtureRequest, api: str, where: str, namespace: str) -> None:
        url = "memory://both" if where == "memory" else request.getfixturevalue("newest_server").url
        place = Place(api, url, namespace)

        async def main() -> None:
            try:
                async with asyncio.timeout(LIMIT_S):
                    await test(place)
            finally:
                await place.aclose()

        asyncio.run(main())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    run.__module__ = test.__module__
    return run
