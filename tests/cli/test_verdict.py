"""The demo's verdict is computed from what was handled, and can be against us."""

from __future__ import annotations

from pathlib import Path

import pytest

from segmenter.cli.demo.flights import Flight, load, sample
from segmenter.cli.demo.records import Handled, Noted, decoded, encoded
from segmenter.cli.demo.verdict import Handoff, judge
from segmenter.errors import InvalidArgument

SENT = [Flight("N1", 0, "", ""), Flight("N1", 1, "", ""), Flight("N2", 0, "", "")]


def _handled(*flights: tuple[str, int]) -> list[Handled | Noted]:
    return [Handled("w", aircraft, number, 0, 1, 1, float(at)) for at, (aircraft, number) in enumerate(flights)]


def test_it_holds_when_everything_was_handled_in_order() -> None:
    verdict = judge(SENT, _handled(("N2", 0), ("N1", 0), ("N1", 1)))
    assert verdict.holds
    assert (verdict.events, verdict.aircraft, verdict.again) == (3, 2, 0)


def test_what_was_never_handled_is_lost() -> None:
    verdict = judge(SENT, _handled(("N1", 0), ("N1", 1)))
    assert (verdict.lost, verdict.holds) == (1, False)


def test_what_was_never_sent_is_a_phantom() -> None:
    verdict = judge(SENT, _handled(("N1", 0), ("N1", 1), ("N2", 0), ("N3", 0)))
    assert (verdict.phantom, verdict.holds) == (1, False)


def test_a_flight_before_the_aircrafts_earlier_one_is_out_of_order() -> None:
    verdict = judge(SENT, _handled(("N1", 1), ("N1", 0), ("N2", 0)))
    assert verdict.out_of_order > 0
    assert not verdict.holds


def test_a_redelivery_is_counted_and_is_no_disorder() -> None:
    verdict = judge(SENT, _handled(("N1", 0), ("N1", 1), ("N1", 0), ("N1", 1), ("N2", 0)))
    assert (verdict.again, verdict.out_of_order, verdict.holds) == (2, 0, True)


def test_nothing_sent_proves_nothing() -> None:
    assert not judge([], []).holds


def test_hand_overs_are_timed_from_the_release_or_the_kill_to_the_next_owner() -> None:
    notes = [
        Noted("a", "granted", 0, 1, 0.0),
        Noted("a", "granted", 1, 1, 0.0),
        Noted("a", "handed_back", 0, 1, 1.0),
        Noted("b", "granted", 0, 2, 1.25),
        Noted("a", "killed", None, None, 2.0),
        Noted("b", "granted", 1, 2, 3.5),
    ]
    assert judge(SENT, notes).handoffs == (Handoff(0, 0.25, killed=False), Handoff(1, 1.5, killed=True))


@pytest.mark.parametrize("record", [Handled("w", "N1", 3, 0, 7, 1, 0.5), Noted("w", "granted", 1, 2, 0.25)])
def test_reports_survive_the_pipe(record: Handled | Noted) -> None:
    assert decoded(encoded(record)) == record


def test_the_sample_numbers_each_aircrafts_flights() -> None:
    flights = load(sample())
    assert len(flights) == 2552
    assert len({flight.aircraft for flight in flights}) == 1317
    seen: dict[str, int] = {}
    for flight in flights:
        assert flight.number == seen.get(flight.aircraft, 0)
        seen[flight.aircraft] = flight.number + 1


def test_a_file_without_flights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="there is no file"):
        load(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("tailnum,origin,dest,time_hour\n")
    with pytest.raises(InvalidArgument, match="holds no flights"):
        load(tmp_path / "empty.csv")
