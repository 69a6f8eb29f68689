"""How this process is named to others: in the group's document, and in the ids of its members."""

from __future__ import annotations

import os
import re
import socket
from functools import cache

from segmenter.core.group import ProcessInfo

__all__ = ["member_id", "this_process"]

HEAD, TAIL = (
    8,
    9,
)  # characters of a long host name: where a pod's begins like that of the others, it ends in its own way
FOREIGN = re.compile(r"[^A-Za-z0-9._-]+")


def this_process() -> ProcessInfo:
    """Return the host, the pid and the library's version."""
    return ProcessInfo(_host(), os.getpid(), _version())


def member_id(seat: str | None, process: ProcessInfo, nonce: str) -> str:
    """Return an id that is unique for ever and tells people which process it is, in about 40 characters."""
    if seat is not None:
        return f"{seat}-{nonce}"
    return f"{_short(process.host)}-{process.pid}-{nonce}" if process.host else f"c-{nonce}"


def _short(host: str) -> str:
    label = FOREIGN.sub("-", host.split(".", 1)[0]).strip("-") or "host"
    return label if len(label) <= HEAD + TAIL + 1 else f"{label[:HEAD]}.{label[-TAIL:]}"


def _host() -> str:
    try:
        return socket.gethostname()
    except (OSError, UnicodeError):  # a name that nobody can spell
        return ""


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - takes time to import

    try:
        return version("segmenter-streams")
    except PackageNotFoundError:
        return ""
