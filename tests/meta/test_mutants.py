"""The catalogue of mutants fits the code, the promises, and the table that is published of it."""

from __future__ import annotations

import re
from collections import Counter

from lupa.lua51 import LuaRuntime, LuaSyntaxError

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, Misfit, Mutant
from tests.mutants.table import listed

PROTOCOL = (ROOT / "specs" / "protocol.md").read_text()
PROMISES = set(re.findall(r"^\| (P\d+) \|", PROTOCOL, re.MULTILINE))
INVARIANTS = set(re.findall(r"\bINV-\d+", PROTOCOL))
RULES = {f"rule {number}" for number in re.findall(r"^(\d+)\. \*\*", PROTOCOL, re.MULTILINE)}

# The faults that the protocol was made against; each has been made by somebody.
KNOWN_FAULTS = (
    "commit without the epoch check",
    "commit without the owner",
    "commit under a higher epoch passes",
    "commit without the monotone check",
    "claim that ignores a live owner",
    "lease guard counted from the reply",
    "heartbeat that goes on while commits fail",
    "append retried by the client library",
    "sequence check >=",
    "trim by a stale minimum, in Redis",
    "release before the handlers ended",
    "SETID without ENTRIESREAD",
    "missing allow-oom: commits",
    "no rewind after the history changed",
    "finished ranges written unfenced",
    "expiry by server clock",
    "retry that lets the key's next message start",
    "the duplicate check after the sealed check",
    "a sequence reused after Full",
    "a beat number repeated",
    "versions compared by >",
    "claim that creates a lane",
    "Behind checked after 'already mine'",
    "the mirror by call",
    "release at the drain timeout",
    "expiry over a gap in one's own beats",
    "trim over an empty set of groups",
    "commit repeated over a change of history counts",
    "evicting an owner that the document does not list as gone",
)


def kept(mutant: Mutant) -> set[str]:
    """What a mutant's safeguard is for."""
    return set(re.findall(r"P\d+|INV-\d+|rule \d+", mutant.keeps))


def changed(mutant: Mutant) -> str:
    return mutant.of((ROOT / mutant.file).read_text())


def test_every_mutant_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []


def test_no_known_fault_is_left_out() -> None:
    assert set(KNOWN_FAULTS) - {mutant.name for mutant in MUTANTS} == set()


def test_every_mutant_fits_its_file() -> None:
    """After a change of the code: write the mutant anew, so that the safeguard stays guarded."""
    misfits = []
    for mutant in MUTANTS:
        try:
            changed(mutant)
        except Misfit as misfit:
            misfits.append(str(misfit))
    assert misfits == []


def test_every_mutant_is_still_a_program() -> None:
    """Otherwise any test would catch it, and none would show anything."""
    lua = LuaRuntime(unpack_returned_tuples=False)
    broken = []
    for mutant in MUTANTS:
        try:
            if mutant.file.endswith(".lua"):
                lua.compile(changed(mutant).removeprefix("#!lua"))
            else:
                compile(changed(mutant), mutant.file, "exec")
        except (SyntaxError, LuaSyntaxError) as error:
            broken.append(f"{mutant.name}: {error}")
    assert broken == []


def test_every_promise_and_every_invariant_has_a_mutant() -> None:
    """One that nothing can break is not tested."""
    guarded = set().union(*map(kept, MUTANTS))
    assert (PROMISES | INVARIANTS) - guarded == set()
    assert guarded - (PROMISES | INVARIANTS | RULES) == set()


def test_the_table_lists_the_mutants_of_the_catalogue_and_nothing_else() -> None:
    """To bring it up to date: .venv/bin/python -m tests.mutants --write."""
    assert listed() == [(mutant.keeps, mutant.name, mutant.file) for mutant in MUTANTS]
