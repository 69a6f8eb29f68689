"""What an entry of a log has to be: anybody who may write to the log can add one that is no message of ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmenter.core.backlog import Backlog
from segmenter.core.command import Entry
from segmenter.core.entries import CorruptEntry, headers_of, in_ordinary_form, parts_of, sizes_of, time_of
from segmenter.core.events import Asked, Changed, Freed, Wanted, announcement_of
from segmenter.core.lanes import KeyLanes
from segmenter.core.partition import Progress
from segmenter.core.reading import has_room
from segmenter.core.watermark import Watermark
from segmenter.errors import Corrupt

PLAIN = (b"k", b"key", b"d", b"data")
HEADED = (*PLAIN, b"h", b'{"a":"b"}')


def flat(text: str) -> tuple[bytes, ...]:
    return tuple(text.encode().split(b" "))


# --- by name ----------------------------------------------------------------------------------------------------------

MESSAGES = {
    "plain": (PLAIN, PLAIN),
    "with headers": (HEADED, HEADED),
    "in another order": (flat("d data k key"), PLAIN),
    "headers first": (flat('h {"a":"b"} k key d data'), HEADED),
    "a field more": (flat("k key d data x y"), PLAIN),
    "a field more, before": (flat("x y k key d data"), PLAIN),
    "a field more, twice": (flat("x y k key x y d data"), PLAIN),
    "as long as with headers": (flat("k key d data H z"), PLAIN),
    "headers and a field more": ((*HEADED, b"x", b"y"), HEADED),
    "names as values": (flat("k d d k"), flat("k d d k")),
    "no data": ((b"k", b"key", b"d", b""), (b"k", b"key", b"d", b"")),
    "no key": ((b"k", b"", b"d", b"data"), (b"k", b"", b"d", b"data")),
    "empty headers": ((*PLAIN, b"h", b""), PLAIN),
    "a hundred fields": (tuple(b"x%d" % n for n in range(200)) + PLAIN, PLAIN),
    "bytes that are no UTF-8": ((b"k", b"\xff", b"d", b"\xfe"), (b"k", b"\xff", b"d", b"\xfe")),
}
CORRUPT = {
    "another program's": (flat("foo bar"), "it has no field 'k' and no field 'd', but 'foo'"),
    "only a key": (flat("k key"), "it has no field 'd', but 'k'"),
    "only data": (flat("d data"), "it has no field 'k', but 'd'"),
    "in capitals": (flat("K key D data"), "it has no field 'k' and no field 'd', but 'K', 'D'"),
    "a key and headers": (flat("k key h {}"), "it has no field 'd', but 'k', 'h'"),
    "two keys": (flat("k key k key"), "it has no field 'd', but 'k', 'k'"),
    "two keys and data": (flat("k key d data k key"), "its field 'k' is there 2 times"),
    "data twice": (flat("d data k key d data d data"), "its field 'd' is there 3 times"),
    "headers twice": (flat("k key d data h {} h {}"), "its field 'h' is there 2 times"),
    "an empty name": (flat(" x"), "it has no field 'k' and no field 'd', but ''"),
    "a name that is no UTF-8": ((b"\xff\n", b"x"), "it has no field 'k' and no field 'd', but '\\xff\\n'"),
    "many fields": (
        flat("a b " * 50 + "c d"),
        "it has no field 'k' and no field 'd', but 'a', 'a', 'a', 'a', 'a' and 46 more",
    ),
    "a long name": ((b"x" * 1000, b""), f"it has no field 'k' and no field 'd', but '{'x' * 20}'"),
    "a field without a value": ((*PLAIN, b"h"), "a field has no value"),
    "nothing": ((), "it has no field 'k' and no field 'd', but "),
}


@pytest.mark.parametrize(("fields", "ordinary"), MESSAGES.values(), ids=list(MESSAGES))
@pytest.mark.parametrize("kind", [list, tuple])
def test_a_message_has_its_fields_in_any_order(
    fields: Sequence[bytes], ordinary: Sequence[bytes], kind: type[Sequence[bytes]]
) -> None:
    """By position, a key would be taken for data."""
    assert in_ordinary_form(kind(fields)) == ordinary  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(("fields", "reason"), CORRUPT.values(), ids=list(CORRUPT))
def test_what_is_no_message_is_told_by_the_names_of_its_fields(fields: Sequence[bytes], reason: str) -> None:
    """Values are not told: they may be secrets."""
    assert in_ordinary_form(fields) == reason


FIELDS = st.lists(st.sampled_from([b"k", b"d", b"h", b"x", b"K", b""]), max_size=7).map(tuple)


@given(st.lists(st.one_of(FIELDS, st.just(PLAIN), st.just(HEADED)), max_size=4), st.sampled_from([list, tuple]))
def test_the_quick_look_finds_exactly_what_is_not_in_ordinary_form(
    logged: list[Sequence[bytes]], kind: type[Sequence[bytes]]
) -> None:
    """It stands for the close look at nearly every message."""
    entries = [(b"1-0", kind(fields)) for fields in logged]  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    alike = [fields for fields in logged if len(fields) % 2 == 0 and fields[::2] in ((b"k", b"d"), (b"k", b"d", b"h"))]
    assert sizes_of(entries) == [len(parts_of(fields)[1]) for fields in alike]
    for fields in alike:
        ordinary = in_ordinary_form(fields)
        assert not isinstance(ordinary, str)
        assert parts_of(ordinary) == parts_of(fields)


# --- taking in --------------------------------------------------------------------------------------------------------

START = Progress(b"0-0", 0)
FOREIGN = flat("foo bar")
REASON = "it has no field 'k' and no field 'd', but 'foo'"


def log(*logged: Sequence[bytes]) -> list[Entry]:
    return [(b"1-%d" % ordinal, fields) for ordinal, fields in enumerate(logged)]


def lanes(progress: Progress = START, *, lenient: bool) -> KeyLanes:
    return KeyLanes(
        stream="s",
        group="g",
        partition=0,
        epoch=1,
        progress=progress,
        clock=lambda: 0.0,
        touched=lambda: None,
        lenient=lenient,
    )


def handled(held: KeyLanes) -> list[bytes]:
    """Take and settle all that may start."""
    done = []
    while (message := held.next()) is not None:
        done.append(message.data)
        message.ack()
    return done


def message(data: str, key: str = "a") -> tuple[bytes, ...]:
    return flat(f"k {key} d {data}")


def test_a_hold_ends_at_the_first_corrupt_entry() -> None:
    """What comes behind it is not read, so that a restart stops there again."""
    held = lanes(lenient=False)
    held.offer(log(message("0"), FOREIGN, message("2"), FOREIGN))
    assert held.backlog.take_found() == [CorruptEntry(1, b"1-1", REASON)]
    assert handled(held) == [b"0"]
    assert held.progress() == Progress(b"1-0", 1)
    held.offer(log(FOREIGN, message("2"))[1:])
    assert (held.backlog.take_found(), held.backlog.end, held.backlog.count) == ([], 1, 0)
    assert not has_room(held, 100, 1_000)


def test_a_corrupt_entry_is_passed_over_as_if_it_was_finished() -> None:
    held = lanes(lenient=True)
    held.offer(log(message("0"), FOREIGN, message("2"), FOREIGN))
    assert held.backlog.take_found() == [CorruptEntry(1, b"1-1", REASON), CorruptEntry(3, b"1-3", REASON)]
    assert held.backlog.take_found() == []
    assert held.progress() == Progress(b"0-0", 0, ((1, 2), (3, 4)))
    assert handled(held) == [b"0", b"2"]
    assert held.progress() == Progress(b"1-3", 4)
    assert (held.backlog.count, held.backlog.size_bytes) == (0, 0)


def test_the_progress_passes_a_corrupt_entry_that_nothing_follows() -> None:
    held = lanes(lenient=True)
    before = held.version
    held.offer(log(FOREIGN))
    assert held.version > before
    assert held.progress() == Progress(b"1-0", 1)
    assert not held.startable


def test_a_corrupt_entry_that_comes_while_a_run_is_in_hand_is_passed_in_its_turn() -> None:
    """What is in hand then has no place among the ordinals that are finished ahead."""
    held = lanes(lenient=True)
    held.offer(log(message("0"), message("1", "b")))
    in_hand = held.take(2, whole_batch=True)
    held.offer([(b"1-2", FOREIGN), (b"1-3", message("3"))])
    assert held.progress() == Progress(b"0-0", 0, ((2, 3),))
    in_hand[0].ack()
    assert held.progress() == Progress(b"1-0", 1, ((2, 3),))
    in_hand[1].ack()
    assert held.progress() == Progress(b"1-2", 3)
    assert handled(held) == [b"3"]
    assert held.progress() == Progress(b"1-3", 4)


def test_nobody_is_told_of_what_a_former_owner_had_settled() -> None:
    """Once told and passed over, an entry ends no later consumer."""
    for lenient in (False, True):
        held = lanes(Progress(b"0-0", 0, ((1, 3),)), lenient=lenient)
        held.offer(log(message("0"), FOREIGN, message("2"), flat("d 3 k a")))
        assert held.backlog.take_found() == []
        assert handled(held) == [b"0", b"3"]
        assert held.progress() == Progress(b"1-3", 4)


def test_what_follows_a_corrupt_entry_goes_out_in_runs_again() -> None:
    """Otherwise one foreign entry would make all that comes after it slower."""
    held = lanes(lenient=True)
    held.offer(log(FOREIGN, message("1"), message("2")))
    assert [each.data for each in held.take(2, whole_batch=True)] == [b"1", b"2"]
    assert not held.chains.started


@given(
    st.lists(st.sampled_from(["a", "b", "odd", "foreign"]), max_size=12),
    st.lists(st.integers(1, 5), max_size=5),
    st.integers(0, 12),
)
def test_every_ordinal_is_settled_once_in_whatever_portions_entries_come(
    logged: list[str], portions: list[int], settled: int
) -> None:
    """Counts in bytes and messages come back to nothing, whatever comes between."""
    kinds = {"odd": flat("d x k a"), "foreign": FOREIGN}
    entries = log(*[kinds.get(each, message("x", each)) for each in logged])
    held, waiting = lanes(lenient=True), []
    for portion in [*portions, len(entries)]:
        end = held.backlog.end
        held.offer(entries[end : end + portion])
        waiting += held.take(2, whole_batch=True)
        while waiting and settled:
            settled -= 1
            waiting.pop(0).ack()
    for each in waiting:
        each.ack()
    handled(held)
    assert held.progress() == Progress(entries[-1][0] if entries else b"0-0", len(entries))
    assert (held.backlog.count, held.backlog.size_bytes) == (0, 0)
    assert len(held.backlog.take_found()) == logged.count("foreign")


def test_odd_entries_count_with_the_size_of_their_data() -> None:
    backlog = Backlog(START)
    backlog.extend(log(flat("d 12345 k a"), flat("k a d 12 x 123456789")), Watermark(START))
    assert (backlog.count, backlog.size_bytes) == (2, 7)


# --- headers and times ------------------------------------------------------------------------------------------------

NO_HEADERS = {
    "no JSON": b"{",
    "no UTF-8": b'{"a":"\xff"}',
    "no object": b'["a"]',
    "a number": b'{"a":1}',
    "no text": b'{"a":null}',
    "an object in it": b'{"a":{}}',
    "UTF-16": '{"a":"b"}'.encode("utf-16"),
    "deep": b"[" * 100_000,
    "a long number": b"1" * 10_000,
    "a space": b" ",
}


@pytest.mark.parametrize("raw", NO_HEADERS.values(), ids=list(NO_HEADERS))
def test_headers_of_another_program_are_told_by_name(raw: bytes) -> None:
    """A handler that looks at them fails, and its message is retried, and parked or dead-lettered."""
    with pytest.raises(Corrupt, match="headers of message 1-0 in partition 3 of 'orders' are no JSON object") as raised:
        headers_of(raw, b"1-0", partition=3, stream="orders")
    assert (raised.value.stream, raised.value.partition, raised.value.id) == ("orders", 3, "1-0")
    held = lanes(lenient=False)
    held.offer(log((*PLAIN, b"h", raw)))
    first = held.next()
    assert first is not None
    assert (first.raw_headers, first.data) == (raw, b"data")
    with pytest.raises(Corrupt):
        _ = first.headers


def test_headers_are_an_object_of_texts() -> None:
    assert headers_of(b"", b"1-0", partition=0) == {}
    assert headers_of('{"a":"é"}'.encode(), b"1-0", partition=0) == {"a": "é"}


def test_an_id_beyond_the_last_year_counts_as_its_end() -> None:
    """Ids may be as high as 64 bits allow, once somebody has written such a one."""
    assert time_of(b"1700000000000-3") == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert time_of(b"18446744073709551615-18446744073709551615").year == 9999


# --- events -----------------------------------------------------------------------------------------------------------

EVENTS = {
    "changed": (Changed("v", "joined", "m", ("a", "b"), 7), Changed("v", "joined", "m", ("a", "b")).fields(7)),
    "freed": (Freed(1, 2, "m", 3), Freed(1, 2, "m", 3).fields()),
    "wanted": (Wanted(1, 2, "m"), Wanted(1, 2, "m").fields()),
    "asked": (Asked(1), Asked(1).fields()),
    "in another order": (Asked(1), flat("x y p 1 e asked")),
    "of a version that did not say since when": (Freed(1, 2, "m"), flat("e freed p 1 x 2 m m")),
}
NO_EVENTS = {
    "another program's": flat("foo bar"),
    "of a later version": flat("e later p 1"),
    "no number": flat("e asked p one"),
    "no partition": flat("e asked"),
    "a negative number": flat("e asked p -1"),
    "a number with a sign": flat("e asked p +1"),
    "a number in other digits": flat("e asked p ٣"),
    "a number with a line": flat("e asked p 1_0"),
    "an empty number": flat("e asked p "),
    "a huge number": flat(f"e freed p 1 x {'9' * 17} m m"),
    "a number without an end": flat(f"e freed p 1 x {'9' * 5000} m m"),
    "no generation": flat("e changed v v c joined m m n a"),
    "no UTF-8": (b"e", b"asked", b"p", b"\xff"),
    "a name that is no UTF-8": (b"\xff", b"asked", b"p", b"1"),
    "a field without a value": (b"e", b"asked", b"p"),
    "nothing": (),
}


@pytest.mark.parametrize(("event", "fields"), EVENTS.values(), ids=list(EVENTS))
def test_an_event_is_read_back_by_the_names_of_its_fields(event: object, fields: Sequence[bytes]) -> None:
    assert announcement_of((b"1-0", fields)) == event


@pytest.mark.parametrize("fields", NO_EVENTS.values(), ids=list(NO_EVENTS))
def test_what_is_no_event_is_none(fields: Sequence[bytes]) -> None:
    """Events are advice: one of another program must not end the consumers that read it."""
    assert announcement_of((b"1-0", fields)) is None
