"""Which letters a command is about."""

from __future__ import annotations

import asyncio

import pytest

from segmenter import InvalidArgument
from segmenter.cli.letters import Choice
from tests.world import World, virtually


@virtually
async def test_an_id_that_is_in_several_partitions_names_no_letter(world: World) -> None:
    """Partitions number their messages each for itself, so two of one millisecond may have the same ID."""
    segmenter = world.segmenter()
    orders = await segmenter.register_stream("orders", partitions=2)
    consumer = await segmenter.register_consumer("orders", group="billing")
    sent = await asyncio.gather(*(orders.send(f"k{number}", b"hopeless") for number in range(20)))
    for _ in sent:
        (await anext(consumer)).reject("cannot be handled")
    await consumer.commit()
    letters = await Choice("orders", "billing", "dead").find(segmenter)
    first = {partition: next(each for each in letters if each.partition == partition) for partition in (0, 1)}
    assert first[0].id == first[1].id
    with pytest.raises(InvalidArgument, match=f"{first[0].id} is in partitions 0, 1: use --partition"):
        await Choice("orders", "billing", "dead", ids=[first[0].id]).find(segmenter)
    assert await Choice("orders", "billing", "dead", partitions=[1], ids=[first[0].id]).find(segmenter) == [first[1]]
