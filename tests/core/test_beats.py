"""Beats, leases and deaths: who may act, and who counts as gone."""

from __future__ import annotations

from attrs import evolve

from segmenter.core.beats import Beat, Beaten, NotMember, Pulse
from segmenter.core.command import Gone, GroupSlot
from segmenter.core.events import Changed
from segmenter.core.group import GroupData, GroupState, Joined, UpdateGroup

SLOT = GroupSlot("s", "g")


def _group(*members: str) -> GroupData:
    document = GroupState(4, 1000, "v", state="ready")
    for member in members:
        document = document.on(Joined(member))
    data, _ = UpdateGroup(SLOT, None, document, Changed("v", "created", "")).apply(None, 1)
    assert data is not None
    return data


def _beat(data: GroupData, member: str, below: int = 0, known: str = "v") -> tuple[GroupData, Beaten]:
    after, reply = Beat(SLOT, member, known, below).apply(data, 2)
    assert after is not None
    assert isinstance(reply, Beaten)
    return after, reply


def test_a_lease_counts_from_the_sending_of_the_beat_not_from_its_answer() -> None:
    """Those who watch count from a moment that is later, so the lease is always over first."""
    pulse = Pulse(1.0).answered(sent=10.0, now=10.7, number=3)
    assert pulse.lease_until == 10.8


def test_there_is_no_lease_before_a_beat() -> None:
    assert Pulse(1.0).lease_until == float("-inf")


def test_evidence_against_others_is_a_session_old() -> None:
    pulse = Pulse(1.0)
    for step in range(8):
        pulse = pulse.answered(step * 0.2, step * 0.2, step + 1)
    assert pulse.silent_below(1.45) == 3, "beat number 3 was answered at 0.4"
    assert Pulse(1.0).answered(0.0, 0.0, 1).silent_below(0.9) == 0
    assert len(pulse.chain) <= 7, "old links are forgotten"


def test_a_gap_in_ones_own_beats_starts_the_chain_anew() -> None:
    """Who was asleep cannot know whether the others were."""
    pulse = Pulse(1.0).answered(0.0, 0.0, 1).answered(0.2, 0.2, 2)
    assert pulse.answered(0.8, 0.8, 3).chain == ((0.8, 3),)


def test_a_count_that_went_back_starts_the_chain_anew() -> None:
    """The server lost beats: by the old numbers everybody would look dead."""
    pulse = Pulse(1.0).answered(0.0, 0.0, 50).answered(0.2, 0.2, 40)
    assert pulse.chain == ((0.2, 40),)


def test_silent_are_those_whose_beats_are_below_the_number_asked_for() -> None:
    data = _group("a", "b", "c")
    data, first = _beat(data, "a")
    data, _ = _beat(data, "b")
    data, reply = _beat(data, "a", below=first.number)
    assert reply.silent == ("c",)


def test_after_a_rollback_of_the_count_nobody_looks_silent() -> None:
    data, reply = _beat(_group("a", "b"), "a", below=1000)
    assert reply.silent == ()
    assert data.beats == reply.number


def test_the_clock_of_the_server_is_no_evidence_of_silence() -> None:
    """It may jump by an hour: what counts is how many beats there were, by the count of the group."""
    data = _group("a", "b")
    for member in ("b", "a"):
        after, _ = Beat(SLOT, member, "v", 0).apply(data, 2)
        assert after is not None
        data = after
    _, reply = Beat(SLOT, "a", "v", 1).apply(data, 3_600_000_000)
    assert isinstance(reply, Beaten)
    assert reply.silent == ()


def test_a_loss_of_nearly_a_session_of_beats_makes_nobody_look_silent() -> None:
    """Both beat five times a session. At 2.45 the server has forgotten all since 1.5; a asks first."""
    data, pulse, past = _group("a", "b"), Pulse(1.0), list[GroupData]()
    for step in range(12):
        data, _ = _beat(data, "b")
        below = pulse.silent_below(step * 0.2)
        data, reply = _beat(data, "a", below)
        assert pulse.silent(reply) == ()
        pulse = pulse.answered(step * 0.2, step * 0.2, reply.number)
        past.append(data)
    _, reply = _beat(past[7], "a", pulse.silent_below(2.45))
    assert reply.silent == ("b",), "its latest beats are lost"
    assert pulse.silent(reply) == ()


def test_the_document_comes_along_only_if_it_is_not_known() -> None:
    data = _group("a")
    assert _beat(data, "a")[1].document is None
    assert _beat(data, "a", known="older")[1].document == data.document


def test_a_beat_revives_nobody() -> None:
    data = _group("a")
    assert data.document is not None
    assert Beat(SLOT, "gone", "v", 0).apply(data, 2) == (data, NotMember(data.document))
    assert Beat(SLOT, "a", "v", 0).apply(None, 2) == (None, Gone())
    assert Beat(SLOT, "a", "v", 0).apply(evolve(data, document=None), 2)[1] == Gone()
