"""Who owns a partition, under which epoch: the law of the lane, and what a member makes of it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, conformance, core, fundamental, story

__all__ = ["OWNERSHIP"]

LAW = "segmenter/core/partition.py"
MACHINE = "segmenter/core/machine.py"
TABLE = "segmenter/core/transitions.py"
CLAIM = "backends/segmenter_redis/scripts/claim.lua"
COMMIT = "backends/segmenter_redis/scripts/commit.lua"
RELEASE = "backends/segmenter_redis/scripts/release.lua"
CLOCK = "backends/segmenter_redis/scripts/lib/clock.lua"

OWNERSHIP = (
    # --- the fence
    Mutant(
        "commit without the epoch check",
        "P2 INV-1",
        LAW,
        core("partition", "a_commit_needs_exactly_the_owner_and_the_epoch"),
        "(lane.owner, lane.epoch) != (self.member, self.epoch)",
        "lane.owner != self.member",
    ),
    Mutant(
        "commit without the epoch check, in Redis",
        "P2 INV-1",
        COMMIT,
        conformance("a_fenced_commit_is_refused"),
        "lane.owner ~= member or lane.epoch ~= epoch",
        "lane.owner ~= member",
    ),
    Mutant(
        "commit without the owner",
        "P2 INV-1",
        LAW,
        core("partition", "a_commit_needs_exactly_the_owner_and_the_epoch"),
        "(lane.owner, lane.epoch) != (self.member, self.epoch)",
        "lane.epoch != self.epoch",
    ),
    Mutant(
        "commit without the owner, in Redis",
        "P2 INV-1",
        COMMIT,
        conformance("a_fenced_commit_is_refused"),
        "lane.owner ~= member or lane.epoch ~= epoch",
        "lane.epoch ~= epoch",
    ),
    Mutant(
        "commit under a higher epoch passes",
        "P2 INV-1",
        LAW,
        core("partition", "a_commit_needs_exactly_the_owner_and_the_epoch"),
        "(lane.owner, lane.epoch) != (self.member, self.epoch)",
        "lane.owner != self.member or lane.epoch > self.epoch",
    ),
    Mutant(
        "commit under a higher epoch passes, in Redis",
        "P2 INV-1",
        COMMIT,
        conformance("a_fenced_commit_is_refused"),
        "lane.epoch ~= epoch",
        "tonumber(lane.epoch) > tonumber(epoch)",
    ),
    Mutant(
        "finished ranges written unfenced",
        "P2 INV-4",
        LAW,
        core("partition", "a_fenced_commit_leaves_nothing_behind"),
        "        if (lane.owner, lane.epoch) != (self.member, self.epoch):",
        "        lane = evolve(lane, progress=evolve(lane.progress, ranges=self.progress.ranges))\n"
        "        state = state.with_lane(self.group, lane)\n"
        "        if (lane.owner, lane.epoch) != (self.member, self.epoch):",
    ),
    Mutant(
        "finished ranges written unfenced, in Redis",
        "P2 INV-4",
        COMMIT,
        conformance("a_fenced_commit_is_refused"),
        "if lane.owner ~= member",
        "change_lane(lanes, group, lane, {ranges = progress.ranges})\nif lane.owner ~= member",
    ),
    # --- claims
    Mutant(
        "claim that ignores a live owner",
        "P2 INV-7",
        LAW,
        core("partition", "a_live_owner_is_not_replaced_and_one_that_is_gone_is"),
        "if lane.owner not in (None, self.member, self.evict):",
        "if False:",
    ),
    Mutant(
        "claim that ignores a live owner, in Redis",
        "P2 INV-7",
        CLAIM,
        conformance("a_partition_has_one_owner"),
        "if others and lane",
        "if false and lane",
    ),
    Mutant(
        "claim that ignores the epoch",
        "P2 INV-1",
        LAW,
        core("partition", "a_claim_that_was_given_up_cannot_succeed_later"),
        "if lane.epoch != self.if_epoch:",
        "if False:",
    ),
    Mutant(
        "claim that ignores the epoch, in Redis",
        "P2 INV-1",
        CLAIM,
        conformance("a_claim_that_names_an_old_epoch_fails"),
        "if lane.epoch ~= if_epoch then",
        "if false then",
    ),
    Mutant(
        "claim that creates a lane",
        "P7",
        LAW,
        core("partition", "a_claim_creates_nothing"),
        "Changed | Behind | Gone]:\n        lane = state.lanes.get(self.group) if",
        "Changed | Behind | Gone]:\n        lane = state.lanes.get(self.group, Lane(Progress())) if",
    ),
    Mutant(
        "claim that creates a lane, in Redis",
        "P7",
        CLAIM,
        conformance("a_claim_of_an_absent_lane_creates_nothing"),
        "if not lane then return {'Gone'} end",
        "lane = lane or {offset = '0-0', read = '0', ranges = '', attempts = '', owner = '', epoch = '0', "
        "generation = '0', claim = '', history = '', number = '0'}",
    ),
    Mutant(
        "Behind checked before the repeated claim",
        "P8",
        LAW,
        core("partition", "the_same_claim_gets_the_same_answer_whatever_has_become_of_its_generation"),
        "        if lane.claim == self.claim:\n",
        "        if lane.generation > self.generation:\n            return state, Behind(lane.generation)\n"
        "        if lane.claim == self.claim:\n",
    ),
    Mutant(
        "Behind checked before the repeated claim, in Redis",
        "P8",
        CLAIM,
        conformance("a_repeated_claim_gets_the_same_answer"),
        "if lane.claim ~= claim then\n",
        "if tonumber(lane.generation) > tonumber(generation) then return {'Behind', lane.generation} end\n"
        "if lane.claim ~= claim then\n",
    ),
    Mutant(
        "Behind checked after 'already mine'",
        "P2 INV-8",
        LAW,
        core("partition", "an_old_document_is_told_so_before_anything_else"),
        "if lane.generation > self.generation:",
        "if lane.generation > self.generation and lane.owner != self.member:",
    ),
    Mutant(
        "Behind checked after 'already mine', in Redis",
        "P2 INV-8",
        CLAIM,
        conformance("a_claim_of_an_older_generation_fails"),
        "if tonumber(lane.generation) >",
        "if lane.owner ~= member and tonumber(lane.generation) >",
    ),
    Mutant(
        "claim that does not note its generation",
        "P2 INV-8",
        LAW,
        core("partition", "an_old_document_is_told_so_before_anything_else"),
        "generation=self.generation,",
        "generation=lane.generation,",
    ),
    # --- epochs
    Mutant(
        "claim that keeps the epoch",
        "P2 INV-2",
        LAW,
        core("partition", "epochs_rise_above_the_stored_one_the_clock_and_the_floor"),
        "epoch=max(lane.epoch + 1, now_us,",
        "epoch=max(lane.epoch, now_us,",
    ),
    Mutant(
        "claim that keeps below its floor, in Redis",
        "P2 INV-2",
        CLAIM,
        conformance("an_epoch_rises_above_the_floor"),
        ", tonumber(floor) + 1)",
        ")",
    ),
    Mutant(
        "epoch that loses its last digits, in Redis",
        "P2 INV-2",
        CLOCK,
        conformance("a_claim_that_names_an_old_epoch_fails"),
        "string.format('%.0f', math.max(now_us(), ...))",
        "tostring(math.max(now_us(), ...))",
    ),
    Mutant(
        "release that leaves the epoch",
        "P2 INV-2",
        LAW,
        core("partition", "a_claim_that_was_given_up_cannot_succeed_later"),
        "epoch = max(lane.epoch + 1, now_us)",
        "epoch = lane.epoch",
    ),
    Mutant(
        "release that leaves the epoch, in Redis",
        "P2 INV-2",
        RELEASE,
        conformance("a_release_without_an_owner_makes_a_late_claim_fail"),
        "epoch = risen(tonumber(lane.epoch) + 1)",
        "epoch = lane.epoch",
    ),
    Mutant(
        "release of what another owns",
        "P2 INV-7",
        LAW,
        core("partition", "nobody_releases_what_another_owns"),
        "if lane.epoch != self.epoch or lane.owner not in (None, self.member, self.evict):",
        "if lane.epoch != self.epoch:",
    ),
    Mutant(
        "release of what another owns, in Redis",
        "P2 INV-7",
        RELEASE,
        conformance("nobody_else_can_release"),
        "if lane.epoch ~= epoch or not ended then",
        "if lane.epoch ~= epoch then",
    ),
    Mutant(
        "release that stores the progress of a stranger",
        "P2 INV-1",
        LAW,
        core("partition", "a_release_in_place_of_another_stores_nothing"),
        "if lane.owner == self.member:",
        "if True:",
    ),
    Mutant(
        "release that stores the progress of a stranger, in Redis",
        "P2 INV-1",
        RELEASE,
        conformance("a_release_in_place_of_another_stores_nothing"),
        "if lane.owner == member then settle",
        "if true then settle",
    ),
    # --- what a member makes of it
    Mutant(
        "evicting an owner that the document does not list as gone",
        "P2 INV-7",
        MACHINE,
        core("machine", "a_partition_is_handed_over_when_its_handler_has_ended_and_not_before"),
        "return document.may_be_evicted(hold.owner) or stranger",
        "return True",
    ),
    Mutant(
        "evicting an owner that no document knows, at first sight",
        "P2 INV-7",
        MACHINE,
        story("04-claim"),
        "and self.now - hold.since >= self.member.session_s",
        "",
    ),
    Mutant(
        "evicting an owner that was displaced, and may be alive",
        "P2 INV-7",
        "segmenter/core/group.py",
        story("01-join"),
        'in ("left", "expired")',
        'in ("left", "expired", "displaced")',
    ),
    Mutant(
        "unanswered claim left to itself",
        "P8",
        TABLE,
        core("machine", "a_claim_that_was_abandoned_and_unanswered_cannot_succeed_later"),
        "_Y.UNANSWERED): (_S.RELEASING, _A.ABANDON)",
        "_Y.UNANSWERED): (_S.FREE, _A.NONE)",
    ),
    Mutant(
        "owner that does not know that it owns left alone",
        "P8",
        TABLE,
        core("machine", "an_owner_that_does_not_know_it_is_one_releases_when_somebody_wants_the_partition"),
        "    (_S.FREE, _Y.WANTED): (_S.RELEASING, _A.RELEASE),\n",
        "",
    ),
    Mutant(
        "release before the handlers ended",
        "P3 INV-7",
        "segmenter/runtime/holding.py",
        fundamental("3_rebalancing", "a_partition_is_handed_over_when_its_last_message_is_settled"),
        "bool(self.lanes.in_flight or self.hooks or self.attended)",
        "bool(self.hooks)",
    ),
    Mutant(
        "release while a handler is at work that had passed its message on",
        "rule 8",
        "segmenter/runtime/holding.py",
        fundamental("9_worker_ends", "a_partition_moves_when_handlers_have_ended_that_had_passed_on_their_messages"),
        " or self.attended)",
        ")",
    ),
    Mutant(
        "release at the drain timeout",
        "P3 INV-7",
        "segmenter/runtime/holding.py",
        fundamental("3_rebalancing", "a_partition_is_handed_over_when_its_last_message_is_settled"),
        "bool(self.lanes.in_flight or self.hooks or self.attended)",
        "bool((self.lanes.in_flight and self._clock() - (self.lanes.oldest_start or 0) < 3) or self.hooks)",
    ),
    Mutant(
        "shutdown that does not wait for what is in flight",
        "P3 INV-7",
        "segmenter/runtime/pump.py",
        fundamental("2_settling", "a_shutdown_waits_for_what_is_in_flight"),
        "        if not drain:\n",
        "        if True:\n",
    ),
    Mutant(
        "start of the next message while a partition drains",
        "P8",
        "segmenter/runtime/custody.py",
        story("08-hand-off"),
        "            holding.draining = True\n"
        "            holding.look_again()\n"
        "            self._holdings.stir(holding)\n"
        "            holding.lanes.stop()\n",
        "            pass\n",
    ),
    Mutant(
        "release that nobody hears of",
        "P8",
        MACHINE,
        fundamental("3_rebalancing", "a_hand_off_takes_milliseconds_and_moves_nothing_else"),
        "        self._announce(Freed(partition, self._hold(partition).epoch, self.member.me, self.held_since))\n",
        "",
    ),
)
