"""What is appended, once and in order, and what a producer is told."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, conformance, core, fundamental, story

__all__ = ["SENDING"]

APPEND = "segmenter/core/retention.py"
APPEND_LUA = "backends/segmenter_redis/scripts/append.lua"
SENDER = "segmenter/runtime/sender.py"
NETWORK = "tests/simulation/test_network.py::test_"

SENDING = (
    # --- numbers
    Mutant(
        "sequence check >=",
        "P5 INV-10",
        APPEND,
        core("partition", "a_sequence_goes_on_by_one_within_an_epoch"),
        "if self.first == last + 1 else",
        "if self.first >= last + 1 else",
    ),
    Mutant(
        "sequence check >=, in Redis",
        "P5 INV-10",
        APPEND_LUA,
        conformance("a_gap_in_the_sequence_is_refused_and_named"),
        "tonumber(first) ~= known_last + 1",
        "tonumber(first) < known_last + 1",
    ),
    Mutant(
        "repeated batch that is not recognised",
        "P5 INV-10",
        APPEND,
        core("partition", "a_repeated_batch_is_recognised_before_anything_else"),
        "if known and (known.epoch, known.first, known.count) ==",
        "if False and known and (known.epoch, known.first, known.count) ==",
    ),
    Mutant(
        "repeated batch that is not recognised, in Redis",
        "P5 INV-10",
        APPEND_LUA,
        conformance("a_repeated_append_is_appended_once"),
        "if known_epoch == epoch and",
        "if false and",
    ),
    Mutant(
        "the duplicate check after the sealed check",
        "P5",
        APPEND,
        core("partition", "a_repeated_batch_is_recognised_before_anything_else"),
        "self._repeated(known) or self._closed(state)",
        "self._closed(state) or self._repeated(known)",
    ),
    Mutant(
        "the duplicate check after the sealed check, in Redis",
        "P5",
        APPEND_LUA,
        conformance("a_repeated_append_is_appended_once"),
        "local known_epoch, known_last = nil, nil\n",
        "if layout_stored ~= layout then return {'Moved', layout_stored} end\n"
        "local known_epoch, known_last = nil, nil\n",
    ),
    Mutant(
        "older epoch of a producer passes",
        "P5 INV-10",
        APPEND,
        core("partition", "a_sequence_goes_on_by_one_within_an_epoch"),
        "if self.epoch < known.epoch:",
        "if False:",
    ),
    Mutant(
        "older epoch of a producer passes, in Redis",
        "P5 INV-10",
        APPEND_LUA,
        conformance("a_producer_that_went_on_with_a_higher_epoch_is_refused_under_the_lower"),
        "if tonumber(epoch) < tonumber(known_epoch) then",
        "if false then",
    ),
    Mutant(
        "unknown producer that begins anywhere",
        "P7",
        APPEND,
        core("partition", "a_sequence_goes_on_by_one_within_an_epoch"),
        "None if self.first == 1 else UnknownProducer()",
        "None",
    ),
    Mutant(
        "unknown producer that begins anywhere, in Redis",
        "P7",
        APPEND_LUA,
        conformance("a_producer_that_nobody_knows_begins_at_one"),
        "if first ~= '1' then",
        "if false then",
    ),
    # --- repeating, and giving up
    Mutant(
        "append retried by the client library",
        "P5",
        "backends/segmenter_redis/wire.py",
        "tests/integration/test_wire.py::test_a_connection_is_tried_once",
        "Retry(NoBackoff(), 0)",
        "Retry(NoBackoff(), 10)",
    ),
    Mutant(
        "append repeated under a new number",
        "P5 INV-10",
        SENDER,
        f"{NETWORK}a_send_whose_answers_get_lost_stands_in_the_log_once_and_in_order",
        "            self._loop.call_later(after_s, self._send)\n",
        "            self._begin_epoch(self._epoch + 1)\n"
        "            flight.command = self._append(flight.command.records)\n"
        "            self._loop.call_later(after_s, self._send)\n",
    ),
    Mutant(
        "send that is given up, and goes on under its epoch",
        "P5 INV-10",
        SENDER,
        f"{NETWORK}a_send_that_is_given_up_is_unknown_and_what_follows_goes_on",
        "self._flight.doubtful:\n            self._begin_epoch(self._epoch + 1)",
        "self._flight.doubtful:\n            self._begin_epoch",
    ),
    Mutant(
        "a sequence reused after Full",
        "P5 INV-10",
        SENDER,
        story("10-send"),
        "        error = stream_full(",
        "        flight.doubtful = False\n        error = stream_full(",
    ),
    Mutant(
        "unknown outcome told as a failure",
        "P5",
        SENDER,
        f"{NETWORK}a_send_that_was_refused_after_an_answer_got_lost_is_unknown",
        "error = send_unknown(self._slot, self._options.send_timeout_s, error)",
        "pass",
    ),
    Mutant(
        "send that counts before its copies are confirmed",
        "P5",
        "backends/segmenter_redis/durable.py",
        "tests/integration/test_durability.py::"
        "test_with_too_few_replicas_a_send_is_unknown_and_says_how_many_there_were[redis-8.2]",
        "return reply if enough else",
        "return reply if True else",
    ),
    Mutant(
        "lost sends that are not named",
        "P7",
        SENDER,
        fundamental("4_loud", "acknowledged_sends_that_the_server_lost_are_named_before_anything_follows_them"),
        "if count <= 0:",
        "if True:",
    ),
    Mutant(
        "disk that is asked again before it has had its time",
        "P5",
        "backends/segmenter_redis/durable.py",
        "tests/integration/test_durability.py::test_a_disk_that_is_written_once_a_second_is_asked_once_for_each_send",
        "WAIT_FOR_DISK_S = 4.0",
        "WAIT_FOR_DISK_S = 1.0",
    ),
)
