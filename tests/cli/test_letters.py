"""Which letters a command is about."""

from __future__ import annotations

import asyncio

import pytest

from segmenter import InvalidArgument, SetAside
from segmenter.cli.letters import COLUMNS, Choice
from segmenter.cli.printing import laid_out
from segmenter.core.aside import Letter
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


@pytest.mark.parametrize("width", [100, 80, 50])
def test_a_reason_that_is_long_is_cut_to_the_room_there_is(width: int) -> None:
    """Lines that are broken by the terminal are no table."""
    kept = Letter(0, b"1700000000000-0", b"customer-42", b"")
    letter = SetAside(0, "1700000000000-0", "customer-42", b"", 5, "ValueError: " + "far too long " * 9, kept)
    lines, _ = laid_out([letter], COLUMNS, width)
    assert max(line.cell_len for line in lines) <= width
    assert lines[1].plain.endswith("…")
