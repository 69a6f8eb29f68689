"""Messages that wait for their next attempt: with the next owner as well, and never longer than they were to."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, conformance, core, fundamental

__all__ = ["DELAYS"]

TIME = "segmenter/core/delays.py"
LAW = "segmenter/core/partition.py"
LANES = "segmenter/core/lanes.py"
CHAINS = "segmenter/core/chains.py"
CONTINUITY = "segmenter/core/continuity.py"
WATERMARK = "segmenter/core/watermark.py"
CODEC = "backends/segmenter_redis/codec.py"
SETTLE = "backends/segmenter_redis/scripts/lib/settle.lua"
CLAIM = "backends/segmenter_redis/scripts/claim.lua"
RELEASE = "backends/segmenter_redis/scripts/release.lua"
SCRIPT = "backends/segmenter_redis/scripts/lib/delays.lua"


def in_redis(test: str) -> str:
    return f"tests/conformance/test_delays_in_redis.py::test_{test}[redis-8.2]"


DELAYS = (
    # --- as they are stored
    Mutant(
        "delays not stored",
        "P6 rule 17",
        LANES,
        fundamental("9_retry_waits", "deploys_in_a_row_use_up_no_attempt"),
        "attempts, self.caution.trying, delays)",
        "attempts, self.caution.trying, ())",
    ),
    Mutant(
        "delays not stored, in Redis",
        "P6 rule 17",
        SETTLE,
        conformance("what_is_left_of_a_delay_is_claimed_after_a_release"),
        "progress.delays = stamped(progress.delays)",
        "progress.delays = ''",
    ),
    Mutant(
        "delays stored that no longer are",
        "P6 rule 17",
        SETTLE,
        conformance("delays_that_the_last_commit_does_not_store_are_gone"),
        "elseif lane.delays == '' then",
        "else",
    ),
    Mutant(
        "delays without the time at which they were stored",
        "P6 rule 17",
        LAW,
        core("delays", "a_commit_stores_delays_with_the_time_and_clears_both"),
        "delayed_at_us=now_us if progress.delays else 0",
        "delayed_at_us=0",
    ),
    Mutant(
        "delays that survive a move of the group",
        "P6 rule 17",
        RELEASE,
        conformance("moving_a_group_forgets_delays"),
        "delays = '', trying = '-1', unclean",
        "trying = '-1', unclean",
    ),
    # --- as they are claimed
    Mutant(
        "delays dropped by a claim",
        "P6 rule 17",
        LAW,
        fundamental("9_retry_waits", "a_wait_goes_on_over_a_crash"),
        "claimed = Claimed(lane.epoch, progress, *bounds,",
        "claimed = Claimed(lane.epoch, evolve(progress, delays=()), *bounds,",
    ),
    Mutant(
        "delays dropped by a claim, in Redis",
        "P6 rule 17",
        CODEC,
        conformance("what_is_left_of_a_delay_is_claimed_after_each_crash"),
        "delays=delays_left(progress.delays, int(raw[6]))",
        "delays=()",
    ),
    Mutant(
        "delays that begin again with each claim",
        "P6 rule 17",
        LAW,
        fundamental("9_retry_waits", "a_wait_goes_on_over_a_restart"),
        "elapsed_ms = (now_us - self.delayed_at_us) // 1000",
        "elapsed_ms = 0",
    ),
    Mutant(
        "delays that grow with a clock that is behind",
        "P6 rule 17",
        TIME,
        core("delays", "with_a_clock_that_was_set_back_a_delay_is_never_longer_than_it_was"),
        "elapsed_ms = max(0, elapsed_ms)",
        "elapsed_ms = int(elapsed_ms)",
    ),
    Mutant(
        "delays that begin again with each claim while a clock is behind",
        "P6 rule 17",
        LAW,
        core("delays", "with_a_clock_that_was_set_back_a_delay_is_never_longer_than_it_was"),
        "delayed_at_us=min(lane.delayed_at_us, now_us)",
        "delayed_at_us=lane.delayed_at_us",
    ),
    Mutant(
        "delays that begin again with each claim while a clock is behind, in Redis",
        "P6 rule 17",
        SCRIPT,
        in_redis("after_a_failover_to_a_clock_that_is_behind_no_delay_is_longer_than_it_was"),
        "if now < tonumber(at) then",
        "if false then",
    ),
    Mutant(
        "delays of messages that the log has lost",
        "P6 rule 14",
        CONTINUITY,
        core("delays", "where_ordinals_count_for_other_messages_delays_are_forgotten"),
        "delays=left(progress.delays)",
        "delays=progress.delays",
    ),
    # --- as they are kept by the next owner
    Mutant(
        "a delay of a former owner that nobody heeds",
        "P6 rule 17",
        LANES,
        core("delays", "a_message_that_was_delayed_starts_when_its_delay_is_over_and_holds_up_its_key_alone"),
        "if not (chains.inherited and chains.delay_inherited(message, self._clock())):",
        "if True:",
    ),
    Mutant(
        "a delay of a former owner that a run passes over",
        "P6 rule 17",
        WATERMARK,
        core("delays", "a_delay_of_a_message_without_a_counted_attempt_is_heeded_too"),
        "self.inherited = max(finished, delayed)",
        "self.inherited = finished",
    ),
    Mutant(
        "a delay of a former owner that is not handed on",
        "P6 rule 17",
        CHAINS,
        core("delays", "a_delay_of_a_message_that_was_not_read_yet_is_handed_on"),
        "delays_until([*self.inherited.items(), *delayed], clock())",
        "delays_until(delayed, clock())",
    ),
    Mutant(
        "the end of a former owner's delay wakes nobody",
        "P8 rule 17",
        LANES,
        fundamental("9_retry_waits", "what_a_consumer_gave_back_with_a_delay_waits_with_the_next_one[1.0-0.5]"),
        "                    return message\n                self.changed()\n",
        "                    return message\n",
    ),
)
