"""Handlers: when they start, what becomes of their messages, and how they end."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, core, fundamental

__all__ = ["WORKERS"]

RUNNER = "segmenter/runtime/runner.py"
SLOT_LOOP = "segmenter/runtime/slot_loop.py"
OUTCOMES = "segmenter/runtime/outcomes.py"
CHAINS = "segmenter/core/chains.py"
ENDS = "9_worker_ends"

WORKERS = (
    Mutant(
        "claim beside a handler of an earlier hold",
        "P3 INV-7",
        "segmenter/runtime/gate.py",
        fundamental(ENDS, "no_partition_is_claimed_while_a_handler_of_an_earlier_hold_is_at_work"),
        "not self._busy(claim.slot.partition)",
        "True",
    ),
    Mutant(
        "start beside a handler that is being cancelled",
        "P1 INV-6",
        SLOT_LOOP,
        fundamental(ENDS, "a_handler_that_ends_beside_one_that_is_being_cancelled_takes_up_nothing"),
        "if crew.overdue or not self._delivery.may_start(crew.holding, now):",
        "if not self._delivery.may_start(crew.holding, now):",
    ),
    Mutant(
        "start after the lease, since all else is well",
        "P3 INV-12",
        "segmenter/runtime/holding.py",
        fundamental("7_lifecycle", "a_process_that_wakes_hands_out_nothing_that_it_had_read_before"),
        "min(lease_until, min(now, self._asked_at) + self._patience_s)",
        "min(now, self._asked_at) + self._patience_s",
    ),
    Mutant(
        "start of what was taken along while a partition drains",
        "P8",
        "segmenter/runtime/custody.py",
        fundamental(ENDS, "what_was_taken_along_of_a_partition_that_is_to_move_is_not_begun"),
        "            holding.look_again()\n",
        "",
    ),
    Mutant(
        "pause that is noticed after a while",
        "P8",
        "segmenter/runtime/holdings.py",
        fundamental("2_settling", "a_pause_counts_from_the_next_message_on"),
        "            if holding.paused:\n                self._unlist(holding)\n",
        "",
    ),
    Mutant(
        "start of what was taken back within a batch",
        "P1 INV-6",
        SLOT_LOOP,
        fundamental("9_retries", "of_a_batch_that_fails_each_message_is_tried_again_alone"),
        "for message in messages if message._state == STARTED]",
        "for message in messages]",
    ),
    Mutant(
        "attempt beyond the last is run",
        "rule 6",
        SLOT_LOOP,
        fundamental("9_retries", "a_message_that_was_tried_too_often_already_is_not_run_again"),
        "if messages[0].attempt > self._attempts:",
        "if False:",
    ),
    Mutant(
        "handlers of a lost partition go on",
        "P3",
        RUNNER,
        fundamental(ENDS, "a_handler_that_ends_after_its_partition_was_lost_settles_nothing"),
        '                self._cancel(slot, "lost")\n',
        "                pass\n",
    ),
    Mutant(
        "partition that waits for its handlers for ever",
        "P8",
        RUNNER,
        fundamental(ENDS, "a_partition_that_is_to_move_is_not_waited_for_longer_than_its_drain_timeout"),
        "crew.cancel_at = min(crew.cancel_at, self._clock() + self._handling.drain_timeout_s)",
        "pass",
    ),
    Mutant(
        "stuck handler whose partition stays",
        "P8",
        RUNNER,
        fundamental(ENDS, "a_handler_that_does_not_end_costs_the_process_its_partitions_and_not_the_others"),
        "crew.holding.stuck_window = self._handling.window",
        "pass",
    ),
    Mutant(
        "stuck attempt that is not counted",
        "rule 6",
        RUNNER,
        fundamental(ENDS, "a_handler_that_does_not_end_costs_the_process_its_partitions_and_not_the_others"),
        "self._outcomes.never_ended(slot.messages)",
        "pass",
    ),
    Mutant(
        "what is left at the end of a hold is in flight for ever",
        "rule 8",
        RUNNER,
        fundamental(ENDS, "a_partition_that_is_to_move_is_not_waited_for_longer_than_its_drain_timeout"),
        "            crew.holding.lanes.leave()\n",
        "            pass\n",
    ),
    Mutant(
        "what a consumer has in hand when it leaves is counted",
        "rule 8",
        "segmenter/runtime/pump.py",
        fundamental("7_lifecycle", "what_is_in_hand_when_a_block_is_left_has_not_been_tried"),
        "            holding.lanes.leave()\n",
        "            holding.lanes.stop()\n            holding.lanes.take_back_before(math.inf)\n",
    ),
    Mutant(
        "what an exception leaves in hand is not counted",
        "rule 8",
        "segmenter/consumer.py",
        fundamental("7_lifecycle", "what_is_in_hand_when_an_exception_leaves_the_block_has_been_tried"),
        "            self._pump.tried()\n",
        "            pass\n",
    ),
    Mutant(
        "what is being forwarded is left with the rest",
        "P6 INV-4",
        CHAINS,
        core("order_of_keys", "what_is_forwarded_comes_to_its_end_although_the_rest_is_left"),
        "if forwarded_too or message._state != FORWARDED:",
        "if True:",
    ),
    Mutant(
        "handlers that leave nobody else a turn",
        "P8",
        SLOT_LOOP,
        "tests/fundamentals/test_9_workers.py::test_handlers_that_wait_for_nothing_leave_others_their_turn",
        "TURN_S = 0.005",
        "TURN_S = 1e9",
    ),
    Mutant(
        "failure in vain that nobody notices",
        "P4",
        OUTCOMES,
        fundamental("9_workers", "what_was_forwarded_in_vain_by_a_handler_that_did_not_wait_comes_again"),
        "                self.failed(message, in_vain())\n",
        "                pass\n",
    ),
)
