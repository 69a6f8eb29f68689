"""How ``segmenter top`` is drawn: the groups, the partitions of the one that is chosen, and the news."""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from segmenter.cli.groups import ASIDE_COLUMNS, lag_time, styled
from segmenter.cli.moments import age, clock
from segmenter.cli.place import Place
from segmenter.cli.printing import Column, laid_out, visible
from segmenter.cli.watching import Group, Look, told, watch
from segmenter.errors import SegmenterError
from segmenter.segmenter import Segmenter

__all__ = ["Board"]

LIMIT_NEWS = 200


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 0.5 else "-"  # noqa: PLR2004 - what would be rounded to nothing


def _name(row: Any) -> Text:
    return Text.assemble(("▸ " if row["chosen"] else "  "), (visible(row["group"]), "bold" if row["chosen"] else ""))


GROUP_COLUMNS = [
    Column("  GROUP", _name),
    Column("STREAM", lambda row: row["stream"]),
    Column("STATE", lambda row: styled(row["state"]), rank=1),
    Column("MEMBERS", lambda row: str(row["members"]), right=True, rank=2),
    Column("LAG", lambda row: f"{row['lag']:,}", right=True),
    Column("LAG-TIME", lag_time, right=True, rank=3),
    Column("SENT/S", lambda row: _rate(row["sent"]), right=True, rank=4),
    Column("SETTLED/S", lambda row: _rate(row["settled"]), right=True),
    *ASIDE_COLUMNS,
]


def _heartbeat(row: Any) -> Text:
    silence_s = row["silence"]
    if silence_s is None:
        return Text("-")
    return Text(age(silence_s) if silence_s >= 1 else "now", "bold red" if silence_s > row["session"] / 2 else "green")


PARTITION_COLUMNS = [
    Column("PARTITION", lambda row: str(row["partition"]), right=True),
    Column("OWNER", lambda row: row["owner"] or "-"),
    Column("STATE", lambda row: styled(row["state"])),
    Column("LAG", lambda row: f"{row['lag']:,}", right=True),
    Column("LAG-TIME", lag_time, right=True, rank=1),
    Column("SENT/S", lambda row: _rate(row["sent"]), right=True, rank=3),
    Column("SETTLED/S", lambda row: _rate(row["settled"]), right=True, rank=2),
    Column("HEARTBEAT", _heartbeat, right=True, rank=4),
    *ASIDE_COLUMNS,
]


class Board(App[None]):
    """The application."""

    TITLE = "segmenter top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    VerticalScroll {
        border: round ansi_bright_black; border-title-color: ansi_default; border-title-style: bold;
        padding: 0 1; height: auto;
    }
    #groups { max-height: 40%; }
    #partitions { max-height: 60%; }
    #news { height: 1fr; min-height: 4; }
    Footer, FooterKey, FooterKey .footer-key--key, FooterKey .footer-key--description {
        background: ansi_default; color: ansi_default;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "choose(-1)", "up", show=True),
        Binding("down,j", "choose(1)", "down", show=True),
        Binding("q,ctrl+c", "quit", "quit", show=True),
    ]

    def __init__(self, place: Place, stream: str | None, group: str | None, segmenter: Segmenter | None = None) -> None:
        super().__init__(ansi_color=True)  # the colours of the terminal, be it light or dark
        self.failure: SegmenterError | None = None
        self._place = place
        self._scope = (stream, group)
        self._segmenter = segmenter
        self._look: Look | None = None
        self._chosen: tuple[str, str] | None = None
        self._news: deque[Text] = deque(maxlen=LIMIT_NEWS)

    def compose(self) -> ComposeResult:
        """Three boxes, one below the other."""
        for name in ("groups", "partitions", "news"):
            with VerticalScroll(id=name, can_focus=False):
                yield Static("looking ...", id=f"{name}-text")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch."""
        self.query_one("#groups").border_title = f"groups of {self._place.namespace}"
        self.query_one("#news").border_title = "news"
        self.run_worker(self._watch())

    async def _watch(self) -> None:
        try:
            segmenter = self._segmenter or Segmenter(self._place.url, namespace=self._place.namespace)
            async with segmenter, aclosing(watch(segmenter, *self._scope)) as looks:
                async for look in looks:
                    self.show(look)
        except SegmenterError as error:
            self.failure = error
            self.exit()

    # --- what is shown ----------------------------------------------------------------------------------------------

    def show(self, look: Look) -> None:
        """Draw what has been seen."""
        self._look = look
        for heard in look.news:
            at, where = clock(heard.at)[11:], f"{heard.group} of {heard.stream}"
            self._news.append(Text.assemble((at, "dim"), f"  {where}: ", visible(told(heard))))
        self._draw()

    def on_resize(self) -> None:
        """Other columns may fit."""
        self._draw()

    def action_choose(self, step: int) -> None:
        """Show another group's partitions."""
        names = [group.name for group in self._look.groups] if self._look else []
        if names:
            at = names.index(self._chosen) if self._chosen in names else 0
            self._chosen = names[(at + step) % len(names)]
            self._draw()

    def _draw(self) -> None:
        if self._look is None:
            return
        groups = self._look.groups
        chosen = next((group for group in groups if group.name == self._chosen), groups[0] if groups else None)
        lines = self._lines([_group_row(group, chosen=group is chosen) for group in groups], GROUP_COLUMNS)
        self._write("groups", lines if groups else [Text("no groups yet", "dim")])
        self._write("partitions", self._lines(_partition_rows(chosen), PARTITION_COLUMNS) if chosen else [])
        self._write("news", list(self._news) or [Text("nothing has happened yet", "dim")])
        title = f"{chosen.snapshot.group} of {chosen.snapshot.stream}" if chosen else "partitions"
        self.query_one("#partitions").border_title = title
        self.query_one("#news", VerticalScroll).scroll_end(animate=False)

    def _lines(self, rows: list[dict[str, Any]], columns: list[Column]) -> list[Text]:
        borders = 6
        return laid_out(rows, columns, max(20, self.size.width - borders))[0]

    def _write(self, name: str, lines: list[Text]) -> None:
        self.query_one(f"#{name}-text", Static).update(Text("\n").join(lines))


def _group_row(group: Group, *, chosen: bool) -> dict[str, Any]:
    it, total = group.snapshot, group.total
    return {
        "chosen": chosen,
        "group": it.group,
        "stream": it.stream,
        "state": it.state,
        "members": len(it.members),
        "lag": it.lag,
        "lag_seconds": it.lag_seconds,
        "sent": total.sent,
        "settled": total.settled,
        "parked": it.parked,
        "dead": it.dead,
    }


def _partition_rows(group: Group) -> list[dict[str, Any]]:
    return [
        {
            "partition": it.partition,
            "owner": it.owner,
            "state": it.state,
            "lag": it.lag,
            "lag_seconds": it.lag_seconds,
            "sent": group.rates[it.partition].sent,
            "settled": group.rates[it.partition].settled,
            "parked": it.parked,
            "dead": it.dead,
            "silence": group.silence_s(it.owner),
            "session": group.snapshot.session_timeout,
        }
        for it in group.snapshot.partitions
    ]
