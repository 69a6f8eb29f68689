"""The audit says what the server did, in its order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segmenter import Segmenter
from segmenter.core.command import PartitionSlot
from segmenter.core.partition import Commit, Fenced, Progress
from segmenter_redis import RedisBackend
from segmenter_redis.scripts import SCRIPTS
from tests.audit.records import Appended, Claimed, Committed, Other, Released, records
from tests.audit.replay import asked, disagreements
from tests.audit.scripts import AUDITED, audit_key
from tests.servers import Server

SLOT = PartitionSlot("orders", 0)


@pytest.mark.parametrize("server_name", ["newest_server", "oldest_server"])
def test_the_server_writes_down_what_it_was_asked_and_answered(
    request: pytest.FixtureRequest, server_name: str, namespace: str
) -> None:
    server: Server = request.getfixturevalue(server_name)

    async def story() -> tuple[str, str]:
        backend = RedisBackend(server.url, namespace, scripts=AUDITED)
        async with Segmenter(backend=backend) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            sent = await orders.send("k", b"0")
            async with segmenter.register_consumer("orders", group="g") as consumer:
                member = consumer.id
                await consumer.ack(await anext(consumer))
            late = Commit(SLOT, "g", member, 1, 9, Progress())
            assert isinstance(await segmenter.session.execute(late), Fenced)
        return sent.id, member

    sent_id, member = asyncio.run(story())
    client: Any
    with server.client as client:
        lines = client.lrange(audit_key(namespace, "orders", 0), 0, -1)
    done = list(records(lines))
    partition, append, lane, claim, commit, release, late = done
    assert (partition, lane) == (
        Other(partition.at_us, "create_partition", "Created"),
        Other(lane.at_us, "create_lane", "Created"),
    )
    assert list(disagreements(asked(lines))) == []
    assert isinstance(append, Appended)
    assert append.messages == ((sent_id, "k", 0),)
    assert isinstance(claim, Claimed)
    assert (claim.member, claim.stored.read) == (member, 0)
    assert isinstance(commit, Committed)
    assert (commit.member, commit.epoch, commit.progress) == (member, claim.epoch, Progress(sent_id.encode(), 1))
    assert isinstance(release, Released)
    assert (release.member, release.evicted) == (member, "")
    assert isinstance(late, Other)
    assert (late.command, late.answer) == ("commit", "Fenced")
    times = [record.at_us for record in done]
    assert times == sorted(times)


def test_without_an_audit_the_scripts_are_the_librarys_own() -> None:
    assert {name for name in SCRIPTS if AUDITED[name] is not SCRIPTS[name]} == {
        "append",
        "claim",
        "commit",
        "create_lane",
        "create_partition",
        "release",
        "trim",
    }
    assert not any("audit" in script.text for script in SCRIPTS.values())
