"""Tools to test code that uses the library, and the library itself."""

from segmenter.testing.rehearsal import Handled, Rehearsal, SetAside
from segmenter.testing.virtual import Deadlock, VirtualLoop, run_virtually, virtual_host

__all__ = ["Deadlock", "Handled", "Rehearsal", "SetAside", "VirtualLoop", "run_virtually", "virtual_host"]
