"""Setting aside: parked keys, dead letters, redrives, and the caution after unclean ends."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, conformance, core, fundamental

__all__ = ["ASIDE"]

LANES = "segmenter/core/lanes.py"


def aside(name: str) -> str:
    return fundamental("8_set_aside", name)


ASIDE = (
    Mutant(
        "park that does not hold its successors",
        "P1 INV-6",
        LANES,
        aside("a_parked_message_holds_back_the_later_ones_of_its_key_and_no_others"),
        "if message.raw_key in self.parking.counts:",
        "if False:",
    ),
    Mutant(
        "what arrives under a parked key goes out",
        "P1 INV-6",
        LANES,
        aside("parked_keys_stay_parked_when_the_partition_moves"),
        "        if self.parking.counts:\n",
        "        if False:\n",
    ),
    Mutant(
        "parked keys that a new owner does not know of",
        "P1 INV-6",
        "segmenter/core/partition.py",
        aside("parked_keys_stay_parked_when_the_partition_moves"),
        "*suspicion, lane.aside.summary)",
        "*suspicion)",
    ),
    Mutant(
        "commit that settles a parked message without parking it",
        "P4",
        "segmenter/core/partition.py",
        aside("a_parked_message_holds_back_the_later_ones_of_its_key_and_no_others"),
        "aside = lane.aside.moved(moves)",
        "aside = lane.aside",
    ),
    Mutant(
        "redrive that lets what is new overtake what is parked",
        "P1 INV-6",
        "segmenter/core/parking.py",
        aside("a_long_list_is_redriven_page_by_page_in_order"),
        "if self.counts[key] == 0:",
        "if True:",
    ),
    Mutant(
        "redrive that nobody writes down",
        "P8",
        "segmenter/core/letters.py",
        aside("a_request_outlives_the_owner_that_was_to_carry_it_out"),
        "aside=lane.aside.asked(self.request)",
        "aside=lane.aside",
    ),
    Mutant(
        "request in the place of another under its own token",
        "P6",
        "segmenter/core/aside.py",
        core("aside", "a_request_that_comes_again_late_does_not_have_a_later_one_taken_away"),
        'return evolve(self, token=f"{self.token}+{standing.token}"[:LIMIT_TOKEN])',
        "return self",
    ),
    Mutant(
        "request in the place of another under its own token, in Redis",
        "P6",
        "backends/segmenter_redis/scripts/redrive.lua",
        conformance("letters", "a_request_stands_in_the_place_of_another_for_the_same_under_the_tokens_of_both"),
        "(token .. '+' .. standing):sub(1, LIMIT_TOKEN)",
        "token",
    ),
    Mutant(
        "letter that fails again and is counted twice",
        "INV-4",
        LANES,
        core("order_of_keys", "a_parked_message_that_fails_again_ahead_of_a_gap_is_counted_once"),
        "elif not still_parked:",
        "elif True:",
    ),
    Mutant(
        "dead letters without end",
        "P9",
        "segmenter/core/parking.py",
        aside("a_partition_full_of_dead_letters_is_read_no_further_and_says_so"),
        "self.dead >= LIMIT_ASIDE",
        "False",
    ),
    Mutant(
        "replay that sends twice",
        "P5",
        "segmenter/core/letters.py",
        aside("dead_letters_are_replayed_to_the_end_and_purged"),
        "if letter.place in dead]",
        "]",
    ),
    Mutant(
        "message that is tried before its mark is stored",
        "P6",
        "segmenter/core/caution.py",
        core("order_of_keys", "after_unclean_ends_messages_go_out_one_at_a_time_once_their_marks_are_stored"),
        "return self._next is not None and self._stored",
        "return self._next is not None",
    ),
    Mutant(
        "unclean ends that nobody counts",
        "P6",
        "segmenter/core/partition.py",
        aside("a_message_that_kills_its_process_is_found_while_the_others_get_done"),
        "self.unclean + 1",
        "self.unclean",
    ),
    Mutant(
        "move of a group that keeps what will be read again",
        "P6",
        "segmenter/core/partition.py",
        aside("moving_a_group_forgets_what_is_parked_behind_the_new_place"),
        "aside=lane.aside.parked_before(progress.read)",
        "aside=lane.aside",
    ),
    # --- forwarding
    Mutant(
        "forward that settles what it could not send",
        "P4",
        "segmenter/core/forward.py",
        fundamental("10_forwarding", "what_cannot_be_sent_leaves_the_message_in_hand"),
        "return state, refusal or full(there)",
        "return (settled, there), Forwarded()",
    ),
    Mutant(
        "forward that sends once more when it is repeated",
        "P5",
        "segmenter/core/forward.py",
        core("forward", "a_repeated_forward_sends_nothing_more"),
        "known = lane is not None and self.commit.number <= lane.number",
        "known = False",
    ),
    Mutant(
        "forward that sends what it could not settle",
        "P2",
        "segmenter/core/forward.py",
        core("forward", "what_is_refused_here_sends_nothing_there"),
        "if not isinstance(reply, Committed):",
        "if False:",
    ),
    Mutant(
        "forward of a message that is given back meanwhile",
        "P1",
        "segmenter/core/chains.py",
        fundamental("10_forwarding", "while_it_is_forwarded_nothing_else_becomes_of_a_message"),
        "message._state = FORWARDED",
        "message._state = STARTED",
    ),
)
