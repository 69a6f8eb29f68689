"""What a mutant is, and the short names of the checks that catch them."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

__all__ = ["ROOT", "Misfit", "Mutant", "conformance", "core", "explored", "fundamental", "story"]

ROOT = Path(__file__).parents[2]


class Misfit(Exception):
    """The text of a mutant does not stand in its file, or more than once."""


@frozen
class Mutant:
    """One safeguard less."""

    name: str  # what the code does now, or no longer does
    keeps: str  # what the safeguard is for: a promise, and an invariant if there is one; or a rule
    file: str
    check: str  # of pytest, by node: the narrowest that must fail
    before: str  # stands once in the file; short, so that it survives other changes
    after: str

    def of(self, text: str) -> str:
        """Return the file with the safeguard taken out.

        Raises:
            Misfit: the code has changed, so that this is no mutant of it any more.
        """
        count = text.count(self.before)
        if count != 1:
            raise Misfit(
                f"the mutant {self.name!r} does not fit {self.file} any more, where its text stands {count} times: "
                f"write it anew\n{self.before}"
            )
        return text.replace(self.before, self.after)


def core(module: str, test: str) -> str:
    """A law by example."""
    return f"tests/core/test_{module}.py::test_{test}"


def conformance(test: str, backend: str = "redis-8.2") -> str:
    """What every backend must do, on one of them."""
    return f"tests/conformance/test_suite.py::TestSuite::test_{test}[{backend}]"


def fundamental(chapter: str, test: str) -> str:
    """What the library does for its users."""
    return f"tests/fundamentals/test_{chapter}.py::test_{test}"


def explored(bounds: str) -> str:
    """Every interleaving within small bounds."""
    test = "test_within_small_bounds_all_that_must_hold_holds_and_everything_settles"
    return f"tests/exploration/test_exploration.py::{test}[{bounds.replace(' ', '-')}]"


def story(rule: str) -> str:
    """A rule of the protocol as a story."""
    return f"tests/interaction/test_interaction.py::test_the_story_goes_as_it_is_written[{rule}]"
