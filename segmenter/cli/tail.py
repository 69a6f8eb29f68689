"""``segmenter tail``: messages as they stand in a stream, without being a consumer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.text import Text

from segmenter.cli.moments import clock, start_from
from segmenter.cli.place import Here
from segmenter.cli.printing import Printer, as_fields, headers_as_fields, headers_as_text, visible
from segmenter.segmenter import Segmenter
from segmenter.tail import LoggedMessage

__all__ = ["tail"]


def tail(
    stream: str,
    /,
    *,
    start: Annotated[str | None, Parameter(name="--from")] = None,
    follow: Annotated[bool, Parameter(show_default=False)] = True,
    count: Annotated[int | None, Parameter(name=["--count", "-n"], validator=Number(gte=1))] = None,
    partition: Annotated[list[int] | None, Parameter(negative="")] = None,
    key: str | None = None,
    place: Here,
) -> int:
    """Print the messages of a stream, and go on with what comes in.

    It is no consumer: nothing is settled, nothing is held back, and no group sees anything of it. What is there comes
    in the order in which it was sent. An entry of another program that is no message is named on standard error, and
    skipped.

    Parameters
    ----------
    stream
        Its name.
    start
        Where to begin: earliest, latest, a message's ID (with what comes after it), an age such as 10m, or an ISO
        time. By default latest, and earliest with --no-follow.
    follow
        Wait for what comes in, until Ctrl-C.
    count
        End after so many messages.
    partition
        Only messages of this partition; may be given several times.
    key
        Only messages of this key.
    """
    begin = start_from(start or ("latest" if follow else "earliest"))

    async def job(segmenter: Segmenter) -> None:
        chosen = None if key is None else key.encode("utf-8", "surrogateescape")
        numbers = partition
        if key is not None and partition is None:
            numbers = [(await segmenter.get_stream(stream)).partition_of(key)]
        messages = segmenter.tail(stream, start=begin, partitions=numbers, follow=follow)
        with place.printer.items() as items, _warnings_said(place.printer):
            async with aclosing(messages):
                async for message in messages:
                    if chosen in (None, message.raw_key):
                        items.add(_as_object(message), _line(message))
                    if items.count == count:
                        break

    place.visit(job)
    return 0


class _Saying(logging.Handler):
    """Says what is logged to whoever runs the command."""

    def __init__(self, printer: Printer) -> None:
        super().__init__(logging.WARNING)
        self._printer = printer

    def emit(self, record: logging.LogRecord) -> None:
        """Say it beside the data."""
        self._printer.say(record.getMessage(), "yellow")


@contextmanager
def _warnings_said(printer: Printer) -> Generator[None]:
    logger, saying = logging.getLogger("segmenter.tail"), _Saying(printer)
    logger.addHandler(saying)
    try:
        yield
    finally:
        logger.removeHandler(saying)


def _as_object(message: LoggedMessage) -> dict[str, Any]:
    return {
        "stream": message.stream,
        "partition": message.partition,
        "id": message.id,
        "timestamp": message.timestamp.isoformat(timespec="milliseconds"),
        **as_fields("key", message.raw_key),
        **as_fields("data", message.data),
        **headers_as_fields(lambda: message.headers, message.raw_headers),
    }


def _line(message: LoggedMessage) -> Callable[[], Text]:
    def line() -> Text:
        data = message.data.decode("utf-8", "surrogateescape")
        text = Text.assemble(
            (clock(message.timestamp), "dim"),
            (f"  {message.partition:>3}  ", "cyan"),
            (visible(message.key), "bold"),
            f"  {visible(data)}",
        )
        if message.raw_headers:
            text.append(f"  {visible(headers_as_text(lambda: message.headers))}", "dim")
        return text

    return line
