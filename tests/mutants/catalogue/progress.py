"""Order per key, and how far a group has come: what may start, what counts as settled, what is stored."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, conformance, core, fundamental, story

__all__ = ["PROGRESS"]

LAW = "segmenter/core/partition.py"
LANES = "segmenter/core/lanes.py"
WATERMARK = "segmenter/core/watermark.py"
HOLDING = "segmenter/runtime/holding.py"
SETTLE = "backends/segmenter_redis/scripts/lib/settle.lua"
IDS = "backends/segmenter_redis/scripts/lib/ids.lua"
HISTORY = "backends/segmenter_redis/scripts/lib/history.lua"
CHANGED_HISTORY = (
    "tests/integration/test_losses.py::"
    "test_after_a_change_of_history_no_commit_counts_not_even_one_that_was_stored[redis-8.2]"
)

PROGRESS = (
    # --- order per key
    Mutant(
        "two messages of a key at a time",
        "P1 INV-6",
        LANES,
        core("order_of_keys", "of_each_key_the_first_may_start_and_the_next_when_it_is_settled"),
        "if before is None or (whole_batch",
        "if True or (whole_batch",
    ),
    Mutant(
        "retry that lets the key's next message start",
        "P1 INV-6",
        LANES,
        core("order_of_keys", "while_a_message_waits_for_its_next_attempt_the_later_ones_of_its_key_wait_too"),
        "if before is None or (whole_batch",
        "if before is None or before._state == DELAYED or (whole_batch",
    ),
    Mutant(
        "settling out of a key's order",
        "P1 INV-5",
        LANES,
        core("order_of_keys", "a_batch_may_not_be_settled_out_of_a_keys_order"),
        "        if message._before is not None:\n            raise",
        "        if False:\n            raise",
    ),
    Mutant(
        "late settlement of an attempt that was taken back",
        "P1 INV-5",
        LANES,
        core("order_of_keys", "an_attempt_that_was_taken_back_settles_nothing"),
        "            raise (self._closed or stale)(message)\n        if message._before",
        "            pass\n        if message._before",
    ),
    Mutant(
        "what takes too long is left where it is",
        "P8",
        "segmenter/runtime/pump.py",
        story("06-lease"),
        "oldest <= deadline",
        "False",
    ),
    Mutant(
        "what is to be stored is left alone",
        "P4",
        HOLDING,
        story("11-retention"),
        " or lanes.due is not None or self.dirty)",
        " or lanes.due is not None)",
    ),
    Mutant(
        "what is in hand is left alone",
        "P8",
        HOLDING,
        story("06-lease"),
        "lanes.in_flight or lanes.due is not None",
        "lanes.due is not None",
    ),
    Mutant(
        "what is given back is left alone",
        "P8",
        HOLDING,
        fundamental("9_worker_ends", "a_handler_that_takes_too_long_is_cancelled_and_that_was_an_attempt"),
        "lanes.in_flight or lanes.due is not None",
        "lanes.in_flight",
    ),
    Mutant(
        "wait for some of the partitions only",
        "P8",
        "segmenter/core/reading.py",
        fundamental("1_sending_and_consuming", "with_many_partitions_a_message_comes_as_soon_as_with_few"),
        "[first : first + LIMIT_FLOWING], 0.0",
        "[first : first + LIMIT_FLOWING], wait_s",
    ),
    Mutant(
        "probe that comes later than a beat",
        "P7",
        "segmenter/runtime/prober.py",
        fundamental("4_loud", "an_idle_consumer_notices_within_a_heartbeat_that_its_stream_is_gone"),
        "min([now + self._beat_s, *map",
        "max([now + self._session_s, *map",
    ),
    Mutant(
        "request that is looked at when the next probe is due",
        "P8",
        "segmenter/runtime/prober.py",
        story("15-setting-aside"),
        "holding.confirmed_at = self.due_at = -math.inf",
        "holding.confirmed_at = -math.inf",
    ),
    Mutant(
        "partition to be given up that no turn looks after",
        "P8",
        "segmenter/runtime/custody.py",
        fundamental("8_looking", "a_hand_off_is_known_though_the_partition_has_moved_again"),
        "            self._holdings.stir(holding)\n",
        "",
    ),
    Mutant(
        "keys that wait for each other",
        "P8",
        "segmenter/runtime/runner.py",
        fundamental("9_workers", "keys_are_handled_in_parallel_and_each_in_order[100-4]"),
        "min(max(1, present), self._concurrency - present)",
        "min(1 - min(1, present), self._concurrency - present)",
    ),
    # --- the watermark
    Mutant(
        "watermark that passes over a gap",
        "P4 INV-4",
        WATERMARK,
        core("order_of_keys", "a_gap_behind_the_watermark_stays_a_gap"),
        "if ordinal == self.read and not self._ahead:",
        "if not self._ahead:",
    ),
    Mutant(
        "what was finished ahead is not stored",
        "P6",
        LANES,
        fundamental("3_rebalancing", "what_was_finished_out_of_order_is_not_done_again"),
        "*self.mark.reached(also),",
        "*self.mark.reached(also)[:2], (),",
    ),
    Mutant(
        "what was finished ahead is not stored, in Redis",
        "P6",
        SETTLE,
        conformance("progress_comes_back_as_it_was_stored"),
        "progress.number = number\n",
        "progress.number, progress.ranges = number, ''\n",
    ),
    Mutant(
        "what a former owner finished is handed out again",
        "P6",
        WATERMARK,
        core("order_of_keys", "what_a_former_owner_finished_ahead_is_not_handed_out_again"),
        "return ordinal < self.inherited and",
        "return False and",
    ),
    # --- commits
    Mutant(
        "commit without the monotone check",
        "P6 INV-3",
        LAW,
        core("partition", "a_number_that_is_known_or_lower_changes_nothing"),
        "if number <= lane.number:",
        "if number == lane.number:",
    ),
    Mutant(
        "commit without the monotone check, in Redis",
        "P6 INV-3",
        SETTLE,
        conformance("a_number_that_was_committed_is_not_committed_again"),
        "tonumber(number) <= tonumber(lane.number)",
        "tonumber(number) == tonumber(lane.number)",
    ),
    Mutant(
        "commit that takes what is left of a log for all that ever was, in Redis",
        "P6",
        SETTLE,
        conformance("progress_counts_where_nothing_of_what_it_passed_is_left"),
        " > 0 or not later(id, look(log_key).last)",
        " > 0",
    ),
    Mutant(
        "commit that is repeated is done again",
        "P6 INV-3",
        LAW,
        core("partition", "a_number_that_is_known_or_lower_changes_nothing"),
        "if number <= lane.number:",
        "if number < lane.number:",
    ),
    Mutant(
        "commit that is not repeated",
        "P6",
        "segmenter/runtime/committer.py",
        story("07-commit"),
        "self._loop.call_later(self._ties.backoff.next_s(), self._repeat, command)",
        "pass",
    ),
    Mutant(
        "two commits of a lane at a time",
        "P6 INV-3",
        HOLDING,
        story("07-commit"),
        "if self._pending is not None or self._let_go or not self.dirty:",
        "if self._let_go or not self.dirty:",
    ),
    Mutant(
        "no rewind after the history changed",
        "P4 INV-4",
        LAW,
        core("partition", "a_commit_after_a_change_of_history_is_not_taken_even_if_its_number_is_known"),
        "if lane.history != state.history:",
        "if False:",
    ),
    Mutant(
        "no rewind after the history changed, in Redis",
        "P4 INV-4",
        SETTLE,
        CHANGED_HISTORY,
        "if lane.history ~= history() then",
        "if false then",
    ),
    Mutant(
        "commit repeated over a change of history counts",
        "P4 INV-4",
        LAW,
        core("partition", "a_commit_after_a_change_of_history_is_not_taken_even_if_its_number_is_known"),
        "    if lane.history != state.history:\n",
        "    if number == lane.number:\n        return lane, Committed()\n    if lane.history != state.history:\n",
    ),
    Mutant(
        "commit repeated over a change of history counts, in Redis",
        "P4 INV-4",
        SETTLE,
        CHANGED_HISTORY,
        "  if lane.history ~= history()",
        "  if number == lane.number then return {'Committed'} end\n  if lane.history ~= history()",
    ),
    Mutant(
        "history that never changes, in Redis",
        "P7",
        HISTORY,
        CHANGED_HISTORY,
        "info:match('master_replid:(%w+)')",
        "'always the same'",
    ),
    Mutant(
        "progress beyond the end of the log",
        "P7 INV-4",
        LAW,
        core("partition", "progress_beyond_the_end_of_the_log_is_refused"),
        "if parse_position(progress.offset) > state.log.last:",
        "if False:",
    ),
    Mutant(
        "progress beyond the end of the log, in Redis",
        "P7 INV-4",
        SETTLE,
        conformance("progress_beyond_the_end_of_the_log_is_refused"),
        "if not reaches(log_key, progress.offset) then",
        "if false then",
    ),
    Mutant(
        "ids compared as text, in Redis",
        "P4 INV-4",
        IDS,
        conformance("a_group_begins_where_it_was_told_to"),
        "  if #a ~= #b then return #a > #b end\n",
        "",
    ),
)
