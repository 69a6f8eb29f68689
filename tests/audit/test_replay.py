"""A replay agrees with a server that does what the laws say, and with no other."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from copy import deepcopy
from typing import Any

from hypothesis import settings

from segmenter import Segmenter
from segmenter.core.command import PartitionSlot
from segmenter.core.partition import Commit, Progress
from segmenter.testing.stateful import play
from segmenter_redis import RedisBackend
from segmenter_redis.scripts import SCRIPTS, Script
from tests.audit.replay import asked, disagreements
from tests.audit.scripts import AUDITED, UNFENCED, kept, written
from tests.servers import Server
from tests.stateful.agreement import InRedis

SLOT = PartitionSlot("orders", 0)
Line = list[Any]
SCRIPT, HISTORY, ARGS, REPLY, ENDS = 0, 2, 4, 5, 6  # of a line


class Unsealed(InRedis):
    """Redis, in which nothing is done by hand."""

    def seal(self, slot: PartitionSlot) -> bool:
        return False


def test_what_a_server_does_in_season_and_out_of_it_is_lawful(server: Server) -> None:
    """Each command that there is, with every byte in keys and data, and changes of the history in between."""
    profile = settings.get_profile(settings.get_current_profile_name())
    limits = settings(profile, max_examples=profile.max_examples // 8, stateful_step_count=40)
    with kept(), asyncio.Runner() as runner, closing(Unsealed(server.url, "shop", runner)) as redis:
        play(redis, Counter(), limits)
    with server.client as client:
        lines = written(client)
    assert {json.loads(line.decode("latin-1"))[SCRIPT] for line in lines} == set(SCRIPTS)
    assert list(disagreements(asked(lines))) == []


# --- what is noticed ---


def played(server: Server, scripts: Mapping[str, Script] = AUDITED) -> list[Line]:
    """A short life of a stream, and a former owner's commit at the end of it."""

    async def story() -> None:
        async with Segmenter(backend=RedisBackend(server.url, "shop", scripts=scripts)) as segmenter:
            orders = await segmenter.register_stream("orders", partitions=1)
            await orders.send("k", b"0")
            async with segmenter.register_consumer("orders", group="g") as consumer:
                await consumer.ack(await anext(consumer))
                await segmenter.describe("orders", "g")
            await segmenter.session.execute(Commit(SLOT, "g", consumer.id, 1, 9, Progress()))

    asyncio.run(story())
    with server.client as client:
        return [json.loads(line.decode("latin-1")) for line in written(client)]


def judged(lines: list[Line]) -> list[str]:
    return list(disagreements(asked(json.dumps(line).encode() for line in lines)))


def test_an_answer_that_is_not_the_servers_is_noticed_whichever_it_is(server: Server) -> None:
    lines = played(server)
    assert judged(lines) == []
    for number, line in enumerate(lines):
        words = ["Trimmed", 7]
        wrong = judged([*lines[:number], [*line[:REPLY], words, *line[REPLY + 1 :]], *lines[number + 1 :]])
        assert "answers Trimmed(count=7)" in wrong[0], line


def _later(line: Line) -> None:
    line[REPLY][1] = str(int(line[REPLY][1]) + 10_000_000)


def _earlier(line: Line) -> None:
    line[REPLY][1] = "7"


def _further(line: Line) -> None:
    line[ARGS][5] = "2"


def _one_more(line: Line) -> None:
    line[ENDS][0] += 1


def _another_history(line: Line) -> None:
    line[HISTORY] = "another"


CHANGES: dict[str, tuple[str, Callable[[Line], None]]] = {
    "an epoch that the clock had not come to": ("claim", _later),
    "an epoch below the clock": ("claim", _earlier),
    "a generation that the clock had not come to": ("update_group", _later),
    "progress that was not asked for": ("commit", _further),
    "an entry that nobody appended": ("append", _one_more),
    "an event that nobody posted": ("announce", _one_more),
    "a change of history": ("commit", _another_history),
}


def test_a_record_that_was_changed_is_noticed(server: Server) -> None:
    lines = played(server)
    for change, (script, alter) in CHANGES.items():
        changed = deepcopy(lines)
        alter(next(line for line in changed if line[SCRIPT] == script))
        assert judged(changed), change


def test_a_server_without_the_fence_is_noticed(server: Server) -> None:
    wrong = judged(played(server, UNFENCED))
    assert len(wrong) == 1
    assert wrong[0].startswith("Commit(slot=PartitionSlot(stream='orders', partition=0), group='g'")
    assert "answers Committed()\nby the law Fenced(owner=None" in wrong[0]
