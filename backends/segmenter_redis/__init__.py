"""Streams in Redis 7.0 or later, or Valkey 7.2 or later.

Reading order: ``keys`` (what is stored), ``scripts/*.lua`` (the laws of the core, once more), ``codec`` (commands and
replies as words), ``wire`` (the connection), ``backend`` (what goes on which connection), ``errors``.
"""

from segmenter_redis.backend import RedisBackend

__all__ = ["RedisBackend"]
