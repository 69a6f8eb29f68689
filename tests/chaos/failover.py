"""An experiment, not a test: what an asynchronous failover loses of acknowledged sends, for each durability setting.

A primary and replicas, some of which lag by force, as they would behind a slow link; a producer sends for a few
seconds; the primary is killed and a replica promoted, as a Sentinel that knows no better would do. Then the producer
goes on, and is told what it has lost.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

from attrs import evolve, frozen
from rich.console import Console

from segmenter import Durability, Segmenter, SegmenterError, SendsLost, Stream
from segmenter_redis import RedisBackend
from tests.chaos.report import WIDTH
from tests.integration.proxy import Proxy
from tests.servers import Server, newest

NAMESPACE, STREAM, PARTITIONS = "failover", "orders", 4
LAG_S = 0.3
SENDING_S = 4.0
NOTICED_S = 0.3  # from the death of the primary to the promotion
AFTER_S = 3.0  # in which the producer goes on, and is told
TASKS = 32
SEND_TIMEOUT_S = 2.0
IN_STEP_MS = 20_000
AOF = ("--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")

SETTINGS: dict[str, Durability | None] = {
    "none": None,
    "replicas=1": Durability(replicas=1),
    "replicas=1, disk": Durability(replicas=1, disk=True),
    "replicas=2": Durability(replicas=2),
    "replicas=2, disk": Durability(replicas=2, disk=True),
}


@frozen
class Case:
    """What replicas there are, by how much each lags, and the first of them is promoted."""

    name: str
    lags_s: tuple[float, ...]


CASES = (
    Case("1 replica, in step: promoted", (0.0,)),
    Case("1 replica, 0.3 s behind: promoted", (LAG_S,)),
    Case("2 replicas, one 0.3 s behind: that one is promoted", (LAG_S, 0.0)),
    Case("2 replicas, one 0.3 s behind: the other is promoted", (0.0, LAG_S)),
)


@frozen
class Outcome:
    """What was acknowledged, what of it the new primary lacks, and how many the producer was told of."""

    case: str
    durability: str
    acknowledged: int = 0
    lost: int = 0
    told: int = 0

    def plus(self, other: Outcome) -> Outcome:
        """Return both runs together."""
        return evolve(
            self,
            acknowledged=self.acknowledged + other.acknowledged,
            lost=self.lost + other.lost,
            told=self.told + other.told,
        )


class Producer:
    """Tasks that send one message after the other and count only what is acknowledged, through whatever comes."""

    def __init__(self, stream: Stream) -> None:
        self.places: list[tuple[int, str]] = []
        self.told: dict[int | None, int] = {}  # by partition; every send that waits there is told the same
        self._tasks = [asyncio.create_task(self._send(stream, f"k{number}")) for number in range(TASKS)]

    async def _send(self, stream: Stream, key: str) -> None:
        while True:
            try:
                sent = await stream.send(key, b"x" * 100)
            except SendsLost as lost:
                self.told[lost.partition] = lost.count
            except SegmenterError:
                await asyncio.sleep(0)  # not acknowledged: after the failover there may be too few replicas
            else:
                self.places.append((sent.partition, sent.id))

    async def end(self) -> None:
        """Send nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def fail_over(case: Case, name: str, stack: AsyncExitStack) -> Outcome:
    """One run: what is lost when the first replica takes over."""
    primary = _started(stack)
    links = [await stack.enter_async_context(Proxy(primary.port)) for _ in case.lags_s]
    replicas = [_started(stack, "--replicaof", "127.0.0.1", str(link.port)) for link in links]
    await asyncio.to_thread(_wait_in_step, primary, len(replicas))
    door = await stack.enter_async_context(Proxy(primary.port))
    segmenter = await stack.enter_async_context(Segmenter(backend=RedisBackend(door.url, NAMESPACE)))
    stream = await segmenter.register_stream(
        STREAM, partitions=PARTITIONS, durability=SETTINGS[name], send_timeout=SEND_TIMEOUT_S
    )
    for link, lag_s in zip(links, case.lags_s, strict=True):
        link.delay_s = lag_s
    producer = Producer(stream)
    await asyncio.sleep(SENDING_S)
    primary.kill()
    for link in links:
        link.reset()  # what was on its way to a replica is gone with the primary
    await asyncio.sleep(NOTICED_S)
    acknowledged, there = list(producer.places), _promoted(replicas[0])
    door.upstream = replicas[0].port
    await asyncio.sleep(AFTER_S)
    await producer.end()
    lost = sum(place not in there for place in acknowledged)
    return Outcome(case.name, name, len(acknowledged), lost, sum(producer.told.values()))


def _started(stack: AsyncExitStack, *arguments: str) -> Server:
    server = Server(newest(), *AOF, *arguments)
    stack.callback(server.stop)
    return server


def _wait_in_step(primary: Server, replicas: int) -> None:
    with primary.client as client:
        client.set("in", "step")
        if client.execute_command("WAIT", replicas, IN_STEP_MS) != replicas:
            raise RuntimeError(f"{replicas} replicas did not come into step within {IN_STEP_MS / 1000:g} s")


def _promoted(replica: Server) -> set[tuple[int, str]]:
    """Make it the primary; what it has, before anything is added."""
    client: Any
    with replica.client as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
        names = {partition: f"{{{NAMESPACE}:{STREAM}:{partition}}}:log" for partition in range(PARTITIONS)}
        return {(number, found[0].decode()) for number, name in names.items() for found in client.xrange(name)}


def _possible(case: Case, name: str) -> bool:
    """Whether there are as many replicas as the setting asks for."""
    durability = SETTINGS[name]
    return durability is None or durability.replicas <= len(case.lags_s)


async def _measured(runs: int, console: Console) -> None:
    for case in CASES:
        for name in SETTINGS:
            total = Outcome(case.name, name)
            for _ in range(runs if _possible(case, name) else 0):
                async with AsyncExitStack() as stack:
                    total = total.plus(await fail_over(case, name, stack))
            if _possible(case, name):
                console.print(_row(total), highlight=False)


def _row(it: Outcome) -> str:
    share = it.lost / it.acknowledged if it.acknowledged else 0.0
    return f"| {it.case} | {it.durability} | {it.acknowledged:,} | {it.lost:,} ({share:.1%}) | {it.told:,} |"


def main() -> int:
    """Measure, and print a table; nothing in it is right or wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.failover", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each case")
    console = Console(width=WIDTH)
    console.print("| replicas | durability | acknowledged | lost | told to the producer |\n|---|---|---|---|---|")
    asyncio.run(_measured(parser.parse_args().runs, console))
    return 0


if __name__ == "__main__":
    sys.exit(main())
