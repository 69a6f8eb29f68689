"""Streams in a SQLite file: durable, and shared by the processes of one machine."""

from segmenter_sqlite.backend import SqliteBackend

__all__ = ["SqliteBackend"]
