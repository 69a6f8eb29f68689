"""Handlers: a function of the user's, and how it is to be called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from operator import attrgetter
from typing import Any, Protocol, TypedDict, TypeVar, get_args, overload

from attrs import field, frozen

from segmenter.codecs import Format
from segmenter.config import (
    ConsumerOptions,
    Duration,
    OnExhausted,
    OnLoss,
    Start,
    Takeover,
    among,
    between,
    check_group,
    seconds,
    start_of,
)
from segmenter.core.command import GroupSlot
from segmenter.core.message import Message
from segmenter.core.observations import Observation
from segmenter.core.retry import Retry
from segmenter.errors import InvalidArgument
from segmenter.runtime.hooks import Hook, Hooks
from segmenter.runtime.outcomes import Handling

__all__ = ["Decorator", "Handler", "HandlerSettings", "declared"]

V = TypeVar("V")
R = TypeVar("R")

LIMIT_CONCURRENCY = 10_000
LIMIT_BATCH_HANDLED = 100_000
LIMIT_GRACE_S = 5.0  # that a handler may take to end once it was cancelled; half a session, if that is shorter

Invoke = Callable[[list[Message]], Awaitable[object]]


class Decorator(Protocol[V]):
    """Takes a handler of values, with or without the message itself, and returns it as it is."""

    @overload
    def __call__(self, function: Callable[[V], R], /) -> Callable[[V], R]: ...
    @overload
    def __call__(self, function: Callable[[V, Any], R], /) -> Callable[[V, Any], R]: ...


class HandlerSettings(TypedDict, total=False):
    """Options of a handler; those that ``register_consumer`` has too mean the same."""

    key_concurrency: int
    retry: Retry
    on_exhausted: OnExhausted
    max_processing_time: Duration
    start: Start
    session_timeout: Duration
    instance_id: str | None
    takeover: Takeover
    on_loss: OnLoss
    commit_interval: Duration
    drain_timeout: Duration
    rebalance_delay: Duration
    read_ahead: int
    read_ahead_bytes: int
    on_assigned: Hook | None
    on_revoked: Hook | None
    on_lost: Hook | None
    observer: Callable[[Observation], None] | None


_OWN = {"key_concurrency", "retry", "on_exhausted"}
_DURATIONS = {"max_processing_time", "session_timeout", "commit_interval", "drain_timeout", "rebalance_delay"}
_PLAIN = {"takeover", "on_loss", "read_ahead", "read_ahead_bytes"}


def _retry(_instance: object, _attribute: object, value: object) -> None:
    if not isinstance(value, Retry):
        raise InvalidArgument(f"retry is {value!r}: use Retry(attempts=5), or Retry(attempts=1) for none")


@frozen(kw_only=True)
class Handler:
    """A function, what it is called with, and what happens when it fails."""

    slot: GroupSlot
    function: Callable[..., object]
    form: Format[Any]
    batch: int | None = None
    key_concurrency: int = field(default=1, validator=between(1, LIMIT_CONCURRENCY))
    retry: Retry = field(factory=Retry, validator=_retry)
    on_exhausted: OnExhausted = field(default="park", validator=among(*get_args(OnExhausted)))  # pyright: ignore[reportAssignmentType]
    start: bytes = b"earliest"
    options: ConsumerOptions = ConsumerOptions()
    hooks: Hooks = Hooks()
    around: Callable[[Invoke], Invoke] = lambda invoke: invoke  # what stands around each call

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return getattr(self.function, "__qualname__", None) or repr(self.function)

    def handling(self, executor: Executor) -> Handling:
        """How the runtime is to handle messages by it; plain functions run in the executor."""
        return Handling(
            name=self.name,
            invoke=self.around(_invocation(self, executor)),
            key_concurrency=self.key_concurrency,
            batch=self.batch,
            retry=self.retry,
            on_exhausted=self.on_exhausted,
            max_processing_time_s=self.options.max_processing_time_s,
            grace_s=min(LIMIT_GRACE_S, self.options.session_timeout_s / 2),
            drain_timeout_s=self.options.drain_timeout_s,
            window=self.options.read_ahead,
        )


def declared(
    slot: GroupSlot, function: Callable[..., object], form: Format[Any], batch: int | None, settings: HandlerSettings
) -> Handler:
    """Return a handler as its decorator describes it.

    Raises:
        InvalidArgument: an option cannot be, or the function cannot be called with a value.
    """
    known = HandlerSettings.__annotations__
    for name in settings:
        if name not in known:
            raise InvalidArgument(f"a handler has no option {name!r}: there are {', '.join(sorted(known))}")
    if batch is not None and (not isinstance(batch, int) or not 1 <= batch <= LIMIT_BATCH_HANDLED):
        raise InvalidArgument(f"batch is {batch!r}: it must be a number from 1 to {LIMIT_BATCH_HANDLED}, or None")
    _check_callable(function)
    observer = settings.get("observer")
    own: dict[str, Any] = {name: value for name, value in settings.items() if name in _OWN}
    return Handler(
        slot=slot,
        function=function,
        form=form,
        batch=batch,
        start=start_of(settings.get("start", "earliest")),
        options=_options(settings),
        hooks=Hooks(
            settings.get("on_assigned"),
            settings.get("on_revoked"),
            settings.get("on_lost"),
            [] if observer is None else [observer],
        ),
        **own,
    )


def _options(settings: HandlerSettings) -> ConsumerOptions:
    instance_id = settings.get("instance_id")
    chosen: dict[str, Any] = {name: value for name, value in settings.items() if name in _PLAIN}
    chosen |= {f"{name}_s": seconds(value) for name, value in settings.items() if name in _DURATIONS}  # type: ignore[arg-type]
    return ConsumerOptions(instance_id=None if instance_id is None else check_group(instance_id), **chosen)


# --- calling it -----------------------------------------------------------------------------------------------------


def _invocation(handler: Handler, executor: Executor) -> Invoke:
    """Return what calls the handler's function with messages that were handed out together."""
    function = handler.function
    call = _call(function, handler.form, batch=handler.batch is not None, both=_takes_message(function))
    if _is_async(function):
        return call  # type: ignore[return-value]
    return lambda taken: _in_thread(executor, call, taken)


def _call(
    function: Callable[..., object], form: Format[Any], *, batch: bool, both: bool
) -> Callable[[list[Message]], object]:
    """Return what calls it in the way it is written: nothing is asked again for each message."""
    value: Callable[[Message], object] = attrgetter("data")
    if form.decode is not None:
        value = lambda message: form.decoded(message.data)  # noqa: E731 - one of two
    if batch and both:
        return lambda taken: function(list(map(value, taken)), list(taken))
    if batch:
        return lambda taken: function(list(map(value, taken)))
    if both:
        return lambda taken: function(value(taken[0]), taken[0])
    return lambda taken: function(value(taken[0]))


async def _in_thread(executor: Executor, call: Callable[[list[Message]], object], taken: list[Message]) -> None:
    """Call a plain function in a thread, with the context variables of here.

    A thread cannot be cancelled: if this is, it goes on until the function has returned, since until then the handler
    is at work.
    """
    job = executor.submit(copy_context().run, call, taken)
    try:
        result = await asyncio.wrap_future(job)
    except asyncio.CancelledError:
        if job.cancelled():
            raise
        result = await asyncio.wrap_future(job)
    if inspect.isawaitable(result):
        await result


# --- looking at it --------------------------------------------------------------------------------------------------


def _is_async(function: Callable[..., object]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - an object may have an async one
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _check_callable(function: object) -> None:
    if not callable(function) or inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidArgument(f"handler {function!r}: use a function, async or plain, that does not yield")
    _takes_message(function)


def _takes_message(function: Callable[..., object]) -> bool:
    """Whether it wants the message beside the value.

    Raises:
        InvalidArgument: it wants something else.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # one of Python's own that does not tell
        return False
    needed = [each for each in parameters if each.default is each.empty and each.kind < each.VAR_POSITIONAL]
    keywords = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty]
    takes_one = any(each.kind <= each.VAR_POSITIONAL for each in parameters)
    if keywords or len(needed) > 2 or not takes_one:  # noqa: PLR2004 - the value, and the message
        raise InvalidArgument(
            f"handler {function!r} takes {', '.join(map(str, parameters)) or 'nothing'}: "
            "it is called with the value, or with the value and the message"
        )
    return len(needed) == 2  # noqa: PLR2004
