"""What is stored comes back as it was, and what a server says is understood in both versions of its protocol."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import NoPermissionError, ResponseError

from segmenter.core.aside import Request
from segmenter.core.command import Cursor, Gone, GroupSlot, PartitionSlot, Read
from segmenter.core.creation import CreateLane
from segmenter.core.group import Away, Displacement, GroupState, Membership, ProcessInfo
from segmenter.core.layout import FORMAT, StreamConfig
from segmenter.core.log import LIMIT_PRODUCERS, Record
from segmenter.core.partition import Fenced, Probe, Probed, Progress
from segmenter.core.retention import Append, Full, Trim
from segmenter.errors import UnsupportedFormat
from segmenter_redis.codec import decode, decode_read, encode, encode_read
from segmenter_redis.documents import config_body, config_from, group_body, group_from, progress_from, progress_parts
from segmenter_redis.keys import Keys
from segmenter_redis.probe_queries import Ends, Found, Question, decode_probes, encode_probes
from segmenter_redis.scripts import SCRIPTS

KEYS = Keys("shop")
SLOT = PartitionSlot("orders", 3)
ONE_KEY = Request("redrive", b"k", "t")
NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)
COUNTS = st.integers(0, 2**53 - 1)
PAIRS = st.lists(st.tuples(COUNTS, COUNTS), max_size=5).map(tuple)
TRIED = st.lists(st.tuples(st.integers(-(2**53), 2**53), COUNTS), max_size=5).map(tuple)  # after a loss, below zero too
PROGRESS = st.builds(Progress, offset=st.just(b"1-2"), read=COUNTS, ranges=PAIRS, attempts=TRIED, delays=TRIED)
CONFIGS = st.builds(StreamConfig, NAMES, COUNTS, COUNTS, NAMES, hash_name=NAMES, layout=COUNTS)
PROCESSES = st.builds(ProcessInfo, st.text(max_size=80), COUNTS, st.text(max_size=9))
MEMBERSHIPS = st.builds(Membership, st.none() | NAMES, st.booleans(), st.booleans(), PROCESSES)
DISPLACEMENTS = st.builds(Displacement, NAMES, PROCESSES, COUNTS)
ASSIGNMENTS = st.lists(st.none() | NAMES, min_size=1, max_size=9)


@st.composite
def documents(draw: st.DrawFn) -> GroupState:
    assignment = tuple(draw(ASSIGNMENTS))
    return GroupState(
        partitions=len(assignment),
        session_ms=draw(COUNTS),
        version=draw(NAMES),
        generation=draw(COUNTS),
        state=draw(st.sampled_from(["creating", "ready", "removing", "removed"])),
        members=draw(st.dictionaries(NAMES, MEMBERSHIPS)),
        gone=draw(st.dictionaries(NAMES, st.sampled_from(["left", "expired", "displaced"]))),  # pyright: ignore[reportArgumentType]
        assignment=assignment,
        away=draw(st.dictionaries(NAMES, st.builds(Away, NAMES, COUNTS))),
        displaced=draw(st.dictionaries(NAMES, st.lists(DISPLACEMENTS, max_size=3).map(tuple))),
    )


@given(documents())
def test_a_document_of_a_group_comes_back_as_it_was(document: GroupState) -> None:
    """In order, too: who left longest ago is forgotten first."""
    back = group_from(document.version.encode(), b"%d" % document.generation, group_body(document))
    assert back == document
    assert list(back.gone) == list(document.gone)
    assert list(back.members) == list(document.members)


@given(CONFIGS)
def test_a_configuration_comes_back_as_it_was(config: StreamConfig) -> None:
    assert config_from(config.version.encode(), config_body(config)) == config


@given(PROGRESS)
def test_progress_comes_back_as_it_was(progress: Progress) -> None:
    offset, read, ranges, attempts, trying, delays = progress_parts(progress)
    for stored in (delays, b"1700000000000000 " + delays):
        assert progress_from(offset, b"%d" % read, ranges, attempts, b"%d" % trying, stored) == progress


def test_what_a_later_version_stored_is_refused() -> None:
    """Guessing at it would damage the stream for those who can read it."""
    body = config_body(StreamConfig("v", 1, 1, "i", format=FORMAT + 1))
    with pytest.raises(UnsupportedFormat, match=str(FORMAT + 1)):
        config_from(b"v", body)


def test_a_batch_without_headers_takes_two_arguments_a_message() -> None:
    call = encode(Append(SLOT, "p", 1, 5, [Record(b"a", b"1"), Record(b"b", b"2")], 10), KEYS)
    assert call.script == "append"
    assert list(call.args) == ["p", 1, 5, 10, 0, "refuse", 600_000, LIMIT_PRODUCERS, 0, 2]
    assert list(call.payload) == [b"a", b"1", b"b", b"2"]


def test_a_batch_with_headers_takes_three_arguments_a_message() -> None:
    call = encode(Append(SLOT, "p", 1, 5, [Record(b"a", b"1"), Record(b"b", b"2", b"h")], 10), KEYS)
    assert call.args[9] == 3
    assert list(call.payload) == [b"a", b"1", b"", b"b", b"2", b"h"]


def test_all_keys_of_a_slot_share_one_hash_tag() -> None:
    """Otherwise a cluster refuses the script."""
    keys = encode(Append(SLOT, "p", 1, 1, [Record(b"a", b"1")], 10), KEYS).keys
    assert {key.partition("}")[0] for key in keys} == {"{shop:orders:3"}


def test_a_start_without_a_sequence_is_written_in_full() -> None:
    """A range of Redis would take a bare millisecond for the last entry in it, the law takes it for the first."""
    assert list(encode(CreateLane(SLOT, "g", b"17"), KEYS).args) == ["g", b"17-0"]


def test_nobody_is_an_empty_name() -> None:
    assert decode(Trim(SLOT), [b"Fenced", b"", b"7"]) == Fenced(None, 7)  # type: ignore[comparison-overlap]


# --- a probe, which is plain queries ---

LOG = {b"length": 4, b"entries-added": 9, b"last-generated-id": b"7-1", b"first-entry": [b"6-0", [b"k", b"k"]]}
NO_LOG = ResponseError("no such key")
NO_INFO = NoPermissionError("this user has no permissions to run the 'info' command")
REPLICATION = b"# Replication\r\nrole:master\r\nmaster_replid:abc12\r\nmaster_replid2:0000\r\n"
QUESTION = Question(Probe(SLOT, "g"))
LANE = [b"c-1", b"17", b"abc12", b"6-9", b"8", b"9-10", b"", b"-1", b""]


def probed(log: Any = LOG, meta: Any = (b"x", b"2"), lane: Any = LANE, replication: Any = REPLICATION) -> Probed | Gone:
    (found,) = decode_probes([QUESTION], [replication, log, list(meta), lane, 3, 1, {b"redrive:k": b"t"}])
    assert found.reply is not None
    return found.reply


def test_a_probe_tells_the_same_in_both_versions_of_the_protocol() -> None:
    flat = [item for pair in LOG.items() for item in pair]
    told = Probed("c-1", 17, True, Progress(b"6-9", 8, ((9, 10),)), b"7-1", 5, 9, "x", 3, 1, (ONE_KEY,))
    assert probed() == probed(log=flat) == told
    answers = [REPLICATION, flat, [b"x", b"2"], LANE, 3, 1, [b"redrive:k", b"t"]]
    assert decode_probes([QUESTION], answers) == [Found(told)]


def test_a_probe_finds_that_a_partition_its_lane_or_its_log_is_gone() -> None:
    assert probed(meta=(None, None)) == probed(lane=[None] * 9) == probed(log=NO_LOG) == Gone()


def test_in_format_1_there_is_no_log_before_the_first_message() -> None:
    reply = probed(log=NO_LOG, meta=(b"x", b"1"), lane=[b"", b"0", b"abc12", b"0-0", b"0", b"", b"", None, None])
    assert reply == Probed(None, 0, True, Progress(), b"0-0", 0, 0, "x", 3, 1, (ONE_KEY,))


@pytest.mark.parametrize("history", [b"", b"other"])
def test_a_history_that_may_not_be_looked_at_is_an_empty_one(history: bytes) -> None:
    reply = probed(lane=[*LANE[:2], history, *LANE[3:]], replication=NO_INFO)
    assert isinstance(reply, Probed)
    assert reply.intact == (history == b"")


def test_only_what_was_to_be_expected_is_forgiven() -> None:
    forgiven = encode_probes([QUESTION], KEYS).forgiven
    assert forgiven(NO_LOG)
    assert forgiven(NO_INFO)
    assert forgiven(NoPermissionError("this user has no permissions to run the 'xlen' command"))
    assert forgiven(ResponseError("unknown command 'info', with args beginning with: 'replication' "))
    assert not forgiven(NoPermissionError("this user has no permissions to run the 'hmget' command"))
    assert not forgiven(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))


def test_what_is_asked_together_is_answered_in_order_and_asks_for_the_history_once() -> None:
    questions = [Question(Probe(PartitionSlot("orders", number), "g")) for number in range(3)]
    words = encode_probes(questions, KEYS).words
    assert [number for number, query in enumerate(words) if query[0] == "INFO"] == [0]
    assert [query[2] for query in words if query[0] == "XINFO"] == [KEYS.log(it.probe.slot) for it in questions]
    lanes = [[log, [b"x", b"2"], LANE, 0, 0, {}] for log in (LOG, NO_LOG, LOG)]
    answered = decode_probes(questions, [REPLICATION, *(answer for lane in lanes for answer in lane)])
    assert [type(it.reply) for it in answered] == [Probed, Gone, Probed]


def test_a_log_is_looked_at_before_its_lane() -> None:
    """A commit in between, and a trim behind it, must not make it seem that something unsettled was dropped."""
    asked = [words[:2] for words in encode_probes([QUESTION], KEYS).words]
    assert asked.index(("XINFO", "STREAM")) < asked.index(("HMGET", KEYS.lanes(SLOT)))


KNOWN = Ends(b"7-1", 5, 9)
GROUP = {b"name": b"g", b"entries-read": 9, b"lag": 0}
SETTLED = [*LANE[:3], b"7-1", b"9", b"", b"", b"-1", b""]
LONG = {**LOG, b"last-entry": [b"6-0", [b"k", b"k", b"d", b"x" * 2_000]]}


def found(known: Ends | None, *log: Any, lane: Any = SETTLED) -> Found:
    (it,) = decode_probes([Question(Probe(SLOT, "g"), known)], [REPLICATION, *log, [b"x", b"2"], lane, 3, 1, {}])
    return it


@pytest.mark.parametrize("key", [b"first-entry", b"last-entry"])
def test_the_ends_of_a_log_are_remembered_if_it_takes_a_long_entry_to_ask_for_them(key: bytes) -> None:
    assert found(None, LOG).known is None
    long = found(None, {**LOG, key: [b"6-0", [b"k", b"k", b"d", b"x" * 2_000]]})
    assert long == Found(found(None, LOG).reply, KNOWN)


def test_the_ends_of_a_log_are_not_remembered_if_something_is_not_settled() -> None:
    """How far a group is behind is counted by versions of Redis in different ways."""
    assert found(None, LONG).known == KNOWN
    assert found(None, LONG, lane=LANE).known is None


def test_ends_that_are_known_are_not_asked_for() -> None:
    asked = [words[:2] for words in encode_probes([Question(Probe(SLOT, "g"), KNOWN)], KEYS).words]
    assert ("XINFO", "STREAM") not in asked
    assert asked[1:3] == [("XINFO", "GROUPS"), ("XLEN", KEYS.log(SLOT))]
    other = {b"name": b"h", b"entries-read": 1, b"lag": 1}
    assert found(KNOWN, [other, GROUP], 4) == Found(found(None, LOG).reply, KNOWN)
    flat = [[item for pair in row.items() for item in pair] for row in (other, GROUP)]
    assert found(KNOWN, flat, 4) == Found(found(None, LOG).reply, KNOWN)


CHANGED: dict[str, tuple[Any, Any]] = {
    "longer": ([{**GROUP, b"lag": 1}], 5),
    "longer, and read": ([{**GROUP, b"entries-read": 10}], 4),
    "trimmed": ([GROUP], 3),
    "longer and trimmed": ([{**GROUP, b"lag": 1}], 4),
    "shorter": ([{**GROUP, b"entries-read": 8}], 4),
    "not known how long": ([{**GROUP, b"lag": None}], 4),
    "not known how far": ([{**GROUP, b"entries-read": None}], 4),
    "without its group": ([], 4),
    "gone": (NO_LOG, 0),
    "not to be asked": (NoPermissionError("this user has no permissions to run the 'xinfo|groups' command"), 4),
    "not to be counted": ([GROUP], NoPermissionError("this user has no permissions to run the 'xlen' command")),
}


@pytest.mark.parametrize("how", CHANGED)
def test_a_log_that_is_not_as_it_was_known_is_to_be_asked_for_its_ends(how: str) -> None:
    assert found(KNOWN, *CHANGED[how]) == Found(None)


def test_of_the_slowest_groups_the_first_by_name_is_told() -> None:
    """Lua would compare names by the locale of the server."""
    assert decode(Trim(SLOT), [b"Full", 4, b"b", b"B"]) == Full("B", 4)  # type: ignore[comparison-overlap]
    assert decode(Trim(SLOT), [b"Full", 4]) == Full(None, 4)  # type: ignore[comparison-overlap]


READ = Read((Cursor(SLOT, b"1-0"), Cursor(GroupSlot("orders", "g"), b"2-0")), 50, 0.5)


def test_a_read_names_all_logs_and_then_all_places() -> None:
    assert list(encode_read(READ, KEYS)) == [
        *("XREAD", "COUNT", 50, "BLOCK", 500, "STREAMS"),
        *("{shop:orders:3}:log", "{shop:orders}:group:g:events", b"1-0", b"2-0"),
    ]


def test_a_read_that_does_not_wait_does_not_block() -> None:
    """``BLOCK 0`` would wait for ever."""
    assert "BLOCK" not in encode_read(Read(READ.cursors, 50, 0.0), KEYS)
    assert list(encode_read(Read(READ.cursors, 50, 0.0001), KEYS))[3:5] == ["BLOCK", 1]


@pytest.mark.parametrize("shape", [list, dict])
def test_both_versions_of_the_protocol_are_understood(shape: type) -> None:
    raw = shape([(b"{shop:orders:3}:log", [[b"1-1", [b"k", b"a"]]])])
    ((entry_id, fields),) = decode_read(READ, KEYS, raw)[SLOT]
    assert (entry_id, fields) == (b"1-1", [b"k", b"a"])


def test_nothing_is_an_empty_reply() -> None:
    assert decode_read(READ, KEYS, None) == {}
    assert decode_read(READ, KEYS, {}) == {}


def test_only_appending_is_refused_when_memory_is_full() -> None:
    """Everything else must go on, or nothing would ever be trimmed."""
    first_lines = {name: script.text.partition("\n")[0] for name, script in SCRIPTS.items()}
    assert {first_lines.pop(name) for name in ("append", "forward", "replay")} == {"#!lua"}
    assert set(first_lines.values()) == {"#!lua flags=allow-oom"}
