"""What an entry of a log has to be: the one place that knows the fields of a message.

A message has the fields ``k``, its key, and ``d``, its data, and ``h`` if it has headers. Each is there once, in any
order; fields of other names are ignored. Anybody who may write to the log can add an entry that is none of ours. Such
an entry is **corrupt**: it has an ordinal like any other, and is never handed out.

The library writes the fields in one order, the **ordinary form** ``(k, key, d, data)`` or ``(k, key, d, data, h,
headers)``. An entry in another order is brought into that form when it is taken in, so nothing else looks at names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import frozen

from segmenter.core.command import Entry
from segmenter.core.log import parse_position
from segmenter.errors import Corrupt

__all__ = ["CorruptEntry", "Fields", "headers_of", "in_ordinary_form", "parts_of", "sizes_of", "time_of"]

Fields = Sequence[bytes]  # flat: name, value, name, value

KEY, DATA, HEADERS = b"k", b"d", b"h"
ORDINARY = ([KEY, DATA], (KEY, DATA), [KEY, DATA, HEADERS], (KEY, DATA, HEADERS))
LIMIT_NAMES = 5  # of a corrupt entry, that are said
LIMIT_NAME = 20  # bytes of each
LAST_MS = 253_402_300_799_999  # of the year 9999, the last one of a datetime


@frozen
class CorruptEntry:
    """An entry of a log that is no message."""

    ordinal: int
    entry_id: bytes
    reason: str


def sizes_of(entries: Sequence[Entry]) -> list[int]:
    """Return the sizes of the data of messages; they are fewer than the entries if some are not in ordinary form.

    This runs for every message. Unpacking it takes less time than looking at its length and two of its parts.
    """
    try:
        return [len(data) for _, (k, _, d, data) in entries if k == KEY and d == DATA]
    except ValueError:  # an entry has other than four parts
        return _sizes_with_headers(entries)


def _sizes_with_headers(entries: Sequence[Entry]) -> list[int]:
    try:
        return [len(data) for _, (k, _, d, data, h, _) in entries if k == KEY and d == DATA and h == HEADERS]
    except ValueError:  # an entry has other than six
        return [len(fields[3]) for _, fields in entries if len(fields) % 2 == 0 and fields[::2] in ORDINARY]


def in_ordinary_form(fields: Fields) -> Fields | str:
    """Return the fields of a message in ordinary form; if they are none, what is wrong with them."""
    if len(fields) % 2:
        return "a field has no value"
    names = list(fields[::2])
    missing = [name for name in (KEY, DATA) if name not in names]
    if missing:
        return f"it has no field {' and no field '.join(map(_shown, missing))}, but {_listed(names)}"
    repeated = [name for name in (KEY, DATA, HEADERS) if names.count(name) > 1]
    if repeated:
        return f"its field {_shown(repeated[0])} is there {names.count(repeated[0])} times"
    values = dict(zip(names, fields[1::2], strict=True))
    headers = values.get(HEADERS)
    return (KEY, values[KEY], DATA, values[DATA], *((HEADERS, headers) if headers else ()))


def _listed(names: Sequence[bytes]) -> str:
    more = f" and {len(names) - LIMIT_NAMES} more" if len(names) > LIMIT_NAMES else ""
    return ", ".join(map(_shown, names[:LIMIT_NAMES])) + more


def _shown(name: bytes) -> str:
    return repr(name[:LIMIT_NAME])[1:]


def parts_of(fields: Fields) -> tuple[bytes, bytes, bytes]:
    """Return key, data and headers of a message in ordinary form."""
    return fields[1], fields[3], fields[5] if len(fields) > 4 else b""  # noqa: PLR2004 - key, data, then headers


def headers_of(raw: bytes, entry_id: bytes, *, partition: int, stream: str | None = None) -> dict[str, str]:
    """Return the headers of a message.

    Raises:
        Corrupt: they are no object of JSON that has texts only.
    """
    if not raw:
        return {}
    try:
        found: object = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        cause: Exception | None = error
    else:
        if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):  # pyright: ignore[reportUnknownVariableType]
            return found  # pyright: ignore[reportUnknownVariableType]
        cause = None
    where = f"partition {partition}" + ("" if stream is None else f" of {stream!r}")
    raise Corrupt(
        f"the headers of message {entry_id.decode()} in {where} are no JSON object of texts, so another program has "
        "written them: have it write field h as segmenter does, or leave it out",
        stream=stream,
        partition=partition,
        entry_id=entry_id.decode(),
        reason="its field 'h' is no JSON object of texts",
    ) from cause


def time_of(entry_id: bytes) -> datetime:
    """Return when the server took an entry in, by its clock; an id beyond the year 9999 counts as its end."""
    return datetime.fromtimestamp(min(parse_position(entry_id)[0], LAST_MS) / 1000, UTC)
