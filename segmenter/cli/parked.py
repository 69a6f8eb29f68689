"""``segmenter parked``: messages that wait with their keys; looking at them, having them handled or thrown away."""

from __future__ import annotations

from cyclopts import App

from segmenter.cli.letters import Choice, Limit, Partitions, list_letters, show_letter, tell
from segmenter.cli.place import Here, Yes
from segmenter.segmenter import Segmenter

__all__ = ["parked"]

parked = App(name="parked", help="Parked messages: list, show, redrive, purge.")


@parked.command(name="ls")
def list_parked(
    stream: str,
    group: str,
    /,
    *,
    key: str | None = None,
    partition: Partitions = None,
    limit: Limit = 100,
    place: Here,
) -> int:
    """List the parked messages of a group: those that failed for good, and the later ones of their keys.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    key
        Only those of this key.
    partition
        Only those of this partition; may be given several times.
    limit
        At most so many, the first of each partition first.
    """
    return list_letters(place, Choice(stream, group, "parked", key, partition, limit=limit))


@parked.command
def show(stream: str, group: str, id: str, /, *, partition: Partitions = None, place: Here) -> int:  # noqa: A002
    """Show a parked message with its headers, its data, and why it was parked.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    id
        The message's, as ls prints it.
    partition
        Where it is, if there are parked messages of this ID in several.
    """
    return show_letter(place, Choice(stream, group, "parked", partitions=partition, ids=[id]))


@parked.command
def redrive(stream: str, group: str, /, *, key: str | None = None, partition: Partitions = None, place: Here) -> int:
    """Have parked messages handled once more, each key in order; what is sent meanwhile comes after them.

    The owners of the partitions see to it, at once or when there are any. What fails again stays parked.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    key
        Only those of this key.
    partition
        Only those of this partition; may be given several times.
    """
    choice = Choice(stream, group, "parked", key, partition)

    async def job(segmenter: Segmenter) -> int:
        return await (await choice.shelves(segmenter)).redrive(key, partitions=partition)

    count = place.visit(job)
    return tell(place, choice, count, f"{choice.counted(count)} will be handled once more")


@parked.command
def purge(
    stream: str,
    group: str,
    /,
    *,
    key: str | None = None,
    partition: Partitions = None,
    yes: Yes = False,
    place: Here,
) -> int:
    """Have parked messages thrown away, unhandled; their keys go on. Without --yes, only say how many.

    The owners of the partitions see to it, at once or when there are any.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    key
        Only those of this key.
    partition
        Only those of this partition; may be given several times.
    yes
        Do it.
    """
    choice = Choice(stream, group, "parked", key, partition)

    async def job(segmenter: Segmenter) -> int:
        if not yes:
            return len(await choice.find(segmenter))
        return await (await choice.shelves(segmenter)).discard(key, partitions=partition)

    count = place.visit(job)
    messages = choice.counted(count)
    would = f"would throw away {messages}: add --yes to do it"
    return tell(place, choice, count, f"{messages} will be thrown away" if yes else would, purged=yes)
