"""The blocking API is the async one without ``await``: no name, parameter, default or docstring more or less."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

import segmenter
from segmenter import sync
from segmenter.core.lanes import KeyLanes
from segmenter.core.message import Message
from segmenter.sync.desk import LentLanes

PAIRS = [(getattr(segmenter, name), getattr(sync, name)) for name in sync.__all__]
NAMES = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
RETURNS = {"Registration": "Consumer", "AsyncIterator": "Iterator", "AsyncGenerator": "Generator"}
# What an async object offers to the others behind it, and not to users.
INTERNAL = {
    "Segmenter.session",
    "Segmenter.lifecycle",
    "Segmenter.open_pump",
    "Stream.close",
    "Worker.check_idle",
    "Worker.door",
    "Worker.in_loop",
    "Worker.run_as_process",
    "Worker.run_on",
    "Worker.understudy",
}


def _members(kind: type) -> dict[str, object]:
    return {
        name: value.fget if isinstance(value, property) else value
        for base in (*kind.__mro__[1:-1], kind)
        for name, value in vars(base).items()
        if f"{kind.__name__}.{name}" not in INTERNAL
        and (not name.startswith("_") or name in NAMES or name in NAMES.values())
        and (inspect.isfunction(value) or isinstance(value, property))
    }


def _pairs() -> Iterator[tuple[str, object, object]]:
    for asynchronous, blocking in PAIRS:
        members = _members(blocking)
        for name, value in _members(asynchronous).items():
            yield f"{asynchronous.__name__}.{name}", value, members[NAMES.get(name, name)]


def _without_await(returned: str) -> str:
    plain = re.sub(r"\w+", lambda word: RETURNS.get(word[0], word[0]), returned)
    return re.sub(r"^Generator\[(.*)\]$", r"Generator[\1, None]", plain)


METHODS = tuple(_pairs())
EACH = pytest.mark.parametrize(("name", "asynchronous", "blocking"), METHODS, ids=[name for name, *_ in METHODS])


@pytest.mark.parametrize(("asynchronous", "blocking"), PAIRS, ids=sync.__all__)
def test_neither_api_has_what_the_other_lacks(asynchronous: type, blocking: type) -> None:
    ours = {NAMES.get(name, name) for name in _members(asynchronous)}
    assert ours == set(_members(blocking))


@EACH
def test_signatures_are_equal(name: str, asynchronous: object, blocking: object) -> None:
    ours, theirs = (inspect.signature(each) for each in (asynchronous, blocking))  # type: ignore[arg-type]
    assert list(theirs.parameters.values()) == list(ours.parameters.values())
    assert theirs.return_annotation == _without_await(ours.return_annotation)
    assert not inspect.iscoroutinefunction(blocking)
    assert not inspect.isasyncgenfunction(blocking)


@pytest.mark.parametrize("name", ["Segmenter", "Worker"])
def test_what_is_opened_is_made_with_the_same_arguments(name: str) -> None:
    assert inspect.signature(getattr(sync, name)) == inspect.signature(getattr(segmenter, name))


@EACH
def test_what_is_explained_in_one_is_explained_in_the_other(name: str, asynchronous: object, blocking: object) -> None:
    ours, theirs = inspect.getdoc(asynchronous), inspect.getdoc(blocking)
    assert bool(ours) == bool(theirs)
    assert not re.search(r"\b(await|async)\b", theirs or ""), "it speaks of the other API"


def test_whatever_a_message_does_to_its_lanes_is_safe_in_other_threads() -> None:
    """The lanes belong to the loop's thread: a method that is not handed over there would race with it."""
    called = set(re.findall(r"self\._lanes\.(\w+)\(", inspect.getsource(Message))) - {"forwarding"}  # which is given
    assert called
    assert called <= set(vars(LentLanes)), "hand it over, as give_back is"
    for name in called:
        assert inspect.signature(getattr(LentLanes, name)) == inspect.signature(getattr(KeyLanes, name))
