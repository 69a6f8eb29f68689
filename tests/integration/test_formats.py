"""What the version before this one stored is read; what a later one stored is refused."""

from __future__ import annotations

import asyncio
import json

import pytest

from segmenter import Segmenter, UnsupportedFormat
from segmenter.core.layout import FORMAT
from tests.servers import Server

LIMIT_S = 30

pytestmark = pytest.mark.tampers("another version has stored it")

CONFIG = (
    '{"format":1,"partitions":2,"partition_size":100,"incarnation":"old","state":"ready","hash":"crc32","layout":0}'
)
DOCUMENT = (
    '{"format":1,"partitions":2,"session_ms":1000,"state":"ready","members":{},"gone":{"c-1":"left"},'
    '"owners":[],"assignment":[null,null]}'
)
LANE = ("owner", "", "epoch", "0", "generation", "0", "claim", "", "history", "", "number", "0")


def store_format_1(server: Server) -> None:
    """As the first version left it: a stream with a group, and one partition that never had a message."""
    with server.tampering() as client:
        client.hset("{shop:orders}:config", mapping={"version": "v1", "body": CONFIG})
        version = {"version": "v2", "generation": "7", "beats": "1"}
        client.hset("{shop:orders}:group:g:document", mapping={**version, "body": DOCUMENT})
        for number in range(2):
            client.hset(f"{{shop:orders:{number}}}:meta", mapping={"format": "1", "incarnation": "old", "layout": "0"})
            progress = ("offset", "0-0", "read", "0", "ranges", "", "attempts", "")
            fields = [f"g:{word}" if place % 2 == 0 else word for place, word in enumerate((*progress, *LANE))]
            client.execute_command("HSET", f"{{shop:orders:{number}}}:lanes", *fields)


def test_streams_of_the_format_before_go_on(server: Server) -> None:
    """Their partitions have no log before the first message: that is no loss there."""
    store_format_1(server)

    async def main() -> None:
        async with asyncio.timeout(LIMIT_S), Segmenter(server.url, namespace="shop") as segmenter:
            orders = await segmenter.get_stream("orders")
            async with segmenter.register_consumer("orders", group="g", session_timeout=1.0) as consumer:
                while len(consumer.partitions) < 2:
                    await consumer.read(timeout=0.05)
                await orders.send_many([(f"k{number}", b"x") for number in range(20)])
                handled = 0
                while handled < 20:
                    batch = await consumer.read(timeout=LIMIT_S)
                    handled += len(batch)
                    await consumer.ack(*batch)
            assert (await segmenter.describe("orders", "g")).lag == 0

    asyncio.run(main())


@pytest.mark.parametrize("what", ["config", "document"])
def test_what_a_later_version_stored_is_refused(server: Server, what: str) -> None:
    store_format_1(server)
    with server.client as client:
        if what == "config":
            client.hset("{shop:orders}:config", "body", json.dumps(json.loads(CONFIG) | {"format": FORMAT + 1}))
        else:
            body = json.dumps(json.loads(DOCUMENT) | {"format": FORMAT + 1})
            client.hset("{shop:orders}:group:g:document", "body", body)

    async def main() -> None:
        async with asyncio.timeout(LIMIT_S), Segmenter(server.url, namespace="shop") as segmenter:
            with pytest.raises(UnsupportedFormat, match="upgrade"):
                await segmenter.register_consumer("orders", group="g", session_timeout=1.0)

    asyncio.run(main())
