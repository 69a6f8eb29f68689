"""Functions of the user's that are told what happens: what they raise is logged, and changes nothing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable

from segmenter.core.observations import Observation
from segmenter.errors import InvalidArgument
from segmenter.logs import Log

__all__ = ["Observer", "Observers", "check_observer", "name_of"]

Observer = Callable[[Observation], None]

_log = Log("segmenter.consumer")


def name_of(function: object) -> str:
    """Return what a function is called in logs and errors."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else f"an instance of {type(function).__name__}"


def check_observer(observer: Observer) -> Observer:
    """Return an observer if it can be called as one.

    Raises:
        InvalidArgument: it is no function, or an async one.
    """
    if not callable(observer):
        raise InvalidArgument(f"observer is {observer!r}: pass a function that takes an observation")
    call = getattr(observer, "__call__", None)  # noqa: B004 - an object may have an async one
    if inspect.iscoroutinefunction(observer) or inspect.iscoroutinefunction(call):
        raise InvalidArgument(
            f"observer {name_of(observer)} is async: pass a plain function, which may start a task of its own"
        )
    return observer


class Observers:
    """Tells each observer, in their order."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def __call__(self, observation: Observation) -> None:
        """Tell all of them."""
        for observer in self._observers:
            try:
                _call(observer, observation)
            except KeyboardInterrupt:  # Ctrl-C is meant for the program, wherever it arrives
                raise
            except BaseException as error:
                what = type(observation).__name__
                _log.error("observer failed observer=%s observation=%s", name_of(observer), what, exc_info=error)


def _call(observer: Callable[[Observation], object], observation: Observation) -> None:
    result = observer(observation)
    if asyncio.iscoroutine(result):
        result.close()
        raise TypeError("it returned a coroutine, and an observer is a plain function")
