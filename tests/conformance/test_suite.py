"""Our backends pass the suite that we hold those of others to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import redis

from segmenter.port import Backend
from segmenter.testing import BackendSuite
from segmenter_memory import MemoryBackend
from segmenter_redis import RedisBackend
from tests.servers import Server


class TestSuite(BackendSuite):
    """Every test on every backend."""

    again: Callable[[], Backend] | None = None  # opens the same place, where it outlives the process

    @pytest.fixture(params=["memory", "fakeredis", "redis-7.0", "redis-8.2"])
    def backend(self, request: pytest.FixtureRequest, namespace: str) -> Iterator[Backend]:
        """Each backend in turn, without anything in it."""
        if request.param == "memory":
            yield MemoryBackend()
            return
        fixtures = {"fakeredis": "fake_url", "redis-7.0": "oldest_server", "redis-8.2": "newest_server"}
        served: Server | str = request.getfixturevalue(fixtures[request.param])
        url = served.url if isinstance(served, Server) else served
        self.again = partial(RedisBackend, url, namespace)
        yield self.again()
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter(f"{{{namespace}:*", count=1_000):
                client.delete(key)

    def reopened(self, backend: Backend) -> Backend:
        return self.again() if self.again is not None else backend
