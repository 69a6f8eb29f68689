"""Tools to test code that uses the library, and the library itself."""

from segmenter.testing.rehearsal import Failed, Handled, Rehearsal
from segmenter.testing.virtual import Deadlock, VirtualLoop, run_virtually, virtual_host

__all__ = ["Deadlock", "Failed", "Handled", "Rehearsal", "VirtualLoop", "run_virtually", "virtual_host"]
