"""User code may raise anything: its text never breaks a commit or a log, and its class is not taken at its word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.core.aside import LIMIT_REASON, Letter
from segmenter.core.failure import Cancelled, Failed, Outcome, Rejected, Succeeded, outcome_of, safe_text, text_of
from segmenter.core.message import Message
from segmenter.core.parking import letter_of
from segmenter.errors import Reject

HALF_EMOJI = "\ud83d"


class OfALibrary(BaseException):
    """Some libraries raise a ``BaseException`` of their own, such as ``gevent.Timeout``."""


def raising(error: type[BaseException]) -> Callable[..., NoReturn]:
    def method(*_: object) -> NoReturn:
        raise error

    return method


TOUCHES = ("add", "bool", "contains", "eq", "format", "getitem", "hash", "iter", "len", "mod", "repr", "str")
Str: Any = type("Str", (str,), {f"__{touch}__": raising(OfALibrary) for touch in TOUCHES} | {"encode": None})


class Meta(type):
    """A class that raises wherever it is asked about itself."""

    def __getattribute__(cls, name: str) -> Any:
        raise OfALibrary

    def __instancecheck__(cls, instance: object) -> bool:
        raise OfALibrary

    def __subclasscheck__(cls, subclass: type) -> bool:
        raise OfALibrary

    def __eq__(cls, other: object) -> bool:
        raise OfALibrary

    def __hash__(cls) -> int:
        raise OfALibrary

    def __repr__(cls) -> str:
        raise OfALibrary


def hostile(method: str, does: Any, base: type[BaseException] = Exception) -> BaseException:
    """An exception of which one method is what a test says."""
    error: BaseException = type("Hostile", (base,), {method: does})("text")
    return error


def returning(value: object) -> Callable[..., Any]:
    return lambda *_: value


def endless(self: BaseException, *_: object) -> str:
    return str(self) + repr(self)


RAISED = (ValueError, OfALibrary, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, asyncio.CancelledError)
METHODS = ("__str__", "__repr__", "__format__", "__getattribute__", "__bool__", "__len__", "__eq__", "__hash__")
HOSTILE = {
    **{f"{name} raises {error.__name__}": hostile(name, raising(error)) for name in METHODS for error in RAISED},
    "__class__ raises": hostile("__class__", property(raising(OfALibrary))),
    "__class__ lies": hostile("__class__", property(returning(Reject))),
    "__dict__ raises": hostile("__dict__", property(raising(OfALibrary))),
    "args raise": hostile("args", property(raising(OfALibrary))),
    "__str__ returns None": hostile("__str__", returning(None)),
    "__str__ returns bytes": hostile("__str__", returning(b"bytes")),
    "__str__ recurses": hostile("__str__", endless),
    "__repr__ recurses": hostile("__repr__", endless),
    "__str__ returns a hostile text": hostile("__str__", returning(Str("hostile"))),
    "its class is hostile": Meta("Hostile", (Exception,), {})("text"),
    "its name is hostile": type(Str("Hostile"), (Exception,), {})("text"),
    "its argument is hostile": ValueError(Str("hostile")),
    "half an emoji": ValueError(HALF_EMOJI),
    "bytes that are no UTF-8": ValueError(b"\xff".decode("utf-8", "surrogateescape")),
    "control characters": ValueError("\x1b[2J\x00\r\n\x85\u2028"),
    "a long text": ValueError("x" * 1_000_000),
    "a long name": type("N" * 10_000, (Exception,), {})(),
    "a key error of itself": KeyError(hostile("__repr__", raising(OfALibrary))),
    "a broken constructor": Exception.__new__(UnicodeDecodeError),
    "a base exception": OfALibrary("text"),
}


def proper(text: str) -> bool:
    """Whether a text is of the built-in class, bounded, encodable and free of control characters."""
    return type(text) is str and len(text) <= LIMIT_REASON and "\n" not in text and text.isprintable()


@pytest.mark.parametrize("kind", HOSTILE)
def test_any_exception_has_a_text(kind: str) -> None:
    """Otherwise an exception of a handler ends the worker that was to report it."""
    text = text_of(HOSTILE[kind])
    assert proper(text)
    assert text.encode()


@pytest.mark.parametrize("kind", HOSTILE)
def test_any_exception_but_reject_and_cancellation_is_a_failure(kind: str) -> None:
    error = HOSTILE[kind]
    assert outcome_of(error, cancelled=asyncio.CancelledError) == Failed(text_of(error))


def test_a_text_has_the_name_of_the_class_first() -> None:
    assert text_of(ValueError("no such order")) == "ValueError: no such order"
    assert text_of(KeyError("order")) == "KeyError: 'order'"
    assert text_of(ValueError()) == "ValueError"
    assert text_of(ValueError("a\tb\n" + HALF_EMOJI)) == "ValueError: a\\tb\\n\\ud83d"
    assert text_of(hostile("__str__", raising(OfALibrary))) == "Hostile: <no text: str() raised OfALibrary>"
    assert text_of(HOSTILE["its class is hostile"]) == "Hostile: text"


def test_what_people_write_stays_as_it_is() -> None:
    text = "Zürich: “naïve” 注文 👩‍👩‍👧 \\n"
    assert safe_text(text) == text
    assert text_of(ValueError(text)) == f"ValueError: {text}"


@given(st.one_of(st.text(), st.text(alphabet=st.characters(categories=["Cc", "Cs", "Zl", "Zp", "Lu"])), st.binary()))
def test_any_reason_becomes_a_text_that_can_be_stored_and_stays_the_same(reason: str | bytes) -> None:
    text = safe_text(reason)
    assert type(text) is str
    assert len(text) <= LIMIT_REASON
    assert text.encode().decode() == text
    assert safe_text(text) == text


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, ""),
        ("", ""),
        (42, "42"),
        (b"\xff", "b'\\xff'"),
        (ValueError("it"), "ValueError: it"),
        (HALF_EMOJI, "\\ud83d"),
        (type("Hostile", (), {"__str__": raising(SystemExit)})(), "<no text: str() raised SystemExit>"),
        ("x" * (LIMIT_REASON + 1), "x" * LIMIT_REASON),
    ],
)
def test_a_reason_may_be_any_object(reason: object, text: str) -> None:
    """Half an emoji in a reason must not break the commit that stores it."""
    message = Message(None, 0, b"1-0", b"k", b"d", b"", 1)  # type: ignore[arg-type]  # of no lanes
    assert safe_text(reason) == text
    assert letter_of(message, reason) == Letter(0, b"1-0", b"k", b"d", attempts=1, reason=text)


def test_a_reason_may_be_a_text_that_raises() -> None:
    assert safe_text(Str("hostile")) == "<no text: str() raised OfALibrary>"


# --- outcomes ---------------------------------------------------------------------------------------------------------


def group(*errors: BaseException) -> BaseException:
    return BaseExceptionGroup("several", errors)


def deep(error: BaseException, depth: int = 5_000) -> BaseException:
    for _ in range(depth):
        error = group(error)
    return error


def broad(error: BaseException, depth: int = 200) -> BaseException:
    """A group that holds itself twice at each level: 2**200 leaves, if each was counted."""
    for _ in range(depth):
        error = group(error, error)
    return error


class Special(Reject):
    """A rejection of the user's own."""

    def __init__(self, *_: object) -> None:
        Exception.__init__(self, "special")  # and no reason


class LyingGroup(ExceptionGroup[Exception]):
    """A group that says it was empty."""

    @property
    def exceptions(self) -> Any:
        return ()


CANCELLED = asyncio.CancelledError


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Succeeded()),
        (Reject("bad"), Rejected("bad")),
        (Reject(HALF_EMOJI), Rejected("\\ud83d")),
        (Reject(None), Rejected("")),  # type: ignore[arg-type]
        (Reject(ValueError("bad")), Rejected("ValueError: bad")),  # type: ignore[arg-type]
        (Special(), Rejected("special")),
        (group(Reject("a"), Reject("b")), Rejected("a; b")),
        (group(Reject("a"), group(Reject("b"), group(Reject("c"))), Reject("d")), Rejected("a; b; c; d")),
        (group(Reject(""), Reject("b"), Reject("")), Rejected("b")),
        (group(*[Reject("x" * 300)] * 3), Rejected("x" * 300)),  # one and the same
        (group(Reject("x" * 300), Reject("y" * 300)), Rejected("x" * 300 + "; " + "y" * 198)),
        (LyingGroup("lies", [Reject("a")]), Rejected("a")),
        (deep(Reject("a")), Rejected("a")),
        (broad(Reject("a")), Rejected("a")),
        (CANCELLED(), Cancelled()),
        (type("Sub", (CANCELLED,), {})(), Cancelled()),
        (group(CANCELLED(), group(CANCELLED())), Cancelled()),
        (deep(CANCELLED()), Cancelled()),
        (group(CANCELLED(), Reject("a")), Failed("BaseExceptionGroup: several (2 sub-exceptions)")),
        (group(Reject("a"), ValueError()), Failed("ExceptionGroup: several (2 sub-exceptions)")),
        (
            group(Reject("a"), group(Reject("b"), OfALibrary())),
            Failed("BaseExceptionGroup: several (2 sub-exceptions)"),
        ),
        (group(KeyboardInterrupt()), Failed("BaseExceptionGroup: several (1 sub-exception)")),
        (deep(ValueError("a")), Failed("ExceptionGroup: several (1 sub-exception)")),
        (SystemExit(3), Failed("SystemExit: 3")),
        (KeyboardInterrupt(), Failed("KeyboardInterrupt")),
        (GeneratorExit(), Failed("GeneratorExit")),
        (StopIteration("it"), Failed("StopIteration: it")),
        (TimeoutError("late"), Failed("TimeoutError: late")),
    ],
)
def test_how_user_code_ended(error: BaseException | None, outcome: Outcome) -> None:
    """A group of nothing but rejections is a rejection, one of nothing but cancellations a cancellation."""
    assert outcome_of(error, cancelled=CANCELLED) == outcome


def test_a_rejection_that_hides_its_reason_is_one_all_the_same() -> None:
    silent = hostile("__getattribute__", raising(OfALibrary), Reject)
    guarded = hostile("reason", property(raising(SystemExit)), Special)
    assert outcome_of(silent, cancelled=CANCELLED) == Rejected("text")
    assert outcome_of(guarded, cancelled=CANCELLED) == Rejected("special")
