"""What each fact about a server is judged to be."""

from __future__ import annotations

from typing import Any

import pytest

from segmenter.checkup import Finding
from segmenter_redis.checkup import Facts, judge

WELL: dict[str, str] = {
    "redis_version": "7.0.15",
    "cluster_enabled": "0",
    "maxmemory_policy": "noeviction",
    "used_memory": "1000",
    "maxmemory": "0",
    "aof_enabled": "1",
    "role": "master",
    "connected_slaves": "0",
}
CASES: dict[str, tuple[str, str, dict[str, str], dict[str, Any]]] = {
    # what: (check, verdict, what INFO says differently, other facts)
    "all is well": ("version", "ok", {}, {}),
    "an old server": ("version", "failure", {"redis_version": "6.2.14"}, {}),
    "a new server": ("version", "ok", {"redis_version": "10.0.1"}, {}),
    "an old Valkey": ("version", "failure", {"valkey_version": "7.1.0"}, {}),
    "a Valkey that calls itself Redis 7.2.4": ("version", "ok", {"valkey_version": "8.0.1"}, {}),
    "a cluster": ("cluster", "failure", {"cluster_enabled": "1"}, {}),
    "eviction": ("eviction", "failure", {"maxmemory_policy": "allkeys-lru"}, {}),
    "eviction that was accepted": (
        "eviction",
        "warning",
        {"maxmemory_policy": "allkeys-lfu"},
        {"allow_eviction": True},
    ),
    "eviction of what expires": ("eviction", "ok", {"maxmemory_policy": "volatile-ttl"}, {}),
    "memory that is nearly full": ("memory", "warning", {"maxmemory": "1100"}, {}),
    "memory with room": ("memory", "ok", {"maxmemory": "2000"}, {}),
    "an append-only file": ("persistence", "ok", {}, {"config": {"appendfsync": "everysec"}}),
    "an append-only file that is not synchronised": ("persistence", "warning", {}, {"config": {"appendfsync": "no"}}),
    "a write that failed": ("persistence", "failure", {"aof_last_write_status": "err"}, {}),
    "a snapshot that failed": ("persistence", "failure", {"rdb_last_bgsave_status": "err"}, {}),
    "snapshots only": ("persistence", "warning", {"aof_enabled": "0"}, {"config": {"save": "3600 1"}}),
    "no persistence": ("persistence", "warning", {"aof_enabled": "0"}, {"config": {"save": ""}}),
    "a replica": ("replication", "failure", {"role": "slave", "master_host": "a", "master_port": "1"}, {}),
    "replicas that nobody waits for": (
        "replication",
        "warning",
        {"connected_slaves": "2"},
        {"config": {"min-replicas-to-write": "0"}},
    ),
    "replicas that are waited for": (
        "replication",
        "ok",
        {"connected_slaves": "2"},
        {"config": {"min-replicas-to-write": "1"}},
    ),
    "a command that is not allowed": ("rights", "failure", {}, {"denied": ("XADD", "INFO")}),
    "only the history is not allowed": ("rights", "warning", {}, {"denied": ("INFO",)}),
    "clocks that agree": ("clock", "ok", {}, {"skew_s": -1.0}),
    "clocks that do not": ("clock", "warning", {}, {"skew_s": 60.0}),
    "an old client": ("redis-py", "failure", {}, {"redis_py": "4.6.0"}),
    "no hiredis": ("hiredis", "warning", {}, {"hiredis": None}),
}


def found(what: str) -> Finding:
    check, _, info, others = CASES[what]
    (finding,) = [finding for finding in judge(Facts(info=WELL | info, **others)) if finding.check == check]
    return finding


@pytest.mark.parametrize("what", CASES)
def test_each_fact_has_its_verdict(what: str) -> None:
    assert found(what).verdict == CASES[what][1]


@pytest.mark.parametrize("what", [what for what, case in CASES.items() if case[1] != "ok"])
def test_what_is_not_well_says_why_and_what_to_do(what: str) -> None:
    finding = found(what)
    assert finding.found
    assert finding.why
    assert finding.remedy


def test_only_what_would_lose_data_or_run_nothing_refuses_a_connection() -> None:
    refused = {what for what in CASES if found(what).refuse}
    assert refused == {"an old server", "an old Valkey", "a cluster", "eviction"}


def test_what_may_not_be_asked_is_not_judged() -> None:
    assert {finding.check for finding in judge(Facts())} == {"rights", "redis-py", "hiredis"}
