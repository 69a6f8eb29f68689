"""What a person sees: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from segmenter.cli.demo.records import Handled, Noted
from segmenter.cli.demo.verdict import Handoff, Verdict

__all__ = ["Screen"]

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_red")
NEWS = 9  # lines
WORDS = {
    "admitted": "joined",
    "departed": "left",
    "killed": "was killed",
    "granted": "took partition",
    "handed_back": "handed back partition",
    "lost": "lost partition",
}


class Screen:
    """Shows who owns what, how much is done, and what happens."""

    def __init__(self, console: Console, partitions: int, total: int) -> None:
        self._console = console
        self._total = total
        self._owners: dict[int, str] = {}
        self._handled: Counter[int] = Counter()
        self._by_worker: Counter[str] = Counter()
        self._partitions = partitions
        self._sent = 0
        self._news: deque[tuple[float, str, str]] = deque(maxlen=NEWS)
        self._began = time.monotonic()
        self._progress = 0.0
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=12, transient=False)

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    # --- what happens -----------------------------------------------------------------------------------------------

    def sent(self, count: int) -> None:
        """So many flights have been sent so far."""
        self._sent = count

    def record(self, record: Handled | Noted) -> None:
        """A worker reported something."""
        if isinstance(record, Handled):
            self._handled[record.partition] += 1
            self._by_worker[record.worker] += 1
            self._tick()
            return
        if record.what == "granted" and record.partition is not None:
            self._owners[record.partition] = record.worker
        elif record.what in ("handed_back", "lost") and record.partition is not None:
            self._owners.pop(record.partition, None)
        elif record.what == "killed":
            self._owners = {number: owner for number, owner in self._owners.items() if owner != record.worker}
        self._tell(record.worker, _sentence(record))

    def _tell(self, worker: str, text: str) -> None:
        at = time.monotonic() - self._began
        self._news.append((at, worker, text))
        if not self._console.is_terminal:
            self._console.print(f"{at:7.3f}s  {worker:<8} {text}", highlight=False, markup=False)

    def _tick(self) -> None:
        """A line of progress each second, where nothing can be redrawn."""
        now = time.monotonic()
        if not self._console.is_terminal and now - self._progress >= 1.0:
            self._progress = now
            self._tell("", f"sent {self._sent}, handled {self._handled.total()} of {self._total}")

    # --- the live view ----------------------------------------------------------------------------------------------

    def _draw(self) -> RenderableType:
        table = Table(title="flights, keyed by aircraft", title_justify="left", expand=False)
        table.add_column("partition", justify="right")
        table.add_column("owner", min_width=9)
        table.add_column("handled", justify="right")
        for number in range(self._partitions):
            owner = self._owners.get(number)
            name = Text(owner, style=_colour(owner)) if owner else Text("nobody", style="dim")
            table.add_row(str(number), name, f"{self._handled[number]:,}")
        done = Text(f"sent {self._sent:,}  handled {self._handled.total():,} of {self._total:,}", style="bold")
        return Group(table, done, *self._lines())

    def _lines(self) -> Iterable[Text]:
        for at, worker, text in self._news:
            style = "bold red" if "killed" in text else ""
            yield Text.assemble((f"{at:6.2f}s ", "dim"), (f"{worker:<9}", _colour(worker)), (text, style))

    # --- the verdict ------------------------------------------------------------------------------------------------

    def verdict(self, verdict: Verdict, elapsed_s: float) -> None:
        """Show the outcome."""
        rows = Table(title="verdict", title_justify="left", show_header=False)
        rows.add_column()
        rows.add_column(justify="right")
        rows.add_row("flights sent", f"{verdict.events:,}")
        rows.add_row("aircraft", f"{verdict.aircraft:,}")
        for label, count in (("lost", verdict.lost), ("out of order", verdict.out_of_order)):
            rows.add_row(label, Text(f"{count:,}", style="red" if count else "green"))
        rows.add_row("handled again, after the kill", f"{verdict.again:,}")
        rows.add_row("hand-off, released to owned", _spread(verdict.handoffs, killed=False))
        rows.add_row("take-over, killed to owned", _spread(verdict.handoffs, killed=True))
        rows.add_row("seconds", f"{elapsed_s:.1f}")
        self._console.print(rows)
        if verdict.holds:
            self._console.print("It holds: nothing lost, every aircraft's flights in order.", style="bold green")
        else:
            self._console.print("It does NOT hold.", style="bold red")


def _sentence(record: Noted) -> str:
    where = "" if record.partition is None else f" {record.partition}"
    return f"{WORDS[record.what]}{where}"


def _colour(worker: str | None) -> str:
    number = "".join(letter for letter in worker or "" if letter.isdigit())
    return COLOURS[int(number) % len(COLOURS)] if number else "dim"


def _spread(handoffs: Iterable[Handoff], *, killed: bool) -> str:
    times = sorted(handoff.seconds * 1000 for handoff in handoffs if handoff.killed == killed)
    if not times:
        return "none"
    return f"{len(times)} of them, median {times[len(times) // 2]:.0f} ms, longest {times[-1]:.0f} ms"
