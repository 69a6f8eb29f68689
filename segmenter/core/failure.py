"""How user code ended, and a safe text for whatever it raised.

An exception of user code is user code itself: its ``__str__``, its properties and its metaclass may raise, return
anything, or lie about its class. Nothing here calls a method of it outside a guard, and classes are compared by
inheritance alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from attrs import frozen

from segmenter.core.aside import LIMIT_REASON
from segmenter.errors import Reject

__all__ = ["Cancelled", "Failed", "Outcome", "Rejected", "Succeeded", "outcome_of", "safe_text", "text_of"]

# Control characters, line separators and surrogates: none of them is printed, and a surrogate cannot be encoded.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Descriptors of the built-in classes: a metaclass or subclass that defines the same name does not replace them.
_name_of_class = type.__dict__["__name__"].__get__
_members_of_group = BaseExceptionGroup.__dict__["exceptions"].__get__


@frozen
class Succeeded:
    """The user code returned."""


@frozen
class Failed:
    """The user code raised an exception."""

    reason: str


@frozen
class Rejected:
    """The user code raised ``Reject``: the message becomes a dead letter."""

    reason: str


@frozen
class Cancelled:
    """The user code ended by cancellation."""


Outcome = Succeeded | Failed | Rejected | Cancelled


def safe_text(value: object) -> str:
    """Return any object as printable text of at most ``LIMIT_REASON`` characters; never raises.

    An exception is described by ``text_of``; ``None`` is the empty text.
    """
    if issubclass(type(value), BaseException):
        return text_of(value)  # type: ignore[arg-type]  # isinstance would ask value.__class__
    return "" if value is None else _printable(_str_of(value))


def text_of(error: BaseException) -> str:
    """Return ``TypeName: text`` of an exception, or ``TypeName`` if it has no text; never raises.

    The result is printable, can be encoded as UTF-8, and has at most ``LIMIT_REASON`` characters.
    """
    text = _str_of(error)
    return _printable(f"{_name_of(error)}: {text}" if text else _name_of(error))


def outcome_of(error: BaseException | None, *, cancelled: type[BaseException]) -> Outcome:
    """Return how user code ended, by what it raised; ``None`` if it returned.

    A group, however deep, is what all of its leaves are: only ``Reject``, or only cancellations. A mixture has failed.

    Args:
        error: what it raised.
        cancelled: the class of a cancellation, ``asyncio.CancelledError``.
    """
    if error is None:
        return Succeeded()
    leaves = list(_leaves(error))
    if all(issubclass(type(leaf), Reject) for leaf in leaves):
        return Rejected(_joined(leaves))
    if all(issubclass(type(leaf), cancelled) for leaf in leaves):
        return Cancelled()
    return Failed(text_of(error))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group that are no groups, each once, in their order; of another exception, itself."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if issubclass(type(one), BaseExceptionGroup):
            waiting.extend(reversed(_members_of_group(one)))
        else:
            yield one


def _joined(rejects: list[BaseException]) -> str:
    text = ""
    for reject in rejects:
        if len(text) >= LIMIT_REASON:
            break
        reason = _reason_of(reject)
        text = f"{text}; {reason}" if text and reason else text or reason
    return text[:LIMIT_REASON]


def _reason_of(reject: BaseException) -> str:
    try:
        return safe_text(cast("Reject", reject).reason)
    except BaseException:  # a property or __getattribute__ of the user's
        return _printable(_str_of(reject))


def _name_of(value: object) -> str:
    return str.__str__(_name_of_class(type(value)))  # an exact str: a name may be of a subclass


def _str_of(value: object) -> str:
    """``str(value)``, of the class ``str`` itself and bounded; if that raises, a text that says so."""
    try:
        text = str.__str__(str(value))
    except BaseException as raised:  # user code raises what it likes
        return f"<no text: str() raised {_name_of(raised)}>"
    return text[:LIMIT_REASON]


def _printable(text: str) -> str:
    found = _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text[:LIMIT_REASON])
    return found[:LIMIT_REASON]
