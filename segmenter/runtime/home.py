"""The process and the event loop that an object belongs to.

A connection shared by two processes after a fork, or awaited in two event loops, mixes up its answers. So what is
used elsewhere says so at once.
"""

from __future__ import annotations

import asyncio
import os
from threading import get_ident

from segmenter.errors import NotHere

__all__ = ["Home", "Process"]

_forks = 0  # between the first process that imported this and the present one


def _forked() -> None:
    global _forks  # noqa: PLW0603 - a count of the process itself
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Process:
    """The process in which an object was made."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._forks = _forks

    @property
    def current(self) -> bool:
        """Whether this is it, and no child that was forked from it."""
        return self._forks == _forks

    def check(self) -> None:
        """Return if this is it.

        Raises:
            NotHere: it is not.
        """
        if self._forks != _forks:
            raise NotHere(f"{self._what} was opened before this process was forked: open a Segmenter in the child")


class Home(Process):
    """Where an object was made; ``check`` refuses its use anywhere else."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"the {kind} {name!r}")
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()

    def check(self) -> None:
        """Return if this is the process and the loop.

        Raises:
            NotHere: it is not.
        """
        if self._forks != _forks:
            super().check()  # every send comes by here, and spares the call
        # A thread runs one loop at a time. Asking for it costs a system call, three times as much as this.
        if get_ident() == self._thread and self._loop.is_running():
            return
        if asyncio.get_running_loop() is not self._loop:
            raise NotHere(f"{self._what} belongs to another event loop: open a Segmenter in this one")
