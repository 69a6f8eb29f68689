"""The backends that must behave alike. A new one needs a line here, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from segmenter.port import Backend
from segmenter_memory import MemoryBackend
from segmenter_redis import RedisBackend
from tests.servers import Server


@pytest.fixture(params=["memory", "fakeredis", "redis-7.0", "redis-8.2"])
def backend(request: pytest.FixtureRequest, namespace: str) -> Iterator[Backend]:
    """Each backend in turn, without anything in it."""
    if request.param == "memory":
        yield MemoryBackend()
        return
    fixtures = {"fakeredis": "fake_url", "redis-7.0": "oldest_server", "redis-8.2": "newest_server"}
    served: Server | str = request.getfixturevalue(fixtures[request.param])
    url = served.url if isinstance(served, Server) else served
    yield RedisBackend(url, namespace)
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(f"{{{namespace}:*", count=1_000):
            client.delete(key)
