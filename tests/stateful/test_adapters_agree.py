"""Redis is asked the same things as the laws and must answer and store the same: the core specifies the scripts.

The machines (``segmenter/testing/machines.py``) end with proof that every reply occurred.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import settings

from segmenter.testing.stateful import play
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
            play(redis, seen, limits)
            assert set(REPLIES) - {name.encode() for name in seen} == (set() if redis.history else {b"RolledBack"})
        finally:
            redis.close()
