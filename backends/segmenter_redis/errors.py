"""The one place where foreign errors become ours: every answer of a server is of one kind, and may have a remedy."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from enum import Enum, auto
from urllib.parse import urlsplit

from attrs import frozen
from redis import exceptions

from segmenter.errors import BackendError, ServerFull

__all__ = ["Kind", "backend_error", "kind_of", "redacted"]


class Kind(Enum):
    """What an error calls for."""

    RETRIABLE = auto()  # it passes: ask again
    FENCED = auto()  # this server is not, or no longer, the one to ask: connect anew, then ask again
    FATAL = auto()  # asking again changes nothing


@frozen
class _Case:
    kind: Kind
    remedy: str = ""
    refused: bool = True  # nothing was done


_RIGHTS = "let the user run scripts and stream commands on the keys of this namespace"
_FATAL = _Case(Kind.FATAL, refused=False)
_UNREACHABLE = _Case(Kind.RETRIABLE, "check that the server runs and that the URL names it", refused=False)
_UNTRUSTED = _Case(Kind.FATAL, "check the server's certificate, its host name, and ssl_ca_certs in the URL")
# By the first word of the server's answer. A refusal comes before anything of a script is executed.
_CASES: Mapping[str, _Case] = {
    "BUSY": _Case(Kind.RETRIABLE, "another script occupies the server: see its slow log"),
    "CLUSTERDOWN": _Case(Kind.RETRIABLE),
    "LOADING": _Case(Kind.RETRIABLE, "the server is still reading its data"),
    "MISCONF": _Case(Kind.RETRIABLE, "the server cannot save to disk: see its log"),
    "NOREPLICAS": _Case(Kind.RETRIABLE, "too few replicas are connected: see min-replicas-to-write"),
    "OOM": _Case(Kind.RETRIABLE, "raise maxmemory, or let consumers catch up"),
    "TRYAGAIN": _Case(Kind.RETRIABLE),
    "UNBLOCKED": _Case(Kind.RETRIABLE),
    "MASTERDOWN": _Case(Kind.FENCED, "the server is a replica without its primary: name the primary in the URL"),
    "READONLY": _Case(Kind.FENCED, "the server is a replica: name the primary in the URL"),
    "NOAUTH": _Case(Kind.FATAL, "check user and password in the URL: redis://user:password@host"),
    "NOPERM": _Case(Kind.FATAL, _RIGHTS),
    "NOPERM in a script": _Case(Kind.FATAL, _RIGHTS, refused=False),  # it may have come some way
    "WRONGTYPE": _Case(
        Kind.FATAL, "another program writes to the keys of this namespace: choose another one", refused=False
    ),
}
_CODES: tuple[tuple[type[Exception], str], ...] = (  # redis-py takes the code away from the errors that it knows
    (exceptions.AuthenticationError, "NOAUTH"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.TryAgainError, "TRYAGAIN"),
)
_NO_PERMISSION = ("The user executing the script can't", "ACL failure in script")
_OF_CONNECTION = (exceptions.ConnectionError, exceptions.TimeoutError, OSError, TimeoutError)


def redacted(url: str) -> str:
    """Return a URL without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def kind_of(error: BaseException) -> Kind:
    """Return what an error calls for."""
    return _case(error).kind


def backend_error(error: BaseException, what: str, where: str, *, sent: bool = True) -> BackendError:
    """Return our error for a foreign one, which becomes its cause.

    Args:
        error: what redis-py or asyncio raised, or an error of ours, which is told anew for another request.
        what: the command that failed by it.
        where: the redacted URL.
        sent: whether the command had left; one that had not was certainly not executed.
    """
    case = _case(error)
    words = f"{what} at {where}: {str(error).rstrip('.') or type(error).__name__}"
    message = f"{words}; {case.remedy}" if case.remedy else words
    if _code(error) == "OOM":
        ours: BackendError = ServerFull(message)
    else:
        ours = BackendError(message, retriable=case.kind is not Kind.FATAL, refused=case.refused or not sent)
    ours.__cause__ = error
    return ours


def _case(error: BaseException) -> _Case:
    known = _CASES.get(_code(error))
    if known is not None:
        return known
    if _is_of_certificate(error):
        return _UNTRUSTED
    return _UNREACHABLE if isinstance(error, _OF_CONNECTION) else _FATAL


def _is_of_certificate(error: BaseException | None) -> bool:
    """Whether a certificate was refused; redis-py wraps that into an error of connection."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _code(error: BaseException) -> str:
    """The first word of the server's answer; a right that a script lacks is told in words of its own."""
    if any(words in str(error) for words in _NO_PERMISSION):
        return "NOPERM in a script"
    known = (code for kind, code in _CODES if isinstance(error, kind))
    return next(known, str(error).partition(" ")[0])
