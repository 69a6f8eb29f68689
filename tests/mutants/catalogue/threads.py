"""What lies between the thread of the loop and those of blocking code."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

__all__ = ["THREADS"]

DESK = "segmenter/sync/desk.py"
SHARED = "tests/blocking/test_threads.py::test_"

THREADS = (
    Mutant(
        "key that a second thread takes from the first",
        "P1",
        DESK,
        SHARED + "a_key_waits_for_its_message_that_is_being_handled_though_the_next_lies_ready",
        "if before is None or before in picked or before.settled:",
        "if True:",
    ),
    Mutant(
        "message that lies ready, and is handed out when the lease is over",
        "P3",
        DESK,
        SHARED + "a_lease_that_is_over_hands_nothing_out_that_lies_ready",
        "if len(self._tray) < least or not self._pump.delivery.open:",
        "if len(self._tray) < least:",
    ),
    Mutant(
        "message that lies ready, and is handed out though it was taken back",
        "P1",
        DESK,
        SHARED + "what_was_taken_back_is_not_handed_out_though_it_lies_ready",
        "                if message._state != STARTED:\n                    continue",
        "                if False:\n                    continue",
    ),
    Mutant(
        "message that is taken back though it lies acknowledged",
        "P6",
        DESK,
        SHARED + "what_is_acknowledged_is_not_taken_back",
        "        self._desk.collect()\n        return super().take_back_before",
        "        return super().take_back_before",
    ),
)
