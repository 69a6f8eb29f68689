"""From many messages to batches: nothing is lost, doubled or turned around by sorting and cutting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segmenter.config import LIMIT_BATCH, LIMIT_BATCH_BYTES
from segmenter.core.hashing import DEFAULT_HASH
from segmenter.runtime.intake import Router

PARTITIONS = 3
ROUTER = Router(PARTITIONS, DEFAULT_HASH)
KEYS = st.sampled_from(["a", "b", "c", b"d"])
SIZES = st.sampled_from([0, 1, LIMIT_BATCH_BYTES // 3, LIMIT_BATCH_BYTES, 1 << 20])
MESSAGES = st.lists(st.tuples(KEYS, st.builds(bytes, SIZES)), max_size=12)


@given(MESSAGES, st.integers(1, 4))
def test_every_message_is_in_one_share_of_its_partition_in_order(messages: list[tuple[str, bytes]], room: int) -> None:
    shares = ROUTER.shares(messages, room)
    placed: list[list[int]] = [[] for _ in range(PARTITIONS)]
    for share in shares:
        assert len(share.indexes) == len(share.records)
        for index, record in zip(share.indexes, share.records, strict=True):
            key, data = messages[index]
            assert (record.key, len(record.data)) == (key.encode() if isinstance(key, str) else key, len(data))
            assert ROUTER.partition_of(record.key) == share.partition
            placed[share.partition].append(index)
    assert all(indexes == sorted(indexes) for indexes in placed)
    assert sorted(index for indexes in placed for index in indexes) == list(range(len(messages)))


@given(MESSAGES, st.integers(1, 4))
def test_a_share_fits_into_a_batch(messages: list[tuple[str, bytes]], room: int) -> None:
    """But for one message that is larger by itself."""
    for share in ROUTER.shares(messages, room):
        assert 1 <= len(share.records) <= room
        assert share.records.size <= LIMIT_BATCH_BYTES or len(share.records) == 1


def test_headers_count_for_the_size_of_a_batch() -> None:
    heavy = {"h": "x" * (LIMIT_BATCH_BYTES // 2)}
    assert [len(share.records) for share in ROUTER.shares([("a", b"", heavy)] * 4, 100)] == [1, 1, 1, 1]


def test_as_many_as_a_batch_may_have_make_one() -> None:
    messages = [("a", b"x")] * (2 * LIMIT_BATCH + 1)
    assert [len(share.records) for share in ROUTER.shares(messages, 10**6)] == [LIMIT_BATCH, LIMIT_BATCH, 1]
