"""The SQL: slots in a table, the entries of their logs in another, and each command as one transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import astuple, evolve
from cattrs.preconf.json import make_converter

from segmenter.core.command import (
    Command,
    Crossing,
    Entry,
    GroupSlot,
    PartitionSlot,
    Read,
    ReadReply,
    Slot,
    StreamSlot,
)
from segmenter.core.group import GroupData
from segmenter.core.layout import StreamConfig
from segmenter.core.log import Log, format_position, parse_position
from segmenter.core.partition import PartitionState
from segmenter.errors import BackendError

__all__ = ["Database"]

R = TypeVar("R")

BUSY_S = 5.0  # that a command waits for those of other processes
SCHEMA = """
PRAGMA journal_mode = WAL;    -- readers and the one writer do not wait for each other
PRAGMA synchronous = FULL;    -- what was answered outlasts a power failure
CREATE TABLE IF NOT EXISTS slots (
    namespace TEXT, slot TEXT, state TEXT NOT NULL, PRIMARY KEY (namespace, slot)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    namespace TEXT, slot TEXT, ms INTEGER, seq INTEGER, fields TEXT NOT NULL, PRIMARY KEY (namespace, slot, ms, seq)
) WITHOUT ROWID;
"""
KINDS: dict[type[Slot], type[Any]] = {StreamSlot: StreamConfig, GroupSlot: GroupData, PartitionSlot: PartitionState}
JSON = make_converter()  # bytes become base85


class Database:
    """A connection to the file, for one thread at a time."""

    def __init__(self, path: str, namespace: str) -> None:
        self._namespace = namespace
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._connection.executescript(SCHEMA)

    # --- commands ---------------------------------------------------------------------------------------------------

    def apply(self, command: Command[Any, R]) -> R:
        """Carry out a command: load its slot, ask the law, store what follows."""
        slot = command.slot
        with self._transaction():
            if isinstance(slot, Crossing):
                before = {each: self._load(each) for each in (slot.here, slot.there)}
                pair, reply = command.apply((before[slot.here], before[slot.there]), time.time_ns() // 1000)
                after = dict(zip((slot.here, slot.there), pair or before.values(), strict=True))
            else:
                before = {slot: self._load(slot)}
                state, reply = command.apply(before[slot], time.time_ns() // 1000)
                after = {slot: state}
            for each, state in after.items():
                self._store(each, before[each], state)
        return reply

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """Nobody else writes meanwhile; if anything goes wrong, nothing was done."""
        with _our_errors(refused=True):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with _our_errors(refused=False):
                self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _load(self, slot: Slot) -> Any:
        """What a slot holds. Of the entries of a log the ids are enough: no law looks into a message."""
        row = self._one("SELECT state FROM slots WHERE namespace = ? AND slot = ?", _name(slot))
        if row is None:
            return None
        state = JSON.loads(row[0], KINDS[type(slot)])
        if isinstance(state, StreamConfig):
            return state
        rows = self._all("SELECT ms, seq FROM entries WHERE namespace = ? AND slot = ? ORDER BY ms, seq", _name(slot))
        return _with_log(state, evolve(_log(state), entries=tuple([(format_position(row), ()) for row in rows])))

    def _store(self, slot: Slot, before: Any, after: Any) -> None:
        """Store what has changed: a log grows at its end, and shrinks from its front."""
        if after is before:
            return
        name, old, new = _name(slot), _log(before), _log(after)
        if after is None:
            self._all("DELETE FROM slots WHERE namespace = ? AND slot = ?", name)
        else:
            state = JSON.dumps(_with_log(after, evolve(new, entries=())))
            self._all("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", name, state)
        kept = parse_position(new.entries[0][0]) if new.entries else (new.last[0], new.last[1] + 1)
        if after is None or new.first_ordinal > old.first_ordinal:
            gone = "DELETE FROM entries WHERE namespace = ? AND slot = ? AND (? OR (ms, seq) < (?, ?))"
            self._all(gone, name, after is None, *kept)
        for at, fields in new.entries[len(new.entries) - max(0, new.added - old.added) :]:
            row = (*parse_position(at), JSON.dumps(list(fields)))
            self._all("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", name, *row)

    # --- looking ----------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Another number once another connection, of this process or another, has written."""
        return int(self._all("PRAGMA data_version")[0][0])

    def collect(self, read: Read) -> ReadReply:
        """Return what lies beyond the cursors now."""
        found = {cursor.log: self._entries(cursor.log, cursor.after, read.count) for cursor in read.cursors}
        return {log: entries for log, entries in found.items() if entries}

    def _entries(self, slot: Slot, after: bytes, count: int) -> list[Entry]:
        wanted = (
            "SELECT ms, seq, fields FROM entries WHERE namespace = ? AND slot = ? AND (ms, seq) > (?, ?) "
            "ORDER BY ms, seq LIMIT ?"
        )
        rows = self._all(wanted, _name(slot), *parse_position(after), count)
        return [(format_position((ms, seq)), JSON.loads(fields, tuple[bytes, ...])) for ms, seq, fields in rows]

    def catalogue(self) -> list[StreamSlot | GroupSlot]:
        """Return the slots of streams and groups that hold something, in order."""
        rows = self._connection.execute("SELECT slot, state FROM slots WHERE namespace = ?", (self._namespace,))
        kept = [(json.loads(name), json.loads(state)) for name, state in rows]
        streams = [StreamSlot(*name) for name, _ in kept if len(name) == 1]
        groups = [GroupSlot(*name) for name, state in kept if isinstance(name[-1], str) and state.get("document")]
        return sorted([*streams, *groups], key=astuple)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _all(self, statement: str, *arguments: Any) -> list[Any]:
        with _our_errors(refused=False):
            values = (self._namespace, *arguments) if arguments else ()
            return self._connection.execute(statement, values).fetchall()

    def _one(self, statement: str, *arguments: Any) -> Any:
        return next(iter(self._all(statement, *arguments)), None)


def _name(slot: Slot) -> str:
    return json.dumps(astuple(slot))


def _log(state: Any) -> Log:
    if isinstance(state, PartitionState):
        return state.log
    return state.events if isinstance(state, GroupData) else Log()


def _with_log(state: Any, log: Log) -> Any:
    if isinstance(state, PartitionState):
        return evolve(state, log=log)
    return evolve(state, events=log) if isinstance(state, GroupData) else state


@contextmanager
def _our_errors(*, refused: bool) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        retriable = isinstance(error, sqlite3.OperationalError)  # such as a file that is locked, or a full disk
        raise BackendError(f"SQLite says: {error}", retriable=retriable, refused=refused) from error
