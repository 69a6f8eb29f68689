"""Beats, leases, deaths, and the document of a group: who is a member, and who may act as one."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, conformance, core, explored, fundamental, story

__all__ = ["MEMBERSHIP"]

BEATS = "segmenter/core/beats.py"
GROUP = "segmenter/core/group.py"
MACHINE = "segmenter/core/machine.py"
ASSIGNOR = "segmenter/core/assignor.py"
WISHES = "segmenter/core/wishes.py"
LEASE = "segmenter/runtime/lease.py"
DRIVER = "segmenter/runtime/driver.py"
BEAT_LUA = "backends/segmenter_redis/scripts/beat.lua"
UPDATE_LUA = "backends/segmenter_redis/scripts/update_group.lua"


def network(name: str) -> str:
    return f"tests/simulation/test_network.py::test_{name}"


MEMBERSHIP = (
    # --- the lease
    Mutant(
        "lease guard counted from the reply",
        "P3 INV-12",
        BEATS,
        core("beats", "a_lease_counts_from_the_sending_of_the_beat_not_from_its_answer"),
        "lease_from=sent)",
        "lease_from=now)",
    ),
    Mutant(
        "lease of a join that counts from its repetition",
        "P3 INV-12",
        DRIVER,
        network("a_lease_counts_from_when_its_join_was_first_asked_for"),
        "command == self.member.changing != self._changing",
        "command == self.member.changing",
    ),
    Mutant(
        "lease of a join that counts from the repetition of a change before it",
        "P3 INV-12",
        DRIVER,
        network("a_lease_counts_from_when_its_join_was_first_asked_for"),
        "command == self.member.changing != self._changing",
        "command != self._changing",
    ),
    Mutant(
        "handing out without a look at the lease",
        "P3 INV-12",
        "segmenter/runtime/delivery.py",
        fundamental("7_lifecycle", "a_process_that_wakes_hands_out_nothing_that_it_had_read_before"),
        "-math.inf if self.closed else self._lease.until",
        "-math.inf if self.closed else math.inf",
    ),
    Mutant(
        "lease that does not run out by itself",
        "P3 INV-12",
        LEASE,
        story("06-lease"),
        "-math.inf if patient is None else patient.lease_until",
        "-math.inf if patient is None else math.inf",
    ),
    Mutant(
        "member whose lease is over keeps what it holds",
        "P3 INV-12",
        MACHINE,
        core("machine", "a_member_whose_lease_is_over_drops_everything_before_another_can_have_it"),
        "            self._all(Symbol.DROPPED)\n",
        "",
    ),
    Mutant(
        "heartbeat that goes on while commits fail",
        "P3",
        "segmenter/runtime/holding.py",
        story("06-lease"),
        "min(now, self._asked_at)",
        "now",
    ),
    Mutant(
        "heart that beats for a loop that stands still",
        "P8",
        LEASE,
        story("06-lease"),
        "return self._clock() - self.turned_at < self._stall_s",
        "return True",
    ),
    # --- beats
    Mutant(
        "a beat number repeated",
        "P2 INV-7",
        BEATS,
        core("beats", "silent_are_those_whose_beats_are_below_the_number_asked_for"),
        "number = state.beats + 1",
        "number = state.beats",
    ),
    Mutant(
        "a beat number repeated, in Redis",
        "P2 INV-7",
        BEAT_LUA,
        conformance("a_beat_brings_the_document_only_to_those_who_do_not_know_it"),
        "redis.call('HINCRBY', document, 'beats', 1)",
        "tonumber(redis.call('HGET', document, 'beats'))",
    ),
    Mutant(
        "late beat that revives",
        "P2 INV-8",
        BEATS,
        core("beats", "a_beat_revives_nobody"),
        "if self.member not in state.scores:",
        "if False:",
    ),
    Mutant(
        "late beat that revives, in Redis",
        "P2 INV-8",
        BEAT_LUA,
        conformance("a_late_beat_revives_nobody"),
        "if not redis.call('ZSCORE', beats, member) then",
        "if false then",
    ),
    # --- deaths
    Mutant(
        "expiry over a gap in one's own beats",
        "P2 INV-7",
        BEATS,
        core("beats", "a_gap_in_ones_own_beats_starts_the_chain_anew"),
        "now - self.chain[-1][0] > self.session_s / 2 or ",
        "",
    ),
    Mutant(
        "expiry by a count that went back",
        "P2 INV-7",
        BEATS,
        core("beats", "a_count_that_went_back_starts_the_chain_anew"),
        " or number <= self.chain[-1][1]",
        "",
    ),
    Mutant(
        "expiry before a session is over",
        "P2 INV-7",
        BEATS,
        core("beats", "evidence_against_others_is_a_session_old"),
        "if answered <= now - self.session_s]",
        "]",
    ),
    Mutant(
        "expiry by server clock",
        "P2 INV-7",
        BEATS,
        core("beats", "the_clock_of_the_server_is_no_evidence_of_silence"),
        "        silent = tuple(",
        "        scores[self.member], below = now_us, now_us - state.document.session_ms * 1000\n"
        "        silent = tuple(",
    ),
    Mutant(
        "beats that were rolled back are evidence",
        "P2 INV-7",
        BEATS,
        core("beats", "after_a_rollback_of_the_count_nobody_looks_silent"),
        "self.silent_below if number > self.silent_below else 0",
        "self.silent_below",
    ),
    Mutant(
        "beats that were rolled back are evidence, in Redis",
        "P2 INV-7",
        BEAT_LUA,
        conformance("a_count_that_was_rolled_back_is_evidence_against_nobody"),
        "if number > silent_below then",
        "if true then",
    ),
    Mutant(
        "expiry of a member that beat again",
        "P2 INV-7",
        GROUP,
        story("03-death"),
        " or state.scores.get(member, 0) >= self.silent_below:",
        ":",
    ),
    Mutant(
        "expiry of a member that beat again, in Redis",
        "P2 INV-7",
        UPDATE_LUA,
        conformance("who_has_beaten_meanwhile_is_not_expired"),
        " or score >= silent_below then",
        " then",
    ),
    Mutant(
        "nobody is ever expired",
        "P8",
        WISHES,
        core("machine", "a_crashed_member_is_expired_after_a_session_and_its_partition_taken_over"),
        "return doc.Expired(member.silent.members)",
        "return None",
    ),
    # --- the document
    Mutant(
        "versions compared by >",
        "P2 INV-8",
        GROUP,
        conformance("of_two_writers_one_reads_again", "memory"),
        "if (stored.version if stored else None) != self.expect:",
        'if stored and stored.version > (self.expect or ""):',
    ),
    Mutant(
        "versions compared by >, in Redis",
        "P2 INV-8",
        UPDATE_LUA,
        conformance("of_two_writers_one_reads_again"),
        "(stored and stored[1] or '') ~= expect",
        "(stored and stored[1] or '') > expect",
    ),
    Mutant(
        "versions of a stream compared by >",
        "P7",
        "segmenter/core/layout.py",
        conformance("a_stream_can_be_removed", "memory"),
        "if stored != self.expect:",
        'if (stored or "") > (self.expect or ""):',
    ),
    Mutant(
        "versions of a stream compared by >, in Redis",
        "P7",
        "backends/segmenter_redis/scripts/update_stream.lua",
        conformance("a_stream_can_be_removed"),
        "if stands ~= expect then",
        "if stands > expect then",
    ),
    Mutant(
        "older document that a beat brings is believed",
        "P2 INV-8",
        MACHINE,
        core("machine", "an_older_document_brought_by_a_beat_is_asked_about_and_not_believed"),
        "older = document.generation < self.member.document.generation",
        "older = False",
    ),
    Mutant(
        "document that went back stays behind",
        "P8",
        WISHES,
        core("machine", "a_document_that_was_rolled_back_catches_up_with_what_a_lane_has_seen"),
        "return doc.CaughtUp(member.behind)",
        "return None",
    ),
    # --- the assignment
    Mutant(
        "partition that moves without need",
        "P8 INV-11",
        ASSIGNOR,
        core("assignor", "no_balanced_assignment_moves_fewer_at_small_sizes[2-3]"),
        "kept = [_keep(name, room) for name in previous]",
        "kept = [None for _ in previous]",
    ),
    Mutant(
        "member that gets all that is left over",
        "P8 INV-11",
        ASSIGNOR,
        core("assignor", "from_nothing_every_partition_has_a_member_at_every_size"),
        "small + (rank < larger)",
        "small + larger * (rank == 0)",
    ),
    Mutant(
        "rebalance for each of those who join together",
        "P8",
        WISHES,
        fundamental("3_rebalancing", "ten_consumers_starting_together_cause_few_moves"),
        " and now >= member.balance_at",
        "",
    ),
    # --- seats that are away, session time-outs, contests
    Mutant(
        "orderly leave that gives the seat up",
        "P8",
        GROUP,
        fundamental("3_instances", "a_rolling_restart_gives_each_its_own_back_and_moves_nothing_else"),
        "returning = it.seat is not None and not event.forever",
        "returning = False",
    ),
    Mutant(
        "leave for ever that keeps the seat",
        "P8",
        GROUP,
        core("machine", "who_gives_its_seat_up_leaves_nothing_to_wait_for"),
        "it.seat is not None and not event.forever",
        "it.seat is not None",
    ),
    Mutant(
        "member that claims again what it hands back",
        "P8",
        MACHINE,
        core("machine", "an_orderly_leave_keeps_what_is_meant_for_a_seat_and_hands_all_of_it_back"),
        "frozenset[int]() if its is not None and its.leaving else document",
        "document",
    ),
    Mutant(
        "seat that is away for ever",
        "P8",
        WISHES,
        explored("seats, one leaves and comes back or another comes"),
        "if overdue := member.overdue(now):",
        "if overdue := ():",
    ),
    Mutant(
        "seat that is away, whatever the clock of the server says",
        "P8",
        "segmenter/core/member.py",
        fundamental("3_instances", "a_newcomer_hours_later_does_not_wait"),
        "if us >= self.session_s * 1e6]",
        "if us < 0]",
    ),
    Mutant(
        "seat whose time nobody writes down",
        "P8",
        GROUP,
        core("machine", "a_seat_that_left_more_than_a_session_ago_by_the_clock_of_the_server_is_given_up_at_once"),
        "return after if after is self else after._dated_by(self)",
        "return after",
    ),
    Mutant(
        "seat that is away and gets more",
        "P8 INV-11",
        ASSIGNOR,
        core("assignor", "who_is_away_keeps_up_to_a_share_and_gets_no_more_at_small_sizes[members1-away1-4]"),
        "held[name] <= left // len(sharing)",
        "held[name] < left // len(sharing)",
    ),
    Mutant(
        "pause that keeps seats for those who are away",
        "P8",
        GROUP,
        fundamental("3_instances", "a_pause_ends_the_wait_for_seats_that_are_away"),
        'evolve(self, state="paused", away={})',
        'evolve(self, state="paused")',
    ),
    Mutant(
        "leaving member that is displaced ends with an error",
        "P8",
        MACHINE,
        core("machine", "a_member_that_leaves_and_is_displaced_has_left"),
        '"left" if standing is Standing.LEAVING else "displaced"',
        '"displaced"',
    ),
    Mutant(
        "join with another session time-out",
        "P3",
        MACHINE,
        core("machine", "whoever_finds_another_session_time_out_when_it_joins_is_no_member"),
        "and member.session_ms != member.document.session_ms",
        "and False",
    ),
    Mutant(
        "session time-out that changes under members",
        "P3",
        GROUP,
        core("machine", "a_session_time_out_does_not_change_under_members"),
        "same = bool(self.members) or session_ms",
        "same = session_ms",
    ),
    Mutant(
        "two processes that displace each other for ever",
        "P8",
        "segmenter/runtime/lifecycle.py",
        fundamental("3_instances", "two_processes_that_displace_each_other_are_told_and_the_last_one_stays"),
        "await self._refuse_contest(slot, loaded, seat)",
        "pass",
    ),
    Mutant(
        "crash loop that is taken for a contest",
        "P8",
        "segmenter/runtime/lifecycle.py",
        fundamental("3_instances", "a_process_that_crashes_and_starts_again_and_again_keeps_its_seat"),
        "if await self._score(slot, sitting) > before:",
        "if before >= 0:",
    ),
    Mutant(
        "beats that the server forgot count against others",
        "P8",
        "segmenter/runtime/heart.py",
        fundamental("4_loud", "a_server_that_forgot_nearly_a_session_of_beats_costs_nobody_its_membership"),
        "silent = patient.pulse.silent(reply)",
        "silent = reply.silent",
    ),
)
