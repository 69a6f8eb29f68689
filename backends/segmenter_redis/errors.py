"""The one place where foreign errors become ours."""

from __future__ import annotations

from urllib.parse import urlsplit

from redis import exceptions

from segmenter.errors import BackendError

__all__ = ["backend_error", "redacted"]

# Errors of the server that pass without anything being changed by a user of the library.
_PASSING = frozenset(
    [
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    ],
)
_REMEDIES = {
    "NOAUTH": "check user and password in the URL: redis://user:password@host",
    "NOPERM": "let the user run scripts and stream commands on the keys of this namespace",
    "WRONGTYPE": "another program writes to the keys of this namespace: choose another one",
    "OOM": "the server's memory is full: raise maxmemory, or let consumers catch up",
    "MISCONF": "the server cannot save to disk: see its log",
    "READONLY": "the server is a replica: name the primary in the URL",
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
_UNREACHABLE = "check that the server runs and that the URL names it"


def redacted(url: str) -> str:
    """Return a URL without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def backend_error(error: BaseException, what: str, where: str) -> BackendError:
    """Return our error for a foreign one, which becomes its cause.

    Args:
        error: what redis-py or asyncio raised, or an error of ours, which is told anew for another request.
        what: the command that failed by it.
        where: the redacted URL.
    """
    code = _code(error)
    remedy = _REMEDIES.get(code, "") or (_UNREACHABLE if _is_of_connection(error) else "")
    message = f"{what} at {where}: {str(error).rstrip('.') or type(error).__name__}" + (f"; {remedy}" if remedy else "")
    ours = BackendError(message, retriable=code in _PASSING or _is_of_connection(error))
    ours.__cause__ = error
    return ours


def _code(error: BaseException) -> str:
    """The first word of the server's answer."""
    known = (code for kind, code in _CODES if isinstance(error, kind))
    return next(known, str(error).partition(" ")[0])


def _is_of_connection(error: BaseException) -> bool:
    if isinstance(error, exceptions.AuthenticationError):
        return False
    return isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError | TimeoutError)
