"""The whole protocol composed: rules that may be applied in any order, and what holds after each of them."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from segmenter.core import signals as sig
from segmenter.core.invariants import check_leases
from segmenter.core.transitions import Standing, State
from tests.stateful.processes import (
    BEAT_S,
    CONSUMERS,
    FATES,
    IN_FLIGHT,
    LIMIT_MESSAGES,
    NUMBERS,
    PARTITIONS,
    PEACE_S,
    PROCESSES,
    SELDOM,
    Processes,
    Request,
)


class Composed(Processes):
    """Anything may happen in any order; every example ends in peace."""

    @rule(number=PROCESSES)
    def a_request_arrives(self, number: int) -> None:
        self.carry(self.processes[number])
        self.turn_all()

    @rule(number=PROCESSES)
    def a_reply_arrives(self, number: int) -> None:
        self.take_reply(self.processes[number])

    @rule(
        numbers=st.lists(PROCESSES, min_size=1, max_size=3, unique=True), fates=st.lists(FATES, min_size=1, max_size=9)
    )
    def the_network_is_bad(self, numbers: list[int], fates: list[str]) -> None:
        """Some rounds of requests and replies, each of which may come to grief, and all that follow with it."""
        for count in range(9):
            for number in numbers:
                self.carry(self.processes[number])
                self.take_reply(self.processes[number])
            fate = fates[count % len(fates)]
            if fate != "good":
                self.the_connection_breaks(numbers[count % len(numbers)], [fate])
        self.turn_all()

    @rule(number=PROCESSES, fates=st.lists(FATES, min_size=1, max_size=3))
    def the_connection_breaks(self, number: int, fates: list[str]) -> None:
        process = self.processes[number]
        broken, process.requests = self.due(process), [r for r in process.requests if r.at > self.now]
        unread, process.replies = [request for request, _ in process.replies], []
        for index, request in enumerate(broken):
            fate = fates[index % len(fates)]
            if fate == "executed":
                self.execute(request.command)
            elif fate == "late":
                self.late.append(request.command)
        for request in [*unread, *broken]:
            self.unanswered(process, request)
        self.announce()
        self.turn_all()

    @precondition(lambda self: self.late)
    @rule(index=st.integers(0, 20))
    def a_late_request_arrives(self, index: int) -> None:
        if self.late:
            self.execute(self.late.pop(index % len(self.late)))
            self.announce()
            self.turn_all()

    @rule(number=PROCESSES, keep=st.integers(0, 3))
    def announcements_are_missed(self, number: int, keep: int) -> None:
        process = self.processes[number]
        process.inbox = deque(
            event for n, event in enumerate(process.inbox) if not isinstance(event, sig.Heard) or n < keep
        )

    @rule(
        beats=st.integers(1, 7),
        silent=st.sampled_from([None, None, 0, 1, 2]),
        cut=st.sampled_from([None, None, 0, 1, 2]),
        work=st.booleans(),
        fates=st.lists(FATES, min_size=5, max_size=5),
    )
    def time_passes(self, beats: int, silent: int | None, cut: int | None, work: bool, fates: list[str]) -> None:
        """Beats of one may be lost, requests of one may get stuck, and what is sent may get lost on the way."""
        for _ in range(beats):
            self.pass_time(BEAT_S)
            self.beat_all(silent)
            self.work_all(finish=work)
            self.the_network_is_bad([number for number in range(CONSUMERS) if number != cut], fates)

    @rule(number=PROCESSES, beats=st.integers(1, 4), more=st.integers(0, 4))
    def a_beat_is_answered_late(self, number: int, beats: int, more: int) -> None:
        """The lease counts from when it was sent, and so does nobody else's patience."""
        process = self.processes[number]
        self.send_beat(process)
        request = process.beats.pop() if process.beats else None
        reply = self.execute(request.command) if request is not None else None
        self.time_passes(beats, number, None, True, ["good"])
        if request is not None and self.processes[number] is process:
            self.beat_answered(process, request, reply)
        self.time_passes(more, number, None, False, ["good"])

    @rule(seconds=st.sampled_from([0.01, 0.06, 0.15, 0.3, 0.85]))
    def time_passes_without_beats(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(number=PROCESSES)
    def a_beat_is_sent(self, number: int) -> None:
        self.send_beat(self.processes[number])

    @rule(number=PROCESSES)
    def a_beat_arrives(self, number: int) -> None:
        process = self.processes[number]
        if process.beats and not process.paused:
            self.take_beat(process, process.beats.pop(0))

    @initialize(seat=st.sampled_from([None, "s"]), started=st.integers(1, CONSUMERS))
    def begin(self, seat: str | None, started: int) -> None:
        self.processes[0].seat = seat
        for number in range(PARTITIONS):
            self.send(number, "x")
            self.send(number, "y")
            self.send(number, "x")
        for process in self.processes[:started]:
            self.start_process(process)
            self.the_network_is_bad([0, 1, 2], ["good"])
        self.time_passes(2, None, None, False, ["good"])

    @precondition(lambda self: any(process.member is None for process in self.processes))
    @rule(number=PROCESSES)
    def a_process_starts(self, number: int) -> None:
        if self.processes[number].member is None:
            self.start_process(self.processes[number])

    @rule(number=PROCESSES, really=SELDOM)
    def a_process_crashes(self, number: int, really: bool) -> None:
        if really:
            self.end_process(self.processes[number])

    @precondition(lambda self: any(process.member is None for process in self.processes))
    @rule(number=PROCESSES)
    def a_process_in_the_same_seat_displaces_it(self, number: int) -> None:
        """The newcomer takes the place of a process that is not there; the seat is that of the first."""
        process = self.processes[number]
        if process.member is None:
            process.seat = "s"
            self.start_process(process)

    @rule(number=PROCESSES)
    def a_process_pauses(self, number: int) -> None:
        self.processes[number].paused = True

    @precondition(lambda self: any(process.paused for process in self.processes))
    @rule(number=PROCESSES)
    def a_process_wakes(self, number: int) -> None:
        process = self.processes[number]
        if process.paused:
            process.paused, process.paused_at = False, self.now
            self.turn(process)

    @rule(number=PROCESSES, really=SELDOM, forever=st.booleans())
    def a_process_leaves(self, number: int, really: bool, forever: bool) -> None:
        process = self.processes[number]
        if really and process.member is not None and process.member.standing in (Standing.STABLE, Standing.JOINING):
            process.inbox.append(sig.Leave(forever))
            self.turn(process)

    @rule(number=PROCESSES, partition=NUMBERS)
    def a_partition_is_sought(self, number: int, partition: int) -> None:
        process = self.processes[number]
        if process.member is not None and process.member.holds[partition].state is State.OWNED:
            process.inbox.append(sig.Sought(partition))
            self.turn(process)

    @rule(number=NUMBERS, key=st.sampled_from("xy"))
    def send(self, number: int, key: str) -> None:
        if len(self.keys[number]) < LIMIT_MESSAGES:
            self.keys[number].append(key)
            self.slots.append(number, key.encode())
            self.turn_all()

    @rule(number=PROCESSES, partition=NUMBERS)
    def a_handler_starts(self, number: int, partition: int) -> None:
        process = self.processes[number]
        holding = process.holdings.get(partition)
        if holding is None or process.paused or not process.leased(self.now) or process.pulse is None:
            return
        for message in holding.lanes.take(IN_FLIGHT - holding.lanes.in_flight):
            check_leases([(self.now, process.pulse.lease_until)])
            self.check_start(process, partition, message)
            process.running.append((message, self.now))

    @rule(number=PROCESSES, index=st.integers(0, 3))
    def a_handler_finishes(self, number: int, index: int) -> None:
        process = self.processes[number]
        if process.running and not process.paused:
            message, _ = process.running.pop(index % len(process.running))
            self.settled[message.partition].add(message.ordinal)
            process.holdings[message.partition].lanes.settle(message)
            self.turn(process)

    @rule(number=PROCESSES, partition=NUMBERS)
    def progress_is_sent(self, number: int, partition: int) -> None:
        process = self.processes[number]
        holding = process.holdings.get(partition)
        if holding is not None and not process.paused and process.leased(self.now) and process.member is not None:
            commit = holding.next_commit()
            if commit is not None:
                process.requests.append(Request(process.member.me, commit, self.now, self.now))

    @invariant()
    def nobody_holds_what_another_holds_with_a_valid_lease(self) -> None:
        """Sleepers count: their leases are as good as anybody's."""
        for partition in range(PARTITIONS):
            holders = [
                process.member.me
                for process in self.processes
                if process.member is not None
                and process.leased(self.now)
                and process.member.holds[partition].state in (State.OWNED, State.DRAINING)
            ]
            assert len(holders) <= 1, holders

    @invariant()
    def whoever_holds_hands_out_what_it_holds(self) -> None:
        for process in self.processes:
            if process.member is not None:
                owned = {p for p, hold in enumerate(process.member.holds) if hold.state is State.OWNED}
                assert owned <= set(process.holdings)
                epochs = {p: process.member.holds[p].epoch for p in owned}
                assert epochs == {p: process.holdings[p].grant.epoch for p in owned}

    def work_all(self, *, finish: bool) -> None:
        for process in list(self.processes):
            for partition in range(PARTITIONS):
                self.a_handler_starts(process.number, partition)
            for _ in range(finish * len(process.running)):
                self.a_handler_finishes(process.number, 0)
            for partition in range(PARTITIONS):
                self.progress_is_sent(process.number, partition)

    def peace(self, rounds: int) -> None:
        """Time without faults: requests and replies arrive, beats too, and every handler finishes."""
        for _ in range(rounds):
            self.pass_time(BEAT_S / 2)
            self.beat_all()
            self.work_all(finish=True)
            while any(self.carry(process) | self.take_reply(process) for process in list(self.processes)):
                pass

    def teardown(self) -> None:
        for process in list(self.processes):
            self.a_process_wakes(process.number)
        if all(process.member is None for process in self.processes):
            self.a_process_starts(0)
        while self.late:
            self.execute(self.late.pop())
        rounds = 0
        while not self.converged():
            leaving = all(p.member is None or p.member.standing is Standing.LEAVING for p in self.processes)
            if leaving:
                self.a_process_starts(next((p.number for p in self.processes if p.member is None), 0))
            self.peace(1)
            self.nobody_holds_what_another_holds_with_a_valid_lease()
            rounds += 1
            assert rounds * BEAT_S / 2 <= PEACE_S, self.story()


def test_whatever_happens_one_consumer_owns_a_partition_and_everything_is_handled_in_order() -> None:
    profile = settings.get_profile(settings.get_current_profile_name())
    run_state_machine_as_test(Composed, settings=settings(profile, max_examples=400, stateful_step_count=60))
