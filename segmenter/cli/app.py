"""The application: its commands, the options that hold for all of them, and how errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Group, Parameter
from rich.text import Text

from segmenter.cli.bench.command import bench
from segmenter.cli.codes import Exit, code_of
from segmenter.cli.dead import dead
from segmenter.cli.demo.command import demo
from segmenter.cli.doctor import doctor
from segmenter.cli.groups import groups
from segmenter.cli.parked import parked
from segmenter.cli.place import Output, Place
from segmenter.cli.printing import talk, visible
from segmenter.cli.rebalances import rebalances
from segmenter.cli.run import run_workers
from segmenter.cli.send import send
from segmenter.cli.streams import streams
from segmenter.cli.tail import tail
from segmenter.cli.top import top
from segmenter.cli.verify import verify
from segmenter.errors import InvalidArgument, SegmenterError

__all__ = ["app", "run"]

NOWHERE = Place(None, "default", "table")  # as it is if no option says anything

app = App(
    name="segmenter",
    help="Partitioned streams on plain Redis: in order per key, one consumer per partition, rebalanced automatically.",
    version=lambda: version("segmenter-streams"),
    help_format="markdown",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.meta.group_parameters = Group("Options of every command", sort_key=9)
for command in (demo, doctor, send, tail, streams, groups, parked, dead, rebalances, top, bench, verify):
    app.command(command)
app.command(run_workers, name="run")


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the script by which a shell completes commands and options.

    Put it where your shell looks for such scripts, for example with bash: segmenter completion bash >
    ~/.local/share/bash-completion/completions/segmenter

    Parameters
    ----------
    shell
        Which one.
    """
    sys.stdout.write(app.meta.generate_completion(shell=shell) + "\n")
    return Exit.OK


@app.meta.default
def launch(
    *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    url: str | None = None,
    namespace: str = "default",
    output: Annotated[Output, Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Find the command, and give it what the options say.

    Parameters
    ----------
    url
        The server, such as redis://localhost:6379; else $SEGMENTER_URL.
    namespace
        Whose streams.
    output
        A table to read, JSON, or an object a line.
    """
    command, bound, asked = app.parse_args(words, exit_on_error=False, print_error=True)
    place = Place(url, namespace, output)
    if "place" not in asked and place != NOWHERE:
        raise InvalidArgument(
            f"{command.__name__.partition('_')[0]} goes by none of --url, --namespace and -o: "
            "the worker names its namespace, and SEGMENTER_URL the server"
        )
    given = {"place": place} if "place" in asked else {}
    result = command(*bound.args, **bound.kwargs, **given)
    return result if isinstance(result, int) else Exit.OK


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    try:
        code = app.meta(arguments, exit_on_error=False, print_error=True)
        sys.stdout.flush()
    except CycloptsError:
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except SegmenterError as error:
        talk().print(Text(f"segmenter: {visible(str(error))}", "red"))
        return code_of(error)
    return code if isinstance(code, int) else Exit.OK


if __name__ == "__main__":
    sys.exit(run())
