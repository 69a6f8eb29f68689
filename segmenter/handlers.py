"""Handlers: a function of the user's, and how it is to be called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Executor
from operator import attrgetter
from typing import Any, Protocol, TypedDict, TypeVar, Unpack, get_args, overload

from attrs import field, frozen

from segmenter.codecs import Codec, Format, T, codec_for
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
    check_namespace,
    check_stream,
    seconds,
    start_of,
)
from segmenter.core.command import GroupSlot
from segmenter.core.message import Message
from segmenter.core.observations import Observation
from segmenter.core.retry import Retry
from segmenter.errors import InvalidArgument
from segmenter.runtime.hooks import Hook, Hooks
from segmenter.runtime.observers import check_observer
from segmenter.runtime.outcomes import Handling, Invoke
from segmenter.runtime.threads import ThreadCall

__all__ = ["Decorator", "Handler", "HandlerSettings", "Handlers", "Invoke"]

V = TypeVar("V")
R = TypeVar("R")

LIMIT_CONCURRENCY = 10_000
LIMIT_BATCH_HANDLED = 100_000
LIMIT_GRACE_S = 5.0  # that a handler may take to end once it was cancelled; half a session, if that is shorter


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
            threaded=not _is_async(self.function),
            key_concurrency=self.key_concurrency,
            batch=self.batch,
            retry=self.retry,
            on_exhausted=self.on_exhausted,
            max_processing_time_s=self.options.max_processing_time_s,
            grace_s=min(LIMIT_GRACE_S, self.options.session_timeout_s / 2),
            drain_timeout_s=self.options.drain_timeout_s,
            window=self.options.read_ahead,
        )


def _declared(
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
            [] if observer is None else [check_observer(observer)],
        ),
        **own,
    )


def _options(settings: HandlerSettings) -> ConsumerOptions:
    instance_id = settings.get("instance_id")
    chosen: dict[str, Any] = {name: value for name, value in settings.items() if name in _PLAIN}
    chosen |= {f"{name}_s": seconds(value) for name, value in settings.items() if name in _DURATIONS}  # type: ignore[arg-type]
    return ConsumerOptions(instance_id=None if instance_id is None else check_group(instance_id), **chosen)


class Handlers:
    """The handlers of a worker: one for each stream and group."""

    def __init__(self, namespace: str, group: str | None) -> None:
        """Take where the streams are, and the group of the handlers that name none."""
        self.namespace = check_namespace(namespace)
        self.handlers: dict[GroupSlot, Handler] = {}
        self._group = None if group is None else check_group(group)

    def __repr__(self) -> str:
        handled = ", ".join(f"{slot.stream}/{slot.group}" for slot in self.handlers)
        return f"<Worker of namespace {self.namespace!r}: {handled or 'no handlers'}>"

    @overload
    def handler(
        self,
        stream: str,
        *,
        group: str | None = None,
        type: type[T] | Codec[T] = bytes,  # type: ignore[assignment]
        batch: None = None,
        **settings: Unpack[HandlerSettings],
    ) -> Decorator[T]: ...
    @overload
    def handler(
        self,
        stream: str,
        *,
        group: str | None = None,
        type: type[T] | Codec[T] = bytes,  # type: ignore[assignment]
        batch: int,
        **settings: Unpack[HandlerSettings],
    ) -> Decorator[list[T]]: ...
    def handler(
        self,
        stream: str,
        *,
        group: str | None = None,
        type: type[Any] | Codec[Any] = bytes,  # noqa: A002 - the word for it
        batch: int | None = None,
        **settings: Unpack[HandlerSettings],
    ) -> Decorator[Any]:
        """Have a function called with each message of a stream; use it as a decorator.

        The function is called with the value, or with the value and the message; with ``batch``, with lists of them.
        A plain function runs in a thread, a coroutine function in the event loop.

        If it returns, the message is settled. If it raises, the message is tried again after a while; the later ones
        of its key wait, and other keys go on. ``raise Reject("reason")`` makes it a dead letter at once.

        A batch that fails is tried again message by message, so that one that fails again costs only itself.

        Args:
            stream: its name; a stream that nobody has registered yet is waited for, 30 s.
            group: handlers of one group, in whatever processes, share the partitions; each group gets every message.
            type: what payloads are decoded to: ``bytes``, ``str``, an attrs or data class, a ``msgspec.Struct``, a
                pydantic model, or a ``Codec``. A payload that cannot be decoded has failed like any other.
            batch: how many messages of a partition are handled in one call, at most.
            **settings: how it is done. ``key_concurrency=1``: how many keys of a partition are handled at once, or
                with ``batch``, how many batches. ``retry=Retry(attempts=5)``: how often, and with what waits.
                ``on_exhausted="park"``: what happens when that was in vain: the message is parked with the later ones
                of its key, or is a ``"dead_letter"`` and the key goes on, or the worker halts (``"halt"``).
                ``max_processing_time=300``: seconds after which a handler is cancelled, which counts as an attempt.
                ``drain_timeout=25``: seconds that a handler may go on when its partition moves or the worker stops,
                before it is cancelled, which does not count. The rest is as for ``register_consumer``.

        Raises:
            InvalidArgument: an option cannot be; there is a handler for the stream in that group already; or the
                function cannot be called like this.
        """
        slot = GroupSlot(check_stream(stream), check_group(self._group_of(stream, group)))
        form = codec_for(type)

        def register(function: Any) -> Any:
            if slot in self.handlers:
                raise InvalidArgument(
                    f"there is a handler of {stream!r} in group {slot.group!r} already, and each message goes to one "
                    "of a group: name another group=, or call both functions from one handler"
                )
            self._check_handler(function)
            self.handlers[slot] = _declared(slot, function, form, batch, settings)
            return function

        return register

    def _check_handler(self, function: object) -> None:
        """Refuse a function that this worker does not call."""

    def _group_of(self, stream: str, group: str | None) -> str:
        chosen = self._group if group is None else group
        if chosen is None:
            raise InvalidArgument(f"the handler of {stream!r} has no group: give it one, or Worker(group=)")
        return chosen


# --- calling it -----------------------------------------------------------------------------------------------------


def _invocation(handler: Handler, executor: Executor) -> Invoke:
    """Return what calls the handler's function with messages that were handed out together."""
    function = handler.function
    call = _call(function, handler.form, batch=handler.batch is not None, both=_takes_message(function))
    if _is_async(function):
        return call

    def in_thread(taken: list[Message], thread: ThreadCall | None) -> Any:
        assert thread is not None  # noqa: S101 - the runner brings one for each call of a plain function
        return thread.run(executor, call, taken)

    return in_thread


def _call(function: Callable[..., Any], form: Format[Any], *, batch: bool, both: bool) -> Callable[..., Any]:
    """Return what calls it in the way it is written: nothing is asked again for each message.

    What it returns takes the messages, and the call of a thread, of which only plain functions make use.
    """
    value: Callable[[Message], object] = attrgetter("data")
    if form.decode is not None:
        value = lambda message: form.decoded(message.data)  # noqa: E731 - one of two

    def batch_and_messages(taken: list[Message], _: object = None) -> Any:
        return function(list(map(value, taken)), list(taken))

    def batch_alone(taken: list[Message], _: object = None) -> Any:
        return function(list(map(value, taken)))

    def value_and_message(taken: list[Message], _: object = None) -> Any:
        return function(value(taken[0]), taken[0])

    def value_alone(taken: list[Message], _: object = None) -> Any:
        return function(value(taken[0]))

    if batch:
        return batch_and_messages if both else batch_alone
    return value_and_message if both else value_alone


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
