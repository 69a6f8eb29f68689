"""From a key to its partition: the same for ever, and in every language.

The name of the hash is stored in the stream's configuration. ``crc32`` (the CRC-32 of zlib, of PNG and of Ethernet)
runs at C speed in the standard library and spreads sequential keys well. The remainder is taken of the whole hash, so
multiplying the number of partitions by k splits each of them into k others and mixes none: h mod kn mod n = h mod n.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zlib import crc32

__all__ = ["DEFAULT_HASH", "HASHES", "partition_of"]

DEFAULT_HASH = "crc32"
HASHES: Mapping[str, Callable[[bytes], int]] = {"crc32": crc32}


def partition_of(key: bytes, partitions: int, hash_name: str = DEFAULT_HASH) -> int:
    """Return the partition of a key, from 0.

    Raises:
        ValueError: if there is no hash of that name in this version.
    """
    try:
        return HASHES[hash_name](key) % partitions
    except KeyError:
        raise ValueError(f"unknown hash {hash_name!r}: this version knows {', '.join(sorted(HASHES))}") from None
