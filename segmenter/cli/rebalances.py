"""``segmenter rebalances``: who owned what, and why that changed."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from segmenter.cli.moments import age, clock
from segmenter.cli.place import Here
from segmenter.cli.printing import Column
from segmenter.history import Move, Rebalance

__all__ = ["rebalances"]

TIME_AT = len("2026-01-01 ")  # the day goes without saying if it is today


def rebalances(stream: str, group: str, /, *, place: Here) -> int:
    """Show the latest changes of a group, their causes, and how long each hand-off took.

    RELEASED are the partitions that were handed back after the change, TAKEN those that were claimed. HAND-OFF is the
    time until the last of these. With -o json, each move comes with its times and both owners. The claims of a member
    that fell silent are not known, since it handed nothing back.

    Parameters
    ----------
    stream
        Its name.
    group
        Its name.
    """
    found = place.visit(lambda segmenter: segmenter.rebalances(stream, group))
    today = date.today()  # noqa: DTZ011 - of whoever reads it
    begin = TIME_AT if all(rebalance.at.astimezone().date() == today for rebalance in found) else 0
    columns = [
        Column("TIME", lambda row: clock(row["at"])[begin:]),
        Column("GENERATION", lambda row: str(row["generation"]), right=True, rank=4),
        Column("CAUSE", lambda row: row["cause"]),
        Column("MEMBER", lambda row: row["member"] or "-"),
        Column("CONCERNED", lambda row: " ".join(row["concerned"]) or "-", rank=5),
        Column("RELEASED", lambda row: " ".join(map(str, row["released"])) or "-", rank=1),
        Column("TAKEN", lambda row: " ".join(map(str, row["taken"])) or "-", rank=2),
        Column("HAND-OFF", lambda row: age(row["seconds"]) if row["released"] or row["taken"] else "-", right=True),
    ]
    rows = [_row(rebalance) for rebalance in found]
    if place.output != "table":
        rows = [{**row, "at": _iso(row["at"])} for row in rows]
    place.printer.rows(rows, columns, f"nothing is known of {group}")
    return 0


def _row(rebalance: Rebalance) -> dict[str, Any]:
    return {
        "at": rebalance.at,
        "generation": rebalance.generation,
        "cause": rebalance.cause,
        "member": rebalance.member or None,
        "concerned": list(rebalance.concerned),
        "released": list(rebalance.released),
        "taken": list(rebalance.taken),
        "seconds": round(rebalance.seconds, 3),
        "moves": [_move(move) for move in rebalance.moves],
    }


def _move(move: Move) -> dict[str, Any]:
    return {
        "partition": move.partition,
        "former": move.former,
        "released": _iso(move.released),
        "owner": move.owner,
        "taken": _iso(move.taken),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
