"""A namespace of a command's own, of which nothing is left behind."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from segmenter.segmenter import Segmenter

__all__ = ["scratch"]


@asynccontextmanager
async def scratch(url: str | None, purpose: str) -> AsyncGenerator[Segmenter, None]:
    """Open a namespace that nobody else uses, and remove every stream of it in the end, however that comes."""
    async with Segmenter(url, namespace=f"{purpose}-{secrets.token_hex(4)}") as segmenter:
        try:
            yield segmenter
        finally:
            for stream in await segmenter.streams():
                await segmenter.remove_stream(stream)
