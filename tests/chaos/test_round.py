"""Chaos itself is worth something: it passes where all is well, and notices a safeguard that is missing."""

from __future__ import annotations

import pytest

from tests.chaos.checks import broken
from tests.chaos.plan import Fault
from tests.chaos.round import Setting, play
from tests.servers import newest

# Half of the workers are cut off for longer than a session, twice; what they had sent shortly before is sent once more
# when their partitions have moved, commits among it.
LATE = tuple(
    fault
    for at_s in (2.0, 6.0)
    for fault in (
        Fault(at_s, "requests come once more, late", 3.0, 0.0),
        Fault(at_s + 0.4, "half of all cut off, for longer", 1.6, 0.0),
    )
)


@pytest.mark.parametrize("fenced", [True, False], ids=["as it is", "without the fence of commits"])
def test_commits_of_former_owners_are_noticed_if_they_go_through(fenced: bool) -> None:
    found = broken(play(Setting(1, newest(), seconds=8.0, faults=LATE, fenced=fenced)))
    assert any(what.startswith("INV-1 only the owner commits") for what in found) is not fenced, found
    assert fenced is not bool(found), found
