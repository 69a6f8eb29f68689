"""Keys and partitions: pinned for ever, evenly spread, split but never mixed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.core.hashing import DEFAULT_HASH, HASHES, partition_of

GOLDEN: Mapping[str, Any] = json.loads(Path(__file__).with_name("hashing_vectors.json").read_text(encoding="utf-8"))
SEQUENCES = ["customer-%d", "%d", "order-%07d", "N%05dAA", "0000-%08x", "user:%d:cart"]
KEYS = 100_000


def _key(row: Mapping[str, Any]) -> bytes:
    return bytes.fromhex(row["hex"]) * int(row["times"])


def _crc32_by_definition(data: bytes) -> int:
    """CRC-32/ISO-HDLC bit by bit: what a client without zlib has to compute."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize("row", GOLDEN["keys"], ids=lambda row: f"{row['hex'][:16]}*{row['times']}")
def test_golden_vectors_hold(row: Mapping[str, Any]) -> None:
    """A change of any of these would send a key's next message to another partition than its last one."""
    assert HASHES[GOLDEN["hash_name"]](_key(row)) == row["hash"]
    assert [partition_of(_key(row), count) for count in GOLDEN["partitions"]] == row["partition"]


def test_the_default_hash_is_the_one_of_the_golden_vectors() -> None:
    """Streams that were created before the hash could be named have the default."""
    assert GOLDEN["hash_name"] == DEFAULT_HASH
    assert len({_key(row) for row in GOLDEN["keys"]}) == len(GOLDEN["keys"]) >= 40


def test_golden_vectors_follow_from_the_definition() -> None:
    """A producer in another language has the definition and the vectors, and they must not contradict each other."""
    assert _crc32_by_definition(b"123456789") == 0xCBF43926, "the check value that the catalogues of CRCs give"
    assert [_crc32_by_definition(_key(row)) for row in GOLDEN["keys"]] == [row["hash"] for row in GOLDEN["keys"]]


@pytest.mark.parametrize("pattern", SEQUENCES)
def test_sequential_keys_spread_evenly(pattern: str) -> None:
    """A partition with far more keys than another would need a consumer of its own."""
    hashes = [HASHES[DEFAULT_HASH]((pattern % number).encode()) for number in range(KEYS)]
    for partitions in (2, 3, 7, 8, 12, 16, 21, 32, 33, 50, 64):
        counts = Counter(value % partitions for value in hashes)
        sizes = [counts[partition] * partitions / KEYS for partition in range(partitions)]
        assert 0.88 < min(sizes) <= max(sizes) < 1.12, partitions


@given(key=st.binary(max_size=64), partitions=st.integers(1, 1024))
def test_every_key_has_a_partition_that_exists(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


@given(key=st.binary(max_size=64), partitions=st.integers(1, 256), factor=st.integers(1, 16))
def test_multiplying_the_partitions_splits_each_and_mixes_none(key: bytes, partitions: int, factor: int) -> None:
    """If a child could have two parents, no one parent's end would tell when its keys may go on in order."""
    assert partition_of(key, factor * partitions) % partitions == partition_of(key, partitions)


def test_an_unknown_hash_is_refused_by_name() -> None:
    """A stream made by a newer version is not sent to by guesswork."""
    with pytest.raises(ValueError, match="unknown hash 'murmur3': this version knows crc32"):
        partition_of(b"k", 8, "murmur3")
