"""What the server has lost, and that it is told; and what standard tools see."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, conformance, core, fundamental

__all__ = ["LOSSES"]

CONTINUITY = "segmenter/core/continuity.py"
PROBER = "segmenter/runtime/prober.py"
PROBING = "backends/segmenter_redis/probe_queries.py"
SCRIPTS = "backends/segmenter_redis/scripts"
WIRE = "tests/integration/test_wire.py::test_"
PROBES = "tests/integration/test_probes.py::test_"
LOSING = "tests/integration/test_losses.py::test_"

ENTRIES, BACKLOG = "segmenter/core/entries.py", "segmenter/core/backlog.py"


def corrupt(test: str) -> str:
    return fundamental("4_corrupt", test)


LOSSES = (
    Mutant(
        "log that lost its end, unnoticed",
        "P7",
        CONTINUITY,
        fundamental("4_loud", "a_loss_is_counted_even_if_new_messages_have_come_before_anyone_looked"),
        "return Cut(after, self.position, count) if count > 0 else None",
        "return None",
    ),
    Mutant(
        "claim that shows a loss, unnoticed",
        "P7",
        CONTINUITY,
        core("continuity", "a_claim_shows_that_progress_lies_beyond_the_end"),
        "<= parse_position(grant.end) and not reaches_beyond(grant):",
        "<= parse_position(grant.end) or True:",
    ),
    Mutant(
        "progress beyond the end of the log is kept",
        "P7 INV-4",
        CONTINUITY,
        "tests/core/test_continuity.py::test_a_claim_shows_that_progress_lies_beyond_the_end",
        "if parse_position(progress.offset) > parse_position(grant.end):",
        "if False:",
    ),
    Mutant(
        "what was finished ahead of the end counts for what comes in its place",
        "P4 INV-4",
        CONTINUITY,
        fundamental("4_loud", "what_was_finished_ahead_and_is_lost_is_not_taken_for_what_comes_in_its_place"),
        "(max(start, read), min(beyond, end))",
        "(max(start, read), beyond)",
    ),
    Mutant(
        "messages dropped unread are not counted",
        "P7",
        "segmenter/runtime/custody.py",
        fundamental("4_loud", "messages_that_were_dropped_unread_are_counted"),
        "elif grant.first > grant.progress.read:",
        "elif False:",
    ),
    Mutant(
        "idle owner that does not look",
        "P7",
        PROBER,
        fundamental("4_loud", "a_trimmed_log_under_an_idle_owner_is_noticed"),
        "elif not self._sound(holding, position, reply):",
        "elif False:",
    ),
    Mutant(
        "probe that waits for something else to wake its consumer",
        "P7",
        "segmenter/runtime/pump.py",
        fundamental("4_loud", "an_idle_consumer_notices_within_a_heartbeat_that_its_stream_is_gone"),
        "self._driver.member.timer, self._prober.due_at, self._lease.over_at]",
        "self._driver.member.timer, self._lease.over_at]",
    ),
    Mutant(
        "command that overtakes a commit of its turn, in Redis",
        "P6",
        "backends/segmenter_redis/session.py",
        conformance("a_commit_and_what_follows_it_in_one_turn_are_executed_in_order"),
        "if not isinstance(command, Commit) and any(commit.slot == command.slot for commit, _ in self._commits):",
        "if False:",
    ),
    Mutant(
        "probe that is judged by what was read since",
        "P6",
        PROBER,
        fundamental("4_loud", "a_message_that_comes_while_a_probe_is_answered_is_no_loss"),
        "self._judge(holding, position, future.result())",
        "self._judge(holding, holding.lanes.backlog.position, future.result())",
    ),
    Mutant(
        "ends of a log with long entries that are known for ever, in Redis",
        "P7",
        PROBING,
        f"{PROBES}who_remembers_the_ends_of_a_log_is_told_the_same_as_who_does_not[redis-8.2-add_and_trim-settled]",
        "    return at_the_end and length == known.added - known.first",
        "    return True",
    ),
    Mutant(
        "ends of a log that are known though something is not settled, in Redis",
        "P7",
        PROBING,
        core("codec", "the_ends_of_a_log_are_not_remembered_if_something_is_not_settled"),
        "settled = isinstance(reply, Probed) and reply.progress.read == ends.added",
        "settled = isinstance(reply, Probed)",
    ),
    Mutant(
        "claim after which a log is not looked at anew, in Redis",
        "P7",
        "backends/segmenter_redis/probes.py",
        f"{PROBES}who_claims_looks_at_the_log_itself[redis-8.2]",
        "self._known.pop(command.slot, None)",
        "pass",
    ),
    Mutant(
        "read that is waited for whatever a probe has seen",
        "P8",
        PROBER,
        fundamental("4_loud", "messages_come_though_the_connection_that_waits_for_them_is_dead"),
        "self._unread(holding.lanes)",
        "pass",
    ),
    Mutant(
        "cancelled read whose connection may be dead for as long as it might have waited",
        "P8",
        "backends/segmenter_redis/session.py",
        "tests/integration/test_wire.py::"
        "test_on_a_dead_connection_a_read_that_is_cancelled_holds_up_the_next_no_longer_than_any_answer[redis-8.2]",
        "self._reads.hasten(read, self._reply_timeout_s)",
        "pass",
    ),
    Mutant(
        "idle owner that keeps a vanished partition to itself",
        "P7",
        PROBER,
        fundamental("4_loud", "an_idle_consumer_notices_within_a_heartbeat_that_its_stream_is_gone"),
        "self._ties.failed(stream_lost(holding.slot))",
        "return",
    ),
    Mutant(
        "stream made over the remains of another",
        "P7",
        "segmenter/runtime/lifecycle.py",
        fundamental("4_loud", "a_stream_is_not_made_over_the_remains_of_another"),
        "raise remains(slot)",
        "pass",
    ),
    Mutant(
        "log that vanished is made anew, in Redis",
        "P7",
        f"{SCRIPTS}/append.lua",
        f"{LOSING}a_producer_is_told_that_its_stream_vanished[redis-8.2]",
        "call('EXISTS', log_key) == 1",
        "true",
    ),
    Mutant(
        "server that evicts is not refused",
        "P7",
        "backends/segmenter_redis/checkup.py",
        core("checkup", "only_what_would_lose_data_or_run_nothing_refuses_a_connection"),
        'not policy.startswith("allkeys-")',
        "True",
    ),
    # --- what standard tools see
    Mutant(
        "SETID without ENTRIESREAD",
        "rule 7",
        f"{SCRIPTS}/lib/mirror.lua",
        f"{WIRE}standard_tools_show_the_lag[redis-8.2]",
        ", 'ENTRIESREAD', lane.read)",
        ")",
    ),
    Mutant(
        "the mirror by call",
        "rule 7",
        f"{SCRIPTS}/lib/mirror.lua",
        f"{WIRE}a_group_of_the_log_that_somebody_destroyed_does_not_matter[redis-8.2]",
        "redis.pcall('XGROUP'",
        "redis.call('XGROUP'",
    ),
    Mutant(
        "fields that are taken by position",
        "P7",
        ENTRIES,
        corrupt("a_message_of_another_program_is_taken_by_the_names_of_its_fields"),
        "if k == KEY and d == DATA]",
        "]",
    ),
    Mutant(
        "corrupt entry that counts as settled before its consumer stops",
        "P7 INV-4",
        BACKLOG,
        core("entries", "a_hold_ends_at_the_first_corrupt_entry"),
        "        return self.lenient\n",
        "        return True\n",
    ),
    Mutant(
        "partition that is read on behind the corrupt entry where it stops",
        "P7",
        "segmenter/core/reading.py",
        core("entries", "a_hold_ends_at_the_first_corrupt_entry"),
        "lanes.backlog.corrupt is not None or ",
        "",
    ),
    Mutant(
        "consumer that stops at a corrupt entry before it has come there",
        "P7",
        "segmenter/runtime/holding.py",
        corrupt("all_before_a_corrupt_entry_is_handled_and_stored_and_a_restart_stops_there_again"),
        "if backlog.corrupt and not backlog.count and self.at_rest",
        "if backlog.corrupt",
    ),
    Mutant(
        "consumer that stops at a corrupt entry without handing over",
        "P8",
        "segmenter/runtime/pump.py",
        corrupt("what_is_settled_in_other_partitions_is_stored_and_they_move_at_once"),
        "self._fail(corrupt(self._slot, holding.partition, entry))",
        "self.end(corrupt(self._slot, holding.partition, entry))",
    ),
    Mutant(
        "corrupt entry that is passed over, and nothing of it stored",
        "P7",
        "segmenter/core/lanes.py",
        corrupt("it_is_stored_that_an_entry_is_passed_over_though_nothing_is_acknowledged"),
        "            self._link_run()\n            self.changed()\n",
        "            self._link_run()\n",
    ),
    Mutant(
        "corrupt entry that overtakes what is in hand",
        "P4 INV-4",
        "segmenter/core/lanes.py",
        core("entries", "a_corrupt_entry_that_comes_while_a_run_is_in_hand_is_passed_in_its_turn"),
        "            self._link_run()\n            self.changed()\n",
        "            self.changed()\n",
    ),
    Mutant(
        "corrupt entry that every owner is told of",
        "P7",
        BACKLOG,
        core("entries", "nobody_is_told_of_what_a_former_owner_had_settled"),
        "None if mark.finished(ordinal) else ",
        "",
    ),
    Mutant(
        "headers of another program that are handed out",
        "P7",
        ENTRIES,
        core("entries", "headers_of_another_program_are_told_by_name"),
        "isinstance(found, dict) and all(",
        "isinstance(found, dict) or all(",
    ),
    Mutant(
        "event of another program that ends those who read it",
        "P7",
        "segmenter/core/events.py",
        corrupt("a_foreign_event_of_a_group_is_ignored"),
        "except (KeyError, ValueError):",
        "except AssertionError:",
    ),
    Mutant(
        "event of a partition that is not there",
        "P7",
        "segmenter/core/machine.py",
        corrupt("a_foreign_event_of_a_group_is_ignored"),
        "case Freed(partition, epoch) if partition < len(self.member.holds):",
        "case Freed(partition, epoch):",
    ),
)
