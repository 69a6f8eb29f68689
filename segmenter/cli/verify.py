"""``segmenter verify``: a server held to the laws of the core, command by command."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from segmenter.cli.codes import Exit
from segmenter.cli.place import Here, Place
from segmenter.connect import backend_for
from segmenter.core.command import Command
from segmenter.errors import BackendError

if TYPE_CHECKING:
    from segmenter.testing.agreement import World

__all__ = ["play_stories", "verify"]

R = TypeVar("R")

STEPS = 30  # commands of a story, roughly


@frozen
class _Outcome:
    """What came out."""

    stories: int
    commands: int
    disagreement: str | None

    @property
    def as_object(self) -> dict[str, Any]:
        """With stable names."""
        return {
            "holds": self.disagreement is None,
            "stories": self.stories,
            "commands": self.commands,
            "disagreement": self.disagreement,
        }


def verify(
    *,
    stories: Annotated[int, Parameter(validator=Number(gte=1))] = 60,
    seed: int | None = None,
    place: Here,
) -> int:
    """Ask a server every command there is, in and out of season, and compare each answer with the law.

    Made-up stories of appends, claims, commits, joins and so on go to the server and to the library's own model of
    it; after each command both must answer and hold the same. It works in a namespace that is made up, and removed.
    The exit code is 6 if they disagree, and the shortest story that shows it is printed. Needs the extra testing.

    Parameters
    ----------
    stories
        How many, of about thirty commands each.
    seed
        Play the stories of this number again.
    """
    outcome = _verified(place, stories, seed if seed is not None else secrets.randbelow(2**31))
    printer = place.printer

    def show() -> None:
        if outcome.disagreement is None:
            counts = f"{outcome.stories:,} stories, {outcome.commands:,} commands"
            printer.line(("It holds", "bold green"), f": {counts}, each answered as the law says.")
        else:
            printer.line(("It does NOT hold", "bold red"), ": the shortest story that shows it:")
            printer.say(outcome.disagreement)

    printer.object(outcome.as_object, show)
    return Exit.OK if outcome.disagreement is None else Exit.CHECK_FAILED


class _Ended(BaseException):
    """The server cannot be asked any more. It is no ordinary exception: those are looked into, and tried again."""

    def __init__(self, error: BackendError) -> None:
        super().__init__(str(error))
        self.error = error


def _verified(place: Place, stories: int, seed: int) -> _Outcome:
    from segmenter.testing.agreement import OverPort

    class Watched(OverPort):
        def execute(self, command: Command[Any, R]) -> R:
            try:
                return super().execute(command)
            except BackendError as error:
                raise _Ended(error) from error

    told: Counter[str] = Counter()
    place.printer.say(f"seed {seed}", "dim")
    with asyncio.Runner() as runner, _progress(place) as progress:
        world = Watched(backend_for(place.url, f"verify-{secrets.token_hex(4)}"), runner)
        task = progress.add_task("", total=stories)
        try:
            disagreement = play_stories(world, told, stories, seed, step=lambda: progress.advance(task))
        except _Ended as ended:
            raise ended.error from None
        finally:
            world.close()
    return _Outcome(told.pop("stories"), told.total(), disagreement)


def play_stories(world: World, told: Counter[str], stories: int, seed: int, step: Callable[[], None]) -> str | None:
    """Play the stories of all machines; what is wrong, if anything is."""
    import hypothesis
    from hypothesis.reporting import with_reporter

    from segmenter.testing.machines import Disagreement
    from segmenter.testing.stateful import KINDS, play

    limits = hypothesis.settings(
        max_examples=max(1, stories // len(KINDS)),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=(hypothesis.HealthCheck.too_slow,),
    )
    words: list[str] = []

    def begin() -> None:
        told["stories"] += 1
        step()

    try:
        with with_reporter(lambda text: words.append(str(text))):
            play(world, told, limits, seed=seed, begin=begin)
    except Disagreement as found:
        return "\n".join([*words, *getattr(found, "__notes__", ()), str(found)])
    return None


def _progress(place: Place) -> Progress:
    err = place.printer.err
    columns = (TextColumn("stories"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
