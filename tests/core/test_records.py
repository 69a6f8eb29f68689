"""Records in columns are the records that they were made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segmenter.core.log import Record, Records, in_columns
from segmenter_redis.packing import pack

PARTS = st.binary(max_size=6)
BATCHES = st.lists(st.builds(Record, PARTS, PARTS, st.just(b"") | PARTS), max_size=5)


@given(BATCHES)
def test_what_goes_in_comes_out(records: list[Record]) -> None:
    columns = in_columns(records)
    assert list(columns) == records
    assert len(columns) == len(records)
    assert in_columns(columns) is columns
    assert all(record in columns for record in records)
    assert Record(b"none of them", b"") not in columns


@given(BATCHES, st.integers(0, 5), st.integers(0, 5))
def test_a_part_is_what_a_list_would_give(records: list[Record], first: int, end: int) -> None:
    assert list(in_columns(records).between(first, end)) == records[first:end]


@given(st.lists(BATCHES, min_size=1, max_size=4))
def test_batches_are_joined_one_after_the_other(batches: list[list[Record]]) -> None:
    """Of a batch without headers that joins one with headers, no record may get another's."""
    joined = Records.joined([in_columns(batch) for batch in batches])
    assert list(joined) == [record for batch in batches for record in batch]


@given(BATCHES)
def test_the_size_counts_keys_data_and_headers(records: list[Record]) -> None:
    assert in_columns(records).size == sum(len(each.key) + len(each.data) + len(each.headers) for each in records)


@given(st.lists(st.binary(max_size=20) | st.text(max_size=20) | st.integers()), st.lists(st.binary(max_size=20)))
def test_a_request_is_packed_as_the_protocol_of_redis_says(
    words: list[bytes | str | int], payload: list[bytes]
) -> None:
    strings = [word if isinstance(word, bytes) else str(word).encode() for word in words] + payload
    expected = b"*%d\r\n" % len(strings) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in strings)
    assert b"".join(pack(words, payload)) == expected


def test_long_strings_are_packed_too() -> None:
    """The lengths of short ones are remembered."""
    for size in (0, 4_095, 4_096, 1 << 20):
        assert b"".join(pack((), [b"x" * size] * 2)) == b"*2\r\n" + (b"$%d\r\n" % size + b"x" * size + b"\r\n") * 2
