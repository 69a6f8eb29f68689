"""Each rule of the protocol as a story: what the processes ask, what they are answered, line by line.

After a change that is meant, ``pytest tests/interaction --rewrite`` writes the traces anew: read their diff.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.interaction.language import UnknownCommand
from tests.interaction.script import difference, play, rewrite

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("*.txt"))
PROTOCOL = HERE.parents[1] / "specs" / "protocol.md"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_story_goes_as_it_is_written(path: Path, rewriting: bool) -> None:
    """The order and the words of the protocol, as the real runtime speaks them."""
    if rewriting:
        rewrite(path)
    found = difference(path)
    if found:
        pytest.fail(f"{found}\n\nif that is meant: pytest tests/interaction --rewrite", pytrace=False)


def test_every_rule_of_the_protocol_has_a_script() -> None:
    """A rule that is added to the protocol is to be told as a story too."""
    rules = PROTOCOL.read_text().partition("## Rules")[2].partition("## Invariants")[0]
    titles = {int(number): title for number, title in re.findall(r"^(\d+)\. \*\*([\w -]+)\.?\*\*", rules, re.MULTILINE)}
    named = {int(number): f"{title.lower().replace(' ', '-')}" for number, title in titles.items()}
    assert {path.stem for path in SCRIPTS} == {f"{number:02}-{title}" for number, title in named.items()}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_begins_with_the_number_of_its_rule(path: Path) -> None:
    number = int(path.stem.partition("-")[0])
    assert path.read_text().startswith(f"# Rule {number}, ")


STORY = """\
> stream orders partitions=1

> consumer a
"""


def test_a_changed_line_fails(tmp_path: Path) -> None:
    """A comparison that cannot fail shows nothing."""
    path, told = tmp_path / "changed.txt", play(STORY)
    for word, other in (("granted, epoch 1", "granted, epoch 2"), ("\n  a is Admitted", "\n  b is Admitted")):
        assert word in told
        path.write_text(told.replace(word, other, 1))
        removed = [line for line in difference(path).splitlines() if line.startswith("-") and other.strip() in line]
        assert len(removed) == 1


def test_a_missing_line_fails_and_so_does_one_too_many(tmp_path: Path) -> None:
    path, lines = tmp_path / "changed.txt", play(STORY).splitlines(keepends=True)
    claim = next(number for number, line in enumerate(lines) if "claims partition" in line)
    for changed in (lines[:claim] + lines[claim + 1 :], lines[: claim + 1] + lines[claim:]):
        path.write_text("".join(changed))
        assert difference(path)


def test_a_story_goes_the_same_way_each_time() -> None:
    assert play(STORY) == play(STORY)


def test_rewriting_makes_what_happens_the_expectation_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "rewritten.txt"
    path.write_text("# A story.\n\n> stream orders partitions=1\nnothing\n\n# The end.\n")
    rewrite(path)
    told = path.read_text().splitlines()
    assert (told[0], told[2], told[-1]) == ("# A story.", "> stream orders partitions=1", "# The end.")
    assert "nothing" not in told
    assert difference(path) == ""


def test_a_command_that_nobody_knows_is_refused() -> None:
    """A slip of the pen must not pass as a command that does nothing."""
    with pytest.raises(UnknownCommand, match="a dances"):
        play("> a dances\n")


def test_a_mistake_in_the_test_itself_is_no_story() -> None:
    with pytest.raises(AssertionError, match="registered no stream"):
        play("> send k x\n")
