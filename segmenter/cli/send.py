"""``segmenter send``: lines of standard input become messages, in their order."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from attrs import define, field
from cyclopts import Parameter
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from segmenter.cli.lines import Message, Parse, parser
from segmenter.cli.place import Here
from segmenter.cli.printing import Printer
from segmenter.config import LIMIT_DATA_BYTES, OnFull
from segmenter.errors import InvalidArgument, SegmenterError
from segmenter.runtime.intake import checked
from segmenter.segmenter import Segmenter
from segmenter.stream import Stream

__all__ = ["send"]

CHUNK = 1 << 16  # bytes read at once
AHEAD = 4  # chunks that wait to be sent
LIMIT_LINE = 4 * LIMIT_DATA_BYTES  # of base64 in JSON, with room to spare
RATE_AFTER_S = 0.5
STDIN = 0


def send(
    stream: str,
    /,
    *,
    key: str | None = None,
    objects: Annotated[bool, Parameter(name="--jsonl", negative="", show_default=False)] = False,
    on_full: OnFull = "raise",
    place: Here,
) -> int:
    """Send the lines of standard input as messages.

    A line is a key, a tab, and data; with --key all of it is data; with --jsonl it is an object, as tail -o jsonl
    prints it. The first line that is no message, or that the server does not take, ends it: it is named, and what was
    sent before it stays sent.

    Parameters
    ----------
    stream
        Its name; it must be registered.
    key
        The key of every line.
    objects
        Read {"key": "k", "data": "x", "headers": {"h": "v"}}; key_base64 and data_base64 hold bytes.
    on_full
        If a partition is full of messages that a group has yet to settle: stop, wait for room, or lose the oldest.
    """
    parse = parser(key, objects=objects)

    async def job(segmenter: Segmenter) -> _Sending:
        sending = _Sending(await segmenter.get_stream(stream, on_full=on_full), parse)
        with _progress(place.printer) as progress:
            task = progress.add_task("", total=None, rate="")
            try:
                async for chunk in _chunks():
                    await sending.take(chunk)
                    progress.update(task, completed=sending.sent, rate=sending.rate)
                await sending.end()
            except asyncio.CancelledError:
                place.printer.say(f"{sending.sent:,} sent to {stream}, and perhaps what was under way")
                raise
        return sending

    sending = place.visit(job)
    place.printer.object({"stream": stream, "sent": sending.sent}, show=lambda: None)
    place.printer.say(f"{sending.sent:,} sent to {stream}")
    return 0


def _progress(printer: Printer) -> Progress:
    words = TextColumn("{task.completed:,.0f} sent{task.fields[rate]}")
    terminal = printer.err.is_terminal
    return Progress(
        SpinnerColumn(), words, TimeElapsedColumn(), console=printer.err, transient=True, disable=not terminal
    )


@define
class _Sending:
    """How far it has come."""

    stream: Stream
    parse: Parse
    sent: int = 0
    lines: int = 0  # taken in, the failing one included
    began: float = field(factory=lambda: asyncio.get_running_loop().time())
    rest: bytes = b""  # a line without its end

    @property
    def rate(self) -> str:
        """Messages a second so far."""
        elapsed_s = asyncio.get_running_loop().time() - self.began
        return f", {self.sent / elapsed_s:,.0f}/s" if elapsed_s > RATE_AFTER_S else ""

    async def take(self, chunk: bytes) -> None:
        """Send the lines that are complete."""
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        await self._send(lines)
        if len(self.rest) > LIMIT_LINE:
            raise self._failed(self.lines + 1, "it is too long: store it elsewhere and send a reference")

    async def end(self) -> None:
        """Send what the last line break is followed by, if anything."""
        if self.rest:
            await self._send([self.rest])

    async def _send(self, lines: Sequence[bytes]) -> None:
        good: list[Message] = []
        bad: Exception | None = None
        for line in lines:
            try:
                message = self.parse(line)
                checked(*message)
            except InvalidArgument as error:
                bad = error
                break
            good.append(message)
        await self._send_messages(good)
        if bad is not None:
            raise self._failed(self.lines + 1, str(bad)) from bad

    async def _send_messages(self, messages: list[Message]) -> None:
        try:
            self.sent += len(await self.stream.send_many(messages))
        except SegmenterError as error:
            receipts = getattr(error, "sent", None) or [None] * len(messages)
            first = receipts.index(None)
            self.sent += len(receipts) - receipts.count(None)
            later = len(receipts) - first - receipts.count(None)
            beyond = f", {later} of them after it" if later else ""
            error.args = (f"line {self.lines + first + 1}: {error}; {self.sent:,} sent{beyond}",)
            raise
        self.lines += len(messages)

    def _failed(self, line: int, why: str) -> SegmenterError:
        return SegmenterError(f"line {line}: {why}; {self.sent:,} sent, up to the line before it")


async def _chunks() -> AsyncIterator[bytes]:
    """What comes in on standard input, as it comes: a pipe, a file or a keyboard.

    A thread of its own waits for it, and is left behind if the command ends before its input does.
    """
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(AHEAD)
    loop = asyncio.get_running_loop()

    def read() -> None:
        chunk: bytes | OSError = b"-"
        while chunk and isinstance(chunk, bytes):
            try:
                chunk = os.read(STDIN, CHUNK)
            except OSError as error:
                chunk = error
            try:
                asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()
            except (RuntimeError, asyncio.CancelledError):  # the loop has ended
                return

    threading.Thread(target=read, name="segmenter-stdin", daemon=True).start()
    if sys.stdin is not None and sys.stdin.isatty():
        print("one message a line; end with Ctrl-D", file=sys.stderr)  # noqa: T201
    while chunk := await queue.get():
        if isinstance(chunk, OSError):
            raise SegmenterError(f"standard input cannot be read: {chunk.strerror}")
        yield chunk
