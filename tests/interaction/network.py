"""A network between processes and one server: it writes down what passes, and fails as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Literal, TypeVar

from attrs import define, field, frozen

from segmenter.core.beats import Beat
from segmenter.core.command import Command, Crossing, GroupSlot, PartitionSlot, Read, ReadReply, StreamSlot
from segmenter.core.group import UpdateGroup
from segmenter.core.partition import Claim, Commit, PartitionState, Release
from segmenter.core.retention import Append, Appended, Duplicate, Unconfirmed
from segmenter.errors import BackendError, ServerFull
from segmenter_memory import MemoryBackend, Store
from tests.interaction.words import Words, label, routine

__all__ = ["Fault", "How", "Line", "Network", "Server", "Wire"]

R = TypeVar("R")
How = Literal["lose", "lose the reply", "delay", "hold the reply", "refuse"]

FAILS_S = 0.05  # until a broken connection is noticed
PATIENCE_S = 0.3  # until a request without an answer is given up
ONE_WAY_S = 0.0005
APART_S = 0.00001  # each process has a way of its own, so that no two requests arrive at the same moment
BEHIND_S = 0.0000001  # requests of one process arrive in their order, one behind the other
REPEATABLE = (Append, Claim, Commit, Release, UpdateGroup)  # made so that a repetition is recognised


@frozen
class Fault:
    """What is to happen to the next request of a kind."""

    process: str
    kinds: tuple[type[object], ...]
    how: How
    partition: int | None = None

    def meets(self, process: str, asked: object) -> bool:
        """Whether a request is the one."""
        slot = getattr(asked, "slot", None)
        here = self.partition is None or (isinstance(slot, PartitionSlot) and slot.partition == self.partition)
        return here and process == self.process and isinstance(asked, self.kinds)


@define
class Parked:
    """A request, or a reply, that is on its way for longer."""

    kind: type[object]
    released: asyncio.Future[bool]  # True: it arrives; False: it is lost


class Server:
    """The memory backend, with a memory that may be full and replicas that may be missing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.store = Store(lambda: 1_700_000_000_000_000 + int(clock() * 1_000_000))
        self.room: int | None = None  # messages that its memory holds
        self.replicas = 0

    def apply(self, command: Command[Any, R]) -> tuple[R, bool]:
        """Execute a command; tell the reply, and whether it changed anything.

        Raises:
            ServerFull: the command needs memory, and there is none.
        """
        if isinstance(command, Append) and self.room is not None and self._messages + len(command.records) > self.room:
            raise ServerFull("the memory of the server is full")
        slot = command.slot.here if isinstance(command.slot, Crossing) else command.slot
        before = self.store.slots.get(slot)
        reply: Any = self.store.apply(command)
        wanted = command.durability.replicas if isinstance(command, Append) and command.durability else 0
        if wanted > self.replicas and isinstance(reply, Appended | Duplicate):
            reply = Unconfirmed(self.replicas, disk=False)
        return reply, self.store.slots.get(slot) != before

    @property
    def _messages(self) -> int:
        return sum(len(state.log.entries) for state in self.store.slots.values() if isinstance(state, PartitionState))


class Network:
    """Carries requests and replies, which take a moment each way."""

    def __init__(self, server: Server, words: Words, tell: Callable[[str, str], None]) -> None:
        self.server = server
        self.words = words
        self.tell = tell  # a line of the trace, and what a tally counts it by
        self.faults: list[Fault] = []
        self.blocked: list[Fault] = []  # that stay until they are taken away
        self.cut_off: set[str] = set()
        self.refusing = False
        self.parked: list[Parked] = []
        self.shows: set[str] = set()  # what is routine, and told all the same: "beats", "reads"
        self._loop = asyncio.get_running_loop()
        self._under_way: set[asyncio.Task[None]] = set()
        self._asked: list[object] = []
        self._ways: dict[str, float] = {}
        self._last: dict[tuple[str, bool], float] = {}  # when the last one arrives, there and back
        self._nobody = Context()

    def start(self, carrying: Coroutine[Any, Any, None]) -> None:
        """What has been sent goes its way, whatever becomes of the process that sent it."""
        task = self._loop.create_task(carrying, context=self._nobody)
        self._under_way.add(task)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.result()

    def release(self, kind: type[object] | tuple[type[object], ...], *, arrives: bool) -> None:
        """Let what was delayed arrive, or lose it."""
        for parked in [parked for parked in self.parked if issubclass(parked.kind, kind)]:
            self.parked.remove(parked)
            parked.released.set_result(arrives)

    # --- commands ---------------------------------------------------------------------------------------------------

    async def carry(self, process: str, command: Command[Any, Any], answer: asyncio.Future[Any]) -> None:
        """Take a command to the server, and the reply back."""
        how = self._fate(process, command)
        subject = f"{process} {'again ' if self._is_repeated(command) else ''}{self.words.asked(command)}"
        await self._pass(process)
        if how in ("lose", "refuse"):
            told = "lost" if how == "lose" else "refused"
            self._tell_failure(command, f"{subject}: {told}", told)
            await self._fail(answer, FAILS_S, refused=how == "refuse")
            return
        if how == "delay":
            self.tell(f"{subject}: delayed", "")
            self._loop.call_later(PATIENCE_S, _break, answer, "no answer came in time", context=self._nobody)
            subject = f"late, {subject}"
            if not await self._parked(command):
                return
        await self._answer(process, command, answer, subject, how)

    async def _answer(
        self, process: str, command: Command[Any, Any], answer: asyncio.Future[Any], subject: str, how: How | None
    ) -> None:
        try:
            reply, changed = self.server.apply(command)
        except ServerFull as error:
            self.tell(f"{subject}: ServerFull", label(command, error))
            await self._pass(process, back=True)
            _resolve(answer, error)
            return
        told = self.words.answered(command, reply, changed=changed)
        lost = how == "lose the reply" or process in self.cut_off
        if lost or not self._is_routine(command, reply):
            self.tell(f"{subject}: {told}{' (the reply is lost)' if lost else ''}", label(command, reply))
        if how == "hold the reply":
            await self._parked(command)
        if lost:
            await self._fail(answer, FAILS_S)
        else:
            self._asked = [asked for asked in self._asked if asked != command]
            await self._pass(process, back=True)
            _resolve(answer, reply)

    def _is_routine(self, command: Command[Any, Any], reply: object) -> bool:
        return routine(command, reply) and not ("beats" in self.shows and isinstance(command, Beat))

    def _tell_failure(self, command: Command[Any, Any], line: str, told: str) -> None:
        if not self._is_routine(command, BackendError(told, retriable=True)):
            self.tell(line, label(command, told))

    # --- reads ------------------------------------------------------------------------------------------------------

    async def read(self, process: str, inner: asyncio.Future[ReadReply], answer: asyncio.Future[ReadReply]) -> None:
        """Bring what a read waits for, unless it is interrupted."""
        answer.add_done_callback(lambda _: self._end_read(process, inner, answer), context=self._nobody)
        try:
            reply = await inner
        except asyncio.CancelledError:
            return
        except BackendError as error:  # the session was closed
            _resolve(answer, error)
            return
        how = self._fate(process, Read((), 0, 0.0)) if self._brings_messages(reply) else None
        for line in self._found(process, reply):
            self.tell(line + (" (the reply is held)" if how == "hold the reply" else ""), "Read")
        if how == "hold the reply":
            await self._parked(Read((), 0, 0.0))
        if process in self.cut_off or how == "lose":
            await self._fail(answer, FAILS_S)
        else:
            await self._pass(process, back=True)
            _resolve(answer, reply)

    def _end_read(self, process: str, inner: asyncio.Future[ReadReply], answer: asyncio.Future[ReadReply]) -> None:
        if answer.cancelled() and "reads" in self.shows:
            self.tell(f"{process}'s read is interrupted", "")
        inner.cancel()

    def begin_read(self, process: str, read: Read) -> None:
        """Tell of a read that begins, where that matters."""
        if "reads" not in self.shows:
            return
        slots = [(cursor.log, cursor.after) for cursor in read.cursors]
        logs = [(slot.partition, after) for slot, after in slots if isinstance(slot, PartitionSlot)]
        told = [f"partition {number} after {self.words.message(number, after)}" for number, after in logs]
        self.tell(f"{process} waits for {', '.join([*told, 'events'])}", "")

    @staticmethod
    def _brings_messages(reply: ReadReply) -> bool:
        return any(isinstance(log, PartitionSlot) for log in reply)

    @staticmethod
    def _found(process: str, reply: ReadReply) -> list[str]:
        return [
            f"{process} reads partition {log.partition}: {' '.join(entry[1][3].decode() for entry in entries)}"
            for log, entries in reply.items()
            if isinstance(log, PartitionSlot)
        ]

    # --- how it goes wrong ------------------------------------------------------------------------------------------

    def _fate(self, process: str, asked: object) -> How | None:
        if process in self.cut_off:
            return None if isinstance(asked, Read) else "lose"
        if self.refusing:
            return "refuse"
        for fault in self.blocked:
            if fault.meets(process, asked):
                return fault.how
        for fault in self.faults:
            if fault.meets(process, asked):
                self.faults.remove(fault)
                return fault.how
        return None

    def _is_repeated(self, command: Command[Any, Any]) -> bool:
        """Whether the same was asked before and had no answer."""
        if not isinstance(command, REPEATABLE):
            return False
        known = command in self._asked
        self._asked += [] if known else [command]
        return known

    async def _pass(self, process: str, *, back: bool = False) -> None:
        """Be on the way, and arrive behind what was sent before."""
        way_s = ONE_WAY_S + self._ways.setdefault(process, len(self._ways) * APART_S)
        now = self._loop.time()
        at = max(now + way_s, self._last.get((process, back), 0.0) + BEHIND_S)
        self._last[process, back] = at
        await asyncio.sleep(at - now)

    async def _parked(self, asked: object) -> bool:
        parked = Parked(type(asked), self._loop.create_future())
        self.parked.append(parked)
        return await parked.released

    async def _fail(self, answer: asyncio.Future[Any], after_s: float, *, refused: bool = False) -> None:
        await asyncio.sleep(after_s)
        _break(answer, "the connection broke", refused=refused)


def _resolve(answer: asyncio.Future[Any], reply: object) -> None:
    if answer.done():
        return
    if isinstance(reply, BaseException):
        answer.set_exception(reply)
        answer.exception()  # who has ended meanwhile does not ask for it
    else:
        answer.set_result(reply)


def _break(answer: asyncio.Future[Any], why: str, *, refused: bool = False) -> None:
    _resolve(answer, BackendError(why, retriable=True, refused=refused))


@define
class Line:
    """A session of one process."""

    _process: str
    _network: Network
    _inner: Any  # a session of the memory backend
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)

    def execute(self, command: Command[Any, R]) -> asyncio.Future[R]:
        """Start a command."""
        answer: asyncio.Future[R] = self._loop.create_future()
        self._network.start(self._network.carry(self._process, command, answer))
        return answer

    def read(self, read: Read) -> asyncio.Future[ReadReply]:
        """Start a read."""
        answer: asyncio.Future[ReadReply] = self._loop.create_future()
        self._network.begin_read(self._process, read)
        inner = Context().run(self._inner.read, read)
        self._network.start(self._network.read(self._process, inner, answer))
        return answer

    async def aclose(self) -> None:
        """Hang up; what was sent goes its way."""
        await self._inner.aclose()


@frozen
class Wire:
    """The backend as one process sees it."""

    process: str
    network: Network

    async def session(self) -> Line:
        """Open a session."""
        return Line(self.process, self.network, await MemoryBackend(store=self.network.server.store).session())

    async def catalogue(self) -> list[StreamSlot | GroupSlot]:
        """What is stored; it is no part of the protocol, so nothing is told of it."""
        return self.network.server.store.catalogue()
