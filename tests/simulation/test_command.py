"""Simulations from the command line, as somebody runs them who looks into a failure."""

from __future__ import annotations

import pytest

from segmenter.testing.simulation.__main__ import main


def test_a_seed_is_told_with_a_legend_and_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["3"]) == 0
    told = capsys.readouterr().out
    assert "a handler started" in told
    assert told.endswith("every promise was kept\n")


def test_a_range_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["3", "6"]) == 0
    assert capsys.readouterr().out == "3 seeds, 0 failed\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "the following arguments are required: seed"),
        (["abc"], "invalid int value: 'abc'"),
        (["6", "3"], "no seed is from 6 up to, not including, 3: give the smaller one first"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_the_remedy(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
