"""Tools to test code that uses the library, backends of your own, and the library itself.

Each name is imported with its first use: a test of handlers brings neither hypothesis nor pytest with it.
"""

from typing import TYPE_CHECKING

from segmenter.homes import at_home

if TYPE_CHECKING:
    from segmenter.testing.ordering import Played, Simulation, check_ordering
    from segmenter.testing.rehearsal import Failed, Handled, Rehearsal
    from segmenter.testing.stateful import BackendMachine
    from segmenter.testing.suite import BackendSuite
    from segmenter.testing.virtual import Deadlock, Virtual, VirtualLoop, run_virtually, virtual_host

__all__ = [
    "BackendMachine",
    "BackendSuite",
    "Deadlock",
    "Failed",
    "Handled",
    "Played",
    "Rehearsal",
    "Simulation",
    "Virtual",
    "VirtualLoop",
    "check_ordering",
    "run_virtually",
    "virtual_host",
]

_HOMES = {
    "BackendMachine": "segmenter.testing.stateful",
    "BackendSuite": "segmenter.testing.suite",
    "Deadlock": "segmenter.testing.virtual",
    "Failed": "segmenter.testing.rehearsal",
    "Handled": "segmenter.testing.rehearsal",
    "Played": "segmenter.testing.ordering",
    "Rehearsal": "segmenter.testing.rehearsal",
    "Simulation": "segmenter.testing.ordering",
    "Virtual": "segmenter.testing.virtual",
    "VirtualLoop": "segmenter.testing.virtual",
    "check_ordering": "segmenter.testing.ordering",
    "run_virtually": "segmenter.testing.virtual",
    "virtual_host": "segmenter.testing.virtual",
}


if not TYPE_CHECKING:  # which would take any name for one of these
    __getattr__, __dir__ = at_home(globals(), _HOMES)
