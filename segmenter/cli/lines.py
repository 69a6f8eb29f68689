"""What ``segmenter send`` reads: a message a line, in one of three forms."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from typing import Any

from segmenter.errors import InvalidArgument
from segmenter.runtime.intake import checked

__all__ = ["Message", "Parse", "parser"]

Message = tuple[bytes, bytes, dict[str, str]]  # key, data, headers
Parse = Callable[[bytes], Message]

FIELDS = {"key", "key_base64", "data", "data_base64", "headers"}
SHOWN = {"stream", "partition", "id", "timestamp", "group", "attempts", "reason"}  # what is shown can be sent again


def parser(key: str | None, *, objects: bool) -> Parse:
    """Return what makes a message of a line: data under one key, ``KEY<tab>DATA``, or an object of JSON.

    Raises:
        InvalidArgument, MessageTooLarge: the key of all of them cannot be.
    """
    if key is not None:
        checked(key, b"")
    if objects:
        return lambda line: _from_object(line, key)
    if key is not None:
        fixed = key.encode()
        return lambda line: (fixed, line, {})
    return _from_pair


def _from_pair(line: bytes) -> Message:
    key, tab, data = line.partition(b"\t")
    if not tab:
        raise InvalidArgument("there is no tab between key and data: use KEY<tab>DATA, or --key, or --jsonl")
    return key, data, {}


def _from_object(line: bytes, key: str | None) -> Message:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise InvalidArgument(f"this is no JSON ({error}): use one object a line") from None
    if not isinstance(found, dict):
        raise InvalidArgument('this is no object: use {"key": "...", "data": "..."}')
    fields: dict[str, Any] = dict(found)  # pyright: ignore[reportUnknownArgumentType]
    unknown = set(fields) - FIELDS - SHOWN
    if unknown:
        raise InvalidArgument(f"there is no field {min(unknown)!r}: use {', '.join(sorted(FIELDS))}")
    if key is not None:
        fields.setdefault("key", key)
    return _bytes_of(fields, "key"), _bytes_of(fields, "data"), fields.get("headers") or {}


def _bytes_of(fields: dict[str, Any], name: str) -> bytes:
    text, encoded = fields.get(name), fields.get(f"{name}_base64")
    if isinstance(text, str) and encoded is None:
        return text.encode("utf-8", "surrogateescape")
    if isinstance(encoded, str):
        try:
            return b64decode(encoded, validate=True)
        except NotBase64:
            raise InvalidArgument(f"{name}_base64 is no base64") from None
    raise InvalidArgument(f'{name} is {text!r}: it must be text, as in {{"key": "k", "data": "x"}}')
