"""The proxy leaves nothing open, whenever it ends."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress

import pytest

from tests.integration.proxy import Proxy
from tests.servers import free_port


@pytest.mark.unheard("there is no server")
@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_is_being_accepted_is_closed_with_the_rest(turns: int) -> None:
    """An unclosed one would be told of when the loop is gone, in whatever test runs then."""

    async def scenario() -> socket.socket:
        async with Proxy(free_port()) as proxy:
            client = socket.create_connection(("127.0.0.1", proxy.port))
            for _ in range(turns):
                await asyncio.sleep(0)
        return client

    with asyncio.run(scenario()) as client:
        gc.collect()
        client.settimeout(1)
        with suppress(ConnectionResetError):
            assert client.recv(1) == b"", "the other end"
