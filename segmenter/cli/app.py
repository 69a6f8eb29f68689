"""The application: its commands, and how errors become exit codes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number
from rich.console import Console

from segmenter.cli.codes import Exit
from segmenter.cli.demo.command import Script, play
from segmenter.cli.doctor import as_json, examine, exit_code, show
from segmenter.cli.run import run_workers
from segmenter.config import MIN_SESSION_S
from segmenter.connect import ENVIRONMENT_VARIABLE
from segmenter.errors import BackendError, InvalidArgument, NonExistentStream, SegmenterError

__all__ = ["app", "run"]

app = App(
    name="segmenter",
    help="Partitioned streams on plain Redis: in order per key, one consumer per partition, rebalanced automatically.",
    version=lambda: version("segmenter-streams"),
    result_action="return_value",
)


@app.command
def demo(
    *,
    url: str = "memory://",
    data: Path | None = None,
    partitions: int = 8,
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 2,
    rate: Annotated[int, Parameter(validator=Number(gte=0))] = 250,
    work_ms: Annotated[float, Parameter(validator=Number(gte=0))] = 2.0,
    session: Annotated[float, Parameter(validator=Number(gte=MIN_SESSION_S))] = 1.5,
    seconds: Annotated[float, Parameter(name="--limit", validator=Number(gt=0))] = 120.0,
) -> int:
    """Send real events through a stream while consumers join, leave and are killed, and check what came out.

    Flights, keyed by aircraft, go through a stream's partitions. The verdict is computed from what was handled: were
    all of them, and each aircraft's in order?

    Parameters
    ----------
    url
        memory:// runs everything in this process; redis://HOST:PORT starts worker processes, and kills one with
        SIGKILL.
    data
        A CSV file of flights (.gz or not) instead of the sample that ships with the program.
    partitions
        Partitions of the stream.
    workers
        Consumers at the start; one more joins, one is killed, one leaves.
    rate
        Flights sent per second; 0 sends as fast as possible.
    work_ms
        Milliseconds that handling a flight takes.
    session
        Seconds of silence after which a consumer counts as dead.
    seconds
        Give up after so long.
    """
    script = Script(
        url=url,
        data=data,
        partitions=partitions,
        workers=workers,
        rate=rate,
        work_ms=work_ms,
        session_s=session,
        limit_s=seconds,
    )
    return asyncio.run(play(script))


@app.command
def doctor(
    *,
    url: Annotated[str | None, Parameter(env_var=ENVIRONMENT_VARIABLE)] = None,
    namespace: str = "default",
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Examine a server: what is wrong, why it matters, what to do.

    The exit code is 6 if a check fails, 5 if nobody answers. Nothing is changed at the server.

    Parameters
    ----------
    url
        Where the server is, such as redis://localhost:6379.
    namespace
        Whose keys the user of the URL must be allowed to use.
    output
        A table to read, or JSON: a list of objects with check, verdict, found, why and remedy.
    """
    findings = asyncio.run(examine(url, namespace))
    if output == "json":
        sys.stdout.write(as_json(findings) + "\n")
    else:
        show(findings, Console())
    return exit_code(findings)


app.command(run_workers, name="run")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    talk = Console(stderr=True)
    try:
        result = app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except SegmenterError as error:
        talk.print(f"segmenter: {error}", style="red", markup=False, highlight=False)
        return _code_of(error)
    return result if isinstance(result, int) else Exit.OK


def _code_of(error: SegmenterError) -> Exit:
    match error:
        case InvalidArgument():
            return Exit.USAGE
        case NonExistentStream():
            return Exit.NOT_FOUND
        case BackendError():
            return Exit.UNREACHABLE
        case _:
            return Exit.ERROR


if __name__ == "__main__":
    sys.exit(run())
