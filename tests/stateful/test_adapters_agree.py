"""Redis is asked the same things as the laws and must answer and store the same: the core specifies the scripts.

The machines (``segmenter/testing/machines.py``) end with proof that every reply occurred.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from segmenter.testing.machines import GroupsAgree, LanesAgree, LogsAgree
from segmenter_redis.codec import REPLIES
from tests.stateful.agreement import InRedis


def test_redis_obeys_the_laws_of_the_core(redis_url: str, namespace: str) -> None:
    """Without it, what is tested in memory would say nothing about production."""
    seen: Counter[str] = Counter()
    profile = settings.get_profile(settings.get_current_profile_name())
    limits = settings(profile, max_examples=profile.max_examples * 2 // 5, stateful_step_count=40)
    with asyncio.Runner() as runner:
        redis = InRedis(redis_url, namespace, runner)
        try:
            for kind in (LanesAgree, LogsAgree, GroupsAgree):
                machine: Any = partial(kind, redis, seen)  # hypothesis takes any callable that makes one
                run_state_machine_as_test(machine, settings=limits)
            assert set(REPLIES) - {name.encode() for name in seen} == (set() if redis.history else {b"RolledBack"})
        finally:
            redis.close()
