"""Keys and partitions: pinned for ever."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

import pytest

from segmenter.core.hashing import partition_of

# key -> partition of 1024, by CRC-32; a change of any of these would send keys to other partitions than before.
GOLDEN = {
    b"customer-42": 21,
    b"a": 579,
    b"order-0000001": 345,
    b"123456789": 294,
    b"N14228": 366,
    b"N619AA": 256,
    b"m\xc3\xbcller": 601,
    b"\xe9\xa1\xa7\xe5\xae\xa2-7": 216,
    b"\x00": 909,
    b"\xff\xfe": 150,
    b"k" * 1024: 71,
    b" ": 837,
    b"0": 801,
    b"true": 141,
    b"customer-1": 125,
    b"customer-2": 455,
    b"customer-3": 337,
    b"550e8400-e29b-41d4-a716-446655440000": 241,
    b"user:1:cart": 600,
    b"{tag}x": 472,
}


def test_golden_vectors_hold() -> None:
    assert crc32(b"123456789") == 0xCBF43926, "the check value of CRC-32/ISO-HDLC"
    assert {key: partition_of(key, 1024) for key in GOLDEN} == GOLDEN


@pytest.mark.parametrize("partitions", [2, 7, 8, 12, 64, 100])
@pytest.mark.parametrize("pattern", ["customer-%d", "%d", "N%05dAA", "0000-%08x"])
def test_sequential_keys_spread_evenly(pattern: str, partitions: int) -> None:
    """A partition with far more keys than another would need a consumer of its own."""
    counts = Counter(partition_of((pattern % number).encode(), partitions) for number in range(20_000))
    expected = 20_000 / partitions
    assert len(counts) == partitions
    assert max(counts.values()) < 1.35 * expected
    assert min(counts.values()) > 0.65 * expected


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_multiplying_the_partitions_splits_each_and_mixes_none(factor: int) -> None:
    for number in range(5_000):
        key = b"key-%d" % number
        assert partition_of(key, 8 * factor) % 8 == partition_of(key, 8)


def test_an_unknown_hash_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown hash 'murmur3': this version knows crc32"):
        partition_of(b"k", 8, "murmur3")
