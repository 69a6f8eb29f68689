"""Simulations: the real runtime on virtual time, from one seed, through faults; what happened is checked afterwards."""

from segmenter.testing.simulation.checks import check
from segmenter.testing.simulation.cluster import simulate
from segmenter.testing.simulation.history import History
from segmenter.testing.simulation.network import FaultyBackend, Network
from segmenter.testing.simulation.plan import FAULTS, Fault, Plan, plan_of
from segmenter.testing.simulation.shrinking import shrunk
from segmenter.testing.simulation.story import story_of

__all__ = [
    "FAULTS",
    "Fault",
    "FaultyBackend",
    "History",
    "Network",
    "Plan",
    "check",
    "plan_of",
    "shrunk",
    "simulate",
    "story_of",
]
