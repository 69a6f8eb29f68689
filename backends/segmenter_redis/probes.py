"""The probes of a session: those that are started in one turn of the event loop are one request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from segmenter.core.command import Command, Gone, PartitionSlot
from segmenter.core.partition import Claim, Probe, Probed
from segmenter_redis.keys import Keys
from segmenter_redis.probe_queries import Ends, Found, Question, decode_probes, encode_probes
from segmenter_redis.wire import Request, Wire

__all__ = ["Probes"]

Asked = tuple[Probe, asyncio.Future[Probed | Gone]]


class Probes:
    """Asks them on a wire, and remembers the ends of the logs with long entries."""

    def __init__(self, keys: Keys, wire: Wire, reply_timeout_s: float) -> None:
        self._keys = keys
        self._wire = wire
        self._reply_timeout_s = reply_timeout_s
        self._loop = asyncio.get_running_loop()
        self._known: dict[PartitionSlot, Ends] = {}
        self._asked: list[Asked] = []  # in this turn

    def start(self, probe: Probe) -> asyncio.Future[Probed | Gone]:
        """Ask, together with the others of this turn."""
        future: asyncio.Future[Probed | Gone] = self._loop.create_future()
        self._ask(probe, future)
        return future

    def before(self, command: Command[Any, Any]) -> None:
        """Send what is not to be overtaken by this command; a claim asks for the ends of its log anew."""
        if not isinstance(command, Probe):
            self.flush()
        if isinstance(command, Claim):  # something may be wrong with the log
            self._known.pop(command.slot, None)

    def _ask(self, probe: Probe, future: asyncio.Future[Probed | Gone]) -> None:
        if not self._asked:
            self._loop.call_soon(self.flush)
        self._asked.append((probe, future))

    def flush(self) -> None:
        """Send what was asked in this turn so far."""
        if not self._asked:
            return
        asked, self._asked = self._asked, []
        questions = [Question(probe, self._known.get(probe.slot)) for probe, _ in asked]
        queries = encode_probes(questions, self._keys)
        request: Request[list[Found]] = Request(
            "Probe", queries, partial(decode_probes, questions), self._reply_timeout_s
        )
        request.future.add_done_callback(partial(self._answered, asked))
        self._wire.start(request)

    def _answered(self, asked: Sequence[Asked], answer: asyncio.Future[list[Found]]) -> None:
        """Give each who asked a reply, or the error that came in place of all."""
        error = answer.exception()
        for number, (probe, future) in enumerate(asked):
            if error is None:
                self._reply(probe, future, answer.result()[number])
            elif not future.done():
                future.set_exception(error)

    def _reply(self, probe: Probe, future: asyncio.Future[Any], found: Found) -> None:
        if found.known is None:
            self._known.pop(probe.slot, None)
        else:
            self._known[probe.slot] = found.known
        if future.done():
            return
        if found.reply is None:
            self._ask(probe, future)
        else:
            future.set_result(found.reply)
