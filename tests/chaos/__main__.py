"""Run chaos: ``make chaos`` for a minute, ``python -m tests.chaos --soak`` round after round, for hours."""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from tests.chaos.figures import Figures, figures
from tests.chaos.report import WIDTH, show, write
from tests.chaos.round import Setting, play
from tests.servers import OLDEST, ServerMissing, newest, oldest

LEAST_MESSAGES = 20_000
LEAST_FAULTS = 25
LIMIT_ROUNDS = 1_000
SERVERS = {"newest": [newest], "oldest": [oldest], "both": [newest, oldest]}  # in turn


def main() -> int:
    """Play, and tell how it went: by a table, by files, and by the exit code."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.ERROR, format="%(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is ended on the way out
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    try:
        binaries = [server() for server in SERVERS[arguments.server]]
    except ServerMissing as missing:
        console.print(str(missing), style="bold red")
        return 2
    total = Figures()
    first = random.randrange(10_000) if arguments.seed is None else arguments.seed
    until = time.monotonic() + 60 * arguments.minutes if arguments.soak else 0.0
    for seed in range(first, first + LIMIT_ROUNDS):
        setting = Setting(seed, binaries[seed % len(binaries)], seconds=arguments.seconds, rate=arguments.rate)
        total += _played(setting, console)
        rounds = "" if seed == first else f" to {seed}"
        show(console, f"chaos, seed {first}{rounds}", total)
        write(arguments.out, f"chaos, seed {first}{rounds}", total)
        if total.broken:
            console.print(f"It does NOT hold. Once more: {_again(setting)}", style="bold red")
            return 1
        if time.monotonic() >= until and _enough(total):
            break
    console.print("It holds.", style="bold green")
    return 0


def _played(setting: Setting, console: Console) -> Figures:
    server = "the oldest server" if setting.binary == OLDEST else "the newest server"
    console.print(f"seed {setting.seed}: {len(setting.faults)} faults in {setting.seconds:.0f} s on {server}")
    return figures(play(setting), Counter(fault.kind for fault in setting.faults))


def _enough(total: Figures) -> bool:
    """Whether there was so much of everything that the zeros mean something; on a slow machine a round may be less."""
    return total.messages >= LEAST_MESSAGES and total.faults.total() >= LEAST_FAULTS


def _again(setting: Setting) -> str:
    server = "oldest" if setting.binary == OLDEST else "newest"
    numbers = f"--seconds {setting.seconds:g} --rate {setting.rate:g}"
    return f".venv/bin/python -m tests.chaos --seed {setting.seed} --server {server} {numbers} --verbose"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the first round; drawn and printed if there is none")
    parser.add_argument("--seconds", type=float, default=45.0, help="of faults in each round")
    parser.add_argument("--rate", type=float, default=800.0, help="messages per second")
    parser.add_argument("--server", choices=tuple(SERVERS), default="newest")
    parser.add_argument("--soak", action="store_true", help="round after round")
    parser.add_argument("--minutes", type=float, default=60.0, help="of a soak")
    parser.add_argument("--out", type=Path, default=Path("build/chaos"), help="folder of chaos.svg and chaos.json")
    parser.add_argument("--verbose", action="store_true", help="tell each fault")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
