"""Logging that cannot fail: what a filter, a handler or an exception of the application raises stays here.

An application brings filters, handlers and record factories of its own, and exceptions whose methods raise. A consumer
that ended because one of them failed would stop for the sake of a line in a log.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

__all__ = ["Log"]

WITHOUT_TRACEBACK = " (the traceback cannot be logged)"


class Log:
    """A logger of the standard library whose methods never raise.

    A record that cannot be logged with its exception is logged without it. If that fails too, the reason is written to
    standard error, unless ``logging.raiseExceptions`` is off.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, template: str, *args: object, **options: Any) -> None:
        """Log at the level ``DEBUG``."""
        self.log(logging.DEBUG, template, *args, **options)

    def info(self, template: str, *args: object, **options: Any) -> None:
        """Log at the level ``INFO``."""
        self.log(logging.INFO, template, *args, **options)

    def warning(self, template: str, *args: object, **options: Any) -> None:
        """Log at the level ``WARNING``."""
        self.log(logging.WARNING, template, *args, **options)

    def error(self, template: str, *args: object, **options: Any) -> None:
        """Log at the level ``ERROR``."""
        self.log(logging.ERROR, template, *args, **options)

    def critical(self, template: str, *args: object, **options: Any) -> None:
        """Log at the level ``CRITICAL``."""
        self.log(logging.CRITICAL, template, *args, **options)

    def log(
        self,
        level: int,
        template: str,
        *args: object,
        exc_info: BaseException | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Log at a level."""
        if exc_info is None:
            self._try(level, template, args, {"extra": extra}, last=True)
        elif not self._try(level, template, args, {"exc_info": exc_info, "extra": extra}, last=False):
            self._try(level, template + WITHOUT_TRACEBACK, args, {"extra": extra}, last=True)

    def _try(self, level: int, template: str, args: tuple[object, ...], options: dict[str, Any], *, last: bool) -> bool:
        try:
            self._logger.log(level, template, *args, **options)
        except KeyboardInterrupt:  # Ctrl-C is meant for the program, wherever it arrives
            raise
        except BaseException:
            if last:
                _tell_on_standard_error()
            return False
        return True


def _tell_on_standard_error() -> None:
    if logging.raiseExceptions and sys.stderr is not None:
        with suppress(Exception):  # there is no other place to tell it
            sys.stderr.write("segmenter: a record could not be logged:\n" + traceback.format_exc())
