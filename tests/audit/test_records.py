"""The audit says what the server did, in its order."""

from __future__ import annotations

import asyncio

from segmenter import Segmenter
from segmenter.core.command import PartitionSlot
from segmenter.core.partition import Commit, Fenced, Progress
from segmenter_redis import RedisBackend
from segmenter_redis.scripts import SCRIPTS
from tests.audit.records import Appended, Claimed, Committed, Other, Released, records
from tests.audit.replay import asked
from tests.audit.scripts import AUDITED, kept, written
from tests.servers import Server

SLOT = PartitionSlot("orders", 0)


def test_the_server_writes_down_what_it_was_asked_and_answered(server: Server) -> None:
    async def story() -> tuple[str, str]:
        backend = RedisBackend(server.url, "shop", scripts=AUDITED)
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
    with server.client as client:
        done = [each for each in asked(written(client)) if each.command.slot == SLOT]
    told = list(records(done))
    partition, append, lane, claim, commit, release, late = told
    assert (partition, lane) == (
        Other(partition.at_us, "create_partition", "Created"),
        Other(lane.at_us, "create_lane", "Created"),
    )
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
    times = [record.at_us for record in told]
    assert times == sorted(times)


def test_no_audit_is_kept_by_scripts_of_the_library() -> None:
    own = {name: script.text for name, script in SCRIPTS.items()}
    assert not any("cjson" in text for text in own.values())
    with kept():
        assert {name: script.text for name, script in SCRIPTS.items()} == {n: it.text for n, it in AUDITED.items()}
    assert {name: script.text for name, script in SCRIPTS.items()} == own
