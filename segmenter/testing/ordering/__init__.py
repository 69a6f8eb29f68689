"""A user's handlers in several processes, through faults, on virtual time: do they keep what the library promises?."""

from segmenter.testing.ordering.check import check_ordering
from segmenter.testing.ordering.play import FAULTS, Played, Simulation

__all__ = ["FAULTS", "Played", "Simulation", "check_ordering"]
