"""From objects to payloads and back, by the type that a stream or a handler names. Never pickle: a payload is data.

::

    bytes                     as they are
    str                       UTF-8
    attrs and dataclasses     JSON, by cattrs (extra ``cattrs``)
    msgspec.Struct            JSON, by msgspec (extra ``msgspec``)
    pydantic.BaseModel        JSON, by pydantic (extra ``pydantic``)
    anything else             a ``Codec`` of your own

What an extra brings is imported when a type asks for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

import attrs

from segmenter.errors import InvalidArgument, Undecodable

if TYPE_CHECKING:
    # Type checkers know these defaults; at run time they would need Python 3.13.
    from typing_extensions import TypeVar as DefaultingTypeVar

    T = DefaultingTypeVar("T", default=bytes)
else:
    T = TypeVar("T")

__all__ = ["Codec", "Format", "T", "codec_for"]

C = TypeVar("C")


@runtime_checkable
class Codec(Protocol[C]):
    """Turns values into payloads and back; ``type=`` takes an instance where it takes a type."""

    def encode(self, value: C) -> bytes:
        """Return the payload of a value; whatever it raises becomes the cause of an ``InvalidArgument``."""
        ...

    def decode(self, data: bytes) -> C:
        """Return the value of a payload; whatever it raises becomes the cause of an ``Undecodable``."""
        ...


@attrs.frozen
class Format(Generic[C]):
    """A codec in words: what it is for, and the two functions, ``None`` where payloads stay as they are."""

    name: str
    encode: Callable[[C], bytes] | None
    decode: Callable[[bytes], C] | None

    def encoded(self, value: C) -> bytes:
        """Return the payload of a value.

        Raises:
            InvalidArgument: the value is not of the type, or cannot be encoded.
        """
        if self.encode is None:
            return value  # type: ignore[return-value]
        try:
            return self.encode(value)
        except Exception as error:
            raise InvalidArgument(
                f"data of type {type(value).__name__} is no {self.name}: {error}; send what the stream's type= says"
            ) from error

    def decoded(self, data: bytes) -> C:
        """Return the value of a payload.

        Raises:
            Undecodable: it is none of the type.
        """
        if self.decode is None:
            return data  # type: ignore[return-value]
        try:
            return self.decode(data)
        except Exception as error:
            raise Undecodable(f"the payload is no {self.name}: {type(error).__name__}: {error}") from error


def codec_for(kind: type[C] | Codec[C]) -> Format[C]:
    """Return how values of a type are encoded.

    Raises:
        InvalidArgument: there is no way to, or the extra for it is not installed; the message names it.
    """
    if not isinstance(kind, type):
        return _own(kind)
    if kind is bytes:
        return Format("bytes", None, None)
    for fits, make in _WAYS:
        if fits(kind):
            return make(kind)
    raise InvalidArgument(
        f"type {kind.__name__}: payloads can be bytes, str, attrs or data classes, msgspec.Struct or "
        "pydantic.BaseModel; for anything else pass an object with encode() and decode()"
    )


def _own(codec: Codec[C]) -> Format[C]:
    if not isinstance(codec, Codec):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(f"type {codec!r}: use a type, or an object with encode() and decode()")
    return Format(type(codec).__name__, codec.encode, codec.decode)


# --- the ways to encode ---------------------------------------------------------------------------------------------


def _text(kind: type[Any]) -> Format[Any]:
    return Format("str", str.encode, lambda data: data.decode())


def _by_cattrs(kind: type[Any]) -> Format[Any]:
    try:
        from cattrs.preconf.json import make_converter  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        raise _needs("cattrs", kind) from missing
    converter = make_converter()

    def encode(value: object) -> bytes:
        return converter.dumps(_exactly(kind, value)).encode()

    return Format(kind.__name__, encode, lambda data: converter.loads(data, kind))


def _by_msgspec(kind: type[Any]) -> Format[Any]:
    from msgspec import json  # noqa: PLC0415 - an extra, and there, since the type is one of it

    encoder, decoder = json.Encoder(), json.Decoder(kind)
    return Format(kind.__name__, lambda value: encoder.encode(_exactly(kind, value)), decoder.decode)


def _by_pydantic(kind: type[Any]) -> Format[Any]:
    def encode(value: Any) -> bytes:
        text: str = _exactly(kind, value).model_dump_json()
        return text.encode()

    return Format(kind.__name__, encode, kind.model_validate_json)


def _exactly(kind: type[Any], value: Any) -> Any:
    """Refuse what would be encoded as something else than the receiver expects."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.100} is not of type {kind.__name__}")
    return value


def _needs(extra: str, kind: type[Any]) -> InvalidArgument:
    return InvalidArgument(f"type {kind.__name__} needs {extra}: pip install 'segmenter-streams[{extra}]'")


_Way = tuple[Callable[[type[Any]], bool], Callable[[type[Any]], Format[Any]]]
_WAYS: tuple[_Way, ...] = (
    (lambda kind: kind is str, _text),
    # pydantic's own data classes and msgspec's structs are told by what only they have.
    (lambda kind: hasattr(kind, "model_validate_json"), _by_pydantic),
    (lambda kind: hasattr(kind, "__struct_fields__"), _by_msgspec),
    (lambda kind: attrs.has(kind) or dataclasses.is_dataclass(kind), _by_cattrs),
)
