"""Methods of the async API, seen from blocking code: the same parameters, without ``await``."""

# The functions here make methods of a facade.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from time import monotonic
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from segmenter.errors import ConsumerDead
from segmenter.runtime.hooks import Hook
from segmenter.runtime.threads import ThreadCall
from segmenter.sync.portal import Portal

__all__ = ["HOOK_THREADS", "Facade", "blocking", "in_thread", "iterating", "opening", "within"]

HOOK_THREADS = 32  # hooks at work at once

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
F = TypeVar("F", bound="Facade[Any]")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Facade(Generic[A_co]):
    """Something of the async API, for use in other threads than that of its loop."""

    def __init__(self, portal: Portal, inner: A_co) -> None:
        self._portal = portal
        self._inner = inner

    def __repr__(self) -> str:
        return repr(self._inner)

    def _call(self, start: Callable[[], Awaitable[R]]) -> R:
        """Have something awaited in the loop."""
        return self._portal.call(start)


class Method(Protocol[P, R_co]):
    """A method of a facade, as type checkers see it: all of them agree that this is bound, as a function is."""

    @overload
    def __get__(self, facade: None, owner: Any = None, /) -> Self: ...
    @overload
    def __get__(self, facade: Facade[Any], owner: Any = None, /) -> Callable[P, R_co]: ...
    def __get__(self, facade: Any, owner: Any = None, /) -> Any: ...


def blocking(method: Callable[Concatenate[A, P], Awaitable[R]]) -> Method[P, R]:
    """Return the method that waits for what an async one returns."""

    @wraps(method)
    def call(self: Facade[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._call(lambda: method(self._inner, *args, **kwargs))

    return _method(call)


def within(method: Callable[Concatenate[A, P], R]) -> Method[P, R]:
    """Return the method that has a plain one called in the loop's thread."""

    @wraps(method)
    def call(self: Facade[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        async def called() -> R:
            return method(self._inner, *args, **kwargs)

        return self._call(called)

    return _method(call)


def iterating(
    method: Callable[Concatenate[A, P], AsyncGenerator[R, None]],
) -> Method[P, Generator[R, None, None]]:
    """Return the method that yields what an async one does; closing the iteration closes that one."""

    @wraps(method)
    def iterate(self: Facade[A], /, *args: P.args, **kwargs: P.kwargs) -> Generator[R, None, None]:
        items, turn = method(self._inner, *args, **kwargs), asyncio.Lock()

        async def step() -> list[R]:
            async with turn:
                async for item in items:
                    return [item]
                return []

        async def close() -> None:
            async with turn:  # a step that was interrupted ends first
                await items.aclose()

        try:
            while item := self._call(step):
                yield item[0]
        finally:
            with suppress(ConsumerDead):  # closed, and with it whatever was open
                self._call(close)

    asynchronous = inspect.signature(method).return_annotation
    _declare(iterate, method, asynchronous.removeprefix("Async").removesuffix("]") + ", None]")
    return _method(iterate)


def opening(
    method: Callable[Concatenate[A, P], Awaitable[R]],
    seen: Callable[[F, R], S],
    prepared: Callable[[dict[str, Any]], dict[str, Any]] = lambda options: options,
) -> Method[P, S]:
    """Return the method that waits for what an async one opens, and returns it as blocking code sees it.

    Args:
        method: the async one.
        seen: takes the facade and what was opened.
        prepared: makes of the options given those that are passed on.
    """

    @wraps(method)
    def call(self: F, /, *args: P.args, **kwargs: P.kwargs) -> S:
        async def opened() -> S:
            return seen(self, await method(self._inner, *args, **prepared(kwargs)))

        return self._call(opened)

    _declare(call, method, inspect.signature(seen).return_annotation)
    return _method(call)


def in_thread(hook: Hook, executor: Executor | None = None) -> Hook:
    """Return a hook of blocking code, in a thread in which it may block, and call the consumer."""
    threads = executor or ThreadPoolExecutor(HOOK_THREADS, "segmenter-hook")

    @wraps(hook)
    async def call(partition: int) -> object:
        return await ThreadCall(monotonic).run(threads, hook, partition)

    return call


def _method(function: Callable[Concatenate[F, P], R]) -> Method[P, R]:
    return cast("Method[P, R]", function)


def _declare(made: Callable[..., object], method: Callable[..., object], returned: str) -> None:
    """Show whoever asks for the signature of a method what it returns, and not what the async one does."""
    made.__signature__ = inspect.signature(method).replace(return_annotation=returned)  # type: ignore[attr-defined]
