"""Run chaos: ``make chaos`` for a minute, ``python -m tests.chaos --soak`` round after round, for hours."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tests.chaos.figures import Figures, figures
from tests.chaos.report import WIDTH, show, write
from tests.chaos.round import Setting, play
from tests.servers import newest, oldest

LEAST_MESSAGES = 20_000
LEAST_FAULTS = 25


def main() -> int:
    """Play, and tell how it went: by a table, by files, and by the exit code."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.ERROR, format="%(message)s")
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    total, rounds = Figures(), 0
    for setting in _settings(arguments):
        console.print(
            f"seed {setting.seed}: {len(setting.faults)} faults in {setting.seconds:.0f} s on {setting.binary}"
        )
        result = figures(play(setting), Counter(fault.kind for fault in setting.faults))
        total, rounds = total + result, rounds + 1
        title = f"chaos, seed {setting.seed}" if rounds == 1 else f"chaos, {rounds} rounds, seeds up to {setting.seed}"
        show(console, title, total)
        write(arguments.out, title, total)
        if result.broken:
            console.print(f"It does NOT hold. Once more: {_again(setting, arguments)}", style="bold red")
            return 1
    return _enough(console, total, arguments)


def _settings(arguments: argparse.Namespace) -> Iterator[Setting]:
    """One round, or as many as there is time for; of these every second one on the oldest server."""
    seed = random.randrange(10_000) if arguments.seed is None else arguments.seed
    until = time.monotonic() + 60 * arguments.minutes
    binaries = {"newest": [newest], "oldest": [oldest], "both": [newest, oldest]}[arguments.server]
    yield Setting(seed, binaries[0](), seconds=arguments.seconds, rate=arguments.rate)
    while arguments.soak and time.monotonic() < until:
        seed += 1
        yield Setting(seed, binaries[seed % len(binaries)](), seconds=arguments.seconds, rate=arguments.rate)


def _again(setting: Setting, arguments: argparse.Namespace) -> str:
    server = "oldest" if setting.binary == oldest() else "newest"
    numbers = f"--seconds {setting.seconds:g} --rate {setting.rate:g}"
    return f"python -m tests.chaos --seed {setting.seed} --server {server} {numbers} --verbose"


def _enough(console: Console, total: Figures, arguments: argparse.Namespace) -> int:
    """Whether there was enough of everything for the zeros to mean something."""
    if arguments.any_size or (total.messages >= LEAST_MESSAGES and total.faults.total() >= LEAST_FAULTS):
        console.print("It holds.", style="bold green")
        return 0
    console.print(
        f"It holds, but of less than {LEAST_MESSAGES:,} messages and {LEAST_FAULTS} faults: too few to say so."
    )
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the first round; drawn and printed if there is none")
    parser.add_argument("--seconds", type=float, default=45.0, help="of faults in each round")
    parser.add_argument("--rate", type=float, default=700.0, help="messages per second")
    parser.add_argument("--server", choices=("newest", "oldest", "both"), default="newest")
    parser.add_argument("--soak", action="store_true", help="round after round")
    parser.add_argument("--minutes", type=float, default=60.0, help="of a soak")
    parser.add_argument("--out", type=Path, default=Path("build/chaos"), help="folder of chaos.svg and chaos.json")
    parser.add_argument("--any-size", action="store_true", help="a run that is too small to mean much is no failure")
    parser.add_argument("--verbose", action="store_true", help="tell each fault")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
