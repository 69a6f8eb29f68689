"""``segmenter tail``: messages as they stand in a stream, without being a consumer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.text import Text

from segmenter.cli.moments import clock, start_from
from segmenter.cli.place import Here
from segmenter.cli.printing import as_fields, visible
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
    in the order in which it was sent.

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
        with place.printer.items() as items:
            async with aclosing(messages):
                async for message in messages:
                    if chosen in (None, message.raw_key):
                        items.add(_as_object(message), _line(message))
                    if items.count == count:
                        break

    place.visit(job)
    return 0


def _as_object(message: LoggedMessage) -> dict[str, Any]:
    return {
        "stream": message.stream,
        "partition": message.partition,
        "id": message.id,
        "timestamp": message.timestamp.isoformat(timespec="milliseconds"),
        **as_fields("key", message.raw_key),
        **as_fields("data", message.data),
        "headers": message.headers,
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
        for name, value in message.headers.items():
            text.append(f"  {visible(name)}={visible(value)}", "dim")
        return text

    return line
