"""From a URL to a backend, by the entry points of the group ``segmenter.backends``."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from segmenter.errors import InvalidArgument
from segmenter.port import Backend

__all__ = ["ENVIRONMENT_VARIABLE", "backend_for"]

ENVIRONMENT_VARIABLE = "SEGMENTER_URL"
_ALIASES = {"rediss": "redis", "unix": "redis"}


def backend_for(url: str | None, namespace: str) -> Backend:
    """Return the backend that a URL's scheme names.

    Args:
        url: such as ``redis://localhost:6379/0`` or ``memory://``; ``None`` reads ``SEGMENTER_URL``.
        namespace: keeps the streams of one application apart from another's.

    Raises:
        InvalidArgument: if there is no URL, or no backend for its scheme.
    """
    url = url or os.environ.get(ENVIRONMENT_VARIABLE)
    if not url:
        raise InvalidArgument(f"no URL: pass one, such as redis://localhost:6379, or set {ENVIRONMENT_VARIABLE}")
    scheme = urlsplit(url).scheme
    found = entry_points(group="segmenter.backends")
    for point in found:
        if point.name == _ALIASES.get(scheme, scheme):
            backend: Backend = point.load()(url, namespace)
            return backend
    known = ", ".join(sorted({point.name for point in found}))
    raise InvalidArgument(f"no backend for the scheme {scheme!r}: there are {known}")
