"""What is well with a server, and what is not: facts in, findings out. Pure: ``facts`` does the asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

from segmenter.checkup import Finding

__all__ = ["CHECKS", "Facts", "judge"]

OLDEST_REDIS = (7, 0)  # entries-added of streams, flags of scripts
OLDEST_VALKEY = (7, 2)
OLDEST_CLIENT = (5, 2)
NEARLY_FULL = 0.9
SKEW_S = 5.0


@frozen
class Facts:
    """What could be learned of a server and of the client. What may not be asked is missing."""

    info: Mapping[str, str] = field(factory=dict[str, str])
    config: Mapping[str, str] = field(factory=dict[str, str])
    denied: tuple[str, ...] = ()  # commands that this user may not run
    skew_s: float | None = None  # the server's clock against ours
    redis_py: str = "99"
    hiredis: str | None = ""
    allow_eviction: bool = False


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Return a finding for each check that the facts allow."""
    return tuple(finding for check in CHECKS if (finding := check(facts)) is not None)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _server(facts: Facts) -> Finding | None:
    valkey = facts.info.get("valkey_version")
    version = valkey or facts.info.get("redis_version")
    if version is None:  # not told to users without the right, nor by imitations
        return None
    found = f"{'Valkey' if valkey else 'Redis'} {version}"
    if _version(version) >= (OLDEST_VALKEY if valkey else OLDEST_REDIS):
        return Finding("version", "ok", found)
    return Finding(
        "version",
        "failure",
        found,
        "the scripts use what this server does not have",
        "Redis 7.0 or Valkey 7.2 is the oldest that will do",
        refuse=True,
    )


def _cluster(facts: Facts) -> Finding | None:
    if facts.info.get("cluster_enabled", "0") == "0":
        return None
    return Finding(
        "cluster",
        "failure",
        "cluster mode is on",
        "one read covers several partitions, whose slots may lie on different nodes",
        "use a server without cluster mode; clusters are not supported yet",
        refuse=True,
    )


def _eviction(facts: Facts) -> Finding | None:
    policy = facts.info.get("maxmemory_policy")
    if policy is None:
        return None
    if not policy.startswith("allkeys-"):
        return Finding("eviction", "ok", f"maxmemory-policy {policy}")
    return Finding(
        "eviction",
        "warning" if facts.allow_eviction else "failure",
        f"maxmemory-policy {policy}",
        "it deletes streams and fences when memory is full",
        "set it to noeviction or volatile-lru, or pass allow_eviction=True",
        refuse=not facts.allow_eviction,
    )


def _memory(facts: Facts) -> Finding | None:
    if "used_memory" not in facts.info:
        return None
    used, limit = int(facts.info["used_memory"]), int(facts.info.get("maxmemory", "0"))
    found = f"{used / 2**20:,.0f} MiB used" + (f" of {limit / 2**20:,.0f}" if limit else ", without a limit")
    if not limit or used <= NEARLY_FULL * limit:
        return Finding("memory", "ok", found)
    return Finding(
        "memory",
        "warning",
        found,
        "with memory full producers are pushed back, while consumers go on",
        "raise maxmemory, lower partition_size, or let consumers catch up",
    )


def _persistence(facts: Facts) -> Finding | None:
    info = facts.info
    if "aof_enabled" not in info:
        return None
    for name, what in (("rdb_last_bgsave_status", "snapshot"), ("aof_last_write_status", "append-only file")):
        if info.get(name, "ok") != "ok":
            return Finding(
                "persistence",
                "failure",
                f"the last write of the {what} failed",
                "the server refuses writes until it succeeds, or loses them at its next restart",
                "see the server's log; often the disk is full",
            )
    if info["aof_enabled"] == "1":
        return _aof(facts)
    saves = facts.config.get("save")
    if saves:
        return Finding(
            "persistence",
            "warning",
            f"snapshots only (save {saves})",
            "a restart of the server loses everything since the last snapshot",
            "set appendonly yes",
        )
    if saves is None and info.get("rdb_last_save_time") is None:
        return None
    return Finding(
        "persistence",
        "warning",
        "no append-only file" + ("" if saves is None else " and no snapshots"),
        "a restart of the server loses messages that were acknowledged",
        "set appendonly yes, and appendfsync everysec or always",
    )


def _aof(facts: Facts) -> Finding:
    fsync = facts.config.get("appendfsync", "")
    if fsync == "no":
        return Finding(
            "persistence",
            "warning",
            "append-only file, appendfsync no",
            "a crash of the machine loses what the system had not written yet, often half a minute",
            "set appendfsync everysec or always",
        )
    loses = " (a crash of the machine loses up to a second or two)" if fsync == "everysec" else ""
    return Finding("persistence", "ok", "append-only file" + (f", appendfsync {fsync}" if fsync else "") + loses)


def _replication(facts: Facts) -> Finding | None:
    role = facts.info.get("role")
    if role is None:
        return None
    if role != "master":
        return Finding(
            "replication",
            "failure",
            f"a replica of {facts.info.get('master_host', '?')}:{facts.info.get('master_port', '?')}",
            "it refuses writes",
            "name the primary in the URL",
        )
    replicas = int(facts.info.get("connected_slaves", "0"))
    if replicas and facts.config.get("min-replicas-to-write") == "0":
        return Finding(
            "replication",
            "warning",
            f"{replicas} replicas, min-replicas-to-write 0",
            "a primary that is cut off goes on acknowledging what the failover then loses",
            "set min-replicas-to-write 1, and send with durability=Durability(replicas=1) what must not be lost",
        )
    return Finding("replication", "ok", f"a primary with {replicas} replicas")


def _rights(facts: Facts) -> Finding:
    if not facts.denied:
        return Finding("rights", "ok", "all that is needed")
    only_info = set(facts.denied) == {"INFO"}
    return Finding(
        "rights",
        "warning" if only_info else "failure",
        f"not allowed: {', '.join(facts.denied)}",
        "a rollback of the server cannot be noticed" if only_info else "sending or consuming will fail",
        "grant them to this user with ACL SETUSER; docs/security.md has the lines for each role",
    )


def _clock(facts: Facts) -> Finding | None:
    if facts.skew_s is None:
        return None
    found = f"{abs(facts.skew_s):.1f} s {'ahead of' if facts.skew_s > 0 else 'behind'} this machine"
    if abs(facts.skew_s) <= SKEW_S:
        return Finding("clock", "ok", found)
    return Finding(
        "clock",
        "warning",
        found,
        "order and ownership do not depend on it, but timestamps of messages and start=datetime do",
        "synchronise both clocks (NTP)",
    )


def _client(facts: Facts) -> Finding:
    if _version(facts.redis_py) >= OLDEST_CLIENT:
        return Finding("redis-py", "ok", facts.redis_py)
    return Finding("redis-py", "failure", facts.redis_py, "it lacks what the connections use", "install redis>=5.2")


def _parser(facts: Facts) -> Finding:
    if facts.hiredis is not None:
        return Finding("hiredis", "ok", facts.hiredis or "installed")
    return Finding(
        "hiredis",
        "warning",
        "not installed",
        "reading is several times slower without it",
        "pip install 'segmenter-streams[fast]'",
    )


CHECKS: tuple[Callable[[Facts], Finding | None], ...] = (
    _server,
    _cluster,
    _eviction,
    _memory,
    _persistence,
    _replication,
    _rights,
    _clock,
    _client,
    _parser,
)
