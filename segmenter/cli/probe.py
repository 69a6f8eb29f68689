"""A tiny HTTP endpoint for probes: ``/healthz`` and ``/readyz`` answer 200 or 503."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from segmenter.errors import InvalidArgument

__all__ = ["probed"]

PATIENCE_S = 5.0  # with a client that does not finish its request


@asynccontextmanager
async def probed(host: str, port: int, checks: Mapping[str, Callable[[], bool]]) -> AsyncGenerator[None]:
    """Answer on a port of a host's addresses, by checks by path.

    Raises:
        InvalidArgument: the port is taken, or the address is not one of this machine.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, TimeoutError, ValueError):  # a value error is a line that is too long
            async with asyncio.timeout(PATIENCE_S):
                words = (await reader.readline()).split()
                while (await reader.readline()).strip():
                    pass  # headers are of no interest
                writer.write(_response(checks.get(words[1].decode("latin-1")) if len(words) > 1 else None))
                await writer.drain()
        writer.close()

    address = host.removeprefix("[").removesuffix("]")
    try:
        server = await asyncio.start_server(answer, host=address, port=port)
    except (OSError, UnicodeError) as error:
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        raise InvalidArgument(
            f"--health-port {port}: nothing can listen on {where}, so no probe would be answered ({_cause(error)}): "
            "end what has the port, or choose another one or another --health-host"
        ) from error
    async with server:
        yield


def _cause(error: OSError | UnicodeError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else str(error)


def _response(check: Callable[[], bool] | None) -> bytes:
    if check is None:
        status, body = "404 Not Found", b"ask for /healthz or /readyz\n"
    else:
        status, body = ("200 OK", b"yes\n") if check() else ("503 Service Unavailable", b"no\n")
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
