"""``segmenter dead``: messages that were given up; looking at them, sending them once more, throwing them away."""

from __future__ import annotations

from cyclopts import App

from segmenter.cli.letters import Choice, Limit, Partitions, list_letters, show_letter, tell
from segmenter.cli.place import Here, Yes
from segmenter.segmenter import Segmenter

__all__ = ["dead"]

dead = App(name="dead", help="Dead letters: list, show, replay, purge.")


@dead.command(name="ls")
def list_dead(
    stream: str,
    group: str,
    /,
    *,
    key: str | None = None,
    partition: Partitions = None,
    limit: Limit = 100,
    place: Here,
) -> int:
    """List the dead letters of a group: messages that it gave up, and went on.

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
    return list_letters(place, Choice(stream, group, "dead", key, partition, limit=limit))


@dead.command
def show(stream: str, group: str, id: str, /, *, partition: Partitions = None, place: Here) -> int:  # noqa: A002
    """Show a dead letter with its headers, its data, and why it was given up.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    id
        The letter's, as ls prints it.
    partition
        Where it is, if there are letters of this ID in several.
    """
    return show_letter(place, Choice(stream, group, "dead", partitions=partition, ids=[id]))


@dead.command
def replay(
    stream: str,
    group: str,
    /,
    *ids: str,
    key: str | None = None,
    partition: Partitions = None,
    limit: Limit = None,
    yes: Yes = False,
    place: Here,
) -> int:
    """Send dead letters once more, as new messages. Without --yes, only say how many.

    They go to the end of their partitions, so the order of their keys is given up, and every group of the stream gets
    them.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    ids
        Of letters, as ls prints them; without any, all.
    key
        Only those of this key.
    partition
        Only those of this partition; may be given several times.
    limit
        At most so many, the first of each partition first.
    yes
        Do it.
    """
    choice = Choice(stream, group, "dead", key, partition, ids, limit)

    async def job(segmenter: Segmenter) -> int:
        letters = await choice.find(segmenter)
        return await (await choice.shelves(segmenter)).replay(letters) if yes else len(letters)

    count = place.visit(job)
    letters = choice.counted(count)
    done = f"{letters} {'is' if count == 1 else 'are'} sent to {stream} once more"
    would = f"would send {letters} to {stream} once more, for every group: add --yes to do it"
    return tell(place, choice, count, done if yes else would, replayed=yes)


@dead.command
def purge(
    stream: str,
    group: str,
    /,
    *ids: str,
    key: str | None = None,
    partition: Partitions = None,
    limit: Limit = None,
    yes: Yes = False,
    place: Here,
) -> int:
    """Throw dead letters away for ever. Without --yes, only say how many.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    ids
        Of letters, as ls prints them; without any, all.
    key
        Only those of this key.
    partition
        Only those of this partition; may be given several times.
    limit
        At most so many, the first of each partition first.
    yes
        Do it.
    """
    choice = Choice(stream, group, "dead", key, partition, ids, limit)

    async def job(segmenter: Segmenter) -> int:
        letters = await choice.find(segmenter)
        return await (await choice.shelves(segmenter)).purge(letters) if yes else len(letters)

    count = place.visit(job)
    letters = choice.counted(count)
    done = f"{letters} {'is' if count == 1 else 'are'} gone"
    would = f"would throw away {letters}: add --yes to do it"
    return tell(place, choice, count, done if yes else would, purged=yes)
