"""Order per key inside a consumer, for one partition: what may start, what is settled, what is set aside.

Everything is counted in ordinals: the **watermark** is the ordinal below which all is settled, and what was settled
ahead of it is kept as ranges. A commit stores both, so that whoever takes the partition over repeats nothing that was
finished. What arrives waits as it came, and becomes a message when its turn comes. While nothing else is in hand, it
goes out as a **run** (``runs``). As soon as anything else is asked (another message or batch meanwhile, one given back,
set aside, or settled out of turn), what is left of the run is linked into **chains**, one for each key (``chains``).
A message that is parked takes the chain behind it along, and what arrives later under its key follows (``aside``).
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from itertools import islice

from segmenter.core.aside import Letter
from segmenter.core.backlog import Backlog
from segmenter.core.caution import Caution
from segmenter.core.chains import Chains
from segmenter.core.command import Entry
from segmenter.core.entries import parts_of
from segmenter.core.forward import Outgoing
from segmenter.core.message import HELD, SETTLED, STALE, STARTED, Message
from segmenter.core.parking import Parking, letter_behind, letter_of, message_of
from segmenter.core.partition import Progress
from segmenter.core.refusals import lost, out_of_order, stale
from segmenter.core.runs import Run
from segmenter.core.watermark import Watermark
from segmenter.errors import ConsumerError

__all__ = ["KeyLanes"]


class KeyLanes:
    """The messages of one partition under one epoch."""

    def __init__(
        self,
        *,
        stream: str,
        group: str,
        partition: int,
        epoch: int,
        progress: Progress,
        parking: Parking | None = None,
        caution: Caution | None = None,
        clock: Callable[[], float],
        touched: Callable[[], None],
        consumer: object = None,
        forwarding: Callable[[Message, Outgoing], Awaitable[None]] | None = None,
        lenient: bool = False,
    ) -> None:
        self.stream, self.group, self.partition, self.epoch = stream, group, partition, epoch
        self.consumer, self.forwarding = consumer, forwarding  # who hands out, by identity; settles by what is sent
        self.acked: Container[Message] = ()  # acknowledged in other threads, and still to be settled here
        self.backlog = Backlog(progress, lenient=lenient)  # counts all of a run, until nothing of it is left
        self.parking, self.caution = parking or Parking(), caution or Caution()
        self._clock, self._touched = clock, touched
        self._told = False  # that something was settled, since the progress was last asked for
        self._closed: Callable[[Message], ConsumerError] | None = None
        self._mark, self._attempts = Watermark(progress), dict(progress.attempts)
        self._changes = 0  # of the progress, but for what the watermark shows
        self._run, self.chains = Run(), Chains(progress.delays, clock())
        self._batch = 0
        self._taken_up: set[int] = set()  # ordinals of parked messages that are being handled once more

    @property
    def mark(self) -> Watermark:
        """How far all is settled."""
        if self._run.last is not None:
            self._mark.rise_over(self._run.last.ordinal, self._run.last.entry_id)
            self._run.last = None
        return self._mark

    @property
    def version(self) -> int:
        """It rises with every change of the progress."""
        return self.mark.read + self._changes

    # --- what comes in ----------------------------------------------------------------------------------------------

    def offer(self, entries: Sequence[Entry]) -> None:
        """Take in entries that follow those taken in before; what a former owner had finished is passed over."""
        if self.backlog.extend(entries, self.mark):
            self._link_run()
            self.changed()
        self._pass_over()
        if self.parking.counts:
            self._draw_all()

    def _pass_over(self) -> None:
        """What was finished before its turn waits for nobody once it is first."""
        while self.backlog.entries and self.mark.finished(self.backlog.first):
            self._draw()

    def _draw_all(self) -> None:
        """While keys are parked, what arrives under them is parked at once."""
        self._link_run()
        while self.backlog.entries:
            if (message := self._draw()) is not None:
                self.chains.queue(message)

    def _draw(self) -> Message | None:
        """Make a message of what arrived first, and link it; nothing if it was finished before, or is parked."""
        ordinal, (entry_id, fields) = self.backlog.first, self.backlog.pop()
        self.mark.take_in(entry_id)
        if self.mark.finished(ordinal):
            self.mark.advance()
            self._changes += 1
            return None
        attempt = self._attempts.get(ordinal, 0) + 1
        message = Message(self, ordinal, entry_id, *parts_of(fields), attempt)
        if message.raw_key in self.parking.counts:
            self._park(message, STALE)
            self._touched()
            return None
        self.chains.link(message)
        return message

    def take_up(self, letters: Sequence[Letter]) -> None:
        """Take in parked letters of keys of which none is in hand, to be handled once more, in this order."""
        self._link_run()
        for letter in letters:
            message = message_of(letter, self, self._attempts.get(letter.ordinal, 0) + 1)
            self.chains.link(message)
            self.chains.queue(message)
            self._taken_up.add(letter.ordinal)
            self.backlog.add(1, len(letter.data))

    def discard(self, letters: Sequence[Letter]) -> None:
        """Have parked letters taken back that nobody will handle."""
        for letter in letters:
            self._attempts.pop(letter.ordinal, None)
            self.chains.inherited.pop(letter.ordinal, None)
            self.parking.unpark(letter.place)

    def changed(self) -> None:
        """Something is to be stored that is not about a message in hand."""
        self._changes += 1
        self._touched()

    # --- what goes out ----------------------------------------------------------------------------------------------

    def next(self) -> Message | None:
        """Hand out one message that may start."""
        if self._closed is not None:
            return None
        if self.caution.suspicious and self._careful:
            return self._next_alone()
        now = self._clock()
        if self._plain:
            return self._run.begin_with_one(self, self.backlog, now)
        self._link_run()
        self.chains.wake(now)
        if (message := self._startable()) is not None:
            self.chains.start(message, now, 0)
        return message

    def _next_alone(self) -> Message | None:
        """Hand out the message whose mark is stored, or have the next one marked."""
        self.chains.wake(now := self._clock())
        if (marked := self.caution.take()) is not None:
            self.chains.start(marked, now, 0)
        elif not self.in_flight and self.caution.choose(self._startable):
            self.changed()
        return marked

    def take(self, limit: int, *, whole_batch: bool = False) -> list[Message]:
        """Hand out up to ``limit`` messages that may start; ``whole_batch``: a key may come several times, in order."""
        if limit == 1 or not whole_batch or self._closed or (self.caution.suspicious and self._careful):
            return list(islice(iter(self.next, None), limit))
        self._batch += 1
        if not self._plain:
            self._link_run()
            return self._take_batch(limit)
        return self._run.begin(self, self.backlog, limit, self._batch, self._clock())

    @property
    def _plain(self) -> bool:
        """Whether nothing is in hand, and nothing of what arrived needs a closer look, as it mostly is."""
        busy = self._run.messages or not self.backlog.entries or self.chains.tails or self._attempts
        return not busy and self.backlog.first >= self._mark.inherited

    def _take_batch(self, limit: int) -> list[Message]:
        chains, now, batch, taken = self.chains, self._clock(), self._batch, list[Message]()
        chains.wake(now)
        while len(taken) < limit and (message := self._startable(whole_batch=True)) is not None:
            chains.start(message, now, batch)
            taken.append(message)
            after = message._after
            if after is not None and after._state == HELD:
                chains.make_ready(after)
        return taken

    def _startable(self, *, whole_batch: bool = False) -> Message | None:
        """The next message whose key allows it; those that are passed over are reached through their predecessors."""
        chains = self.chains
        while chains.waiting or self.backlog.entries:
            message = chains.pop() if chains.waiting else self._draw()
            if message is None or message._state == STALE:
                continue
            before = message._before
            if before is None or (whole_batch and before._state == STARTED and before.batch == self._batch):
                if not (chains.inherited and chains.delay_inherited(message, self._clock())):
                    return message
                self.changed()
            else:
                message._state = HELD
        return None

    @property
    def _careful(self) -> bool:
        return self.caution.applies(self.mark.read, redriving=bool(self._taken_up))

    @property
    def due(self) -> float | None:
        """When the next message that was given back may start again, by the clock; ``None`` if none waits."""
        return self.chains.due if self._closed is None else None

    @property
    def startable(self) -> bool:
        """Whether something is waiting that may be able to start now."""
        if self._closed is not None:
            return False
        if self.caution.suspicious and self._careful and (self.in_flight or self.caution.blocked):
            return False
        return bool(self.backlog.entries) or self.chains.waiting or self.caution.ready

    @property
    def in_flight(self) -> int:
        """How many messages are handed out and not settled."""
        return len(self.chains.started) + len(self._run.messages)

    @property
    def waiting_keys(self) -> list[str]:
        """The keys of the messages that are handed out and not settled."""
        return [message.key for message in self._run.messages or self.chains.started]

    @property
    def oldest_start(self) -> float | None:
        """When the oldest message in flight was handed out."""
        return self._run.at if self._run.messages else next(iter(self.chains.started.values()), None)

    # --- what becomes of it -----------------------------------------------------------------------------------------

    def settle(self, message: Message) -> None:
        """Acknowledge a message (see ``Message.ack``)."""
        run = self._run
        if run.messages and run.messages[0] is message:
            run.last = run.messages.popleft()
            message._state = SETTLED
            if not (run.messages and self._told):
                self._run_moved(run)
        elif not self._ended(message):
            self._finish(message, SETTLED)
            self.chains.unlink(message)
            self._count(message)
            self._pass_over()
            self._touched()

    def _run_moved(self, run: Run) -> None:
        """Tell of it, once until somebody looks, and when nothing is left to do."""
        if not run.messages:
            self.backlog.settled(run.length, run.size_bytes)
        if not (self._told and (run.messages or self.backlog.entries)):
            self._told = True
            self._touched()

    def _link_run(self) -> None:
        """Something else is asked: what is left of the run goes the other way."""
        run, mark = self._run, self.mark
        if run.messages:
            left = run.break_off()
            self.backlog.settled(run.length, run.size_bytes)
            for message in left:
                mark.take_in(message.entry_id)
                self.chains.link(message)
                self.chains.started[message] = run.at

    def _ended(self, message: Message) -> bool:
        """Whether a message was settled or set aside before; otherwise it must be one that may be."""
        if message._state == SETTLED:
            return True
        self._link_run()
        if message._state != STARTED:
            raise (self._closed or stale)(message)
        if message._before is not None:
            raise out_of_order(message, message._before)
        return False

    def _finish(self, message: Message, state: int) -> None:
        message._state = state
        self.chains.started.pop(message, None)
        self.backlog.settled(1, len(message.data))

    def _count(self, message: Message, *, still_parked: bool = False) -> None:
        ordinal = message.ordinal
        self._changes += 1
        if self._attempts or self.chains.inherited:
            self._attempts.pop(ordinal, None)
            self.chains.inherited.pop(ordinal, None)
        if ordinal == self.caution.trying:
            self.caution.tried()
        if ordinal in self._taken_up:
            self._taken_up.discard(ordinal)
            self.parking.unpark((ordinal, message.raw_key))
        elif not still_parked:  # what was taken up was counted when it was parked
            self.mark.settle(ordinal)

    def forward(self, message: Message) -> None:
        """Leave a message to what is sent in its place; until that is answered, nothing else becomes of it."""
        if self._ended(message):
            raise stale(message)
        self.chains.send_off(message)

    def forwarded(self, message: Message, *, done: bool) -> None:
        """It is settled by what was sent, or nothing was sent."""
        if self.chains.bring_back(message, self._clock(), done=done) and done:
            self.settle(message)

    # --- setting aside ----------------------------------------------------------------------------------------------

    def bury(self, message: Message, reason: str) -> None:
        """Make a dead letter of a message (see ``Message.reject``)."""
        if not self._ended(message):
            self.parking.bury(letter_of(message, reason))
            self.settle(message)

    def park(self, message: Message, reason: str) -> None:
        """Park a message and all that follow it under its key (see ``Message.park``)."""
        if not self._ended(message):
            first, *behind = self.chains.cut(message)
            self._park(first, SETTLED, reason)
            for each in behind:
                self._park(each, STALE)
            self._draw_all()
            self._touched()

    def _park(self, message: Message, state: int, reason: str | None = None) -> None:
        """Park one message, or leave it where it lies if it was taken up from there."""
        self._finish(message, state)
        again = message.ordinal in self._taken_up
        self._taken_up.discard(message.ordinal)
        letter = letter_behind(message) if reason is None else letter_of(message, reason)
        if not again:
            self.parking.park(letter)
        elif reason is not None:
            self.parking.park_again(letter)
        self._count(message, still_parked=again)

    def give_back(self, message: Message, delay_s: float) -> None:
        """Take a message back and hand it out again after a while (see ``Message.nack``)."""
        self._link_run()
        if message._state != STARTED:
            raise (self._closed or stale)(message)
        self._attempts[message.ordinal] = message.attempt
        if message.ordinal == self.caution.trying:
            self.caution.tried()
        self.chains.again(message, self._clock() + delay_s if delay_s > 0 else None)
        self.changed()

    def take_back_before(self, handed_out: float) -> list[Message]:
        """Take back what was handed out at or before a time and is not settled; it will be handed out again."""
        if self._run.at <= handed_out:
            self._link_run()
        late = [message for message, at in self.chains.started.items() if at <= handed_out]
        for message in late:
            if message._state == STARTED:  # not yet taken back behind an earlier one of its key
                self.give_back(message, 0.0)
        return late

    # --- the end of a hold ------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Start nothing more; what is in flight may still be settled."""
        self._closed = self._closed or stale
        self._link_run()
        self.caution.stop()

    def leave(self) -> None:
        """Leave what is in hand to whoever comes next, as if it had not been handed out; what is forwarded goes on."""
        self.stop()
        self.chains.leave()
        self.caution.turn.give_back(self.caution)

    def close(self) -> None:
        """The hold is over: whatever is in flight no longer counts."""
        self.stop()
        self._closed = lost
        self.chains.leave(forwarded_too=True)
        self.caution.turn.give_back(self.caution)

    def progress(self, also: Iterable[int] = ()) -> Progress:
        """What to store now, or what it will be when some more ordinals are settled."""
        self._told = False
        attempts, delays = tuple(sorted(self._attempts.items())), self.chains.delays(self._clock)
        return Progress(*self.mark.reached(also), attempts, self.caution.trying, delays)
