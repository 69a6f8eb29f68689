"""The heart: beats for every consumer of a Segmenter, apart from the code of its user.

It is one coroutine; in production it runs in a thread with its own event loop and session, so that a handler that
blocks the loop does not cost the membership. That must not go on for ever: a consumer whose pump has not turned for
``stall_timeout_s`` is not beaten for, goes silent, and loses its partitions to others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from segmenter.core.beats import Beat, Beaten, NotMember, Pulse
from segmenter.core.command import Gone, GroupSlot
from segmenter.core.failure import text_of
from segmenter.core.signals import Event, Excluded, Learned, Silent, Vanished
from segmenter.errors import BackendError
from segmenter.logs import Log
from segmenter.port import Backend, Session
from segmenter.runtime.backoff import Backoff
from segmenter.runtime.host import Host

__all__ = ["Heart", "Patient"]

STUCK_BEATS = 2  # left out in a row: the event loop is stuck

_log = Log("segmenter.heart")


class Patient:
    """A membership to beat for. The heart writes its pulse; the pump, in another thread, reads when its lease ends."""

    def __init__(
        self,
        slot: GroupSlot,
        member: str,
        pulse: Pulse,
        *,
        alive: Callable[[], bool],
        known: Callable[[], str],
        tell: Callable[[Event], None],
        stuck: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.slot = slot
        self.member = member
        self.feel(pulse)
        self.due = 0.0
        self.busy = False
        self.alive = alive  # whether the pump turns
        self.known = known  # the version of the document that the pump has
        self.tell = tell  # called in the heart's thread, as the next two
        self.stuck = stuck
        self.failed = failed
        self.missed = 0  # beats in a row left out since the pump does not turn

    def feel(self, pulse: Pulse) -> None:
        """Take a pulse, and with it the end of the lease, which is looked at for every message."""
        self.pulse = pulse
        self.lease_until = pulse.lease_until


class Heart:
    """Beats for its patients until it is stopped."""

    def __init__(self, backend: Backend, host: Host) -> None:
        self._backend = backend
        self._host = host
        self._lock = threading.Lock()
        self._patients: list[Patient] = []
        self._wake: Callable[[], None] | None = None
        self._stopped = False
        self._session: Session | None = None
        self._backoff = Backoff(host.chance)
        self._beats: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self.turns = 0  # how often it has looked after its patients; readable in any thread

    def add(self, patient: Patient) -> None:
        """Beat for a membership from now on; callable in any thread."""
        with self._lock:
            self._patients.append(patient)
            failure = self._failure
        if failure is not None:
            patient.failed(failure)
        self._rouse()

    def remove(self, patient: Patient) -> None:
        """Beat for it no more."""
        with self._lock:
            if patient in self._patients:
                self._patients.remove(patient)

    def failed(self, error: BaseException) -> None:
        """It has ended, or was never begun: no membership is kept up any more; callable in any thread."""
        with self._lock:
            self._failure = error
            patients = tuple(self._patients)
        _log.error("heartbeat stopped reason=%s", text_of(error), exc_info=error)
        for patient in patients:
            patient.failed(error)

    def stop(self) -> None:
        """End ``run``; callable in any thread."""
        self._stopped = True
        self._rouse()

    def _rouse(self) -> None:
        with self._lock:
            wake = self._wake
            if wake is not None:
                wake()

    async def run(self) -> None:
        """Beat until stopped."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        with self._lock:
            self._wake = wake
        try:
            while not self._stopped:
                woken.clear()
                self.turns += 1
                self._start_due()
                await self._rest(woken)
        finally:
            await self._close()

    def _start_due(self) -> None:
        now = self._host.clock()
        with self._lock:
            due = [patient for patient in self._patients if patient.due <= now and not patient.busy]
        for patient in due:
            patient.due = now + patient.pulse.interval_s
            if patient.alive():
                patient.missed = 0
                patient.busy = True
                task = asyncio.get_running_loop().create_task(self._beat(patient))
                self._beats.add(task)
                task.add_done_callback(self._beats.discard)
            else:
                self._miss(patient)

    @staticmethod
    def _miss(patient: Patient) -> None:
        """Leave a beat out. Twice in a row it is no process that just woke up from a sleep, heart and all."""
        patient.missed += 1
        if patient.missed == STUCK_BEATS:
            patient.stuck()
            _log.error("the event loop of %s stands still: it is beaten for no more", patient.member)

    async def _rest(self, woken: asyncio.Event) -> None:
        with self._lock:
            due = min((patient.due for patient in self._patients), default=None)
        if self._stopped:
            return
        timeout = None if due is None else max(0.001, due - self._host.clock())
        try:
            async with asyncio.timeout(timeout):
                await woken.wait()
        except TimeoutError:
            pass

    async def _beat(self, patient: Patient) -> None:
        sent = self._host.clock()
        below = patient.pulse.silent_below(sent)
        try:
            session = await self._connected()
            reply = await session.execute(Beat(patient.slot, patient.member, patient.known(), below))
        except BackendError as error:
            if not error.retriable:
                patient.failed(error)
            patient.due = min(patient.due, self._host.clock() + self._backoff.next_s())
        except Exception as error:  # such as a document that a later version wrote
            patient.failed(error)
        else:
            self._backoff.reset()
            self._answered(patient, sent, below, reply)
        finally:
            patient.busy = False

    async def _connected(self) -> Session:
        if self._session is None:
            session = await self._backend.session()
            if self._session is None:
                self._session = session
            else:  # another beat was faster
                await session.aclose()
        return self._session

    def _answered(self, patient: Patient, sent: float, below: int, reply: Beaten | NotMember | Gone) -> None:
        match reply:
            case Beaten(number, document):
                silent = patient.pulse.silent(reply)
                patient.feel(patient.pulse.answered(sent, self._host.clock(), number))
                if document is not None:
                    patient.tell(Learned(document))
                if silent:
                    patient.tell(Silent(silent, below))
            case NotMember(document):
                self.remove(patient)
                patient.tell(Excluded(document))
            case Gone():
                self.remove(patient)
                patient.tell(Vanished())

    async def _close(self) -> None:
        with self._lock:
            self._wake = None
        for beat in tuple(self._beats):
            beat.cancel()
        await asyncio.gather(*self._beats, return_exceptions=True)
        if self._session is not None:
            await self._session.aclose()
