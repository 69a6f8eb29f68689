"""The runner of mutants tells what was caught from what was not, and from what proves nothing."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.mutants.__main__ import try_all
from tests.mutants.mutant import Mutant, core

CAUGHT = Mutant(
    "lease counted from the answer",
    "P3",
    "segmenter/core/beats.py",
    core("beats", "a_lease_counts_from_the_sending_of_the_beat_not_from_its_answer"),
    "lease_from=sent)",
    "lease_from=now)",
)
HARMLESS = evolve(CAUGHT, name="other words", before="Return the pulse after a beat", after="Return it after a beat")


def test_a_mutant_that_nothing_notices_fails_under_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert try_all([CAUGHT, HARMLESS]) == 1
    said = capsys.readouterr().out
    assert f"{CAUGHT.name}: caught by core/test_beats::test_a_lease_counts_from_the_sending" in said
    assert f"{HARMLESS.name}: NOT CAUGHT by {HARMLESS.check}" in said
    assert f"2 mutants, 1 not caught\n  {HARMLESS.name}\n" in said


def test_a_program_that_does_not_even_begin_is_not_caught(capsys: pytest.CaptureFixture[str]) -> None:
    broken = evolve(CAUGHT, name="no program", before="from attrs import", after="from nowhere import")
    assert try_all([broken]) == 1
    assert "no program: NOT CAUGHT" in capsys.readouterr().out


def test_a_mutant_that_does_not_fit_is_named_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    misfit = evolve(CAUGHT, name="of other code", before="lease_from=other)")
    assert try_all([CAUGHT, misfit]) == 2
    said = capsys.readouterr().out
    assert "'of other code' does not fit segmenter/core/beats.py any more" in said
    assert "caught" not in said


def test_a_check_that_does_not_pass_without_the_mutant_proves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    absent = evolve(CAUGHT, check=core("beats", "there_is_no_such_test"))
    assert try_all([absent]) == 2
    said = capsys.readouterr().out
    assert "not every check is run and passes" in said
    assert "there_is_no_such_test" in said
