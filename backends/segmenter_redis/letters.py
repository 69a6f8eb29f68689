"""Letters and requests as fields and values of hashes, and back. All of it is pure.

The field of a letter is its place, ``ordinal:key``; its value is a line of JSON that an operator can read, followed by
the headers and the data as they were sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from segmenter.core.aside import Letter, Moves, Place, Request, Summary

__all__ = ["letters_from", "moves_parts", "place_field", "request_field", "requests_from", "summary_from"]

Words = list[str | bytes | int]


def place_field(place: Place) -> bytes:
    """Return where a letter lies, as a field."""
    return b"%d:%b" % place


def request_field(request: Request) -> bytes:
    """Return what is asked for, as a field; whose value is the token."""
    what = request.what.encode()
    return what if request.key is None else b"%b:%b" % (what, request.key)


def _value(letter: Letter) -> bytes:
    told = {
        "id": letter.entry_id.decode(),
        "attempts": letter.attempts,
        "reason": letter.reason,
        "headers": len(letter.headers),
    }
    return b"%b\n%b%b" % (json.dumps(told).encode(), letter.headers, letter.data)


def _letter(field: bytes, value: bytes) -> Letter:
    ordinal, _, key = field.partition(b":")
    line, _, rest = value.partition(b"\n")
    told: dict[str, Any] = json.loads(line)
    headers, data = rest[: told["headers"]], rest[told["headers"] :]
    return Letter(int(ordinal), told["id"].encode(), key, data, headers, told["attempts"], told["reason"])


def letters_from(flat: Sequence[bytes]) -> tuple[Letter, ...]:
    """Return letters from fields and values, in the order of the core."""
    letters = [_letter(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    return tuple(sorted(letters, key=lambda letter: letter.place))


def requests_from(flat: Sequence[bytes]) -> tuple[Request, ...]:
    """Return requests from fields and tokens, in the order of the core."""
    requests = [_request(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    return tuple(sorted(requests, key=lambda request: (request.what, request.key or b"")))


def _request(field: bytes, token: bytes) -> Request:
    what, colon, key = field.partition(b":")
    return Request(cast("Any", what.decode()), key if colon else None, token.decode())


def summary_from(dead: int, rest: Sequence[Any]) -> Summary:
    """Return what an owner has to know, from the end of an answer: counted pairs of keys, then of requests."""
    beyond = 1 + 2 * int(rest[0])
    keys = rest[1:beyond]
    counts = zip(keys[::2], map(int, keys[1::2]), strict=True)
    return Summary(tuple(sorted(counts)), int(dead), requests_from(rest[beyond + 1 :]))


def moves_parts(moves: Moves) -> Words:
    """Return the moves of a commit: what to take back first, so that what is parked anew stays."""
    words: Words = [len(moves.unpark), *map(place_field, moves.unpark)]
    for letters in (moves.park, moves.bury):
        words += _counted((place_field(letter.place), _value(letter)) for letter in letters)
    return words + _counted((request_field(request), request.token.encode()) for request in moves.heeded)


def _counted(pairs: Iterable[tuple[bytes, bytes]]) -> Words:
    flat: Words = [word for pair in pairs for word in pair]
    return [len(flat) // 2, *flat]
