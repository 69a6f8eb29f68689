"""Scripts of commands with what they print, for real servers; what differs from run to run is written in letters.

``$ segmenter ...`` is a command, lines below it that begin with ``< `` are its standard input. Then follows what it
prints: standard output as it is, standard error after ``! ``, and its exit code if that is not 0. ``% ...`` is
something that happens beside it (``STORY``). ``{id}`` in a command is the first ID of the last output that had one.
Empty lines and lines that begin with ``# `` separate.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import io
import os
import re
import shlex
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from segmenter import Consumer, Message, Segmenter
from segmenter.cli.app import run
from segmenter.core.group import ProcessInfo
from segmenter.runtime.host import Host
from segmenter.snapshot import GroupSnapshot

__all__ = ["Story", "difference", "play", "ran"]

HEADS = ("$ ", "% ", "# ")
WIDTH = "88"
MESSAGE_ID = re.compile(r"\b[12]\d{12}-\d\b")
# Of the same length, so that columns stay where they are.
MASKS = (
    (re.compile(r"\b20\d\d-\d\d-\d\d([ T])\d\d:\d\d:\d\d\.\d{3}"), r"YYYY-MM-DD\1hh:mm:ss.mmm"),
    (re.compile(r"\b\d\d:\d\d:\d\d\.\d{3}"), "hh:mm:ss.mmm"),
    (re.compile(r"\b[12]\d{15}\b"), "nnnnnnnnnnnnnnnn"),
    (MESSAGE_ID, "mmmmmmmmmmmmm-s"),
    (re.compile(r"-[0-9a-f]{12}\b"), "-xxxxxxxxxxxx"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST:PORT"),
    (re.compile(r" +\d+(\.\d)? (ms|s)$", re.MULTILINE), " TIME"),
    (re.compile(r" +\d+(\.\d)? (ms|s)  "), " TIME  "),
    (re.compile(r'seconds": \d+\.\d+'), 'seconds": T'),
    (re.compile(r'"held": \d+'), '"held": N'),
    (re.compile(r"; \d+ partitions? yet to be handed back"), ""),
    (re.compile(r'balanced(\W+|", "member": ")\w-x'), r"balanced\1?-x"),  # whoever comes first
)
LIMIT_S = 30.0
OUTCOMES: dict[bytes, Callable[[Message], None]] = {
    b"bad": lambda message: message.park("no such\tcustomer"),
    b"\xff": lambda message: message.reject("cannot be decoded"),
    b"hopeless": lambda message: message.reject("x" * 70),
}


def ran(arguments: list[str], stdin: bytes = b"") -> tuple[int, str, str]:
    """Run a command in this process; its exit code, and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    threading.Thread(target=_fill, args=(writer, stdin)).start()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(arguments)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reader)
    return code, out.getvalue(), err.getvalue()


def _fill(writer: int, stdin: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(writer, "wb") as pipe:
        pipe.write(stdin)


class Story:
    """What goes on beside the commands: consumers, in an event loop of their own."""

    def __init__(self, url: str, namespace: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        host = evolve(Host(), process=lambda: ProcessInfo("node-1", 4242, "0.1.0"))
        self._segmenter = Segmenter(url, namespace=namespace, host=host)
        self._consumers: dict[str, Consumer] = {}

    def _do(self, what: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(LIMIT_S)

    def tell(self, sentence: str) -> None:
        """Have something happen."""
        match sentence.split():
            case [name, "consumes", stream, "as", group]:
                self._do(self._consume(name, stream, group))
            case ["nobody", "holds", "anything", "of", stream, "as", group]:
                self._do(self._until(stream, group, {"paused"}))
            case ["everybody", "has", "a", "share", "of", stream, "as", group]:
                self._do(self._until(stream, group, {"owned"}))
            case [name, "handles", number, "messages", "of", stream, "as", group]:
                self._do(self._handle(name, int(number), stream, group, OUTCOMES))
            case [name, "finishes", number, "messages", "of", stream, "as", group]:
                self._do(self._handle(name, int(number), stream, group, {}))
            case [_, "keeps", "nothing", "parked", "of", stream, "as", group]:
                self._do(self._until_nothing(stream, group, lambda found: found.parked))
            case [name, "leaves"]:
                self._do(self._consumers[name].shutdown())
            case [name, "dies"]:
                self._loop.call_soon_threadsafe(self._consumers[name].halt)
            case _:
                raise AssertionError(f"nobody knows how to tell {sentence!r}")

    async def _consume(self, name: str, stream: str, group: str) -> None:
        """Join, and return when every member has its share."""
        consumer = await self._segmenter.register_consumer(
            stream, group=group, instance_id=name, session_timeout=2.0, rebalance_delay=0.0
        )
        self._consumers[name] = consumer
        await self._until(stream, group, {"owned"})

    async def _handle(
        self, name: str, number: int, stream: str, group: str, outcomes: Mapping[bytes, Callable[[Message], None]]
    ) -> None:
        """Do with so many messages what their data say, and return when all of the stream is settled or set aside."""
        consumer = self._consumers[name]
        for _ in range(number):
            message = await anext(consumer)
            outcomes.get(message.data, Message.ack)(message)
        await consumer.commit()
        await self._until_nothing(stream, group, lambda found: found.lag)

    async def _until_nothing(self, stream: str, group: str, left: Callable[[GroupSnapshot], int]) -> None:
        while True:
            if left(await self._segmenter.describe(stream, group)) == 0:
                return
            await asyncio.sleep(0)

    async def _until(self, stream: str, group: str, states: set[str]) -> None:
        while True:
            found = await self._segmenter.describe(stream, group)
            shares = {len(member.partitions) for member in found.members}
            if {partition.state for partition in found.partitions} == states and max(shares) - min(shares) <= 1:
                return
            await asyncio.sleep(0)

    def close(self) -> None:
        self._do(self._segmenter.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def play(text: str, url: str, namespace: str) -> str:
    """Return a script with what its commands print on this server."""
    story = Story(url, namespace)
    try:
        return "\n".join(_played(text, story, ["--url", url, "--namespace", namespace])).rstrip() + "\n"
    finally:
        story.close()


def _played(text: str, story: Story, place: list[str]) -> Iterator[str]:
    first_id = ""
    for head, stdin, apart in _commands(text):
        yield head
        if head.startswith("% "):
            story.tell(head.removeprefix("% "))
        if not head.startswith("$ "):
            yield from [""] if apart else []
            continue
        yield from (f"< {line}" for line in stdin)
        words = shlex.split(head.removeprefix("$ segmenter ").replace("{id}", first_id))
        given = [] if "--url" in words else place
        lines = "\n".join(stdin).encode().decode("unicode_escape").encode("latin-1")
        code, out, err = ran([*given, *words], lines)
        first_id = next(iter(MESSAGE_ID.findall(out)), first_id)
        yield from _printed(code, out, err)
        yield ""


def _printed(code: int, out: str, err: str) -> Iterator[str]:
    yield from masked(out).splitlines()
    yield from (f"! {line}".rstrip() for line in masked(err).splitlines())
    if code:
        yield f"exit {code}"


def masked(text: str) -> str:
    """What differs from run to run, in letters."""
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _commands(text: str) -> Iterator[tuple[str, list[str], bool]]:
    """The lines that are written by hand, with their input, and whether an empty line follows."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(HEADS):
            stdin: list[str] = []
            for following in lines[number + 1 :]:
                if not following.startswith("< "):
                    break
                stdin.append(following.removeprefix("< "))
            yield line, stdin, not lines[number + 1 : number + 2] or not lines[number + 1]


def difference(path: Path, found: str) -> str:
    """A unified diff from what is expected to what was found, empty if they are the same."""
    expected = path.read_text().splitlines()
    return "\n".join(difflib.unified_diff(expected, found.splitlines(), path.name, "as it happened", lineterm=""))
