"""What may be dropped, and what goes on when there is no room: in a partition, and in the server's memory."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, conformance, core, fundamental, story

__all__ = ["RETENTION"]

LAW = "segmenter/core/retention.py"
SCRIPTS = "backends/segmenter_redis/scripts"
FULL_MEMORY = "tests/integration/test_wire.py::test_with_memory_full_only_appending_is_refused[redis-8.2]"
ALLOWED, REFUSED = "#!lua flags=allow-oom\n", "#!lua\n"

RETENTION = (
    # --- trimming
    Mutant(
        "trim by the fastest group",
        "P4 INV-9",
        LAW,
        core("partition", "a_full_partition_trims_what_all_have_settled_and_names_the_slowest"),
        "read, group = min(behind)",
        "read, group = max(behind)",
    ),
    Mutant(
        "trim by the fastest group, in Redis",
        "P4 INV-9",
        f"{SCRIPTS}/lib/retention.lua",
        conformance("trimming_never_passes_the_slowest_group"),
        "read < least",
        "read > least",
    ),
    Mutant(
        "trim by those groups that have an owner",
        "P4 INV-9",
        LAW,
        core("partition", "a_full_partition_trims_what_all_have_settled_and_names_the_slowest"),
        "for group, lane in state.lanes.items()]",
        "for group, lane in state.lanes.items() if lane.owner]",
    ),
    Mutant(
        "trim by a stale minimum, in Redis",
        "P4 INV-9",
        f"{SCRIPTS}/lib/retention.lua",
        conformance("a_group_that_goes_back_holds_trimming_back_again"),
        "  return least, groups\n",
        "  least = math.max(least or 0, tonumber(redis.call('HGET', lanes, 'known') or 0))\n"
        "  redis.call('HSET', lanes, 'known', least)\n"
        "  return least, groups\n",
    ),
    Mutant(
        "trim over an empty set of groups",
        "P4 INV-9",
        LAW,
        core("partition", "without_a_group_a_full_partition_keeps_everything"),
        " if slowest else 0",
        " if slowest else len(state.log.entries)",
    ),
    Mutant(
        "trim over an empty set of groups, in Redis",
        "P4 INV-9",
        f"{SCRIPTS}/lib/retention.lua",
        conformance("trimming_without_any_group_drops_nothing"),
        "math.max(0, least - log.first) or 0",
        "math.max(0, least - log.first) or log.length",
    ),
    Mutant(
        "dropping the oldest without being asked to",
        "P4 INV-9",
        LAW,
        core("partition", "a_full_partition_trims_what_all_have_settled_and_names_the_slowest"),
        ' if overflow == "drop_oldest" else None',
        "",
    ),
    Mutant(
        "dropping the oldest without being asked to, in Redis",
        "P4 INV-9",
        f"{SCRIPTS}/append.lua",
        conformance("a_full_partition_names_the_slowest_group"),
        "elseif overflow == 'drop_oldest' then",
        "elseif true then",
    ),
    Mutant(
        "full partition that blames nobody",
        "P4",
        "segmenter/runtime/failures.py",
        fundamental("1_sending_and_consuming", "a_full_partition_pushes_back_and_names_who_is_behind"),
        "slowest=reply.group,",
        "slowest=None,",
    ),
    # --- full memory
    Mutant(
        "missing allow-oom: commits",
        "P9",
        f"{SCRIPTS}/commit.lua",
        FULL_MEMORY,
        ALLOWED,
        REFUSED,
    ),
    Mutant(
        "missing allow-oom: beats",
        "P9",
        f"{SCRIPTS}/beat.lua",
        FULL_MEMORY,
        ALLOWED,
        REFUSED,
    ),
    Mutant(
        "missing allow-oom: trimming",
        "P9",
        f"{SCRIPTS}/trim.lua",
        FULL_MEMORY,
        ALLOWED,
        REFUSED,
    ),
    Mutant(
        "missing allow-oom: the document",
        "P9",
        f"{SCRIPTS}/update_group.lua",
        FULL_MEMORY,
        ALLOWED,
        REFUSED,
    ),
    Mutant(
        "appending while memory is full",
        "P9",
        f"{SCRIPTS}/append.lua",
        FULL_MEMORY,
        REFUSED,
        ALLOWED,
    ),
    Mutant(
        "producer that makes no room when memory is full",
        "P9",
        "segmenter/runtime/sender.py",
        story("11-retention"),
        "self._make_room().add_done_callback(lambda _: self._unanswered(flight, error))",
        "self._unanswered(flight, error)",
    ),
)
