"""The only lines that touch redis-py: a connection on which requests go out together and answers come back in order.

A ``Wire`` is a FIFO of futures over one dedicated connection. What is started in one turn of the event loop leaves in
one packet. There is no retry in here, and none in redis-py as it is set up here: a lost answer fails its future, and
whoever asked knows whether, and under which number, to ask again. The request after a break opens a new connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar, cast

from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

from segmenter.cancellation import all_ended
from segmenter.errors import InvalidArgument
from segmenter_redis.calls import Queries, ScriptCall
from segmenter_redis.errors import Kind, backend_error, kind_of, redacted
from segmenter_redis.packing import Arguments, Head, head_of, pack
from segmenter_redis.scripts import SCRIPTS, Script

__all__ = ["Address", "Request", "Wire"]

R = TypeVar("R")

# Asks whether flags of scripts are understood; it may run whatever state the server is in.
_FLAGGED = ("EVAL", "#!lua flags=no-writes,allow-oom,allow-stale\nreturn 1", 0)
LONG_REQUEST = 100  # pieces, three for each string: an append of some 15 messages; no commit is as long
_POOL_OPTIONS = ("max_connections", "timeout")  # of a URL; they are about pools, and there is none here


class _Connection(Protocol):
    """What is used of a connection of redis-py."""

    async def connect(self) -> None: ...
    async def disconnect(self, nowait: bool = False) -> None: ...
    async def send_packed_command(self, command: Iterable[bytes], check_health: bool = True) -> None: ...
    async def read_response(self) -> Any: ...


class Address:
    """Where the server is, how connections to it are made, and which scripts are executed there."""

    def __init__(self, url: str, connect_timeout_s: float, scripts: Mapping[str, Script] = SCRIPTS) -> None:
        self.scripts = scripts
        try:
            options: dict[str, Any] = {**parse_url(url)}
            self.shown = redacted(url)
            self._make: Callable[..., Any] = options.pop("connection_class", Connection)
            for name in _POOL_OPTIONS:
                options.pop(name, None)
            # Waiting and repeating are decided above: redis-py would answer a lost reply by sending again.
            self._options = options | {
                "socket_timeout": None,
                "socket_connect_timeout": connect_timeout_s,
                "retry": Retry(NoBackoff(), 0),
                "retry_on_timeout": False,
                "health_check_interval": 0,
                "decode_responses": False,
            }
            self.connection()
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"this is not a URL of Redis that can be used: {error}") from None

    def connection(self) -> _Connection:
        """Return a connection that is not open yet."""
        return cast("_Connection", self._make(**self._options))


class Request(Generic[R]):
    """Something asked of the server, and the future that is answered."""

    __slots__ = ("allowed_s", "by_text", "call", "deadline", "decode", "future", "name", "under_way")

    def __init__(
        self, name: str, call: ScriptCall | Queries | Arguments, decode: Callable[[Any], R], allowed_s: float
    ) -> None:
        self.name = name
        self.call = call
        self.decode = decode
        self.allowed_s = allowed_s  # for the answer, from the start
        self.deadline = float("inf")
        self.by_text = False  # the server has forgotten the script: send all of it
        self.under_way = False  # sent and not answered yet
        self.future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

    def answer(self, raw: Any) -> None:
        """Hand the server's answer over, unless nobody waits for it any more."""
        self.under_way = False
        if self.future.done():
            return
        try:
            self.future.set_result(self.decode(raw))
        except Exception as error:  # whoever waits is told, and the wire goes on
            self.future.set_exception(error)

    def fail(self, error: BaseException, where: str, *, sent: bool = True) -> None:
        """Hand an error over, unless nobody waits for it any more."""
        self.under_way = False
        if not self.future.done():
            self.future.set_exception(backend_error(error, self.name, where, sent=sent))


class _Line:
    """One connection from its opening to its end, and what was asked on it."""

    def __init__(self, address: Address) -> None:
        self.client_id = 0
        self.broken = False
        self._address = address
        self._connection = address.connection()
        self._scripts: Mapping[str, Script] = address.scripts
        self._heads: dict[tuple[str, tuple[str, ...]], Head] = {}
        self._unsent: list[Request[Any]] = []
        self._unanswered: deque[Request[Any]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._end = asyncio.Event()
        self.life = self._loop.create_task(self._live())

    @property
    def idle(self) -> bool:
        """Whether every request has been answered."""
        return not self._unsent and not self._unanswered

    def start(self, requests: Iterable[Request[Any]]) -> None:
        """Send requests in the coming packet."""
        now = self._loop.time()
        for request in requests:
            request.deadline = now + request.allowed_s
            self._unsent.append(request)
            self._watch(request.deadline)
        self._wake.set()

    def hasten(self, request: Request[Any], allowed_s: float) -> None:
        """Expect an answer within this time from now, if not sooner."""
        request.allowed_s = allowed_s
        request.deadline = min(request.deadline, self._loop.time() + allowed_s)
        self._watch(request.deadline)

    def fail(self, error: BaseException) -> None:
        """Break: everything unanswered fails, and nothing more is started here."""
        if self.broken:
            return
        self.broken = True
        self._end.set()
        if self._timer:
            self._timer.cancel()
        for request in self._unanswered:
            request.fail(error, self._address.shown)
        for request in self._unsent:
            request.fail(error, self._address.shown, sent=False)

    def close(self) -> None:
        """Break on purpose: nobody has to look at what fails by it."""
        outstanding = [request.future for request in chain(self._unanswered, self._unsent)]
        self.fail(RuntimeError("the session was closed"))
        for future in outstanding:
            if not future.cancelled():
                future.exception()

    # --- one timer for the oldest request, whatever their number ---

    def _watch(self, deadline: float) -> None:
        if self._timer and self._timer.when() <= deadline:
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._check)

    def _check(self) -> None:
        self._timer = None
        oldest = next(chain(self._unanswered, self._unsent), None)
        if oldest is None:
            return
        if oldest.deadline <= self._loop.time():
            self.fail(TimeoutError(f"no answer within {oldest.allowed_s:g} s"))
        else:
            self._watch(oldest.deadline)

    # --- the life of a connection ---

    async def _live(self) -> None:
        """Work until something fails, be it an answer that does not come; then hang up."""
        work = self._loop.create_task(self._work())
        try:
            await self._end.wait()
        finally:
            self.fail(ConnectionError("the task of the connection was cancelled"))  # unless it has failed before
            work.cancel()
            try:
                await all_ended([work])
            finally:
                with suppress(Exception):  # it is given up in any case
                    await self._connection.disconnect(nowait=True)

    async def _work(self) -> None:
        try:
            await self._connection.connect()
            await self._greet()
            sender = self._loop.create_task(self._send())
            try:
                await self._receive()
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        except Exception as error:  # whatever ends a connection fails its requests
            self.fail(error)

    async def _greet(self) -> None:
        """Load all scripts, so that one is missing only after somebody flushed them."""
        (flagged,) = await self._exchange(_FLAGGED)
        if isinstance(flagged, ResponseError) and "'#'" in str(flagged):
            self._scripts = {name: script.plain() for name, script in self._scripts.items()}
            await self._connection.disconnect(nowait=True)  # an imitation of Redis, which hangs up after an error
            await self._connection.connect()
        (self.client_id,) = await self._exchange(("CLIENT", "ID"))
        loads = [("SCRIPT", "LOAD", script.text) for script in self._scripts.values()]
        for answer in await self._exchange(*loads):
            if isinstance(answer, ResponseError):
                raise answer

    async def _exchange(self, *calls: Arguments) -> list[Any]:
        await self._write(chain.from_iterable(map(pack, calls)))
        return [await self._answer() for _ in calls]

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error

    async def _send(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                wanted = [request for request in self._unsent if not request.future.cancelled()]
                self._unsent.clear()
                self._unanswered.extend(wanted)
                for request in wanted:
                    request.under_way = True
                await self._send_packed(wanted)
        except Exception as error:
            self.fail(error)

    async def _receive(self) -> None:
        while True:
            answer = await self._answer()
            if isinstance(self._unanswered[0].call, Queries):
                answer = await self._together(self._unanswered[0].call, answer)
            request = self._unanswered.popleft()
            if not isinstance(answer, ResponseError):
                request.answer(answer)
            elif isinstance(answer, NoScriptError) and not request.by_text:
                request.by_text = True  # it was not executed, and what came after it was not either
                self.start([request])
            else:
                request.fail(answer, self._address.shown)
                if kind_of(answer) is Kind.FENCED:  # a name may by now lead to another server
                    raise ConnectionError(f"given up after the answer {answer}")

    async def _together(self, queries: Queries, first: Any) -> Any:
        """The answers to queries, or the first error among them that says that they are none."""
        answers = [first, *[await self._answer() for _ in queries.words[1:]]]
        errors = (answer for answer in answers if isinstance(answer, ResponseError))
        return next((error for error in errors if not queries.forgiven(error)), answers)

    async def _send_packed(self, requests: Iterable[Request[Any]]) -> None:
        """Send requests in one packet, which a long one ends: the server works while the rest is packed.

        And while it works at the rest, those who waited for the first answers go on.
        """
        pieces: list[bytes] = []
        for request in requests:
            packed = self._packed(request)
            pieces += packed
            if len(packed) > LONG_REQUEST:
                await self._write(pieces)
                pieces = []
        if pieces:
            await self._write(pieces)

    def _packed(self, request: Request[Any]) -> list[bytes]:
        call = request.call
        if isinstance(call, Queries):
            return [piece for words in call.words for piece in pack(words)]
        if not isinstance(call, ScriptCall):
            return pack(call)
        if request.by_text:
            script = self._scripts[call.script].text
            return pack(call.args, call.payload, head_of("EVAL", script, len(call.keys), *call.keys))
        return pack(call.args, call.payload, self._head(call))

    def _head(self, call: ScriptCall) -> Head:
        """What all executions of a script on the same keys begin with."""
        known = self._heads.get((call.script, call.keys))
        if known is None:
            known = head_of("EVALSHA", self._scripts[call.script].sha, len(call.keys), *call.keys)
            self._heads[call.script, call.keys] = known
        return known

    async def _write(self, pieces: Iterable[bytes]) -> None:
        """Send a packet, joined here: transports are slow with many small pieces."""
        await self._connection.send_packed_command([b"".join(pieces)], check_health=False)


class Wire:
    """A connection that is opened by the first request, and anew by the first one after a break."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._line: _Line | None = None
        self._lives: set[asyncio.Task[None]] = set()  # an event loop holds tasks by weak references only
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether nothing is unanswered."""
        return self._line is None or self._line.broken or self._line.idle

    @property
    def client_id(self) -> int:
        """What the server calls the present connection; 0 if there is none."""
        return self._line.client_id if self._line else 0

    def start(self, *requests: Request[Any]) -> None:
        """Send requests, in this order and in one packet with whatever else is started in this turn."""
        if self._closed:
            for request in requests:
                request.fail(RuntimeError("the session is closed"), self._address.shown, sent=False)
            return
        if self._line is None or self._line.broken:
            self._line = _Line(self._address)
            self._lives.add(self._line.life)
            self._line.life.add_done_callback(self._lives.discard)
        self._line.start(requests)

    def hasten(self, request: Request[Any], allowed_s: float) -> None:
        """Expect the answer to a request that is under way within this time from now, if not sooner."""
        if self._line is not None:
            self._line.hasten(request, allowed_s)

    @property
    def lives(self) -> frozenset[asyncio.Task[None]]:
        """The connections that have not ended yet; once closed they end by themselves, within a few turns."""
        return frozenset(self._lives)

    def close(self) -> None:
        """Close the connection; what is unanswered fails."""
        self._closed = True
        if self._line:
            self._line.close()

    async def aclose(self) -> None:
        """Close the connection, and wait for its end, cancelled or not: else its socket would stay open."""
        self.close()
        await all_ended(self._lives)
        await asyncio.sleep(0)  # a turn for the transports to end
